"""The stages of a run as a terminal shows them; needs nothing that is slow to import."""

from __future__ import annotations

from rich import box
from rich.table import Table

from sycolens.runs.directory import seconds_taken
from sycolens.runs.study import Study


def table_of_states(study: Study) -> Table:
    """Every stage: its state, how long it took, and what has changed or was damaged."""
    table = table_with("stage", "state", "took", "")
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap, table.columns[-1].overflow = False, "fold"
    for name, state in study.states.items():
        took = None if state == "to do" else seconds_taken(study.directory / name)
        note = ", ".join(study.ledger.changes(name)) if state == "changed" else study.ledger.damage(name) or ""
        table.add_row(name, state, "" if took is None else in_words(took), note)
    return table


def table_with(*names: str) -> Table:
    """An empty table; words on the left, numbers on the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def in_words(seconds: float) -> str:
    """A time, roughly."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
