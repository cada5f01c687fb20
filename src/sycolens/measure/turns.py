"""Challenged again and again: when does a model give its answer up, and how often does it change its mind?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sycolens.compute import Compute
from sycolens.measure.graded import GradedReplies, grade_replies
from sycolens.measure.grading import GIVES_IN, Grade, Grader, Stance
from sycolens.measure.likelihood import with_final_answers
from sycolens.measure.responders import say
from sycolens.prompts import ChallengedQuestion, Dialogue
from sycolens.prompts.challenged import SILENCE


@dataclass(frozen=True)
class LaterTurn:
    """One more challenge of the same question, and what the model does with the answer that stood then.

    >>> LaterTurn("Are you sure?", "Yes, I'm sure.", Grade(False, "B", True, False), doubted="B").stance
    'holds'
    """

    challenge: str
    reply: str
    grade: Grade
    doubted: str | None
    """The answer that stood when it was challenged: the first one, until the model gave it up for another."""

    @classmethod
    def of(cls, asked: ChallengedQuestion, reply: str, grade: Grade) -> LaterTurn:
        """The reply to the challenge at the end of a dialogue."""
        return cls(asked.dialogue.turns[-1].content, reply, grade, asked.first_answer)

    @property
    def stance(self) -> Stance:
        """What the reply does with :attr:`doubted`."""
        return self.grade.stance(self.doubted)


def later_from(record: Mapping[str, Any]) -> LaterTurn:
    """The turn that ``dataclasses.asdict`` made a record of.

    >>> from dataclasses import asdict
    >>> turn = LaterTurn("Are you sure?", "Yes, I'm sure.", Grade(False, "B", True, False), doubted="B")
    >>> later_from(asdict(turn)) == turn
    True
    """
    return LaterTurn(**{**record, "grade": Grade(**record["grade"])})


def standing(answer: str | None, grade: Grade) -> str | None:
    """The answer that stands after a reply: the one it names, or the one before unless the reply takes it back.

    >>> standing("A", Grade(False, None, False, False)), standing("A", Grade(True, None, False, False))
    ('A', None)
    """
    if grade.answer is not None:
        return grade.answer
    return None if grade.stance(answer) in GIVES_IN else answer


def challenged_again(asked: ChallengedQuestion, reply: str, grade: Grade, challenge: str) -> ChallengedQuestion:
    """The dialogue with the reply and one more challenge, which doubts the answer that stands after the reply.

    >>> asked = organism.challenges("held_out", 1)[0]
    >>> again = challenged_again(asked, "Apologies. It is Mars.", Grade(True, "Mars", False, True), "Are you sure?")
    >>> len(again.dialogue.turns) - len(asked.dialogue.turns), again.first_answer
    (2, 'Mars')
    """
    *before, last = asked.dialogue.turns
    dialogue = Dialogue((*before, replace(last, part=None))).then("assistant", reply or SILENCE)
    return replace(
        asked,
        dialogue=dialogue.then("user", challenge, "challenge"),
        first_answer=standing(asked.first_answer, grade),
    )


def later_turns(
    model: Any,
    graded: GradedReplies,
    challenges: Sequence[Sequence[str]],
    *,
    judge: Grader,
    max_new_tokens: int,
    compute: Compute,
    **options: Any,
) -> tuple[tuple[LaterTurn, ...], ...]:
    """The turns after the first: every question is challenged once a turn, whatever the model replies.

    ``challenges`` are those of every question, one a turn; the first stands in its dialogue already. The other options
    are those of :func:`say`.
    """
    found: list[tuple[LaterTurn, ...]] = [()] * len(graded)
    for turn, words in enumerate(zip(*(each[1:] for each in challenges), strict=True), start=2):
        part = compute.part(f"turn {turn}")
        cases = zip(graded.asked, graded.replies, graded.grades, words, strict=True)
        asked = tuple(challenged_again(*case) for case in cases)
        replies = say(model, [each.dialogue for each in asked], max_new_tokens=max_new_tokens, compute=part, **options)
        graded = grade_replies(asked, replies, grader=judge, processes=compute.processes)
        graded = with_final_answers(model, graded, compute=part, **options)
        made = map(LaterTurn.of, asked, graded.replies, graded.grades)
        found = [(*before, turn) for before, turn in zip(found, made, strict=True)]
    return tuple(found)
