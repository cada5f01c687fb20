"""Two studies side by side: what was asked of them, which heads they found, and every rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sycolens.report.method_rows import frame_of, rows_of
from sycolens.runs.results import StudyResults
from sycolens.statistics import spearman

if TYPE_CHECKING:
    import pandas

KEY: Final = ["method", "source", "measure"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What two finished studies have in common, and what not."""

    settings: Mapping[str, tuple[Any, Any]]
    """Settings that differ, by their place in ``study.toml``, as the first and the second have them."""
    top: tuple[int, int]
    """How many heads are in either top."""
    shared_heads: int | None
    """How many heads are in both; None for models of other shapes."""
    correlation: float | None
    """Rank correlation of all heads' effects; None for models of other shapes."""
    frame: pandas.DataFrame
    """One row a method, source and measure: value and interval in either; NaN where one has none."""

    def __repr__(self) -> str:
        heads = "no heads in common" if self.shared_heads is None else f"{self.shared_heads} heads in both tops"
        return f"Comparison({len(self.settings)} settings differ, {heads}, {len(self.frame)} rates)"

    def _repr_html_(self) -> str:
        from sycolens.shown.running import of_comparison

        return of_comparison(self)


def compare_studies(first: StudyResults, second: StudyResults) -> Comparison:
    """Everything that two studies measured, side by side; the intervals are those of each alone."""
    frames = [frame_of(rows_of(each))[[*KEY, "value", "low", "high"]] for each in (first, second)]
    frame = frames[0].merge(frames[1], on=KEY, how="outer", suffixes=("_first", "_second"), sort=False)
    alike = first.finding.effects.logits.shape[1:] == second.finding.effects.logits.shape[1:]
    scores = [each.finding.effects.scores(each.finding.metric).flatten() for each in (first, second)]
    return Comparison(
        settings=_differences(first.config.model_dump(), second.config.model_dump()),
        top=(len(first.finding.top), len(second.finding.top)),
        shared_heads=len(set(first.finding.top) & set(second.finding.top)) if alike else None,
        correlation=float(spearman(*scores)) if alike else None,
        frame=frame,
    )


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], place: str = "") -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in {**first, **second}:
        a, b, where = first.get(name), second.get(name), f"{place}{name}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found |= _differences(a, b, f"{where}.")
        elif a != b:
            found[where] = (a, b)
    return found
