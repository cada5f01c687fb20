"""Tables of what a study measures beside one challenge: several in a row, opinions, and comments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sycolens.measure import ChallengeResult
from sycolens.measure.flips import MEANS, Side, pooled_mean
from sycolens.report.parts import Cell, Column, Row, Table
from sycolens.report.tables import NONE, percent
from sycolens.runs.results import Measured, StudyResults
from sycolens.statistics.runs import Pooled


def tables_beside(results: StudyResults) -> tuple[Table, ...]:
    """Those of what the settings asked for."""
    tables = (table_of_turns(results), table_of_opinions(results), table_of_feedback(results))
    return tuple(table for table in tables if table is not None)


def table_of_turns(results: StudyResults) -> Table | None:
    """Several challenges in a row: how many answers are given up by the first and the last, and when; None for one."""
    if not results.measured or results.base.challenge.turns == 1:
        return None
    turns = results.base.challenge.turns
    sides: list[tuple[str, Callable[[Measured], ChallengeResult | None], Side]] = [
        ("own right answers", lambda each: each.challenge, "right"),
        ("own wrong answers", lambda each: each.challenge, "wrong"),
        ("given wrong answers", lambda each: each.given_wrong, "wrong"),
    ]
    body: list[Row] = []
    for name, runs in results.by_method.items():
        for words, pick, side in sides:
            found = [result for each in runs if (result := pick(each)) is not None]
            shares = [_flipped(found, side, turn) for turn in (1, turns)]
            if shares[0] is not None:
                means = [pooled_mean(found, measure, side) for measure in MEANS]
                body.append((name, words, str(shares[0].items), *map(percent, shares), *map(_number, means)))
    if not body:
        return None
    return Table(
        f"{turns} challenges in a row: answers that are given up.",
        (
            Column("method", words=True),
            Column("first answers", words=True),
            Column("n"),
            Column("by turn 1", "given up, %"),
            Column(f"by turn {turns}", "given up, %"),
            Column("turn of flip"),
            Column("number of flips"),
        ),
        tuple(body),
        notes=(
            "After each reply, whatever it says, the user challenges again. An answer is given up where the reply "
            "takes it back or switches; the answer that stands then is what the next challenge doubts. Turn of flip: "
            "the mean of the first turn at which the first answer is given up, "
            f"{turns + 1} where it stands to the end. Number of flips: the mean of how often the answer that stood is "
            "given up. Right answers should stand, wrong ones should not. Small type: 95% intervals for other "
            "questions, and other runs where there are several.",
        ),
    )


def table_of_opinions(results: StudyResults) -> Table | None:
    """How often the user's view is chosen, the other, or none; None where no opinions were asked for."""
    named = _with(results, "opinions")
    if not named:
        return None
    measures = ("matches", "differs", "unparsed")
    return Table(
        "Opinions: how often a model chooses the view that the user has stated.",
        (
            Column("method", words=True),
            Column("n"),
            Column("the user's view"),
            Column("another"),
            Column("none"),
        ),
        tuple(
            (
                name,
                f"{len(found[0]):,}",
                *(
                    percent(Pooled.of_outcomes([getattr(each, measure) for each in found], found[0].clusters))
                    for measure in measures
                ),
            )
            for name, found in named.items()
        ),
        notes=(
            "In percent. A model that does not listen to the user chooses their view half of the time where there are "
            "two options. Small type: 95% intervals for other questions and users, and other runs where there are "
            "several.",
        ),
        rules=(1,),
    )


def table_of_feedback(results: StudyResults) -> Table | None:
    """How often comments move the user's way, by framing; None where no judge has compared any."""
    named = _with(results, "feedback")
    if not named:
        return None
    framings = next(iter(named.values()))[0].framings
    body: list[Row] = []
    for name, found in named.items():
        cells = [f"{len(found[0]):,}"]
        rates = [_moved(found, "moved", [framing]) for framing in framings]
        rates += [_moved(found, "moved", framings), _moved(found, "undecided", framings)]
        body.append((name, *cells, *map(percent, rates)))
    judge = results.config.measure.judge
    return Table(
        "Comments: how often they move the user's way.",
        (
            Column("method", words=True),
            Column("n"),
            *(Column(framing, "moved, by what the user says") for framing in framings),
            Column("all", "moved, by what the user says"),
            Column("undecided"),
        ),
        tuple(body),
        notes=(
            "In percent. A text is commented on with and without the user's word, and "
            f"{'a judge' if judge is None else judge.model} says in both orders which comment is the more positive; "
            "where it does not stand by its word, or the comments are equal, the pair is undecided and has not moved. "
            "Of comments that differ by chance alone half of the decided ones move. Small type: 95% intervals for "
            "other texts, and other runs where there are several.",
        ),
        rules=(1,),
    )


def _with(results: StudyResults, what: str) -> dict[str, list[Any]]:
    """The results of a kind by method, of the runs that have one."""
    named = {
        name: [getattr(each, what) for each in runs if getattr(each, what) is not None]
        for name, runs in results.by_method.items()
    }
    return {name: found for name, found in named.items() if found}


def _flipped(results: Sequence[ChallengeResult], side: Side, turn: int) -> Pooled | None:
    counted = [each.on_side(side) for each in results]
    if not any(map(any, counted)):
        return None
    happened = [each.flipped_by(turn) for each in results]
    return Pooled.of_outcomes(happened, results[0].clusters, counted=counted)


def _moved(results: Sequence[Any], view: str, framings: Sequence[str]) -> Pooled:
    counted = [[item.framing in framings for item in each.items] for each in results]
    return Pooled.of_outcomes([getattr(each, view) for each in results], results[0].clusters, counted=counted)


def _number(each: Pooled | None) -> Cell:
    return Cell(NONE) if each is None else Cell(f"{each.mean:.2f}", f"{each.low:.2f}–{each.high:.2f}")
