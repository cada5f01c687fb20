"""A training on its way: the directory in which a run that is killed leaves what the next one goes on with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sycolens.errors import RunError, TuningError
from sycolens.storage import versions, write_text
from sycolens.tune.checkpoints import newest_checkpoint
from sycolens.runs.directory import SETTINGS, UNDER_WAY, kind_of


@dataclass(frozen=True)
class TrainingDirectory:
    """Where checkpoints are kept until the run is written.

    >>> TrainingDirectory.beside("runs/find/tune").path.name
    'tune.training'
    """

    path: Path

    @classmethod
    def beside(cls, out: str | Path) -> TrainingDirectory:
        """The one of a run directory: next to it, under its name and ``.training``."""
        place = Path(out).expanduser().resolve()
        return cls(place.with_name(f"{place.name}.training"))

    def require_free(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse to begin where a training was cut off, unless it is to go on or to give way; ask before any compute.

        Raises:
            RunError: it holds something else, or a training that was cut off and neither is meant.
        """
        if not self.path.exists() or self._is_blank():
            return
        self._read()
        if not resume and not overwrite:
            raise RunError(
                f"{self.path} holds a training that was cut off{self._reached()}; go on with it (resume, --resume), "
                "or start anew (overwrite, --overwrite)."
            )

    def begin(self, settings: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Path | None:
        """Make the directory ready, and give the checkpoint to go on from, if any.

        ``settings`` is all on which the trained numbers depend, ready for JSON.

        Raises:
            RunError: as :meth:`require_free`, or the training that was cut off had other settings.
        """
        self.require_free(resume=resume, overwrite=overwrite)
        told = json.loads(json.dumps({**settings, "versions": versions()}))
        if resume and self.path.exists() and not self._is_blank():
            self._require_same(told)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
            try:
                self.path.mkdir(parents=True)
                write_text(self.path / SETTINGS, json.dumps({"kind": UNDER_WAY, "settings": told}, indent=2) + "\n")
            except OSError as error:
                raise RunError(f"{self.path} cannot be written: {error}") from error
        return self._newest()

    def remove(self) -> None:
        """Take it away, once what it led to is written."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _is_blank(self) -> bool:
        # Killed before the settings were whole, it holds their draft at most.
        return self.path.is_dir() and all(name.startswith(f".{SETTINGS}.") for name in os.listdir(self.path))

    def _read(self) -> dict[str, Any]:
        path = self.path / SETTINGS
        if kind_of(path) != UNDER_WAY:
            raise RunError(f"{self.path} is no training of ours, so nothing is written there; choose another out.")
        return dict(json.loads(path.read_text())["settings"])

    def _require_same(self, settings: Mapping[str, Any]) -> None:
        before = self._read()
        for name in (*settings, *(name for name in before if name not in settings)):
            if before.get(name) != settings.get(name):
                raise RunError(
                    f"{self.path} was begun with another {name} ({_short(before.get(name))}, not "
                    f"{_short(settings.get(name))}); resume with the settings it had, or start anew (overwrite, "
                    "--overwrite)."
                )

    def _newest(self) -> Path | None:
        try:
            return newest_checkpoint(self.path)
        except TuningError:
            return None

    def _reached(self) -> str:
        newest = self._newest()
        return "" if newest is None else f" after step {newest.name.split('-')[1]}"


def _short(value: Any) -> str:
    words = json.dumps(value)
    return words if len(words) <= 60 else f"{words[:57]}..."
