"""``sycolens init``, ``status``, ``report`` and ``compare`` as a user types them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import small_study
import tomlkit
from terminal import message_of, run

from sycolens.runs import Study


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "study")


def rows_of(output: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.strip()}


def test_init_writes_settings_to_edit(tmp_path: Path) -> None:
    place = tmp_path / "study"
    result = run("init", place, "--model", "some/model")
    assert result.exit_code == 0, result.output
    assert Study(place).config.model.name == "some/model"
    assert f"sycolens study {place}" in result.output
    again = run("init", place)
    assert again.exit_code == 2
    assert str(place) in message_of(again)
    assert run("init", place, "--overwrite").exit_code == 0
    assert Study(place).config.model.name == "organism"


def test_status_says_what_is_done_has_changed_and_is_damaged(copy: Path) -> None:
    changed = small_study.config(verify={"controls": 3}, examples={"n": 32})
    (copy / "study.toml").write_text(tomlkit.dumps(changed.model_dump(exclude_none=True)))
    path = copy / "measure" / "base" / "outcome.json"
    path.write_text(path.read_text().replace("true", "false", 1))
    shutil.rmtree(copy / "repatch")
    result = run("status", copy)
    assert result.exit_code == 0, result.output
    rows = rows_of(result.output)
    assert rows["find"][0] == "done"
    assert (rows["verify"][0], rows["verify"][-1]) == ("changed", "verify")
    assert (rows["examples"][0], rows["examples"][-1]) == ("changed", "examples")
    assert rows["tune/spt-seed0"][0] == "open"
    assert rows["measure/base"][0] == "damaged"
    assert "outcome.json" in "".join(result.output.split())
    assert rows["repatch"] == ["to", "do"]
    assert not any(name.startswith("sweep") for name in rows)


@pytest.mark.parametrize("command", ["init {} --overwrite", "status {}", "--help", "find --help", "export --help"])
def test_what_computes_nothing_imports_no_torch(command: str, copy: Path) -> None:
    (copy / "verify" / "run.json").write_text("{")
    words = command.format(copy).split()
    code = (
        "import sys\n"
        "from sycolens.cli import app\n"
        f"try: app({words!r})\n"
        "except SystemExit as end:\n"
        "    slow = {'torch', 'transformers', 'pandas', 'plotly', 'numpy'} & set(sys.modules)\n"
        "    print(end.code, sorted(slow))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "0 []"


def test_a_report_can_be_written_again(copy: Path, made: Path) -> None:
    shutil.rmtree(copy / "report")
    result = run("report", copy)
    assert result.exit_code == 0
    assert str(copy / "report") in result.output
    assert small_study.contents(copy) == small_study.contents(made)


def test_a_damaged_run_is_not_reported(copy: Path) -> None:
    before = (copy / "report" / "report.html").read_bytes()
    (copy / "find" / "heads.csv").write_text("mine")
    result = run("report", copy)
    assert result.exit_code == 2
    assert "heads.csv" in message_of(result)
    assert (copy / "report" / "report.html").read_bytes() == before


def test_studies_are_compared_side_by_side(made: Path, copy: Path, tmp_path: Path) -> None:
    changed = Study(copy, small_study.config(measure={"max_new_tokens": 3}))
    changed.run("measure", remake=True, progress=False)
    result = run("compare", made, copy, "--out", tmp_path / "both.csv")
    assert result.exit_code == 0, result.output
    assert "measure.max_new_tokens: 12 | 3" in result.output
    assert "4 heads are in both tops" in " ".join(result.output.split())
    frame = pandas.read_csv(tmp_path / "both.csv").set_index(["method", "source", "measure"])
    own = pandas.read_csv(copy / "report" / "table1.csv").set_index(["method", "source", "measure"])
    joined = frame.join(own["value"])
    pandas.testing.assert_series_equal(joined["value_second"], joined["value"], check_names=False)
    # Three tokens are too few to name an answer.
    assert frame.loc[("base", "all", "accuracy_before"), "value_first"] == 1
    assert frame.loc[("base", "all", "accuracy_before"), "value_second"] < 1


@pytest.mark.parametrize("command", ["status", "report", "compare"])
def test_without_settings_the_way_out_is_named(command: str, tmp_path: Path) -> None:
    result = run(command, *[tmp_path / "nowhere"] * (2 if command == "compare" else 1))
    assert result.exit_code == 2
    assert "sycolens init" in message_of(result)
    assert not list(tmp_path.iterdir())


def test_what_is_not_begun_has_no_report(tmp_path: Path) -> None:
    run("init", tmp_path)
    result = run("report", tmp_path)
    assert result.exit_code == 2
    assert "find" in message_of(result)
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]
