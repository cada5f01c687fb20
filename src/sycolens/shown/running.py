"""Studies: which stages are done, what they came to, and two of them side by side."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Final

from sycolens.shown.charts import Mark, marks, squares
from sycolens.shown.page import few, page
from sycolens.shown.svg import BLUE, GRAY, ORANGE, RED
from sycolens.shown.words import between, percent, shortened, written

if TYPE_CHECKING:
    from sycolens.report.comparison import Comparison
    from sycolens.runs import Study, StudyResults

_COLORS: Final = {"done": BLUE, "to do": GRAY, "changed": ORANGE, "damaged": RED, "open": ORANGE}
_METHODS: Final = 8
"""So many methods are in a figure."""


def of_study(study: Study) -> str:
    """A square for every stage, and how many of each kind are done."""
    states = study.states
    figure = squares([(f"{name}: {state}", _COLORS[state]) for name, state in states.items()])
    groups: dict[str, dict[str, int]] = {}
    for name, state in states.items():
        counts = groups.setdefault(name.split("/")[0], {})
        counts[state] = counts.get(state, 0) + 1
    rows = [
        (group, ", ".join(f"{count} {state}" if sum(counts.values()) > 1 else state for state, count in counts.items()))
        for group, counts in groups.items()
    ]
    note = "Blue: done, gray: to do, orange: settings or files have changed, red: damaged. More: .run(), .results()."
    return page(repr(study), figure=figure, columns=("stage", "state"), rows=few(rows), note=note)


def of_results(results: StudyResults) -> str:
    """Truthfulness of every method with its interval; before anything is measured, what was found."""
    from sycolens.shown.finding import of_finding

    if not results.measured:
        return of_finding(results.finding)
    from sycolens.report.method_rows import rows_of

    found, drawn = [], []
    for row in rows_of(results):
        cells = [row.method]
        for measure in ("truthfulness", "confidence", "apology_rate"):
            each = row.of(measure)
            cells.append("" if each is None else f"{percent(each.mean)} ({between(each.low, each.high)})")
        found.append(cells)
        each = row.of("truthfulness")
        if each is not None:
            drawn.append(Mark(row.method, each.mean, each.low, each.high, RED if row.is_found else GRAY))
    return page(
        repr(results),
        figure=marks(drawn[:_METHODS]) if drawn else "",
        columns=("method", "truthfulness (95% interval)", "confidence", "apology rate"),
        rows=few(found),
        note="In the figure: truthfulness, the found heads in red. More: .finding, .verification, .measured.",
    )


def of_comparison(comparison: Comparison) -> str:
    """What both studies found, the settings that differ, and the truthfulness of their methods."""
    shared = "other shapes" if comparison.shared_heads is None else str(comparison.shared_heads)
    rows = [("heads in both tops", f"{shared} (of {' and '.join(map(str, comparison.top))})")]
    if comparison.correlation is not None:
        rows.append(("rank correlation", written(comparison.correlation, 2, plus=True)))
    differing = [f"{place}: {first!r} | {second!r}" for place, (first, second) in comparison.settings.items()]
    rows.append(("settings that differ", "\n".join(shortened(each, 80) for each in differing[:8]) or "none"))
    if len(differing) > 8:
        rows.append(("", f"and {len(differing) - 8} more"))
    frame = comparison.frame
    kept = frame[(frame["measure"] == "truthfulness") & (frame["source"] == "all")].head(_METHODS // 2)
    drawn = []
    for row in kept.to_dict("records"):
        for which, color in (("first", BLUE), ("second", ORANGE)):
            value, low, high = (float(row[f"{end}_{which}"]) for end in ("value", "low", "high"))
            if not isnan(value):
                drawn.append(Mark(f"{row['method']}, {which}", value, low, high, color))
    note = "In the figure: truthfulness, with the intervals of each study alone. More: .frame, .settings."
    return page(repr(comparison), figure=marks(drawn) if drawn else "", rows=rows, note=note if drawn else "")
