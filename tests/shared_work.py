"""What several processes do together in test_processes.py, as one does it alone; run by the launcher, rank by rank."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from sycolens import HeadSet, PinpointConfig, evaluate_challenge, kl_drift, load_model, organism, pinpoint
from sycolens.distributed import Processes
from sycolens.errors import QuestionError
from sycolens.find.finding import find_heads
from sycolens.measure import EvalSet
from sycolens.runs.checkpoint_directory import TrainingDirectory
from sycolens.runs.methods import Method, Trial
from sycolens.runs.train import begun, encoded_for
from sycolens.runs.trials import try_out
from sycolens.tune import HeadAdapter, TrainingConfig
from sycolens.verify.verification import verify_heads

HEADS = HeadSet(["L1H0", "L1H1"])
STEPS = 4


class KilledError(Exception):
    """Stands for what ends a run halfway."""


class _Kill(TrainerCallback):  # type: ignore[misc]
    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step == STEPS - 1:
            raise KilledError


def measured(processes: Processes) -> dict[str, Any]:
    """Everything that is dealt out but training, in batches too small for the whole of it."""
    model = load_model("organism", device="cpu")
    asked, pairs = organism.challenges("validation", 9), organism.pairs("validation", 9)
    small: dict[str, Any] = {"batch_size": 2, "processes": processes, "progress": False}
    finding = find_heads(model, pairs, metric="prob_share", top=3, **small)
    verified = verify_heads(
        model, finding.effects, pairs, asked, top=finding.top, steps=(0, 3), controls=2, max_rows=8, **small
    )
    challenge = evaluate_challenge(model, [each.question for each in asked], **small)
    eval_set = EvalSet({"right": asked[:5]}, organism.skills(5), tuple(organism.texts(5)))
    with pinpoint(model, PinpointConfig(HEADS)) as tuned:
        tuned.parameters["L1H0.O"].data.mul_(0.5)
        drift = kl_drift(model, tuned, organism.texts(9), **small)
        outcome = eval_set.examine(model, base=tuned, batch_size=2, processes=processes)
    curves = (verified.necessity, verified.sufficiency)
    return {
        "effects": finding.effects.logits,
        "reference": finding.effects.reference_logits,
        "counterfactual": finding.effects.counterfactual_logits,
        "means": verified.means.mean,
        "samples": verified.means.samples,
        "attention": verified.attention.rows,
        "curves": [(each.admits, each.control_right, each.label_logits, each.control_label_logits) for each in curves],
        "replies": [*(each.replies for each in curves), challenge.first_replies, challenge.replies, outcome.replies],
        "grades": [challenge.grades, outcome.grades, outcome.exact],
        "drift": drift.per_text,
        "eval_set": outcome.drift.per_text if outcome.drift else None,
    }


def trained(processes: Processes, place: Path, *, killed: bool = False, resume: bool = False) -> dict[str, Any]:
    """Heads after a training, which may be killed before its last step, and what the model then does."""
    model = load_model("organism", device="cpu")
    training_config = TrainingConfig(
        STEPS, 1e-2, examples_per_step=8, at_once=8, schedule="constant", weight_decay=0.0, bf16=False
    )
    rows = encoded_for(model, organism.examples("train", 32), "chat")
    with begun(
        model,
        PinpointConfig(HEADS),
        rows,
        training_config=training_config,
        place=TrainingDirectory(place),
        seed=0,
        resume=resume,
        overwrite=False,
        progress=False,
        processes=processes,
    ) as training:
        if killed:
            training.trainer.add_callback(_Kill())
        found = training.tuned.state()
        losses = training.run()
        # The first alone, which would wait for the others if they were still wrapped together.
        ids = torch.arange(6, 12)[None]
        if processes.first:
            model(ids).logsumexp(-1).sum().backward()
        adapter = HeadAdapter.of(training.tuned)
        return {
            "start": None if training.start is None else training.start.name,
            "wrapped": training.trainer.model_wrapped is not training.trainer.model,
            "losses": losses,
            "before": found,
            "after": dict(adapter.parameters),
        }


def tried(processes: Processes, directory: Path) -> dict[str, Any]:
    """One trial of a sweep, and the same read again."""
    model = load_model("organism", device="cpu")
    eval_set = EvalSet({"right": organism.challenges("validation", 3)}, texts=tuple(organism.texts(3)))
    trial = Trial(Method("SPT", (PinpointConfig(HEADS),)), 0, 1e-2, 0)
    rows = encoded_for(model, organism.examples("train", 32), "chat")
    training_config = TrainingConfig(STEPS, examples_per_step=8, at_once=8, schedule="constant", bf16=False)
    options: dict[str, Any] = {"training_config": training_config, "steps": (2,), "processes": processes}
    outcome, again = (
        try_out(model, trial, rows, eval_set, directory, **options).outcomes[2].record() for _ in range(2)
    )
    return {"outcome": outcome, "again": again}


def _fails_in_the_last(processes: Processes) -> str:
    def work(number: int) -> int:
        if number == processes.count - 1:
            raise QuestionError("Question 1 is none.")
        return number

    try:
        processes.each(range(processes.count), work)
    except QuestionError as error:
        return str(error)
    return "nothing was raised"


def main(place: Path) -> None:
    processes = Processes.here()
    try:
        done: dict[str, Any] = {"measured": measured(processes), "error": _fails_in_the_last(processes)}
        done["trained"] = trained(processes, place / "whole")
        try:
            trained(processes, place / "killed", killed=True)
        except KilledError:
            done["resumed"] = trained(processes, place / "killed", resume=True)
        done["tried"] = tried(processes, place)
        torch.save(done, place / f"rank{processes.rank}.pt")
    finally:
        processes.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
