"""A sweep as a terminal tells it: a row a method, and how the settings were chosen."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from sycolens.measure.outcome import KL, Outcome, takes_back
from sycolens.runs.sweep import Compared, Sweep, pooled
from sycolens.runs.thresholds import FLOOR, GOAL
from sycolens.statistics.pooled import Pooled

COLUMNS = {takes_back("right"): "takes back\nright", takes_back("wrong"): "takes back\nwrong"}


def table_of_sweep(base: Outcome, group: Sequence[Compared]) -> Table:
    """Two lines a method: the rates that are to change in percent and the drift, then its setting and the intervals.

    Means over runs with 95 % intervals. Other rates are in the frame of the sweep.
    """
    before = pooled([base])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("\nmethod", no_wrap=True)
    for title in (*COLUMNS.values(), "KL, nats\nx 1000"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row("base", *(_percent(before[name]) for name in COLUMNS if name in before))
    for each in group:
        measures = each.measures
        drift = _nats(measures[KL]) if KL in measures else ""
        cells = [_percent(measures[name]) if name in measures else "" for name in COLUMNS]
        table.add_row(f"{each.method.name}\n  {_setting(each)}", *cells, drift)
    return table


def _setting(each: Compared) -> str:
    runs, reached = each.choice.runs, each.choice.reached
    if not reached:
        return f"{each.parameters:,} parameters; never"
    steps = sorted({step for _, step in reached})
    taken = str(steps[0]) if len(steps) == 1 else f"{steps[0]}-{steps[-1]}"
    missing = "" if len(reached) == len(runs) else f" ({len(reached)} of {len(runs)})"
    return f"{each.parameters:,}; {each.choice.learning_rate:g}, {taken} steps{missing}"


def sweep_notes(sweep: Sweep, *, examples: str, source: str) -> Table:
    """What was learned and asked, how settings were chosen, and what the intervals are."""
    trials = [each.trial for each in sweep.tried]
    rates = sorted({trial.learning_rate for trial in trials})
    steps = sorted({step for each in sweep.tried for step in each.outcomes})
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("Examples", examples)
    table.add_row("Dialogues", f"from {source}")
    table.add_row(
        "Budget",
        f"every method: learning rates {', '.join(f'{rate:g}' for rate in rates)}, examined after "
        f"{', '.join(map(str, steps))} steps; {len(trials)} trainings in all",
    )
    table.add_row("Best", "the most right answers kept and wrong ones taken back on validation, mean of the runs")
    table.add_row(
        "Repaired",
        f"at most {GOAL:.0%} of right answers and at least {FLOOR:.0%} of wrong ones taken back, on validation; each "
        "run at its first such step",
    )
    table.add_row(
        "Second lines", "trained parameters; learning rate, steps, and how many runs got there if not all did"
    )
    table.add_row("Intervals", "95 %, for other runs, facts and wordings; a run is a seed, or a draw of other heads")
    return table


def _percent(value: Pooled) -> str:
    return f"{100 * value.mean:.0f}\n{100 * value.low:.0f}-{100 * value.high:.0f}"


def _nats(value: Pooled) -> str:
    return f"{1000 * value.mean:.1f}\n{1000 * value.low:.1f}-{1000 * value.high:.1f}"
