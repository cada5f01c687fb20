"""A finished run of find, read again for what builds on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sycolens.errors import RunError
from sycolens.choices import Metric
from sycolens.find import HeadEffects
from sycolens.heads import HeadSet
from sycolens.model import load_model
from sycolens.prompts import ContrastPairs
from sycolens.find.finding import KIND
from sycolens.runs.directory import RECORD, hash_of, read_record, require_unaltered
from sycolens.runs.provenance import identity


@dataclass(frozen=True, eq=False)
class FormerFinding:
    """What :meth:`Finding.save` wrote."""

    directory: Path
    effects: HeadEffects
    pairs: ContrastPairs
    top: HeadSet
    metric: Metric
    """The one that ranks the heads."""
    spent: frozenset[str]
    """Every X_r, those of the redraws included: a question that stands in one cannot verify the heads."""
    arguments: Mapping[str, Any]
    """Of the command that made it; empty if it was saved from Python."""
    model: Mapping[str, Any]
    """Shape and weights of its model, as far as they were noted."""
    sha256: str
    """Of its ``run.json``, for the record of what is made from it."""

    def load_model(
        self,
        name: str,
        *,
        dtype: str | None = None,
        device: str | None = None,
        device_map: str | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """The model again as find had it, except for what is asked for otherwise, and its identity.

        Raises:
            ModelError: as :func:`sycolens.load_model`.
            RunError: it is another model than find's.
        """
        before = self.arguments
        model = load_model(
            name,
            device=device or (None if device_map else before.get("device")),
            dtype=dtype or before.get("dtype"),
            device_map=device_map or (None if device else before.get("device_map")),
            backend=before.get("backend", "bridge"),
        )
        which = identity(model, name)
        self.require_model(which)
        return model, which

    def require_model(self, identity: Mapping[str, Any]) -> None:
        """Refuse a model that is not the one whose heads were found.

        Raises:
            RunError: shape or weights differ.
        """
        for name in ("n_layers", "n_heads", "d_model", "revision", "weights_sha256"):
            before, now = self.model.get(name), identity.get(name)
            if before is not None and now is not None and before != now:
                raise RunError(
                    f"{self.directory} was made with another model than {identity['name']} is now: its {name} was "
                    f"{before}, now it is {now}. Name that model, or run 'sycolens find' again."
                )


def open_finding(directory: str | Path) -> FormerFinding:
    """Read a run directory of find.

    Raises:
        RunError: it holds no finished run of find.
        SavedFileError: a file of it was removed, cut or altered.
    """
    directory = Path(directory)
    if not (directory / RECORD).is_file():
        raise RunError(f"{directory} holds no finished run; make one first: sycolens find --out {directory}")
    record = read_record(directory)
    if record.get("kind") != KIND:
        raise RunError(f"{directory} holds a run of {record.get('kind')!r}, not of '{KIND}'; name a run of find.")
    require_unaltered(directory, record, "effects", "pairs")
    effects, pairs = HeadEffects.load(directory / "effects"), ContrastPairs.load(directory / "pairs")
    try:
        return FormerFinding(
            directory=directory,
            effects=effects,
            pairs=pairs,
            top=HeadSet(record["top"]),
            metric=record["metric"],
            spent=frozenset(x_r for x_r, _ in pairs.texts).union(*(each["texts"] for each in record["redraws"])),
            arguments=record.get("arguments", {}),
            model=record.get("model", {}),
            sha256=hash_of(directory / RECORD),
        )
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{directory / RECORD} is not as this version writes it ({error}); run 'sycolens find' again."
        ) from error
