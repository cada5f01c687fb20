"""The stages of a run as a terminal shows them; needs nothing that is slow to import."""

from __future__ import annotations

from rich.table import Table

from sycolens.report.folding import FoldingTable
from sycolens.runs.directory import seconds_taken
from sycolens.runs.study import Study


def table_of_states(study: Study) -> Table:
    """Every stage: its state, how long it took, and what has changed or was damaged."""
    table = FoldingTable("stage", "state", "took", "")
    table.columns[-1].justify = "left"
    for name, state in study.states.items():
        took = None if state == "to do" else seconds_taken(study.directory / name)
        note = ", ".join(study.ledger.changes(name)) if state == "changed" else study.ledger.damage(name) or ""
        table.add_row(name, state, "" if took is None else in_words(took), note)
    return table


def in_words(seconds: float) -> str:
    """A time, roughly."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
