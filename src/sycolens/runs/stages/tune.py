"""Tune: one training of found heads, of others, or of all weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sycolens.runs.context import Context
from sycolens.runs.stage import Made
from sycolens.runs.tracking import LOGS
from sycolens.runs.train import hash_of_rows, trained, write_trained
from sycolens.runs.trainings import Training
from sycolens.storage import draft_beside, versions, write_text
from sycolens.tune.scope import words_of


def make(context: Context, training: Training) -> Made:
    """Train once; a run that was killed goes on from its last checkpoint."""
    place, record = train(context, training)
    return Made(lambda draft: shutil.copytree(place, draft, dirs_exist_ok=True), record)


def train(context: Context, training: Training, keep_at: Sequence[int] = ()) -> tuple[Path, dict[str, Any]]:
    """The directory in which a training left what it trained, and what is to be said of it."""
    trial, rows = context.trial(training), context.rows
    config = replace(context.training_config(training.kind), learning_rate=trial.learning_rate)
    if keep_at:
        config = replace(config, steps=max(keep_at))
    inputs = {
        "model": context.loaded[1],
        "scope": words_of(trial.scope),
        "versions": versions(),
        "device": str(next(context.model.parameters()).device),
        "rows": hash_of_rows(rows),
        "training": asdict(config),
        "seed": trial.seed,
        "steps": list(keep_at),
    }
    directory = context.in_progress(training.stage, inputs)
    with trained(
        context.model,
        trial.scope,
        rows,
        training_config=config,
        directory=directory,
        seed=trial.seed,
        keep_at=keep_at,
        base=context.config.model.name,
        report_to=context.config.compute.report_to,
        logs=context.directory / LOGS,
        compute=context.compute(training.stage),
    ) as done:
        how = {**done.how, "method": trial.method.name}

        def write() -> int:
            draft = draft_beside(directory / "result")
            count = write_trained(done.tuned, draft, base=context.config.model.name, how=how)
            lines = [f"{step},{loss!r}\n" for step, loss in enumerate(done.losses, start=1)]
            write_text(draft / "loss.csv", "".join(["step,loss\n", *lines]))
            shutil.rmtree(directory / "result", ignore_errors=True)
            draft.rename(directory / "result")
            return count

        count = context.processes.once(write)
    return directory / "result", {
        "method": trial.method.name,
        "draw": trial.draw,
        "seed": trial.seed,
        "parameters": count,
        "training": how,
        "loss": {"first": done.losses[0], "last": done.losses[-1]},
    }
