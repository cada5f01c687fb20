"""A sweep leaves the model as it was, goes on where it was cut off, and reports what its trainings really did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch

from sycolens import HeadAdapter, HeadSet, PinpointConfig, PinpointTrainer, load_model, organism
from sycolens.errors import ExampleError, RunError, SavedFileError, TuningError
from sycolens.measure import EvalSet, kl_drift, world_eval_set
from sycolens.measure.outcome import KL, takes_back
from sycolens.runs import trials
from sycolens.runs.methods import Method
from sycolens.runs.sweep import Sweep, sweep_methods
from sycolens.tune import TrainingConfig, encode_examples

HEADS = HeadSet(["L1H1", "L2H2", "L1H0", "L5H3"])
COURSE = TrainingConfig(steps=1, examples_per_step=4, at_once=4, schedule="constant", bf16=False)
METHODS = (
    Method("SPT, 4 heads", (PinpointConfig(HEADS),)),
    Method("random, 1 head", (PinpointConfig(HeadSet(["L0H3"])), PinpointConfig(HeadSet(["L4H4"])))),
    Method("SFT", ("all",)),
)
STEPS, RATES = (2, 4), (1e-2,)
EXAMPLES = organism.examples("train", 24)


def eval_set(split: organism.Split) -> EvalSet:
    whole = world_eval_set(split, n=6)
    return EvalSet({name: whole.challenged[name] for name in ("right", "wrong")}, whole.exercises, whole.texts)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


def swept(model: Any, place: Path, **changes: Any) -> Sweep:
    options: dict[str, Any] = {
        "validation": eval_set("validation"),
        "held_out": eval_set("held_out"),
        "directory": place,
        "learning_rates": RATES,
        "steps": STEPS,
        "training_config": COURSE,
        "seeds": 2,
        "max_new_tokens": 20,
        "progress": False,
    }
    return sweep_methods(model, METHODS, EXAMPLES, **{**options, **changes})


@pytest.fixture(scope="module")
def sweep(model: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path]:
    place = tmp_path_factory.mktemp("sweep") / "trainings"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = swept(model, place)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    return found, place


def test_every_training_is_there_once(sweep: tuple[Sweep, Path]) -> None:
    frame = sweep[0].trials_frame()
    assert len(frame) == 3 * len(RATES) * 2 * len(STEPS)
    assert len(frame.drop_duplicates(["method", "draw", "learning_rate", "seed", "step"])) == len(frame)


def test_a_point_on_the_way_is_a_training_of_so_many_steps(sweep: tuple[Sweep, Path], tmp_path: Path) -> None:
    """With a constant rate, what is examined after two of four steps is what two steps alone would have made."""
    for tried in sweep[0].tried:
        trial = tried.trial
        if trial.seed != 1:
            continue
        fresh = load_model("organism")
        arguments = TrainingConfig(2, 1e-2, 4, 4, "constant", bf16=False).arguments(
            tmp_path, seed=1, save_strategy="no", disable_tqdm=True
        )
        trainer = PinpointTrainer(fresh, trial.scope, arguments, encode_examples(EXAMPLES, fresh.tokenizer), seed=1)
        trainer.train()
        kept = tried.state(2)
        for name, value in trainer.pinpoint.state().items():
            assert torch.equal(kept[name], value)
        asked = eval_set("validation")
        base = load_model("organism")
        alone = asked.examine(fresh, base=base, max_new_tokens=20)
        assert alone.outcomes == tried.outcomes[2].outcomes
        assert alone.drift is not None
        assert tried.outcomes[2].drift is not None
        assert tried.outcomes[2].drift.mean == pytest.approx(alone.drift.mean, rel=1e-4)
        assert kl_drift(fresh, base, asked.texts).mean == pytest.approx(alone.drift.mean)


def test_what_is_reported_was_measured_on_held_out_dialogues(model: Any, sweep: tuple[Sweep, Path]) -> None:
    found, _ = sweep
    frame = found.to_frame()
    asked = eval_set("held_out")
    base = asked.examine(model, max_new_tokens=20)
    row = frame[(frame.comparison == "base") & (frame.measure == takes_back("right"))].iloc[0]
    assert row["mean"] == base.rates[takes_back("right")].share
    best = {each.method.name: each for each in found.best}["SPT, 4 heads"]
    shares = []
    for tried, step in best.choice.reached:
        with trials._laid_over(model, tried.trial) as (tuned, _):
            tuned.load_state(tried.state(step))
            shares.append(asked.examine(model, max_new_tokens=20).rates[takes_back("right")].share)
    rows = frame[(frame.comparison == "best") & (frame.method == "SPT, 4 heads")]
    row = rows[rows.measure == takes_back("right")].iloc[0]
    assert row["mean"] == pytest.approx(sum(shares) / 2)
    assert (row["least"], row["most"], row["runs"]) == (min(shares), max(shares), 2)
    assert len(rows[rows.measure == KL]) == 1
    for comparison in ("best", "matched"):
        assert set(frame[frame.comparison == comparison].method) == {method.name for method in METHODS}
    never = frame[frame.measure == "never repaired"]
    assert set(never.method) == {each.method.name for each in found.matched if not each.choice.reached}


def test_a_sweep_goes_on_where_it_was_cut_off(
    model: Any, sweep: tuple[Sweep, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    whole = PinpointTrainer.train

    def counted(trainer: PinpointTrainer, *args: Any, **options: Any) -> Any:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(trainer)
        return whole(trainer, *args, **options)

    monkeypatch.setattr(PinpointTrainer, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        swept(model, tmp_path / "sweep")
    with pytest.raises(RunError, match="--resume"):
        swept(model, tmp_path / "sweep")
    monkeypatch.setattr(PinpointTrainer, "train", whole)
    resumed = swept(model, tmp_path / "sweep", resume=True)
    pandas.testing.assert_frame_equal(resumed.to_frame(), sweep[0].to_frame())
    pandas.testing.assert_frame_equal(resumed.trials_frame(), sweep[0].trials_frame())
    monkeypatch.setattr(PinpointTrainer, "train", lambda *_: pytest.fail("trained what was done"))
    swept(model, tmp_path / "sweep", resume=True)


def test_other_settings_and_spoiled_trainings_are_refused(model: Any, sweep: tuple[Sweep, Path]) -> None:
    _, place = sweep
    with pytest.raises(RunError, match="another steps"):
        swept(model, place, steps=(2, 5), resume=True)
    with pytest.raises(RunError, match="another held_out"):
        swept(model, place, held_out=eval_set("validation"), resume=True)
    record = next(iter(sorted(place.glob("sft*")))) / "trial.json"
    content = record.read_text()
    try:
        record.write_text(content[:100])
        with pytest.raises(SavedFileError, match="no whole training"):
            swept(model, place, resume=True)
        record.write_text(json.dumps({**json.loads(content), "scope": "QKVO of L0H0"}))
        with pytest.raises(RunError, match="not of all parameters"):
            swept(model, place, resume=True)
    finally:
        record.write_text(content)


def test_lessons_with_the_panels_questions_are_refused_before_training(model: Any, tmp_path: Path) -> None:
    asked = world_eval_set("train", n=60)
    with pytest.raises(ExampleError, match="contains the evaluation question"):
        swept(model, tmp_path / "sweep", held_out=asked)
    with pytest.raises(TuningError, match="rising numbers of steps"):
        swept(model, tmp_path / "sweep", steps=(4, 2))
    assert not (tmp_path / "sweep").exists()


def test_a_saved_sweep_holds_its_tables_and_adapters(model: Any, sweep: tuple[Sweep, Path], tmp_path: Path) -> None:
    found, _ = sweep
    place = found.save(tmp_path / "run", record={"note": "here"})
    assert json.loads((place / "run.json").read_text())["note"] == "here"
    frame = pandas.read_csv(place / "comparison.csv")
    assert set(frame.method) == {"base", *(method.name for method in METHODS)}
    assert sorted(each.name for each in (place / "adapters").iterdir()) == ["random-1-head", "spt-4-heads"]
    adapter = HeadAdapter.load(place / "adapters" / "spt-4-heads")
    best = found.best[0].choice.reached[0]
    kept = best[0].state(best[1])
    assert all(torch.equal(value, kept[name]) for name, value in adapter.parameters.items())
    applied = adapter.apply(model)
    try:
        outcome = eval_set("held_out").examine(model, max_new_tokens=20)
    finally:
        applied.detach()
    assert outcome.outcomes == found.best[0].outcomes[0].outcomes
    assert "Plotly.newPlot" in (place / "tradeoff.html").read_text()
