"""A finished run of find, read again for what builds on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sycolens.errors import RunError
from sycolens.find import HeadEffects, Metric
from sycolens.heads import HeadSet
from sycolens.prompts import ContrastPairs
from sycolens.walk.finding import KIND
from sycolens.walk.folder import read_record


@dataclass(frozen=True, eq=False)
class FormerFinding:
    """What :meth:`Finding.save` wrote."""

    directory: Path
    record: dict[str, Any]
    """``run.json``."""
    effects: HeadEffects
    pairs: ContrastPairs
    top: HeadSet

    @property
    def metric(self) -> Metric:
        """The metric that ranks the heads."""
        return cast(Metric, self.record["metric"])

    @property
    def used(self) -> int:
        """How many questions or pairs were drawn to find the heads, redraws included."""
        return int(self.record["pairs"]["count"]) * (1 + len(self.record["redraws"]))

    def argument(self, name: str, default: Any = None) -> Any:
        """An argument of the command that made it; the default where there was no command."""
        return self.record.get("arguments", {}).get(name, default)

    def require_model(self, identity: dict[str, Any]) -> None:
        """Refuse a model that is not the one whose heads were found.

        Raises:
            RunError: shape or weights differ.
        """
        before = self.record.get("model", {})
        for name in ("n_layers", "n_heads", "d_model", "revision", "weights_sha256"):
            if name in before and before[name] != identity.get(name):
                raise RunError(
                    f"{self.directory} was made with another model than {identity['name']}: its {name} was "
                    f"{before[name]}, now it is {identity.get(name)}. Run 'sycolens find' again."
                )


def open_finding(directory: str | Path) -> FormerFinding:
    """Read a run directory of find.

    Raises:
        RunError: it holds no finished run of find.
        SavedFileError: a file of it was cut or altered.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise RunError(f"{directory} is no directory; run 'sycolens find --out {directory}' first.")
    record = read_record(directory)
    if record.get("kind") != KIND:
        raise RunError(f"{directory} holds a run of {record.get('kind')!r}, not of '{KIND}'; name a run of find.")
    return FormerFinding(
        directory=directory,
        record=record,
        effects=HeadEffects.load(directory / "effects"),
        pairs=ContrastPairs.load(directory / "pairs"),
        top=HeadSet(record["top"]),
    )
