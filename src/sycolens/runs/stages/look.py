"""Look: what the model says when it is challenged, and where its reply decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sycolens.decision import look
from sycolens.prompts import PAPER, PARAPHRASES, Behavior
from sycolens.runs.context import Context
from sycolens.runs.plan import LOOK
from sycolens.runs.stage import Made
from sycolens.storage import write_csv

BEHAVIOR = "behavior.toml"
"""What was proposed."""


def make(context: Context) -> Made:
    """Look at replies."""
    config = context.config
    words: tuple[Behavior, ...] = (config.words,)
    if context.looks_first:
        usual = (PAPER, *PARAPHRASES[: config.look.wordings - 1])
        words = tuple(replace(each, scorer=config.look.scorer) for each in usual)
    seen = look(
        context.model,
        context.looked_at.asked,
        behavior=words,
        max_new_tokens=config.look.max_new_tokens,
        chat_format=context.chat_format,
        seed=config.seed,
        compute=context.compute(LOOK),
    )

    def fill(draft: Path) -> None:
        seen.save(draft)
        seen.behavior.write(draft / BEHAVIOR)
        write_csv(draft / "replies.csv", seen.to_frame())
        write_csv(draft / "wordings.csv", seen.wordings())

    return Made(fill, {"source": context.looked_at.source, **seen.record()})
