"""A stage is done if it was made of what it would be made of now, and lies there as it was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sycolens.errors import SavedFileError, StudyError
from sycolens.runs import directory
from sycolens.runs import stage as module
from sycolens.runs.directory import whole_directory
from sycolens.runs.stage import INPUTS, Ledger, Part, Stage, State

SETTINGS: dict[str, dict[str, Any]] = {"find": {"n": 1}, "verify": {"k": 1}, "tune": {"rate": 1}, "report": {}}
RESULT = {"effects/x": "e", "pairs/x": "p", "other": "o"}


def stages(**changes: dict[str, Any]) -> list[Stage]:
    """Verify reads all of find, tune its ranking, report all of tune."""
    settings = SETTINGS | changes
    after: dict[str, dict[str, Part]] = {"verify": {"find": "all"}, "tune": {"find": "effects"}}
    after["report"] = {"tune": "all"}
    return [
        Stage(name, lambda name=name: settings[name], print, after.get(name, {}))  # type: ignore[misc, arg-type]
        for name in settings
    ]


def make(ledger: Ledger, name: str, result: Mapping[str, str] = RESULT) -> None:
    kind = ledger.stages[name].kind
    record = {INPUTS: ledger.inputs(name), "metric": "logit_share", "redraws": []}
    with whole_directory(ledger.directory / name, kind=kind, record=record) as draft:
        for file, text in result.items():
            (draft / file).parent.mkdir(exist_ok=True)
            (draft / file).write_text(text)
    ledger.forget(name)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Every stage done."""
    ledger = Ledger(tmp_path, stages())
    for name in ledger.stages:
        make(ledger, name)
    return ledger


def states(directory: Path, **changes: dict[str, Any]) -> dict[str, State]:
    return Ledger(directory, stages(**changes)).states


def test_what_is_not_there_is_to_do(tmp_path: Path) -> None:
    (tmp_path / "find").mkdir()
    assert states(tmp_path) == dict.fromkeys(SETTINGS, "to do")
    with pytest.raises(StudyError, match="find"):
        Ledger(tmp_path, stages()).record("find")


def test_what_was_made_is_done(ledger: Ledger) -> None:
    assert ledger.states == states(ledger.directory) == dict.fromkeys(SETTINGS, "done")


def test_other_settings_are_named(ledger: Ledger) -> None:
    other = Ledger(ledger.directory, stages(find={"n": 2, "top": 3}))
    assert other.states == {"find": "changed", "verify": "open", "tune": "open", "report": "open"}
    assert set(other.changes("find")) == {"n", "top"}


def test_another_format_makes_everything_anew(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORMAT", -1)
    other = Ledger(ledger.directory, stages())
    assert other.states["find"] == "changed"
    assert other.changes("find") == ("format",)


@pytest.mark.parametrize(
    ("file", "changed"), [("effects/x", ["verify", "tune"]), ("pairs/x", ["verify"]), ("other", ["verify"])]
)
def test_only_those_who_read_what_is_another_now_are_changed(ledger: Ledger, file: str, changed: list[str]) -> None:
    make(ledger, "find", {**RESULT, file: "another"})
    assert [name for name, state in ledger.states.items() if state == "changed"] == changed
    assert all(ledger.changes(name) == ("find",) for name in changed)
    assert ledger.states["report"] == ("open" if "tune" in changed else "done")


def test_an_equal_result_changes_nothing_whatever_it_was_made_of(ledger: Ledger) -> None:
    other = Ledger(ledger.directory, stages(find={"n": 2}))
    make(other, "find")
    assert other.states == dict.fromkeys(SETTINGS, "done")


@pytest.mark.parametrize("file", ["effects/x", "run.json"])
def test_what_is_not_as_it_was_written_is_damaged(ledger: Ledger, file: str) -> None:
    path = ledger.directory / "find" / file
    for spoil in (lambda: path.write_bytes(path.read_bytes().strip()[:-1]), path.unlink, path.mkdir):
        spoil()
        other = Ledger(ledger.directory, stages())
        assert other.states == {"find": "damaged", "verify": "open", "tune": "open", "report": "open"}
        assert file in (other.damage("find") or "")
        assert other.damage("tune") is None
        with pytest.raises(SavedFileError, match=file):
            other.record("find")


def test_times_may_be_lost(ledger: Ledger) -> None:
    (ledger.directory / "find" / "times.json").unlink()
    assert states(ledger.directory)["find"] == "done"


def test_every_file_is_read_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    for name in ("read_json", "hash_of"):
        real = getattr(directory, name)
        monkeypatch.setattr(directory, name, lambda path, real=real: read.append(path) or real(path))  # type: ignore[func-returns-value]
    other = Ledger(ledger.directory, stages())
    for _ in range(3):
        assert set(other.states.values()) == {"done"}
        other.record("find")
    assert sorted(read) == sorted(
        path for path in ledger.directory.rglob("*") if path.name in ("run.json", "x", "other")
    )


def test_settings_are_asked_for_once_since_they_hash_files(tmp_path: Path) -> None:
    asked: list[str] = []
    ledger = Ledger(tmp_path, [Stage("find", lambda: asked.append("find") or {"n": 1}, print)])  # type: ignore[arg-type, func-returns-value]
    make(ledger, "find")
    assert ledger.states == ledger.states == {"find": "done"}
    assert asked == ["find"]
    assert json.loads((tmp_path / "find" / "run.json").read_text())[INPUTS]["settings"] == {"n": 1}
