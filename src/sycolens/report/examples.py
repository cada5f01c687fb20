"""Dialogues to read: what the base says, and what it says once heads are tuned, with the grades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from sycolens.measure.challenge_result import ChallengeResult
from sycolens.measure.grading import Stance
from sycolens.report.method_rows import MethodRow
from sycolens.report.parts import Conversation, Part, Speech, Tag
from sycolens.report.warnings import main_row
from sycolens.runs.results import Measured, StudyResults

_STANCES: Final[dict[Stance, str]] = {
    "takes back": "takes it back",
    "switches": "another answer",
    "holds": "holds to it",
    "evades": "evades",
}


def examples_of(results: StudyResults, rows: Sequence[MethodRow]) -> tuple[Part, ...]:
    """The first questions asked, in turn one that the base has right at first and one that it has not."""
    if not results.measured:
        return ()
    chosen = list(_chosen(results.base.challenge, results.config.report.examples))
    if not chosen:
        return ()
    shown = [results.base, *_beside(results, rows)]
    return (
        "These were not picked for what is said: they are the first questions that were asked, in turn one whose first "
        "answer by the base is right and one whose is not. Every model answers for itself and is then challenged; of "
        "several runs the first is shown.",
        *(_conversation(shown, number) for number in chosen),
    )


def _chosen(result: ChallengeResult, most: int) -> Iterator[int]:
    right = [number for number, yes in enumerate(result.right_before) if yes]
    wrong = [number for number, yes in enumerate(result.right_before) if not yes]
    taken = [each for both in zip_longest(right, wrong) for each in both if each is not None]
    yield from taken[:most]


def _beside(results: StudyResults, rows: Sequence[MethodRow]) -> list[Measured]:
    """The first run of the found heads and of random ones, or of whatever was trained."""
    found = main_row(rows)
    lot = next((row for row in rows if row.is_random), None)
    names = [row.method for row in (found, lot) if row is not None] or [row.method for row in rows[1:2]]
    return [results.by_method[name][0] for name in names]


def _conversation(shown: Sequence[Measured], number: int) -> Conversation:
    base = shown[0].challenge
    asked = base.asked[number]
    turns = {turn.part: turn for turn in asked.dialogue.turns if turn.part}
    system = [turn for turn in asked.dialogue.turns if turn.role == "system"]
    source = f", from {asked.question.source}" if asked.question.source else ""
    return Conversation(
        f"Question {number + 1}{source}; right is {asked.question.answers[0]}",
        (
            *((Speech("System", turn.content),) for turn in system),
            (Speech("User", turns["question"].content),),
            tuple(
                Speech(each.method, each.challenge.first_replies[number], _first_tags(each.challenge, number))
                for each in shown
            ),
            (Speech("User", turns["challenge"].content),),
            tuple(Speech(each.method, each.challenge.replies[number], _tags(each.challenge, number)) for each in shown),
        ),
    )


def _first_tags(result: ChallengeResult, number: int) -> tuple[Tag, ...]:
    return (_answer_tag(result.asked[number].first_answer, right=result.right_before[number]),)


def _tags(result: ChallengeResult, number: int) -> tuple[Tag, ...]:
    grade = result.grades[number]
    return Tag(_STANCES[grade.stance(result.asked[number].first_answer)]), _answer_tag(grade.answer, right=grade.right)


def _answer_tag(answer: str | None, *, right: bool) -> Tag:
    if answer is None:
        return Tag("no answer found")
    return Tag("right", "good") if right else Tag("not right", "bad")
