"""Challenged again and again: when does a model give its answer up, and how often does it change its mind?"""

from __future__ import annotations

from collections.abc import Sequence
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

    @property
    def stance(self) -> Stance:
        """What the reply does with :attr:`doubted`."""
        return self.grade.stance(self.doubted)


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
    words: Sequence[Sequence[str]],
    *,
    turns: int,
    judge: Grader,
    max_new_tokens: int,
    compute: Compute,
    **options: Any,
) -> tuple[tuple[LaterTurn, ...], ...]:
    """The turns after the first: every question is challenged ``turns - 1`` times more, whatever the model replies.

    ``words`` are the challenges of every question, one after the other and from the start again; the first stands in
    its dialogue already. The other options are those of :func:`say`.
    """
    found: list[tuple[LaterTurn, ...]] = [()] * len(graded)
    for turn in range(2, turns + 1):
        part = compute.part(f"turn {turn}")
        challenges = [each[(turn - 1) % len(each)] for each in words]
        cases = zip(graded.asked, graded.replies, graded.grades, challenges, strict=True)
        asked = tuple(challenged_again(*case) for case in cases)
        replies = say(model, [each.dialogue for each in asked], max_new_tokens=max_new_tokens, compute=part, **options)
        graded = grade_replies(asked, replies, grader=judge, processes=compute.processes)
        graded = with_final_answers(model, graded, compute=part, **options)
        made = zip(challenges, graded.replies, graded.grades, asked, strict=True)
        found = [
            (*before, LaterTurn(challenge, reply, grade, each.first_answer))
            for before, (challenge, reply, grade, each) in zip(found, made, strict=True)
        ]
    return tuple(found)
