"""Studies as a terminal tells them: plan, progress, outcome, and two side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from sycolens.measure.challenge_result import ALL
from sycolens.measure.outcome import KL, takes_back
from sycolens.report.comparison import Comparison
from sycolens.report.folding import FoldingTable
from sycolens.report.judge_tables import judged_rows, table_of_agreement
from sycolens.report.method_rows import EVAL_SET, MethodRow, rows_of
from sycolens.report.parts import Table as Content
from sycolens.report.parts import as_cell
from sycolens.report.progress import counts_of
from sycolens.report.run_tables import notes_of, table_of, table_of_curve, verification_notes
from sycolens.report.states import in_words
from sycolens.report.sweep_tables import table_of_methods
from sycolens.runs.estimate import Estimate
from sycolens.runs.plan import TUNE, VERIFY
from sycolens.runs.results import StudyResults
from sycolens.runs.study import Study
from sycolens.statistics.runs import Pooled

SHOWN = (
    ("confidence", "confidence", ALL),
    ("evades", "evasion_rate", ALL),
    ("truthfulness", "truthfulness", ALL),
    ("takes back\nwrong", takes_back("wrong"), EVAL_SET),
)


def table_of_plan(study: Study, estimate: Estimate, command: str) -> Group:
    """The stages of a command and those they need: whether each is done, what it computes, and roughly for how long."""
    table = FoldingTable("stage", "state", "computes", "about")
    for column in table.columns[1:3]:
        column.justify = "left"
    states, left = study.ledger.states, 0.0
    for name in (stage.name for stage in study.needed(command)):
        cost = estimate.costs[name]
        seconds = estimate.seconds[name]
        left += 0 if states[name] == "done" else seconds
        table.add_row(name, states[name], ", ".join(counts_of(cost)), in_words(seconds))
    shape = estimate.shape
    model = (
        f"{study.config.model.name}: {shape.n_layers} layers of {shape.n_heads} heads, {estimate.parameters:,} "
        "parameters. Patched rows are single tokens with one head patched. "
        f"Left to do: about {in_words(left)}, right to a factor of three or so, on one device of the kind that is here."
    )
    if study.config.measure.tasks:
        model += " Tasks of lm-evaluation-harness are not counted; they may take longest of all."
    if study.config.measure.judge is not None:
        model += " The time that the judge takes is not counted."
    return Group(table, model)


def table_of_results(results: StudyResults) -> Table:
    """A row for each method: the rates that matter most, with 95 % intervals, and the drift."""
    return _table_of_rows(rows_of(results))


def _table_of_rows(rows: Sequence[MethodRow]) -> Table:
    table = FoldingTable("", *(title for title, _, _ in SHOWN), "KL x 1000")
    for row in rows:
        numbers = [row.of(measure, source) for _, measure, source in SHOWN]
        drift = row.of(KL, EVAL_SET)
        nats = "" if drift is None else f"{1000 * drift.mean:.1f}\n{1000 * drift.low:.1f} to {1000 * drift.high:.1f}"
        table.add_row(row.method, *(_percent(each) for each in numbers), nats)
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
    table = FoldingTable("method", "source", "measure", "first", "second")
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


def as_table(content: Content) -> Group:
    """A table of the report in a terminal: intervals stand below their numbers."""
    table = FoldingTable(
        *(f"{column.group}\n{column.title}" if column.group else column.title for column in content.columns)
    )
    for row in content.rows:
        cells = [as_cell(entry) for entry in row]
        table.add_row(*(f"{cell.text}\n{cell.interval}" if cell.interval else cell.text for cell in cells))
    return Group(content.caption, table, *content.notes)


def _percent(each: Pooled | None) -> str:
    return "" if each is None else f"{each.mean:.0%}\n{100 * each.low:.0f} to {each.high:.0%}"


def _cell(measure: str, numbers: Sequence[float]) -> str:
    if any(number is None or math.isnan(number) for number in numbers):
        return ""
    if measure == KL:
        return "{:.4f} ({:.4f} to {:.4f})".format(*numbers)
    return "{:.0%} ({:.0%} to {:.0%})".format(*numbers)


def tables_of(command: str, results: StudyResults) -> list[RenderableType]:
    """What a command shows when it is done."""
    found: list[RenderableType] = []
    if command in ("find", "study"):
        found += ["\nThe heads with the most negative effect", table_of(results.finding), notes_of(results.finding)]
    if command in ("verify", "study") and (verified := results.verification) is not None:
        source = str(results.records[VERIFY]["source"])
        found += ["\nReplies without the first k heads", table_of_curve(verified.necessity)]
        found += ["\nReplies with the first k heads alone", table_of_curve(verified.sufficiency)]
        found.append(verification_notes(verified, source))
    if command == "tune":
        found.append(table_of_trainings(results))
    if command in ("measure", "study") and results.measured:
        found.append(table_of_results(results))
        if judged := judged_rows(results):
            found += [as_table(table_of_agreement(results)), "\nBy the judge's grades", _table_of_rows(judged)]
    if command == "sweep" and results.sweep is not None:
        base = results.sweep.base
        found.append(as_table(table_of_methods(base, results.sweep.best, "Each at the setting that did best.")))
        found.append(
            as_table(table_of_methods(base, results.sweep.matched, "Each where it first repairs the behavior."))
        )
    return found


def table_of_trainings(results: StudyResults) -> Table:
    """Every training: how much is trained, and the loss."""
    table = FoldingTable("training", "method", "parameters", "steps", "first\nloss", "last\nloss")
    table.columns[1].justify = "left"
    for name, record in results.records.items():
        if name.startswith(f"{TUNE}/"):
            trains = "training" in record
            losses = (f"{record['loss'][which]:.3f}" if trains else "" for which in ("first", "last"))
            steps = str(record["training"]["steps"]) if trains else ""
            table.add_row(name.removeprefix(f"{TUNE}/"), record["method"], f"{record['parameters']:,}", steps, *losses)
    return table
