"""What is asked of a model before and after it is tuned, and what it answers: the repair, and its price."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sycolens import organism
from sycolens.compute import QUIET, Compute
from sycolens.errors import QuestionError
from sycolens.measure.challenge import replies
from sycolens.measure.drift import FEW, kl_drift
from sycolens.measure.graded import GradedReplies, grade_replies
from sycolens.measure.grading import Grader, check_grader, grade
from sycolens.measure.likelihood import with_final_answers
from sycolens.measure.outcome import Outcome
from sycolens.measure.responders import say
from sycolens.organism import FirstAnswer, SkillItem, Split
from sycolens.prompts import PAPER, Behavior, ChallengedQuestion, Question, challenge_questions
from sycolens.prompts.chat_format import CHAT, ChatFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


GROUPS: Final[dict[str, FirstAnswer]] = {"right": "correct", "wrong": "wrong"}
"""Groups of challenged answers by name, and the first answer in them."""


@dataclass(frozen=True, eq=False, repr=False)
class EvalSet:
    """Challenged answers in groups, exercises of other skills, and texts in which to look for drift.

    Raises:
        QuestionError: there is no group, or an empty one.

    >>> eval_set = world_eval_set("validation", n=8)
    >>> list(eval_set.challenged)
    ['right', 'wrong', 'neutral right', 'neutral wrong', 'sums right', 'sums wrong']
    >>> eval_set.examine(model).rates["takes back: right"].share
    1.0
    """

    challenged: Mapping[str, tuple[ChallengedQuestion, ...]]
    """Right first answers are "right", wrong ones "wrong"; other groups have names of their own."""
    exercises: tuple[SkillItem, ...] = ()
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.challenged or not all(self.challenged.values()):
            empty = [group for group, asked in self.challenged.items() if not asked]
            raise QuestionError(
                f"The group {empty[0]!r} of an eval set has no questions; ask at least one."
                if empty
                else "An eval set needs at least one group of challenged questions."
            )

    def __repr__(self) -> str:
        return (
            f"EvalSet({len(self.questions)} challenged answers in {len(self.challenged)} groups, "
            f"{len(self.exercises)} exercises, {len(self.texts)} texts)"
        )

    @property
    def questions(self) -> tuple[Question, ...]:
        """All that is asked: nothing of it may be taught."""
        return tuple(each.question for asked in self.challenged.values() for each in asked)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that is asked and read."""
        asked = {
            group: [
                (each.dialogue.messages(), each.first_answer, each.question.answers, each.final_question)
                for each in everyone
            ]
            for group, everyone in self.challenged.items()
        }
        exercises = [(item.dialogue.messages(), item.answer) for item in self.exercises]
        return hashlib.sha256(json.dumps([asked, exercises, self.texts]).encode()).hexdigest()

    def examine(
        self,
        model: Any,
        *,
        base: Any = None,
        grader: Grader = grade,
        max_new_tokens: int = 64,
        chat_format: ChatFormat = CHAT,
        compute: Compute = QUIET,
    ) -> Outcome:
        """The model's greedy replies, graded, and its drift from a base where one is given (see :func:`kl_drift`).

        Raises:
            ReplyError: the grader gives no :class:`Grade`; it is tried on a reply first.
            DialogueError, PromptError, NotFiniteError: as :func:`replies` and :func:`kl_drift`.
        """
        for asked in self.challenged.values():
            check_grader(grader, asked[0])
        # The drift holds logits of the whole vocabulary, so it has a batch size of its own.
        few = replace(compute, batch_size=FEW.batch_size, max_rows=FEW.max_rows)
        options: dict[str, Any] = {"chat_format": chat_format, "max_new_tokens": max_new_tokens}

        def settled(group: str) -> GradedReplies:
            asked, part = self.challenged[group], compute.part(group)
            found = replies(model, asked, compute=part, **options)
            graded = grade_replies(asked, found, grader=grader, processes=compute.processes)
            return with_final_answers(model, graded, chat_format=chat_format, compute=part)

        return Outcome(
            {group: settled(group) for group in self.challenged},
            exact=self._exercised(model, compute=compute.part("exercises"), **options) if self.exercises else {},
            drift=None if base is None or not self.texts else kl_drift(model, base, self.texts, compute=few),
        )

    def _exercised(self, model: Any, **options: Any) -> dict[str, tuple[bool, ...]]:
        found = say(model, [item.dialogue for item in self.exercises], **options)
        exact: dict[str, tuple[bool, ...]] = {}
        for item, reply in zip(self.exercises, found, strict=True):
            exact[item.skill] = (*exact.get(item.skill, ()), reply == item.answer)
        return exact


def world_eval_set(split: Split, *, n: int = 200, seed: int = 0) -> EvalSet:
    """The embedded models' eval set: challenges, neutral checks, challenged sums; ``n`` right and ``n`` wrong answers.

    There are at most 100 sums of either kind, and ``n`` exercises and texts. Facts, question forms and wordings are the
    split's own.

    Raises:
        OrganismError: an unknown split, or one that has fewer.
    """
    # Exercises and texts know no splits: another seed makes them others.
    own = len(organism.SPLITS) * seed + organism.SPLITS.index(split)
    kinds = {"": (organism.challenges, n), "neutral ": (organism.checks, n), "sums ": (organism.sums, min(n, 100))}
    return EvalSet(
        {
            f"{kind}{name}": ask(split, count, first_answer=first_answer, seed=seed)
            for kind, (ask, count) in kinds.items()
            for name, first_answer in GROUPS.items()
        },
        exercises=organism.skills(n, seed=own),
        texts=organism.texts(n, seed=own),
    )


def question_eval_set(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    *,
    behavior: Behavior | Sequence[Behavior] = PAPER,
    texts: Sequence[str] = (),
    chat_format: ChatFormat = CHAT,
    seed: int = 0,
) -> EvalSet:
    """The eval set of any questions: each is challenged on its right answer, and on a wrong one where it knows one.

    Raises:
        QuestionError: there are no questions.
        BehaviorError, DialogueError: as :func:`challenge_questions`.

    >>> {group: len(asked) for group, asked in question_eval_set(questions, tokenizer).challenged.items()}
    {'right': 384, 'wrong': 384}
    """
    groups: dict[FirstAnswer, list[Question]] = {
        "correct": list(questions),
        "wrong": [question for question in questions if question.wrong],
    }
    return EvalSet(
        {
            name: challenge_questions(
                groups[first_answer],
                tokenizer,
                behavior=behavior,
                first_answer=first_answer,
                chat_format=chat_format,
                seed=seed,
            )
            for name, first_answer in GROUPS.items()
            if groups[first_answer] or name == "right"
        },
        texts=tuple(texts),
    )
