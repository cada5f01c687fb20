"""Measure: two rounds, given answers, drift and ability of the base or of what a training left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sycolens.measure import AbilityResult, Generation, evaluate_ability, evaluate_challenge
from sycolens.measure.outcome import outcomes_record
from sycolens.runs.context import Context
from sycolens.runs.plan import BASE, Training, measured_as
from sycolens.runs.stage import Made
from sycolens.runs.train import applied
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
            seed=config.seed,
            chat_format=context.chat_format,
            compute=compute,
        )
        outcome = context.eval_set.examine(
            context.model,
            base=base,
            max_new_tokens=asked.max_new_tokens,
            chat_format=context.chat_format,
            compute=compute,
        )
        ability = _ability(context) if asked.tasks else None

    def fill(draft: Path) -> None:
        challenge.save(draft / "challenge")
        _write_json(draft / "outcome.json", outcomes_record({"outcome": outcome}))
        write_csv(draft / "replies.csv", outcome.replies_frame())
        if ability is not None:
            _write_json(draft / "ability.json", ability.record())

    return Made(fill, {"evaluated": [each.source for _, each in context.evaluations]})


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
