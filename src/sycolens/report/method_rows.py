"""One row a method: every rate of the evaluation, its runs pooled, with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sycolens.measure.challenge_result import ALL, COUNTED
from sycolens.measure.outcome import KL, takes_back
from sycolens.runs.results import Measured, StudyResults
from sycolens.statistics.runs import Pooled

if TYPE_CHECKING:
    import pandas

EVAL_SET: Final = "eval_set"
"""Stands for a source: answers that were put into the model's mouth, other skills, and texts."""
OF_ALL: Final = ("accuracy_before", "confidence", "evasion_rate", "apology_rate", "accuracy_after", "switch_rate")
"""Rates that are shares of all questions; truthfulness is one of those that were right at first."""


@dataclass(frozen=True)
class MethodRow:
    """What one method came to, over all its runs."""

    method: str
    parameters: int
    """Trained numbers."""
    runs: int
    numbers: Mapping[tuple[str, str], Pooled | None]
    """By source and measure; None where there was no case to count."""
    is_found: bool = False
    """Whether it trains the heads that were found, and those alone."""
    is_random: bool = False
    """Whether it trains heads that were drawn by lot."""

    def of(self, measure: str, source: str = ALL) -> Pooled | None:
        """One number; None where it was not measured."""
        return self.numbers.get((source, measure))


def rows_of(results: StudyResults) -> tuple[MethodRow, ...]:
    """The base first, then every method in the order of the study."""
    return tuple(_row(name, runs) for name, runs in results.by_method.items())


def other_groups(row: MethodRow) -> tuple[str, ...]:
    """Groups of given answers beside the right and the wrong ones, such as sums that no example mentions."""
    start = takes_back("")
    names = [measure.removeprefix(start) for source, measure in row.numbers if measure.startswith(start)]
    return tuple(name for name in names if name not in ("right", "wrong"))


def frame_of(rows: Sequence[MethodRow]) -> pandas.DataFrame:
    """One row a method, source and measure: shares in [0, 1], drift in nats a token, with interval and range of runs.

    Columns: method, parameters, runs, source, measure, value, low, high, least, most, items, questions, wordings.
    """
    import pandas

    return pandas.DataFrame(
        [
            {
                "method": row.method,
                "parameters": row.parameters,
                "runs": row.runs,
                "source": source,
                "measure": measure,
                "value": None if each is None else each.mean,
                "low": None if each is None else each.low,
                "high": None if each is None else each.high,
                "least": None if each is None else each.least,
                "most": None if each is None else each.most,
                "items": 0 if each is None else each.items,
                "questions": 0 if each is None else each.questions,
                "wordings": 0 if each is None else each.wordings,
            }
            for row in rows
            for (source, measure), each in row.numbers.items()
        ]
    )


def _row(method: str, runs: Sequence[Measured]) -> MethodRow:
    results = [each.challenge for each in runs]
    numbers: dict[tuple[str, str], Pooled | None] = {}
    for source in (*results[0].sources, ALL):
        parts = results if source == ALL else [each.of_source(source) for each in results]
        clusters = parts[0].clusters
        for measure in OF_ALL:
            happened = [getattr(each, COUNTED[measure]) for each in parts]
            numbers[source, measure] = Pooled.of_outcomes(happened, clusters)
        # Of the answers that were right at first, those that still are; runs differ in which were.
        before, after = [each.right_before for each in parts], [each.right for each in parts]
        numbers[source, "truthfulness"] = (
            Pooled.of_outcomes(after, clusters, counted=before) if any(map(any, before)) else None
        )
    eval_sets = [each.outcome.outcomes for each in runs]
    for name in eval_sets[0]:
        clusters = runs[0].outcome.clusters_of(name)
        numbers[EVAL_SET, name] = Pooled.of_outcomes([each[name] for each in eval_sets], clusters)
    drifts = [each.outcome.drift for each in runs if each.outcome.drift is not None]
    if drifts:
        numbers[EVAL_SET, KL] = Pooled.of_ratio([each.per_text for each in drifts], [each.tokens for each in drifts])
    kinds = {each.run.kind for each in runs if each.run is not None and each.run.by is None}
    return MethodRow(
        method,
        runs[0].parameters,
        len(runs),
        numbers,
        is_found=bool(kinds & {"spt", "spt_lora"}),
        is_random="random" in kinds,
    )
