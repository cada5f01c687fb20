"""Sweep: one training of many, examined on validation dialogues after some numbers of steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sycolens.compute import Compute
from sycolens.measure.eval_set import EvalSet
from sycolens.measure.outcome import Outcome, outcomes_record
from sycolens.runs.context import Context
from sycolens.runs.sections import EvaluationSource
from sycolens.runs.stage import Made
from sycolens.runs.stages.tune import train
from sycolens.runs.sweep import OUTCOMES
from sycolens.runs.train import applied
from sycolens.runs.trainings import Training
from sycolens.storage import write_text
from sycolens.tune import refuse_leaks


def make(context: Context, training: Training) -> Made:
    """Train, and examine along the way."""
    validation, _ = eval_sets(context)
    steps = context.config.sweep.steps
    place, record = train(context, training, keep_at=steps)
    kept = place.parent / "steps"
    compute = context.compute(training.stage)
    outcomes = {
        str(step): examine(context, validation, kept / str(step), compute.part(f"after step {step}")) for step in steps
    }

    def fill(draft: Path) -> None:
        for step in steps:
            shutil.copytree(kept / str(step), draft / "steps" / str(step))
        write_text(draft / OUTCOMES, json.dumps(outcomes_record(outcomes)) + "\n")

    return Made(fill, {**record, "finds": training.kind in ("spt", "spt_lora")})


def eval_sets(context: Context) -> tuple[EvalSet, EvalSet]:
    """Dialogues to choose settings on, and others to report; no training example holds a question of theirs."""
    sweep, sources = context.config.sweep, context.config.measure.sources
    taught = frozenset(" ".join(turn.content for turn in each.dialogue.turns) for each in context.examples)
    source, n = (sources or [EvaluationSource()])[0], sweep.n_validation + sweep.n
    task, held_out = context.hold_out(source, n, taught=taught)
    found = task.eval_sets(
        held_out,
        context.model.tokenizer,
        n_validation=sweep.n_validation,
        n=sweep.n,
        texts=context.texts,
        seed=context.config.seed,
    )
    for each in found:
        refuse_leaks(context.examples, each.questions)
    return found


def examine(context: Context, eval_set: EvalSet, trained: Path | None, compute: Compute) -> Outcome:
    """How the base, or what a training left, does in an eval set."""
    with applied(context.model, trained) as base:
        return eval_set.examine(
            context.model,
            base=base,
            max_new_tokens=context.config.measure.max_new_tokens,
            chat_format=context.chat_format,
            compute=compute,
        )
