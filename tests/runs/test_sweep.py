"""A sweep goes on where it was cut off, and reports what its trainings really did, on dialogues of their own."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pandas
import pytest
import small_study as small
import speaking
import torch
from rich.console import Console

from sycolens import HeadAdapter, load_model, organism
from sycolens.errors import ExampleError, SampleError
from sycolens.measure import EvalSet
from sycolens.measure.outcome import KL, takes_back
from sycolens.report.findings import finding_of
from sycolens.report.terminal import tables_of
from sycolens.runs import Study, StudyConfig
from sycolens.runs.sweep import Sweep
from sycolens.runs.train import applied
from sycolens.tasks import QuestionSet, World
from sycolens.tune import PinpointTrainer

SWEEP = {"learning_rates": [1e-2], "steps": [2, 4], "seeds": 2, "n_validation": 4, "n": 5}
CHANGES: dict[str, Any] = {"sweep": SWEEP, "tune": {"schedule": "constant"}, "measure": {"max_new_tokens": 20}}
METHODS = {"SPT, 2 heads": 2, "layer-matched, 2 heads": 1, "SFT": 2}
"""How often each is trained."""


def eval_sets(model: Any) -> tuple[EvalSet, EvalSet]:
    held_out = World().questions(frozenset(organism.pairs("train", 8).texts[0]), n=9, seed=0)
    return World().eval_sets(held_out, model.tokenizer, n_validation=4, n=5, texts=(), seed=0)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def place(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep that was interrupted in its third training."""
    place = tmp_path_factory.mktemp("sweeps") / "study"
    for stage in ("find", "examples"):
        shutil.copytree(made / stage, place / stage)
    trained: list[object] = []
    whole = PinpointTrainer.train

    def counted(trainer: PinpointTrainer, *arguments: Any, **options: Any) -> Any:
        trained.append(trainer)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return whole(trainer, *arguments, **options)

    study = Study(place, small.config(**CHANGES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PinpointTrainer, "train", counted)
        with pytest.raises(KeyboardInterrupt):
            study.run("sweep", progress=False)
        assert list(study.states.values()).count("done") == 4
        assert len({path.name for path in place.glob("sweep/*")}) == 2
        study.run("sweep", progress=False)
    assert len(trained) == 6
    assert not (place / ".in_progress").exists()
    return place


def test_a_sweep_tells_how_every_method_does(place: Path, sweep: Sweep) -> None:
    study = Study(place)
    told = finding_of(study, "sweep/comparison")
    assert told is not None
    admits = sweep.base.replies["right"].admits
    assert f"base {sum(admits) / len(admits):.0%}" in told
    for each in sweep.best:
        assert f"{each.method} {each.measures[takes_back('right')].mean:.0%}" in told
    for stage in (stage.name for stage in study.needed("sweep") if stage.name.startswith("sweep/sft")):
        assert f"{study.results().records[stage]['loss']['last']:.3f}" in (finding_of(study, stage) or "")


@pytest.fixture(scope="module")
def sweep(place: Path) -> Sweep:
    sweep = Study(place).results().sweep
    assert sweep is not None
    return sweep


def test_every_training_is_there_once(place: Path, sweep: Sweep) -> None:
    frame = sweep.trials_frame()
    assert dict(frame.groupby("method").size()) == {name: 2 * runs for name, runs in METHODS.items()}
    assert not frame.duplicated(["method", "draw", "learning_rate", "seed", "step"]).any()
    states = Study(place).states
    assert {state for name, state in states.items() if name.startswith("sweep/")} == {"done"}
    assert states["tune/spt-seed0"] == "to do"


def test_a_lost_training_is_made_anew_to_the_same_bytes(place: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(place, tmp_path / "study"))
    for lost in ("comparison", "random-draw0-rate0.01-seed0", "spt-draw0-rate0.01-seed1/steps/2"):
        shutil.rmtree(copy / "sweep" / lost)
    Study(copy).run("sweep", progress=False)
    assert small.contents(copy) == small.contents(place)


def test_validation_and_held_out_dialogues_share_no_fact(model: Any, sweep: Sweep) -> None:
    validation, held_out = eval_sets(model)
    facts = [
        {each.id.rpartition("/")[0] for each in found.questions if each.source != "arithmetic"}
        for found in (validation, held_out)
    ]
    assert not facts[0] & facts[1]
    assert not set(validation.texts) & set(held_out.texts)
    tried = sweep.tried[0].outcomes[2]
    assert {name: len(grades) for name, grades in tried.replies.items()} == {"right": 4, "wrong": 4}
    assert all(len(grades) == 5 for grades in sweep.base.replies.values())


def test_what_is_reported_was_measured_on_held_out_dialogues(model: Any, place: Path, sweep: Sweep) -> None:
    validation, held_out = eval_sets(model)
    frame = sweep.to_frame()
    assert sweep.base.outcomes == held_out.examine(model, max_new_tokens=20).outcomes
    best = next(each for each in sweep.best if each.method == "SPT, 2 heads")
    shares = []
    for tried, step in best.choice.reached:
        with applied(model, tried.place / "steps" / str(step)) as base:
            asked = held_out.examine(model, base=base, max_new_tokens=20)
            shares.append(asked.rates[takes_back("right")].share)
            chosen_on = validation.examine(model, base=base, max_new_tokens=20)
        assert chosen_on.outcomes == tried.outcomes[step].outcomes
        drifts = [each.drift.mean for each in (chosen_on, tried.outcomes[step]) if each.drift is not None]
        assert drifts[0] == pytest.approx(drifts[1], rel=1e-3)
    rows = frame[(frame.comparison == "best") & (frame.method == "SPT, 2 heads")]
    row = rows[rows.measure == takes_back("right")].iloc[0]
    assert row["mean"] == pytest.approx(sum(shares) / 2)
    assert (row["least"], row["most"], row["runs"]) == (min(shares), max(shares), 2)
    assert len(rows[rows.measure == KL]) == 1
    for comparison in ("best", "matched"):
        assert set(frame[frame.comparison == comparison].method) == set(METHODS)
    never = frame[frame.measure == "never repaired"]
    assert set(never.method) == {each.method for each in sweep.matched if not each.choice.reached}


def test_the_report_holds_tables_figure_and_the_adapters_are_the_chosen_ones(place: Path, sweep: Sweep) -> None:
    frame = pandas.read_csv(place / "report" / "sweep.csv")
    assert set(frame.method) == {"base", *METHODS}
    assert len(pandas.read_csv(place / "report" / "sweep_trainings.csv")) == 2 * sum(METHODS.values())
    adapters = place / "sweep" / "comparison" / "adapters"
    assert sorted(each.name for each in adapters.iterdir()) == ["layer-matched-2-heads", "spt-2-heads"]
    tried, step = next(each for each in sweep.best if each.method == "SPT, 2 heads").choice.reached[0]
    chosen = HeadAdapter.load(tried.place / "steps" / str(step) / "adapter").parameters
    kept = HeadAdapter.load(adapters / "spt-2-heads").parameters
    assert all(torch.equal(value, chosen[name]) for name, value in kept.items())
    assert sweep.plot().data


def test_a_terminal_shows_both_comparisons(place: Path, sweep: Sweep) -> None:
    page = io.StringIO()
    screen = Console(file=page, width=80, highlight=False, markup=False)
    for table in tables_of("sweep", Study(place).results()):
        screen.print(table)
    text = page.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    # Numbers are whole; names of methods may be broken.
    rows = [line for line in text.splitlines() if line.startswith(" SFT")]
    best = next(each for each in sweep.best if each.method == "SFT")
    assert f" {best.choice.learning_rate:g} " in rows[0]
    assert f"{100 * best.measures[takes_back('right')].mean:.1f}" in rows[0]
    assert len(rows) == 2


def test_what_choices_are_made_on_is_not_taught(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PinpointTrainer, "train", lambda *_, **__: pytest.fail("it was trained"))
    shutil.copytree(made / "find", tmp_path / "study" / "find")
    dialogues = [each.dialogue for each in organism.challenges("validation", 40)]
    lines = [{"messages": [*each.messages(), {"role": "assistant", "content": "Yes."}]} for each in dialogues]
    (tmp_path / "examples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    examples = {"source": str(tmp_path / "examples.jsonl"), "n": None, "rehearsal": None}
    changes = {**CHANGES, "examples": examples, "sweep": {**SWEEP, "n_validation": 60}}
    with pytest.raises(ExampleError):
        Study(tmp_path / "study", small.config(**changes)).run("sweep", progress=False)
    assert not (tmp_path / "study" / "sweep").exists()


def test_own_questions_that_are_taught_choose_nothing(tmp_path: Path) -> None:
    """A set from which examples, validation and report are drawn alike, and no texts for the drift."""
    model = speaking.make_ignorant(tmp_path / "ignorant", knows_all_words=True)
    rows = [
        {"question": each.text, "answer": each.answers[0], "wrong": each.wrong[0]}
        for each in organism.questions("train")[:60]
    ]
    (tmp_path / "quiz.jsonl").write_text("\n".join(map(json.dumps, rows)))
    find = {"questions": str(tmp_path / "quiz.jsonl"), "n": 8, "metric": "prob_share", "top": 2}
    tune = {"methods": ["spt"], "k": 1, "examples_per_step": 4, "at_once": 2}
    sweep = {"learning_rates": [1e-3], "steps": [1, 2], "seeds": 1, "n_validation": 12, "n": 12}
    settings = {"model": {"name": str(model)}, "find": find, "examples": {"n": 12}, "tune": tune, "sweep": sweep}
    study = Study(tmp_path / "study", StudyConfig.of({**settings, "measure": {"n": 5, "max_new_tokens": 2}}))
    results = study.run("sweep", progress=False)
    assert results.sweep is not None
    assert not results.sweep.drifts
    assert (tmp_path / "study" / "report" / "sweep.csv").is_file()


def test_too_few_questions_for_both_are_named() -> None:
    quiz = QuestionSet("quiz", tuple(organism.questions("train")[:6]))
    held_out = quiz.questions(frozenset(), n=6, seed=0)
    tokenizer = organism.load_tokenizer()
    with pytest.raises(SampleError, match="5"):
        quiz.eval_sets(held_out, tokenizer, n_validation=5, n=2, texts=(), seed=0)
    first, second = quiz.eval_sets(held_out, tokenizer, n_validation=4, n=2, texts=("a", "b", "c"), seed=0)
    assert not {each.text for each in first.questions} & {each.text for each in second.questions}
    assert (first.texts, second.texts) == (("a", "b"), ("c",))
