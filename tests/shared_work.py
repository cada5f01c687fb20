"""What several processes do together in test_processes.py, as one does it alone; run by the launcher, rank by rank."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sycolens import Compute, HeadSet, PinpointConfig, evaluate_challenge, kl_drift, load_model, organism, pinpoint
from sycolens.distributed import Processes
from sycolens.errors import QuestionError
from sycolens.find.finding import find_heads
from sycolens.measure import EvalSet
from sycolens.prompts import CHAT
from sycolens.runs import Study, StudyConfig
from sycolens.runs.train import encoded_for
from sycolens.runs.train import trained as training
from sycolens.tune import HeadAdapter, PinpointTrainer, TrainingConfig
from sycolens.tune.checkpoints import newest_checkpoint
from sycolens.verify.verification import verify_heads

HEADS = HeadSet(["L1H0", "L1H1"])
STEPS = 4
SWEEP: dict[str, Any] = {
    "find": {"n": 4, "draws": 1, "top": 4},
    "examples": {"n": 16, "rehearsal": 2},
    "tune": {"methods": ["spt"], "k": 2, "examples_per_step": 4},
    "measure": {"max_new_tokens": 8},
    "sweep": {"learning_rates": [1e-2], "steps": [2], "seeds": 1, "n_validation": 3, "n": 3},
}


class KilledError(Exception):
    """Stands for what ends a run halfway."""


def measured(processes: Processes) -> dict[str, Any]:
    """Everything that is dealt out but training, in batches too small for the whole of it."""
    model = load_model("organism", device="cpu")
    asked, pairs = organism.challenges("validation", 9), organism.pairs("validation", 9)
    small = Compute(batch_size=2, processes=processes, progress=False)
    finding = find_heads(model, pairs, metric="prob_share", top=3, compute=small)
    few = replace(small, max_rows=8)
    verified = verify_heads(
        model, finding.effects, pairs, asked, top=finding.top, steps=(0, 3), controls=2, compute=few
    )
    challenge = evaluate_challenge(model, [each.question for each in asked], compute=small)
    eval_set = EvalSet({"right": asked[:5]}, organism.skills(5), tuple(organism.texts(5)))
    with pinpoint(model, PinpointConfig(HEADS)) as tuned:
        tuned.parameters["L1H0.O"].data.mul_(0.5)
        drift = kl_drift(model, tuned, organism.texts(9), compute=small)
        outcome = eval_set.examine(model, base=tuned, compute=small)
    curves = (verified.necessity, verified.sufficiency)
    return {
        "effects": finding.effects.logits,
        "reference": finding.effects.reference_logits,
        "counterfactual": finding.effects.counterfactual_logits,
        "means": verified.means.mean,
        "samples": verified.means.samples,
        "attention": verified.attention.rows,
        "curves": [(each.label_logits, each.control_label_logits) for each in curves],
        "replies": [*(each.replies for each in curves), challenge, outcome.replies],
        "exact": outcome.exact,
        "drift": drift.per_text,
        "eval_set": outcome.drift.per_text if outcome.drift else None,
    }


def trained(processes: Processes, place: Path, *, killed: bool = False) -> dict[str, Any]:
    """Heads after a training, which may be killed before its last step, and what the model then does."""
    model = load_model("organism", device="cpu")
    training_config = TrainingConfig(
        STEPS, 1e-2, examples_per_step=8, at_once=8, schedule="constant", weight_decay=0.0, bf16=False
    )
    rows = encoded_for(model, organism.examples("train", 32), CHAT)
    start = processes.once(lambda: newest_checkpoint(place))
    options: dict[str, Any] = {"training_config": training_config, "seed": 0}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step, steps = PinpointTrainer.training_step, []

    def counted(*arguments: Any, **named: Any) -> Any:
        steps.append(1)
        if killed and len(steps) == STEPS:
            raise KilledError
        return step(*arguments, **named)

    PinpointTrainer.training_step = counted
    try:
        alike = Compute(processes=processes, progress=False)
        with training(model, PinpointConfig(HEADS), rows, directory=place, compute=alike, **options) as done:
            # The first alone, which would wait for the others if they were still wrapped together.
            ids = torch.arange(6, 12)[None]
            if processes.first:
                model(ids).logsumexp(-1).sum().backward()
            adapter = HeadAdapter.of(done.tuned)
            losses = done.losses
    finally:
        PinpointTrainer.training_step = step
    after = model.state_dict()
    with pinpoint(model, PinpointConfig(HEADS)) as tuned:
        untrained = tuned.state()
    return {
        "start": None if start is None else start.name,
        "steps": len(steps),
        "losses": losses,
        "before": untrained,
        "after": dict(adapter.parameters),
        "left as found": all(torch.equal(value, after[name]) for name, value in before.items()),
    }


def swept(processes: Processes, place: Path) -> dict[str, Any]:
    """A sweep of one training, and the same read again."""
    study = Study(place, StudyConfig.of(SWEEP))
    made: list[str] = []
    for _ in range(2):
        results = study.run(
            "sweep", processes=processes, progress=False, tell=lambda name, took: made.append(name) if took else None
        )
    assert results.sweep is not None
    return {"made": made, "frame": results.sweep.to_frame().to_csv()}


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
            done["resumed"] = trained(processes, place / "killed")
        done["swept"] = swept(processes, place / "sweep")
        torch.save(done, place / f"rank{processes.rank}.pt")
    finally:
        processes.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
