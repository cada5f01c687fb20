"""``sycolens init``, ``study``, ``status``, ``report`` and ``compare`` as a user types them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import small_study
import tomlkit
from terminal import run, told

from sycolens.runs import Study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A directory with the small study's settings, as a user would write them."""
    directory = tmp_path / "study"
    directory.mkdir()
    (directory / "study.toml").write_text(tomlkit.dumps(small_study.config().model_dump(exclude_none=True)))
    return directory


def test_init_writes_settings_to_edit(tmp_path: Path) -> None:
    place = tmp_path / "study"
    result = run("init", place, "--model", "some/model")
    assert result.exit_code == 0, result.output
    assert 'name = "some/model"' in (place / "study.toml").read_text()
    assert f"sycolens study {place}" in result.output
    again = run("init", place)
    assert again.exit_code == 2
    assert "is there already" in told(again)
    assert run("init", place, "--overwrite").exit_code == 0
    assert 'name = "organism"' in (place / "study.toml").read_text()


def test_a_study_ends_in_a_report_and_goes_on_only_when_told_to(begun: Path, made: Path) -> None:
    result = run("study", begun, "--quiet")
    assert result.exit_code == 0, result.output
    assert "SPT, 2 heads" in result.output
    assert f"Open {begun / 'report' / 'report.html'}" in result.output
    contents, others = small_study.contents(begun), small_study.contents(made)
    # One was written by hand, one from Python; all that follows from it is the same.
    assert contents.keys() == others.keys()
    assert {name for name in contents if contents[name] != others[name]} == {"study.toml"}
    again = run("study", begun, "--quiet")
    assert again.exit_code == 2
    assert "go on with it" in told(again)
    assert run("study", begun, "--resume", "--quiet").exit_code == 0


def test_a_dry_run_computes_nothing(begun: Path) -> None:
    result = run("study", begun, "--dry-run")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split() for line in result.output.splitlines() if line.strip()}
    assert rows["find"][1:5] == ["to", "do", "16", "384"]
    assert "1,042,560 parameters" in " ".join(result.output.split())
    assert [path.name for path in begun.iterdir()] == ["study.toml"]


def test_status_says_what_changed(made: Path, tmp_path: Path) -> None:
    place = shutil.copytree(made, tmp_path / "study")
    changed = small_study.config(verify={"controls": 3}, examples={"n": 32})
    (place / "study.toml").write_text(tomlkit.dumps(changed.model_dump(exclude_none=True)))
    result = run("status", place)
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line.split()[1:] for line in result.output.splitlines() if line.strip()}
    assert lines["find"][0] == "done"
    assert (lines["verify"][0], lines["verify"][-1]) == ("changed", "verify")
    assert (lines["examples"][0], lines["examples"][-1]) == ("changed", "examples")
    assert lines["tune/spt-seed0"][0] == "open"
    assert lines["measure/base"][0] == "done"


def test_a_report_can_be_written_again(made: Path, tmp_path: Path) -> None:
    place = shutil.copytree(made, tmp_path / "study")
    before = (place / "report" / "report.html").read_bytes()
    shutil.rmtree(place / "report")
    assert run("report", place).exit_code == 0
    assert (place / "report" / "report.html").read_bytes() == before


def test_studies_are_compared_side_by_side(made: Path, tmp_path: Path) -> None:
    place = shutil.copytree(made, tmp_path / "study")
    Study(place, small_study.config(measure={"max_new_tokens": 3})).run(resume=True, progress=False)
    result = run("compare", made, place, "--out", tmp_path / "both.csv")
    assert result.exit_code == 0, result.output
    assert "measure.max_new_tokens: 12 | 3" in result.output
    assert "4 heads are in both tops" in " ".join(result.output.split())
    frame = pandas.read_csv(tmp_path / "both.csv").set_index(["method", "source", "measure"])
    own = pandas.read_csv(place / "report" / "table1.csv").set_index(["method", "source", "measure"])
    joined = frame.join(own["value"])
    pandas.testing.assert_series_equal(joined["value_second"], joined["value"], check_names=False)
    # Three tokens are too few to name an answer.
    assert frame.loc[("base", "all", "accuracy_before"), "value_first"] == 1
    assert frame.loc[("base", "all", "accuracy_before"), "value_second"] < 1


@pytest.mark.parametrize("command", ["study", "status", "report"])
def test_without_settings_the_way_out_is_told(command: str, tmp_path: Path) -> None:
    result = run(command, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "sycolens init" in told(result)
    assert not (tmp_path / "nowhere").exists()


def test_an_unfinished_study_has_no_report(begun: Path) -> None:
    result = run("report", begun)
    assert result.exit_code == 2
    assert "has no finished find" in told(result)


def test_two_processes_make_the_study_that_one_makes(begun: Path, made: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "sycolens", "study", str(begun), "--quiet"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-20000:]
    one, two = Study(made).results(), Study(begun).results()
    assert one.effects.logits.equal(two.effects.logits)
    assert one.necessity.replies == two.necessity.replies
    for alone, shared in zip(one.measured, two.measured, strict=True):
        assert alone.challenge.replies == shared.challenge.replies
        assert alone.outcome.replies == shared.outcome.replies
        if alone.outcome.drift is not None:
            # Gradients are summed in another order.
            assert shared.outcome.drift.mean == pytest.approx(alone.outcome.drift.mean, rel=1e-2)


def test_other_commands_are_not_started_in_several_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = run("find", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "Only 'sycolens study'" in told(result)
    assert not (tmp_path / "run").exists()


def test_make_study_works_twice(tmp_path: Path) -> None:
    """What it runs, with smaller settings."""
    place = tmp_path / "study"
    recipe = ["make", "--dry-run", "study", f"OUT={place}"]
    lines = subprocess.run(recipe, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    typed = [line.split("bin/sycolens ")[1].split() for line in lines if "bin/sycolens " in line]
    assert typed == [["init", str(place)], ["study", str(place), "--resume"]]
    assert run(*typed[0]).exit_code == 0
    (place / "study.toml").write_text(tomlkit.dumps(small_study.config().model_dump(exclude_none=True)))
    for _ in range(2):
        result = run(*typed[1], "--quiet")
        assert result.exit_code == 0, result.output
    assert (place / "report" / "report.html").is_file()
