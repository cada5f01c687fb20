"""The tables of a study: the layout of the paper's Table 1, what it leaves out, heads, and ability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sycolens.find.metrics import CHANGE_OF, RELATIVE
from sycolens.measure.challenge_result import ALL
from sycolens.measure.outcome import KL, SKILLS, right_after, takes_back
from sycolens.report.method_rows import EVAL_SET, MethodRow, other_groups
from sycolens.report.paper import QUOTED, PaperRow
from sycolens.report.parts import Cell, Column, Row, Table
from sycolens.runs.results import Measured, StudyResults
from sycolens.statistics.rates import in_clusters
from sycolens.statistics.runs import Pooled

NONE: Final = "–"
"""Stands where nothing was measured."""
MOST_HEADS: Final = 12
"""The table of heads is no longer than this."""


def table1(rows: Sequence[MethodRow], sources: Sequence[str], paper: Sequence[PaperRow] = ()) -> Table:
    """The paper's Table 1: confidence and truthfulness of every method, by source and over all, in percent."""
    groups = [ALL] if len(sources) < 2 else [ALL, *sources]
    asked = {source: _questions(rows[0], source) for source in groups}
    columns = [Column("method", words=True), Column("trained"), Column("runs")]
    for source in groups:
        title = f"{'all questions' if source == ALL else source} ({asked[source]:,})"
        columns += [Column("confidence", title), Column("truthfulness", title)]
    body: list[Row] = [
        (
            row.method,
            f"{row.parameters:,}" if row.parameters else NONE,
            str(row.runs) if row.parameters else NONE,
            *(percent(row.of(name, source)) for source in groups for name in ("confidence", "truthfulness")),
        )
        for row in rows
    ]
    blank = (NONE,) * (2 * (len(groups) - 1))
    body += [
        (
            f"{each.method} (paper)",
            NONE if not each.parameters else f"{each.parameters:,}",
            NONE,
            f"{each.confidence:.2f}",
            f"{each.truthfulness:.2f}",
            *blank,
        )
        for each in paper
    ]
    notes = [
        "Confidence: the reply to the challenge neither admits a mistake nor gives another answer, but names the first "
        "one again or says that it stands by it. Truthfulness: of "
        "the first answers that were right, those that are still right after the challenge. Every model is challenged "
        "on answers of its own. In percent.",
        intervals_note(rows),
    ]
    if paper:
        notes.append(
            f"Rows marked (paper) are {QUOTED}: other questions, prompts and grading, so compare directions "
            "rather than digits. Its confidence probably counts admissions alone: compare it with 100 less the column "
            "'apologizes' of the next table."
        )
    return Table(
        "Confidence and truthfulness, in the layout of the paper's Table 1.",
        tuple(columns),
        tuple(body),
        notes=tuple(notes),
        rules=(1, len(rows)),
    )


def table_of_replies(rows: Sequence[MethodRow]) -> Table:
    """What else every method does when it is challenged on its own answers."""
    own = {
        "right before": "accuracy_before",
        "right after": "accuracy_after",
        "apologizes": "apology_rate",
        "evades": "evasion_rate",
        "switches": "switch_rate",
    }
    return Table(
        "The same replies: right answers, and what is not holding to the first one.",
        (Column("method", words=True), *map(Column, own)),
        tuple((row.method, *(percent(row.of(measure)) for measure in own.values())) for row in rows),
        notes=(
            "In percent. Evades: the reply takes nothing back and names no answer; confidence does not count it. "
            "Replies that apologize may switch as well.",
            intervals_note(rows),
        ),
        rules=(1,),
    )


def table_of_rest(rows: Sequence[MethodRow]) -> Table:
    """What confidence and truthfulness do not tell: what a repair may have broken."""
    given = {
        "right ones": takes_back("right"),
        "wrong ones": takes_back("wrong"),
        "wrong ones put right": right_after("wrong"),
    }
    apart = {"other skills": SKILLS, "KL × 1000": KL}
    shown = {name: measure for name, measure in (given | apart).items() if (EVAL_SET, measure) in rows[-1].numbers}
    columns = [Column("method", words=True)]
    columns += [Column(name, "takes back given answers" if name in given else "elsewhere") for name in shown]
    body: list[Row] = []
    for row in rows:
        cells: list[Cell] = []
        for measure in shown.values():
            each = row.of(measure, EVAL_SET)
            cells.append(thousandths(each) if measure == KL else percent(each))
        body.append((row.method, *cells))
    notes = ["In percent."]
    if takes_back("wrong") in shown.values():
        notes.append(
            "Given answers are put into the model's mouth before the challenge; a wrong one should be taken back, and "
            "a model that insists on it has learned to be firm, not to check."
        )
    if KL in shown.values():
        notes.append("KL: from the base, KL(tuned ‖ base) of next-token distributions on other texts, in nats a token.")
    return Table(
        "The rest: what else changed, and what should not have.",
        tuple(columns),
        tuple(body),
        notes=(*notes, intervals_note(rows)),
        rules=(1,),
    )


def table_of_groups(rows: Sequence[MethodRow]) -> Table | None:
    """Further groups of given answers: how many are taken back; None where there are none."""
    groups = other_groups(rows[0])
    if not groups:
        return None
    return Table(
        "Given answers of other kinds: how many are taken back.",
        (Column("method", words=True), *map(Column, groups)),
        tuple((row.method, *(percent(row.of(takes_back(group), EVAL_SET)) for group in groups)) for row in rows),
        notes=("In percent. Right ones should be kept, wrong ones taken back.", intervals_note(rows)),
        rules=(1,),
    )


def table_of_heads(results: StudyResults) -> Table:
    """The most negative heads with interval and q."""
    frame = results.finding.table.head(min(len(results.finding.top), MOST_HEADS))
    relative = results.finding.metric in RELATIVE
    factor, digits = (100.0, 2) if relative else (1.0, 3)

    def written(value: float) -> str:
        return f"{factor * value:+.{digits}f}".replace("-", "−")

    left_out = len(results.finding.top) - len(frame)
    return Table(
        f"The {len(frame)} most negative heads" + (f"; {left_out} more are in the top." if left_out else "."),
        (
            Column("head", words=True),
            Column(
                f"{CHANGE_OF[results.finding.metric]}, %"
                if relative
                else f"{CHANGE_OF[results.finding.metric]}, logits"
            ),
            Column("q"),
        ),
        tuple(
            (row.head, Cell(written(row.score), f"{written(row.low)} to {written(row.high)}"), f"{row.q:.2g}")
            for row in frame.itertuples()
        ),
        notes=(
            f"Mean over {len(results.finding.effects)} pairs with its 95% bootstrap interval. q: sign-flip p, guarded "
            "against skew, corrected for all heads (Benjamini-Hochberg).",
        ),
    )


def table_of_ability(results: StudyResults) -> Table | None:
    """General ability by task and method, the mean of the runs; None where none was measured."""
    named = {name: [each for each in runs if each.ability] for name, runs in results.by_method.items()}
    named = {name: runs for name, runs in named.items() if runs}
    if not named:
        return None
    first = next(iter(named.values()))[0].ability
    assert first is not None
    body: list[Row] = []
    for place, score in enumerate(first.rows):
        what = score.task if score.filter in ("", "none") else f"{score.task} ({score.filter})"
        body.append((what, score.metric, f"{score.n:,}", *(_ability_cell(runs, place) for runs in named.values())))
    shots = sorted({row.shots for row in first.rows if row.shots is not None})
    return Table(
        f"General ability, as lm-evaluation-harness {first.lm_eval} scores it.",
        (Column("task", words=True), Column("measure", words=True), Column("n"), *map(Column, named)),
        tuple(body),
        notes=(
            "Mean of the runs; small: 95% from the standard error of one run, over its questions alone.",
            f"Worked examples before each question: {', '.join(map(str, shots)) or 'none'}.",
        ),
    )


def _ability_cell(runs: Sequence[Measured], place: int) -> Cell:
    scores = [each.ability.rows[place] for each in runs if each.ability is not None]
    mean = sum(each.value for each in scores) / len(scores)
    error = scores[0].stderr
    return Cell(f"{mean:.3f}", "" if error is None else f"±{1.96 * error:.3f}")


def percent(each: Pooled | None) -> Cell:
    """A share as a cell of a table."""
    if each is None:
        return Cell(NONE)
    return Cell(f"{100 * each.mean:.1f}", f"{100 * each.low:.1f}–{100 * each.high:.1f}")


def thousandths(each: Pooled | None) -> Cell:
    """A drift as a cell of a table; the base has none."""
    if each is None:
        return Cell(NONE)
    digits = 1 if each.mean >= 1e-3 else 2
    low, mean, high = ("<0.01" if x < 1e-5 else f"{1000 * x:.{digits}f}" for x in (each.low, each.mean, each.high))
    return Cell(mean, f"{low}–{high}" if low != high else "")


def intervals_note(rows: Sequence[MethodRow]) -> str:
    """What the intervals know, and what they do not."""
    note = "Small type: 95% intervals for other questions (or texts)"
    asked = rows[0].of("confidence")
    if asked is not None and (asked.questions < asked.items or asked.wordings > 1):
        note += f" and wordings; all questions{in_clusters(asked.questions, asked.wordings)}"
    runs = [row.runs for row in rows if row.parameters]
    if any(each > 1 for each in runs):
        note += "; where there are several runs, which are pooled, also for other runs"
    if 1 in runs:
        note += "; a second run of what was trained once may differ by more than they say"
    return f"{note}. Rates and steps are those of study.toml; a study does not choose them."


def _questions(row: MethodRow, source: str) -> int:
    each = row.of("confidence", source)
    return 0 if each is None else each.items
