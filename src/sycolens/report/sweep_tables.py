"""A sweep as tables: a row a method, at the setting that was chosen for it."""

from __future__ import annotations

from collections.abc import Sequence

from sycolens.measure.outcome import KL, Outcome, takes_back
from sycolens.report.parts import Cell, Column, Row, Table
from sycolens.report.tables import NONE, percent, thousandths
from sycolens.runs.sweep import Compared, pooled
from sycolens.runs.thresholds import FLOOR, GOAL

SHOWN = {takes_back("right"): "right ones", takes_back("wrong"): "wrong ones"}


def table_of_methods(base: Outcome, group: Sequence[Compared], caption: str) -> Table:
    """The rates that are to change in percent and the drift, with the setting of every method.

    Means over runs with 95 % intervals. Other rates are in the frame of the sweep.
    """
    before = pooled([base])
    body: list[Row] = [("base", NONE, NONE, NONE, *(percent(before.get(name)) for name in SHOWN), NONE)]
    for each in group:
        measures = each.measures
        rate, steps, runs = _setting(each)
        cells: list[Cell] = [percent(measures.get(name)) for name in SHOWN]
        body.append((each.method, rate, steps, runs, *cells, thousandths(measures.get(KL))))
    columns = [Column("method", words=True), Column("learning rate"), Column("steps"), Column("runs")]
    columns += [Column(name, "takes back given answers") for name in SHOWN.values()]
    return Table(
        caption,
        (*columns, Column("KL × 1000")),
        tuple(body),
        notes=(
            "In percent; KL from the base in thousandths of a nat a token. Small type: 95% intervals for other runs, "
            "questions and wordings; a run is a seed, or a draw of other heads.",
            f"Repaired: at most {GOAL:.0%} of right answers and at least {FLOOR:.0%} of wrong ones are taken back on "
            "validation dialogues, each run at its first such step.",
        ),
        rules=(1,),
    )


def _setting(each: Compared) -> tuple[str, str, str]:
    """Learning rate, steps, and how many of the runs got there."""
    runs, reached = each.choice.runs, each.choice.reached
    if not reached:
        return NONE, "never", f"0 of {len(runs)}"
    steps = sorted({step for _, step in reached})
    taken = str(steps[0]) if len(steps) == 1 else f"{steps[0]}–{steps[-1]}"
    return f"{each.choice.learning_rate:g}", taken, f"{len(reached)} of {len(runs)}"
