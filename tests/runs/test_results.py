"""What a run came to is read and reported as far as it is done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import small_study

from sycolens.errors import StudyError
from sycolens.runs import Study

LATER = ("verify", "examples", "tune", "measure", "repatch", "report")


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "study")


def only(copy: Path, *stages: str) -> Study:
    """The study as it was when these stages alone were done."""
    for stage in {"find", *LATER} - set(stages):
        shutil.rmtree(copy / stage)
    return Study(copy)


def test_a_run_without_a_finding_has_nothing_to_tell(copy: Path) -> None:
    study = only(copy, "verify")
    for tell in (study.results, study.report):
        with pytest.raises(StudyError, match="find"):
            tell()
    assert not (copy / "report").exists()


@pytest.mark.parametrize(
    "stages",
    [
        ("find",),
        ("find", "verify"),
        ("find", "examples", "tune"),
        ("find", "examples", "tune", "measure"),
        ("find", "verify", "examples", "tune", "repatch"),
    ],
)
def test_a_run_is_reported_as_far_as_it_is_done(copy: Path, stages: tuple[str, ...]) -> None:
    results = only(copy, *stages).results()
    assert {name.split("/")[0] for name in results.records} == set(stages)
    assert (results.verification is not None) == ("verify" in stages)
    assert bool(results.measured) == ("measure" in stages)
    assert (results.after is not None) == ("repatch" in stages)
    place = Study(copy).report()
    files = {path.name for path in place.iterdir()}
    assert "report.html" in files
    assert ("table1.tex" in files) == ("measure" in stages)
    assert "organism" in (place / "report.html").read_text()


def test_a_model_that_is_not_measured_yet_is_left_out(copy: Path) -> None:
    shutil.rmtree(copy / "measure" / "random-draw0")
    results = Study(copy).results()
    assert [each.method for each in results.measured] == ["base", "SPT, 2 heads", "SFT"]
    shutil.rmtree(copy / "measure" / "base")
    assert Study(copy).results().measured == ()


def test_methods_come_with_all_their_runs(made: Path) -> None:
    results = Study(made).results()
    assert {name: len(runs) for name, runs in results.by_method.items()} == {
        "base": 1,
        "SPT, 2 heads": 1,
        "layer-matched, 2 heads": 1,
        "SFT": 1,
    }
    assert (results.base.method, results.base.run, results.base.parameters) == ("base", None, 0)
    sft = results.by_method["SFT"][0]
    assert sft.parameters == 1_042_560
    assert results.model["name"] == "organism"
    assert all(len(each) == 1 for each in results.versions.values())


def test_equal_runs_give_the_same_report(copy: Path, made: Path) -> None:
    shutil.rmtree(copy / "report")
    Study(copy).report()
    assert small_study.contents(copy) == small_study.contents(made)
