"""``sycolens sweep`` as a user sees it: a table a comparison, one directory, early refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest
from sycolens.tasks.eval_sets import panels_of
from terminal import run, told
from typer.testing import Result

from sycolens.measure.outcome import takes_back

SMALL = (
    *("--methods", "spt,random,sft", "--k", "1,2", "--k-others", 2, "--draws", 2, "--steps", "2,12"),
    *("--learning-rates", "1e-3", "--seeds", 1, "--n", 5, "--n-validation", 4, "--n-examples", 24, "--rehearsal", 4),
    *("--examples-per-step", 4, "--max-new-tokens", 16, "--quiet"),
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "find"
    assert run("find", "--out", place, "--n", 24, "--seeds", 1, "--quiet").exit_code == 0
    return place


@pytest.fixture(scope="module")
def swept(found: Path) -> tuple[Result, Path]:
    return run("sweep", "--find", found, *SMALL), found / "sweep"


def test_the_run_holds_tables_figure_and_adapters(swept: tuple[Result, Path]) -> None:
    result, place = swept
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in place.iterdir()) == [
        "adapters",
        "comparison.csv",
        "run.json",
        "times.json",
        "tradeoff.html",
        "trainings.csv",
    ]
    assert not place.with_name("sweep.training").exists()
    record = json.loads((place / "run.json").read_text())
    assert record["arguments"]["learning_rates"] == "1e-3"
    assert "train" in record["examples"]
    assert "held_out" in record["source"]


def test_the_terminal_says_what_the_table_says(swept: tuple[Result, Path]) -> None:
    result, place = swept
    frame = pandas.read_csv(place / "comparison.csv")
    rows = frame[(frame.comparison == "best") & (frame.measure == takes_back("wrong"))]
    assert list(rows.method) == ["SPT, 1 head", "SPT, 2 heads", "layer-matched, 2 heads", "SFT"]
    first = result.output.split("Each method where it first repairs")[0].split("\n")
    for row in rows.itertuples():
        (place_in_table,) = [number for number, line in enumerate(first) if line.strip().startswith(row.method)]
        steps = str(row.steps).split(", ")[0]
        second = first[place_in_table + 1].split()
        assert f"{100 * row.mean:.0f}" in first[place_in_table].removeprefix(f" {row.method}").split()
        assert second[:4] == [f"{row.parameters:,};", "0.001,", steps, "steps"]
        assert f"{100 * row.low:.0f}-{100 * row.high:.0f}" in second[4:]


def test_trainings_are_of_the_validation_dialogues(swept: tuple[Result, Path]) -> None:
    frame = pandas.read_csv(swept[1] / "trainings.csv")
    assert len(frame) == (1 + 1 + 2 + 1) * 2
    # Four dialogues: every share is a number of quarters.
    assert ((frame[takes_back("right")] * 4) % 1 == 0).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--methods", "spt,dpo"), "There is no method 'dpo'"),
        (("--learning-rates", "fast"), "learning_rates='fast'; give numbers"),
        (("--steps", "4,2"), "give rising numbers of steps"),
        (("--k", "2,99"), "to the 48 that were ranked"),
        (("--find", "nowhere"), "holds no finished run"),
    ],
)
def test_what_cannot_be_done_is_refused(found: Path, options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = run("sweep", "--find", found, "--out", tmp_path / "out", *SMALL, *options)
    assert result.exit_code == 2
    assert said in told(result)
    assert not any(tmp_path.iterdir())


def test_a_finished_sweep_is_not_overwritten(swept: tuple[Result, Path], found: Path) -> None:
    result = run("sweep", "--find", found, *SMALL)
    assert result.exit_code == 2
    assert "--overwrite" in told(result)


def test_both_panels_share_no_question(found: Path) -> None:
    from sycolens import load_model
    from sycolens.runs.saved import open_finding
    from sycolens.tasks.held_out import hold_out

    model = load_model("organism")
    held_out = hold_out(open_finding(found), "organism")
    validation, report = panels_of(held_out, model.tokenizer, n_validation=20, n=20)
    facts = [
        {each.id.rpartition("/")[0] for each in eval_set.questions if each.source != "arithmetic"}
        for eval_set in (validation, report)
    ]
    assert not facts[0] & facts[1]
    assert not set(validation.texts) & set(report.texts)
    assert list(validation.challenged) == ["right", "wrong"]
