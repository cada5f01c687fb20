"""A tuning says no more than what was asked before and after, and doubts what is to be doubted."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from rich.console import Console

from sycolens import ContrastPairs, HeadAdapter, HeadSet, load_model, organism, patch_heads
from sycolens.errors import HeadError, ExampleError, NotFiniteError, RunError, SycolensError
from sycolens.find import HeadEffects
from sycolens.measure import Grade, Outcome, EvalSet, grade, replies, world_eval_set
from sycolens.report.run_tables import table_of_outcomes, tuning_notes
from sycolens.runs import Tuning, tune_heads
from sycolens.runs.checkpoint_directory import TrainingDirectory
from sycolens.runs.thresholds import doubts
from sycolens.runs.train import training_config_for
from sycolens.tune import EMBEDDED, TrainingConfig, PinpointConfig

HEADS = HeadSet(["L1H1", "L2H2", "L1H0", "L5H3"])
CONFIG = PinpointConfig(HEADS, dtype=torch.float32)
SHORT = replace(EMBEDDED, steps=12, learning_rate=3e-3, schedule="linear")
PARTS = ("record.json", "tensors.safetensors")


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def pairs() -> ContrastPairs:
    return organism.pairs("train", 8)


@pytest.fixture(scope="module")
def eval_set() -> EvalSet:
    return world_eval_set("held_out", n=8)


def bits(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.original_model.state_dict().items()}


@pytest.fixture(scope="module")
def tuned(model: Any, pairs: ContrastPairs, eval_set: EvalSet, tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    before = bits(model)
    result = tune_heads(
        model, CONFIG, organism.examples("train", 200), eval_set, training_config=SHORT, pairs=pairs,
        directory=tmp_path_factory.mktemp("t") / "training", progress=False,
    )  # fmt: skip
    after = bits(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    return result


def run(model: Any, directory: Path, **changes: Any) -> Tuning:
    options: dict[str, Any] = {
        "config": CONFIG,
        "examples": organism.examples("train", 40),
        "eval_set": EvalSet({"right": organism.challenges("held_out", 2)}),
        "training_config": replace(EMBEDDED, steps=3),
        "directory": directory,
        "progress": False,
        **changes,
    }
    return tune_heads(model, **options)


def outcome(**groups: str) -> Outcome:
    """Of each group, a letter a reply: a (takes back), r (ends up right), b (both), n (neither), u (no answer)."""
    kinds = {
        "a": Grade(True, "x", False, True),
        "r": Grade(False, "y", True, False),
        "b": Grade(True, "y", True, True),
        "n": Grade(False, "x", False, False),
        "u": Grade(False, None, False, False),
    }
    return Outcome({group: tuple(kinds[letter] for letter in letters) for group, letters in groups.items()})


# --- what was measured -----------------------------------------------------------------------------------------------


def test_the_adapter_applied_anew_says_what_the_tuned_model_said(tuned: Tuning, eval_set: EvalSet, tmp_path: Path) -> None:
    tuned.save(tmp_path / "run")
    fresh = load_model("organism")
    assert {group: tuple(replies(fresh, asked)) for group, asked in eval_set.challenged.items()} == tuned.before.replies
    applied = HeadAdapter.load(tmp_path / "run" / "adapter").apply(fresh)
    said = {group: tuple(replies(fresh, asked)) for group, asked in eval_set.challenged.items()}
    assert said == tuned.after.replies
    assert said != tuned.before.replies
    after = patch_heads(fresh, organism.pairs("train", 8), progress=False)
    torch.testing.assert_close(after.logits, HeadEffects.load(tmp_path / "run" / "effects_after").logits)
    applied.detach()


def test_tuning_mends_what_was_never_taught(tuned: Tuning) -> None:
    before, after = tuned.before.rates, tuned.after.rates
    assert before["takes back: right"].share == 1
    assert after["takes back: right"].share < 0.8
    assert after["right after: right"].share > before["right after: right"].share
    assert after["takes back: wrong"].share > 0.5
    assert tuned.before.drift is None
    assert tuned.after.drift is not None
    assert 0 < tuned.after.drift.mean < 0.5
    assert len(tuned.losses) == 12
    assert tuned.losses[-1] < tuned.losses[0]


def test_every_reply_is_kept_with_its_grade(tuned: Tuning, eval_set: EvalSet) -> None:
    frame = tuned.replies_frame()
    assert len(frame) == 2 * sum(map(len, eval_set.challenged.values()))
    for stage, result in (("before", tuned.before), ("after", tuned.after)):
        part = frame[(frame["stage"] == stage) & (frame["group"] == "wrong")]
        assert tuple(part["reply"]) == result.replies["wrong"]
        for reply, asked, admits, right in zip(
            part["reply"], eval_set.challenged["wrong"], part["admits"], part["right"], strict=True
        ):
            graded = grade(reply, asked)
            assert (graded.admits, graded.right) == (admits, right)


def test_files_hold_what_was_measured(tuned: Tuning, tmp_path: Path) -> None:
    place = tuned.save(tmp_path / "run", record={"examples": "mine", "heads": "none"})
    names = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    folders = ("adapter", "effects_before", "effects_after")
    assert names == {
        *(f"{folder}/{part}" for folder in folders for part in PARTS),
        *("loss.csv", "outcome.csv", "replies.csv", "heads.html", "run.json", "times.json"),
    }
    assert pandas.read_csv(place / "loss.csv")["loss"].tolist() == pytest.approx(tuned.losses)
    table = pandas.read_csv(place / "outcome.csv").set_index("measure")
    rate = tuned.after.rates["takes back: right"]
    row = table.loc["takes back: right"]
    assert (row["value_after"], row["successes_after"], row["n_after"]) == (rate.share, rate.successes, rate.n)
    assert (row["low_after"], row["high_after"]) == pytest.approx(rate.interval)
    assert list(table.index) == [*tuned.after.to_frame()["measure"]]
    record = json.loads((place / "run.json").read_text())
    assert record["kind"] == "sycolens tune"
    assert (record["examples"], record["heads"]) == ("mine", [str(head) for head in HEADS])
    assert record["after"]["takes back: right"]["successes"] == rate.successes
    assert record["after"]["takes back: right"]["wordings"] == rate.wordings
    assert record["parameters"] == CONFIG.count_parameters(load_model("organism"))
    assert record["training"]["steps"] == 12
    assert "created" not in (place / "adapter" / "record.json").read_text()


def test_the_figure_outlines_the_tuned_heads_on_both_maps(tuned: Tuning) -> None:
    text = tuned.figures()["heads"].to_json()
    assert "before tuning" in text
    assert "Outlined: the 4 tuned heads" in text
    assert replace(tuned, effects=None).figures() == {}


def test_effects_are_compared_in_logits_whatever_tuning_did_to_them(tuned: Tuning) -> None:
    assert tuned.effects is not None
    before, after = tuned.effects
    shifted = replace(after, logits=after.logits - 100, reference_logits=after.reference_logits - 100)
    comparison = replace(tuned, effects=(before, shifted)).comparison
    assert comparison is not None
    assert comparison.metric == "logit_diff"
    assert tuned.comparison is not None
    pandas.testing.assert_frame_equal(comparison.to_frame(), tuned.comparison.to_frame(), atol=1e-3)


def test_the_table_repeats_the_rates(tuned: Tuning) -> None:
    screen = Console(file=io.StringIO(), width=80, highlight=False)
    screen.print(table_of_outcomes(tuned))
    screen.print(tuning_notes(tuned, examples="here", source="there"))
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    lines = {name: cells for name, *cells in (re.split(r"\s{2,}", line.strip()) for line in text.splitlines())}
    for name, rate in tuned.after.rates.items():
        assert lines[name][0].startswith(f"{tuned.before.rates[name].share:.0%} (")
        assert lines[name][1].startswith(f"{rate.share:.0%} (")
    words = " ".join(text.split())
    assert "L1H1, L2H2, L1H0, L5H3: Q, K, V, O, 32,768 parameters" in words
    assert "200, from here" in words
    assert "12 steps of 16 examples, learning rate 0.003" in words


# --- doubts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (outcome(right="aaaarrrrrr"), outcome(right="rrrrrrrrrr"), "takes back only 4 of 10 right answers, so there"),
        (outcome(right="aaaaaaaaaa"), outcome(right="aarrrrrrrr"), "still takes back 2 of 10 right answers"),
        (
            outcome(right="aaaaaaaaaa", wrong="bbbbbbbbbb"),
            outcome(right="rrrrrrrrrr", wrong="bbbbbbbnnn"),
            "takes back only 7 of 10 wrong answers, the base 10 of 10",
        ),
        (
            outcome(right="a" * 10, sums="rrrrrrrrrr"),
            outcome(right="r" * 10, sums="rrrrrrrrnn"),
            "Of the replies to 'sums', 8 of 10 end up with the right answer after tuning, 10 of 10 before",
        ),
        (outcome(right="a" * 10), outcome(right="rrrrrrrruu"), "In 2 of the 10 replies to the group 'right'"),
        (
            replace(outcome(right="a" * 10), exact={"plus": (True,) * 10}),
            replace(outcome(right="r" * 10), exact={"plus": (True,) * 8 + (False,) * 2}),
            "does 8 of 10 exercises of other skills, the base 10 of 10",
        ),
    ],
)
def test_what_is_to_be_doubted_is_told(before: Outcome, after: Outcome, message: str) -> None:
    assert any(message in doubt for doubt in doubts(before, after)), doubts(before, after)


def test_a_good_repair_is_not_doubted() -> None:
    before = outcome(right="a" * 10, wrong="b" * 10)
    assert doubts(before, outcome(right="a" + "r" * 9, wrong="b" * 8 + "n" * 2)) == (
        "Of the replies to 'wrong', 8 of 10 end up with the right answer after tuning, 10 of 10 before.",
    )
    assert doubts(before, outcome(right="a" + "r" * 9, wrong="b" * 9 + "a")) == ()


def test_a_large_drift_is_told(tuned: Tuning) -> None:
    drift = tuned.after.drift
    assert drift is not None
    far = replace(tuned.after, drift=replace(drift, per_text=drift.per_text + drift.tokens))
    assert any("nats a token away from the base, which is much" in each for each in doubts(tuned.before, far))


# --- what is refused before anything is trained ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"examples": organism.examples("held_out", 200)}, ExampleError, "contains the evaluation question"),
        ({"examples": ()}, ExampleError, "There are no examples"),
        ({"config": PinpointConfig(HeadSet(["L6H0"]))}, HeadError, "the model has layers 0 to 5"),
    ],
)
def test_what_cannot_be_is_refused_before_any_training(
    model: Any,
    changes: dict[str, Any],
    error: type[SycolensError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sycolens.measure.EvalSet.examine", lambda *_, **__: pytest.fail("a model was asked"))
    with pytest.raises(error, match=message):
        run(model, tmp_path / "training", **changes)
    assert list(tmp_path.iterdir()) == []


def test_effects_of_another_model_are_refused(model: Any, tuned: Tuning, tmp_path: Path) -> None:
    assert tuned.effects is not None
    other = replace(tuned.effects[0], logits=tuned.effects[0].logits[:, :5], model_name="another")
    with pytest.raises(HeadError, match="The effects are of another, which has other heads than organism"):
        run(model, tmp_path / "training", effects=other)


# --- trainings that were cut off -------------------------------------------------------------------------------------


def test_a_training_that_was_cut_off_is_neither_lost_nor_taken_for_another(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "training"
    ended = run(model, tmp_path / "undisturbed")
    with monkeypatch.context() as broken:
        broken.setattr("sycolens.tune.HeadAdapter.of", _fails_when_trained())
        with pytest.raises(ZeroDivisionError):
            run(model, place)
    found = sorted(path.name for path in place.iterdir())
    with pytest.raises(RunError, match=r"cut off after step 3; go on with it \(resume, --resume\), or start anew"):
        run(model, place)
    for changes, name in (
        ({"seed": 1}, "seed"),
        ({"config": replace(CONFIG, rank=2)}, "rank"),
        ({"config": PinpointConfig(HEADS[:3])}, "base"),
        ({"training_config": replace(EMBEDDED, steps=3, learning_rate=3e-3)}, r"learning_rate \(0.001, not 0.003\)"),
        ({"examples": organism.examples("train", 41)}, r"examples \(40, not 41\)"),
        ({"examples": organism.examples("train", 40, seed=1)}, "examples_sha256"),
    ):
        with pytest.raises(RunError, match=f"was begun with another {name}"):
            run(model, place, resume=True, **changes)
    assert sorted(path.name for path in place.iterdir()) == found
    resumed = run(model, place, resume=True)
    assert resumed.losses == ended.losses
    _assert_same(resumed, ended)
    anew = run(model, place, overwrite=True, seed=1)
    assert anew.losses != ended.losses


def test_resuming_where_nothing_was_begun_starts(model: Any, tmp_path: Path) -> None:
    ended, resumed = run(model, tmp_path / "one"), run(model, tmp_path / "two", resume=True)
    _assert_same(resumed, ended)


def test_a_directory_that_is_no_training_is_left_alone(model: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match="is no training of ours"):
            run(model, tmp_path, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_draft_of_the_settings_is_not_in_the_way(model: Any, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / ".settings.json.x1").write_text("{")
    run(model, tmp_path / "training")


def test_a_training_that_overflows_is_told_and_can_be_begun_anew(model: Any, tmp_path: Path) -> None:
    before = bits(model)
    with pytest.raises(NotFiniteError, match="lower the learning rate"):
        run(model, tmp_path / "training", training_config=replace(EMBEDDED, steps=3, learning_rate=1e37))
    after = bits(model)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    run(model, tmp_path / "training", overwrite=True)


def test_the_directory_stands_beside_the_run(tmp_path: Path) -> None:
    assert TrainingDirectory.beside(tmp_path / "run.v2").path == tmp_path / "run.v2.training"


def _fails_when_trained() -> Any:
    calls: list[int] = []
    made = HeadAdapter.of

    def of(*arguments: Any, **options: Any) -> HeadAdapter:
        calls.append(1)
        return made(*arguments, **options) if len(calls) == 1 else 1 / 0  # type: ignore[return-value]

    return of


def _assert_same(first: Tuning, second: Tuning) -> None:
    one, two = first.adapter.parameters, second.adapter.parameters
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())


# --- courses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "changes", "expected"),
    [
        ("organism-gqa", {}, EMBEDDED),
        ("some/model", {}, TrainingConfig()),
        ("some/model", {"steps": 7, "schedule": None}, TrainingConfig(steps=7)),
        ("some/model", {"examples_per_step": 12}, TrainingConfig(examples_per_step=12, at_once=4)),
        ("some/model", {"examples_per_step": 12, "at_once": 6}, TrainingConfig(examples_per_step=12, at_once=6)),
    ],
)
def test_courses_are_the_models_but_for_what_is_given(model: str, changes: dict[str, Any], expected: TrainingConfig) -> None:
    assert training_config_for(model, **changes) == expected


@pytest.mark.parametrize("value", [0, -8])
def test_courses_of_no_lessons_are_refused(value: int) -> None:
    with pytest.raises(SycolensError, match="give a whole number from 1"):
        training_config_for("organism", examples_per_step=value)
