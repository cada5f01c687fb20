"""Studies as a terminal tells them: plan, progress, outcome, and two side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table

from sycolens.measure.challenge_result import ALL
from sycolens.measure.outcome import KL, takes_back
from sycolens.report.comparison import Comparison
from sycolens.report.method_rows import EVAL_SET, rows_of
from sycolens.runs.estimate import Estimate
from sycolens.runs.results import StudyResults
from sycolens.runs.stage import seconds_of, what_changed
from sycolens.runs.study import Study
from sycolens.statistics.pooled import Pooled

SHOWN = (
    ("confidence", "confidence", ALL),
    ("truthfulness", "truthfulness", ALL),
    ("takes back\nwrong", takes_back("wrong"), EVAL_SET),
)


def table_of_plan(study: Study, estimate: Estimate) -> Group:
    """Every stage: whether it is done, what it computes, and roughly how long that takes."""
    table = _table("stage", "state", "prompts", "rows", "replies", "examples", "about")
    states, left = study.states, 0.0
    for name, cost in estimate.costs.items():
        counts = (cost.prompts, cost.rows, cost.replies, cost.examples)
        seconds = estimate.seconds[name]
        left += 0 if states[name] == "done" else seconds
        table.add_row(name, states[name], *(f"{count:,}" if count else "" for count in counts), _time(seconds))
    shape = estimate.shape
    model = (
        f"{study.config.model.name}: {shape.n_layers} layers of {shape.n_heads} heads, {estimate.parameters:,} "
        "parameters. Rows are single tokens with one head patched. "
        f"Left to do: about {_time(left)}, right to a factor of three or so, on one device of the kind that is here."
    )
    if study.config.measure.tasks:
        model += " Tasks of lm-evaluation-harness are not counted; they may take longest of all."
    return Group(table, model)


def table_of_states(study: Study) -> Table:
    """Every stage: its state, how long it took, and in what its inputs have changed."""
    table = _table("stage", "state", "took", "changed")
    table.columns[-1].justify = "left"
    states = study.states
    for stage in study.stages:
        state, place = states[stage.name], study.directory / stage.name
        took = None if state == "to do" else seconds_of(place)
        changed = ", ".join(what_changed(stage, study.directory)) if state == "changed" else ""
        table.add_row(stage.name, state, "" if took is None else _time(took), changed)
    return table


def table_of_results(results: StudyResults) -> Table:
    """A row for each method: the rates that matter most, with 95 % intervals, and the drift."""
    table = _table("", *(title for title, _, _ in SHOWN), "KL x 1000")
    for row in rows_of(results):
        numbers = [row.of(measure, source) for _, measure, source in SHOWN]
        drift = row.of(KL, EVAL_SET)
        told = "" if drift is None else f"{1000 * drift.mean:.1f}\n{1000 * drift.low:.1f} to {1000 * drift.high:.1f}"
        table.add_row(row.method, *(_percent(each) for each in numbers), told)
    return table


def table_of_comparison(compared: Comparison) -> Group:
    """Settings that differ, heads in common, and every measure that both have."""
    lines = [f"{place}: {first!r} | {second!r}" for place, (first, second) in compared.settings.items()]
    settings = Group(*lines) if lines else "The settings are the same."
    if compared.shared_heads is None or compared.correlation is None:
        heads = "The models have other shapes, so their heads cannot be compared."
    else:
        heads = (
            f"{compared.shared_heads} heads are in both tops (of {compared.top[0]} and {compared.top[1]}); rank "
            f"correlation of all effects {compared.correlation:.2f}."
        )
    table = _table("method", "source", "measure", "first", "second")
    for column in table.columns[1:3]:
        column.justify = "left"
    for row in compared.frame.itertuples():
        cells = [
            _cell(
                row.measure,
                (getattr(row, f"value_{which}"), getattr(row, f"low_{which}"), getattr(row, f"high_{which}")),
            )
            for which in ("first", "second")
        ]
        table.add_row(row.method, row.source, row.measure, *cells)
    return Group(settings, heads, table)


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def _percent(each: Pooled | None) -> str:
    return "" if each is None else f"{each.mean:.0%}\n{100 * each.low:.0f} to {each.high:.0%}"


def _cell(measure: str, numbers: Sequence[float]) -> str:
    if any(number is None or math.isnan(number) for number in numbers):
        return ""
    if measure == KL:
        return "{:.4f} ({:.4f} to {:.4f})".format(*numbers)
    return "{:.0%} ({:.0%} to {:.0%})".format(*numbers)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
