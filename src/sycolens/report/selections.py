"""The report's section on other ways to select heads: which each took, and how far it agrees with the effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sycolens.report.parts import Facts
from sycolens.runs.plan import SELECT

if TYPE_CHECKING:
    from sycolens.report.parts import Part
    from sycolens.runs.results import StudyResults


def parts_of_selections(results: StudyResults) -> tuple[Part, ...]:
    """A sentence, and a line for every selection; nothing where there is none."""
    selected = [record for stage, record in results.records.items() if stage.startswith(f"{SELECT}/")]
    if not selected:
        return ()
    return (
        "As many heads as are tuned, selected in other ways, and how far each way ranks all heads as their exact "
        "effects do. By gradient is a first-order estimate of the effect on the same pairs; by probes is how well a "
        "head's output tells a right answer from a wrong one after a challenge; by weights is how far a head's weights "
        "moved from the base checkpoint. Intervals are for other questions.",
        Facts(tuple((f"By {record['selection']}", _line(record)) for record in selected)),
    )


def _line(record: Mapping[str, Any]) -> str:
    found = record["agreement"]
    return (
        f"{', '.join(record['top'])}. Rank correlation {found['correlation']:+.2f}"
        f"{_interval(found, 'correlation', '+.2f')} over {found['heads']} heads; {found['shared']}"
        f"{_interval(found, 'shared', '.0f')} of the first {found['k']} shared, where chance gives "
        f"{found['chance']:.1f} among all heads and {found['chance_in_layers']:.1f} within the same layers "
        f"(p = {found['p']:.2g})."
    )


def _interval(found: Mapping[str, Any], name: str, form: str) -> str:
    low, high = found[f"{name}_low"], found[f"{name}_high"]
    return "" if low is None else f" [{low:{form}}, {high:{form}}]"
