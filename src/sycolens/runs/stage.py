"""Stages of a study: each a directory that is whole or not there, with a hash of all that it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sycolens.errors import RunError
from sycolens.runs.directory import TIMES, read_record

if TYPE_CHECKING:
    from sycolens.runs.context import Workshop

State = Literal["done", "to do", "changed", "open"]
"""Made of what it is now made of; not there; made of something else; not known until a stage before it is made."""

Part = Literal["all", "pairs", "effects"]
"""Of a stage's result; the latter two are find's: which pairs were drawn, and how the heads rank."""

INPUTS: Final = "inputs"
"""Where a stage's record says what it was made from."""
FORMAT: Final = 1
"""Of what stages write; another number makes every stage anew."""

Write = Callable[[Path, Mapping[str, Any]], object]
"""Writes what a stage made into its directory, all or nothing, with more for its record."""


@dataclass(frozen=True)
class Stage:
    """One step of a study.

    >>> Stage("find", {"n": 100}, make=print).inputs_in("runs/study")["settings"]
    {'n': 100}
    """

    name: str
    """Also its directory, below that of the study."""
    settings: Mapping[str, Any]
    """All settings and files that it depends on, ready for JSON."""
    make: Callable[[Workshop], Write]
    """Computes, and gives what writes the result."""
    after: Mapping[str, Part] = field(default_factory=dict)
    """Stages whose results it reads, and which part of them."""
    kind: str = "sycolens study"
    """Of its run, as ``run.json`` has it."""

    def inputs_in(self, directory: str | Path) -> dict[str, Any]:
        """What it is made from, for its record: settings, and the results of the stages before it by their hashes.

        Raises:
            RunError: a stage before it is not there.
        """
        before = {name: _result_of(Path(directory) / name, part) for name, part in self.after.items()}
        told = {"format": FORMAT, "settings": self.settings, "after": before}
        return dict(json.loads(json.dumps(told)))

    def state_in(self, directory: str | Path, others: Mapping[str, State]) -> State:
        """Whether it has to be made, given the states of the stages before it."""
        try:
            record = read_record(Path(directory) / self.name)
        except RunError:
            return "to do"
        if any(others[name] != "done" for name in self.after):
            return "open"
        return "done" if record.get(INPUTS) == self.inputs_in(directory) else "changed"


def states_of(stages: Sequence[Stage], directory: str | Path) -> dict[str, State]:
    """The state of every stage by name; stages come after those that they read.

    >>> states_of([Stage("find", {}, make=print)], "no/such/study")
    {'find': 'to do'}
    """
    states: dict[str, State] = {}
    for stage in stages:
        states[stage.name] = stage.state_in(directory, states)
    return states


def what_changed(stage: Stage, directory: str | Path) -> tuple[str, ...]:
    """The settings and stages in which a stage's inputs differ from those it was made from."""
    before, now = read_record(Path(directory) / stage.name).get(INPUTS) or {}, stage.inputs_in(directory)
    return tuple(
        name
        for part in ("settings", "after")
        for name in now[part] | before.get(part, {})
        if now[part].get(name) != before.get(part, {}).get(name)
    )


def seconds_of(directory: str | Path) -> float | None:
    """How long a stage took; None where that was not noted."""
    try:
        taken = json.loads((Path(directory) / TIMES).read_text())["seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(taken) if isinstance(taken, int | float) else None


def _result_of(directory: Path, part: Part) -> str:
    """SHA-256 of what a stage came to, whatever it was made from: equal results need nothing made anew."""
    record = read_record(directory)
    kept: dict[str, Any] = {name: value for name, value in record.items() if name not in (INPUTS, "arguments")}
    if part == "pairs":
        drawn = [(each["fingerprint"], each["texts"]) for each in record["redraws"]]
        kept = {"files": _below("pairs", record), "redraws": drawn}
    elif part == "effects":
        kept = {"files": _below("effects", record), "metric": record["metric"]}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _below(folder: str, record: Mapping[str, Any]) -> dict[str, str]:
    return {name: digest for name, digest in record["files"].items() if name.startswith(f"{folder}/")}
