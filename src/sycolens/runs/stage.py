"""Stages of a run: each a directory that is whole or not there, with a hash of all that it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sycolens.errors import SavedFileError, StudyError
from sycolens.runs.directory import read_record, require_unaltered

if TYPE_CHECKING:
    from sycolens.runs.context import Context

State = Literal["done", "to do", "changed", "damaged", "open"]
"""Made of what it is now made of; not there; made of something else; cut or altered since; not known until a stage
before it is made."""
Part = Literal["all", "pairs", "effects"]
"""Of a stage's result; the latter two are find's: which pairs were drawn, and how the heads rank."""
INPUTS: Final = "inputs"
"""Where a stage's record says what it was made from."""
FORMAT: Final = 2
"""Of what stages write; another number makes every stage anew."""


@dataclass(frozen=True)
class Made:
    """What a stage computed, not yet written."""

    fill: Callable[[Path], object]
    """Writes its files into an empty directory."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """What ``run.json`` says of it, ready for JSON."""


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    >>> Stage("find", lambda: {"n": 100}, make=print).kind
    'sycolens find'
    """

    name: str
    """Also its directory, below that of the run."""
    settings: Callable[[], Mapping[str, Any]]
    """All settings and files that it depends on, ready for JSON; files are hashed when this is called."""
    make: Callable[[Context], Made]
    after: Mapping[str, Part] = field(default_factory=dict)
    """Stages whose results it reads, and which part of them."""

    @property
    def group(self) -> str:
        """The command that makes it, such as "tune"."""
        return self.name.split("/")[0]

    @property
    def kind(self) -> str:
        """What ``run.json`` calls it."""
        return f"sycolens {self.group}"


class Ledger:
    """What lies in the directory of a run: every record is read once, and every file hashed once.

    >>> Ledger("no/such/run", [Stage("find", lambda: {}, make=print)]).states
    {'find': 'to do'}
    """

    def __init__(self, directory: str | Path, stages: Sequence[Stage]) -> None:
        self.directory = Path(directory)
        self.stages = {stage.name: stage for stage in stages}
        self._records: dict[str, dict[str, Any] | SavedFileError | None] = {}
        self._settings: dict[str, Mapping[str, Any]] = {}

    @property
    def states(self) -> dict[str, State]:
        """The state of every stage by name; stages stand after those that they read."""
        states: dict[str, State] = {}
        for stage in self.stages.values():
            states[stage.name] = self._state(stage, states)
        return states

    def record(self, name: str) -> dict[str, Any]:
        """What a stage's ``run.json`` says, once all its files are known to be as they were written.

        Raises:
            SavedFileError: a file of it was removed, cut or altered.
            StudyError: the stage is not there.
        """
        found = self._look(name)
        if isinstance(found, SavedFileError):
            raise SavedFileError(f"{found} Run 'sycolens study {self.directory}' to make '{name}' anew.") from found
        if found is None:
            raise StudyError(f"{self.directory} has no finished {name}; run 'sycolens study {self.directory}'.")
        return found

    def damage(self, name: str) -> str | None:
        """Which file of a stage is not as it was written; None where all are."""
        found = self._look(name)
        return str(found) if isinstance(found, SavedFileError) else None

    def inputs(self, name: str) -> dict[str, Any]:
        """What a stage is made from: its settings, and the results of the stages before it by their hashes."""
        stage = self.stages[name]
        if name not in self._settings:
            self._settings[name] = stage.settings()
        before = {each: _hash_of_result(self.record(each), part) for each, part in stage.after.items()}
        return dict(json.loads(json.dumps({"format": FORMAT, "settings": self._settings[name], "after": before})))

    def changes(self, name: str) -> tuple[str, ...]:
        """The settings and stages in which a stage's inputs differ from those it was made from."""
        before, now = self.record(name).get(INPUTS) or {}, self.inputs(name)
        parts = [(now[part], before.get(part) or {}) for part in ("settings", "after")]
        parts.append(({"format": now["format"]}, {"format": before.get("format")}))
        return tuple(each for one, other in parts for each in one | other if one.get(each) != other.get(each))

    def forget(self, name: str) -> None:
        """Read a stage again, which has been made."""
        self._records.pop(name, None)

    def _state(self, stage: Stage, others: Mapping[str, State]) -> State:
        found = self._look(stage.name)
        if found is None:
            return "to do"
        if isinstance(found, SavedFileError):
            return "damaged"
        if any(others[name] != "done" for name in stage.after):
            return "open"
        return "done" if found.get(INPUTS) == self.inputs(stage.name) else "changed"

    def _look(self, name: str) -> dict[str, Any] | SavedFileError | None:
        if name not in self._records:
            self._records[name] = _read(self.directory / name)
        return self._records[name]


def _read(place: Path) -> dict[str, Any] | SavedFileError | None:
    if not place.is_dir() or not any(place.iterdir()):
        return None
    try:
        record = read_record(place)
        require_unaltered(place, record)
    except SavedFileError as error:
        return error
    return record


def _hash_of_result(record: Mapping[str, Any], part: Part) -> str:
    """SHA-256 of what a stage came to, whatever it was made from: equal results need nothing made anew."""
    kept: dict[str, Any] = {name: value for name, value in record.items() if name != INPUTS}
    if part == "pairs":
        kept = {"files": _below("pairs", record), "redraws": record["redraws"]}
    elif part == "effects":
        kept = {"files": _below("effects", record), "metric": record["metric"]}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _below(folder: str, record: Mapping[str, Any]) -> dict[str, str]:
    return {name: digest for name, digest in record["files"].items() if name.startswith(f"{folder}/")}
