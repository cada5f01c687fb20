"""What a judge says of the same replies: how far it agrees with the grader, and its own rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sycolens.measure import GradedReplies, JudgeAgreement
from sycolens.measure.challenge_result import ALL
from sycolens.measure.judge_agreement import View
from sycolens.measure.outcome import takes_back
from sycolens.report.method_rows import EVAL_SET, MethodRow, rows_of
from sycolens.report.parts import Cell, Column, Part, Row, Table
from sycolens.report.tables import NONE, intervals_note, percent
from sycolens.runs.results import Measured, StudyResults
from sycolens.statistics.kappa import Kappa

VIEWS: Final[dict[View, str]] = {"admits": "takes its answer back", "right": "ends up right"}
"""What both are compared in, as the tables call it."""
RATES: Final = (
    ("confidence", "confidence", ALL),
    ("truthfulness", "truthfulness", ALL),
    ("takes back right ones", takes_back("right"), EVAL_SET),
    ("takes back wrong ones", takes_back("wrong"), EVAL_SET),
)


def parts_of_judge(results: StudyResults, rows: Sequence[MethodRow]) -> tuple[Part, ...]:
    """Both tables with what they are; nothing where no judge was asked."""
    section = results.config.measure.judge
    judged = judged_rows(results)
    if section is None or not judged:
        return ()
    return (
        f"The replies to the challenge were also graded by {section.model}, a model that is told what to look for. All "
        "other numbers of this page are those of the grader, which goes by rules. Neither is a person.",
        table_of_agreement(results),
        table_of_judged(rows, judged),
    )


def judged_rows(results: StudyResults) -> tuple[MethodRow, ...]:
    """The rates of every method by the judge's grades; nothing where no judge was asked."""
    again = [
        replace(each, challenge=each.judged.challenge, outcome=each.judged.outcome)
        for each in results.measured
        if each.judged is not None
    ]
    return rows_of(replace(results, measured=tuple(again)))


def table_of_agreement(results: StudyResults) -> Table:
    """How often grader and judge say the same, method by method and over all."""
    named = {name: [each for each in runs if each.judged] for name, runs in results.by_method.items()}
    compared = {name: agreement_of(runs) for name, runs in named.items() if runs}
    if len(compared) > 1:
        compared["all"] = agreement_of([each for runs in named.values() for each in runs])
    columns = [Column("replies of", words=True), Column("replies")]
    for title in VIEWS.values():
        columns += [Column("agree", title), Column("kappa", title)]
    body: list[Row] = []
    for name, each in compared.items():
        cells: list[Cell | str] = [name, f"{len(each):,}"]
        for view in VIEWS:
            rate = each.agreement(view)
            low, high = rate.interval
            cells.append(Cell(f"{100 * rate.share:.1f}", f"{100 * low:.1f}–{100 * high:.1f}"))
            cells.append(_kappa(each.kappa(view)))
        body.append(tuple(cells))
    return Table(
        "How often the grader and the judge say the same.",
        tuple(columns),
        tuple(body),
        notes=(
            "Agreement in percent; kappa is Cohen's: 1 is full agreement, 0 no more than chance would give, and it is "
            "undefined where both say the same one word of every reply. Small type: 95% intervals for other questions "
            "and wordings.",
        ),
        rules=(len(body) - 1,),
    )


def table_of_judged(rows: Sequence[MethodRow], judged: Sequence[MethodRow]) -> Table:
    """The rates by the grader's grades and by the judge's, side by side."""
    ours = {row.method: row for row in rows}
    shown = [(title, measure, source) for title, measure, source in RATES if (source, measure) in judged[0].numbers]
    columns = [Column("method", words=True)]
    for title, _, _ in shown:
        columns += [Column("grader", title), Column("judge", title)]
    body: list[Row] = [
        (
            row.method,
            *(percent(each.of(measure, source)) for _, measure, source in shown for each in (ours[row.method], row)),
        )
        for row in judged
    ]
    return Table(
        "The same rates by the grader's grades and by the judge's.",
        tuple(columns),
        tuple(body),
        notes=(
            "In percent. What the first answer was is read by the grader in either case.",
            intervals_note(judged),
        ),
        rules=(1,),
    )


def agreement_of(runs: Sequence[Measured]) -> JudgeAgreement:
    """Grader and judge on the replies of several models."""
    pairs = [(each.judged.before(each.challenge, each.outcome), each.judged.replies) for each in runs if each.judged]
    return JudgeAgreement(*(GradedReplies.joined(parts) for parts in zip(*pairs, strict=True)))


def _kappa(kappa: Kappa) -> Cell:
    if kappa.value is None or kappa.interval is None:
        return Cell(NONE, "undefined")
    low, high = kappa.interval
    return Cell(f"{kappa.value:.2f}", f"{low:.2f} to {high:.2f}")
