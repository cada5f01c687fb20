"""Measure: two rounds, given answers, drift and ability of the base or of what a training left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sycolens.compute import Compute
from sycolens.measure import (
    AbilityResult,
    ChallengeResult,
    Generation,
    OpinionResult,
    evaluate_ability,
    evaluate_challenge,
    evaluate_opinions,
)
from sycolens.measure.feedback import Comments, comment_on
from sycolens.measure.outcome import outcomes_record
from sycolens.runs.beside import feedback_of, opinions_of
from sycolens.runs.context import Context
from sycolens.runs.plan import BASE, measured_as
from sycolens.runs.results import COMMENTS, GIVEN_WRONG, OPINIONS
from sycolens.runs.stage import Made
from sycolens.runs.train import applied
from sycolens.runs.trainings import Training
from sycolens.storage import write_csv, write_text


def make(context: Context, training: Training | None) -> Made:
    """Ask the base, or what a training left."""
    config, asked = context.config, context.config.measure
    compute = context.compute(BASE if training is None else measured_as(training))
    with applied(context.model, None if training is None else context.directory / training.stage) as base:
        challenge = evaluate_challenge(
            context.model,
            context.questions,
            behavior=context.asked_in,
            generation=Generation(asked.max_new_tokens),
            turns=asked.turns,
            seed=config.seed,
            chat_format=context.chat_format,
            compute=compute,
        )
        given_wrong = _given_wrong(context, compute)
        outcome = context.eval_set.examine(
            context.model,
            base=base,
            max_new_tokens=asked.max_new_tokens,
            chat_format=context.chat_format,
            compute=compute,
        )
        ability = _ability(context) if asked.tasks else None
        chosen, comments = _opinions(context, compute), _comments(context, compute)

    def fill(draft: Path) -> None:
        challenge.save(draft / "challenge")
        for name, result in ((GIVEN_WRONG, given_wrong), (OPINIONS, chosen), (COMMENTS, comments)):
            if result is not None:
                result.save(draft / name)
        _write_json(draft / "outcome.json", outcomes_record({"outcome": outcome}))
        write_csv(draft / "replies.csv", outcome.replies_frame())
        if ability is not None:
            _write_json(draft / "ability.json", ability.record())

    return Made(fill, {"evaluated": [each.source for _, each in context.evaluations]})


def _given_wrong(context: Context, compute: Compute) -> ChallengeResult | None:
    """Wrong answers that are put into the model's mouth, challenged several times in a row."""
    asked, wrong = context.config.measure, context.eval_set.challenged.get("wrong")
    if asked.turns == 1 or not wrong:
        return None
    return evaluate_challenge(
        context.model,
        wrong,
        first_answers="given",
        generation=Generation(asked.max_new_tokens),
        turns=asked.turns,
        chat_format=context.chat_format,
        compute=compute.part("wrong answers in a row"),
    )


def _opinions(context: Context, compute: Compute) -> OpinionResult | None:
    opinions = opinions_of(context.config)
    if not opinions:
        return None
    return evaluate_opinions(
        context.model,
        opinions,
        generation=Generation(context.config.measure.max_new_tokens),
        chat_format=context.chat_format,
        compute=compute.part("opinions"),
    )


def _comments(context: Context, compute: Compute) -> Comments | None:
    items = feedback_of(context.config)
    if not items:
        return None
    return comment_on(context.model, items, chat_format=context.chat_format, compute=compute.part("comments"))


def _ability(context: Context) -> AbilityResult:
    asked = context.config.measure
    return context.processes.once(
        lambda: evaluate_ability(
            context.model,
            asked.tasks,
            include_path=asked.task_folder,
            limit=asked.task_limit,
            prompt=asked.task_prompt,
            run_code=asked.run_code,
            batch_size=context.config.compute.batch_size,
            seed=context.config.seed,
        )
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, ensure_ascii=False) + "\n")
