"""Any set of questions as a task: each question finds heads, judges them, or is taught, and never two of these."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sycolens.choices import AnswerPlace
from sycolens.compute import QUIET, Compute
from sycolens.errors import ExampleError, PairError, SampleError
from sycolens.measure import keep_known
from sycolens.measure.eval_set import EvalSet, question_eval_set
from sycolens.prompts import ContrastPairs, Question
from sycolens.prompts.asking import ask
from sycolens.prompts.behavior import PAPER, Behavior
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.content import KnownQuestions, content_of
from sycolens.prompts.training_example import TrainingExample
from sycolens.shown.words import shortened
from sycolens.tasks.task import EXAMPLES, PAIRS, QUESTIONS, Cost, HeldOut, Thing, deal, shuffled
from sycolens.tasks.world import halved
from sycolens.tune import examples_from_questions, find_leaks
from sycolens.tune.examples import HALF, OPENINGS, Openings, example_behaviors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

LONGEST = 768
"""Longest question in characters: the authors' number."""


COST: Final = Cost()


@dataclass(frozen=True, repr=False)
class QuestionSet:
    """A set of questions; one that stands there several times, in the same words, counts once.

    >>> held_out = QuestionSet("quiz", tuple(questions)).questions(frozenset(), n=10, seed=0)
    >>> len(held_out.asked)
    10
    """

    name: str
    all_questions: tuple[Question, ...]
    chat_format: ChatFormat = CHAT
    behavior: Behavior = PAPER
    """What the user says after an answer."""
    rehearsal: tuple[TrainingExample, ...] = ()
    """Plain dialogues to mix into the examples."""
    draws: int = 1
    cost: Cost = COST
    asked_in: tuple[Behavior, ...] = ()
    """Other words in which eval sets are challenged, dealt out evenly."""

    def __post_init__(self) -> None:
        distinct: dict[object, Question] = {}
        for question in self.all_questions:
            distinct.setdefault(content_of(question), question)
        object.__setattr__(self, "all_questions", tuple(distinct.values()))

    def __repr__(self) -> str:
        asked = f"{len(self.all_questions)} questions, behavior {shortened(self.behavior.name, 24)}"
        return f"QuestionSet({shortened(self.name, 40)}: {asked})"

    def _repr_html_(self) -> str:
        from sycolens.shown.prompting import of_question_set

        return of_question_set(self)

    def pairs(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None, seed: int, draws: int = 1
    ) -> tuple[ContrastPairs, ...]:
        """The paper's pairs about ``n`` questions a draw (100, or all if they are fewer); draws share no question.

        Raises:
            PairError: there are not enough questions.
            DialogueError, LabelError: as :meth:`ContrastPairs.from_questions`.
        """
        asked = self.all_questions
        return tuple(
            ContrastPairs.from_questions(
                [asked[i] for i in chosen],
                tokenizer,
                behavior=self.behavior,
                chat_format=self.chat_format,
                max_characters=None,
                seed=seed,
            )
            for chosen in self._hands(n, seed, draws)
        )

    def spent_on_pairs(self, *, n: int | None, seed: int, draws: int) -> frozenset[str]:
        """Texts that hold the questions of :meth:`pairs`, known without a tokenizer.

        Raises:
            PairError: there are not enough questions.
        """
        return question_texts(self.all_questions[i] for hand in self._hands(n, seed, draws) for i in hand)

    def _hands(self, n: int | None, seed: int, draws: int) -> list[list[int]]:
        count = min(PAIRS, len(self.all_questions)) if n is None else n
        return deal(len(self.all_questions), count, seed, draws, f"{self.name} has", "questions")

    def questions(self, spent: Set[str], *, n: int | None, seed: int) -> HeldOut:
        """``n`` of the questions that are not spent (200, or all that are left).

        Raises:
            PairError: fewer than ``n``, or than two, are left.
        """
        known = KnownQuestions(self.all_questions)
        used = {number for text in spent for number in known.contained_in([text])}
        left = [question for number, question in enumerate(self.all_questions) if number not in used]
        if len(left) < max(2, n or 0):
            raise PairError(
                f"{self.name} has {len(self.all_questions)} questions, {len(self.all_questions) - len(left)} of which "
                f"found the heads or are taught; the other {len(left)} are too few for {n or 'a verification'}. "
                "Ask for fewer (n), or name another set of questions."
            )
        count = min(QUESTIONS, len(left)) if n is None else n
        return HeldOut(self.name, tuple(left[i] for i in sorted(shuffled(len(left), seed)[:count])))

    def eval_set(
        self, held_out: HeldOut, tokenizer: PreTrainedTokenizerBase, *, texts: Sequence[str], seed: int
    ) -> EvalSet:
        """These questions with right answers, and with wrong ones where they know some."""
        return question_eval_set(
            held_out.asked,
            tokenizer,
            behavior=self.asked_in or self.behavior,
            texts=texts,
            chat_format=self.chat_format,
            seed=seed,
        )

    def eval_sets(
        self,
        held_out: HeldOut,
        tokenizer: PreTrainedTokenizerBase,
        *,
        n_validation: int,
        n: int,
        texts: Sequence[str],
        seed: int,
    ) -> tuple[EvalSet, EvalSet]:
        """The first ``n_validation`` of these questions, and the others.

        Raises:
            SampleError: there are not enough questions for both.
        """
        if len(held_out.asked) < n_validation + 2:
            raise SampleError(
                f"{held_out.source} leaves {len(held_out.asked)} questions, too few to choose on {n_validation} and to "
                "report on others; ask for fewer."
            )
        parts = (held_out.asked[:n_validation], held_out.asked[n_validation:])
        validation, report = (
            question_eval_set(
                part, tokenizer, behavior=self.asked_in or self.behavior, chat_format=self.chat_format, seed=seed
            )
            for part in parts
        )
        return halved(validation, report, texts)

    def examples(
        self,
        tokenizer: PreTrainedTokenizerBase,
        evaluated: Sequence[Question],
        *,
        n: int | None,
        seed: int,
        openings: Openings = OPENINGS,
        concede: float = HALF,
        answer: AnswerPlace = "last",
    ) -> tuple[TrainingExample, ...]:
        """One example a question that is not evaluated (1,600, or all): a share of them concedes, the others defend.

        Raises:
            ExampleError: there are fewer than ``n``, none is left, or as :func:`examples_from_questions`.
        """
        chosen = self.taught(evaluated, n=n, seed=seed)
        behavior = example_behaviors(self.behavior)
        made = examples_from_questions(
            chosen,
            tokenizer,
            behavior=behavior,
            openings=openings,
            concede=concede,
            answer=answer,
            chat_format=self.chat_format,
            seed=seed,
        )
        return (*made, *self.rehearsal)

    def known_to(
        self,
        model: Any,
        evaluated: Sequence[Question],
        *,
        n: int | None,
        seed: int,
        compute: Compute = QUIET,
    ) -> QuestionSet:
        """The set with ``n`` questions that are not evaluated and that the model answers rightly by itself.

        Questions are asked in random order until there are ``n`` (1,600, or all that it knows).

        Raises:
            ExampleError: it knows fewer than ``n``, or none; none is left to ask.
            DialogueError, PromptError, ModelError: as :func:`keep_known`.

        >>> quiz = QuestionSet("quiz", tuple(questions))
        >>> len(quiz.known_to(model, (), n=8, seed=0).all_questions)
        8
        """
        left = self.not_evaluated(evaluated)
        order = shuffled(len(left), seed)
        wanted = min(EXAMPLES, len(left)) if n is None else n
        known: list[Question] = []
        asked = 0
        while len(known) < wanted and asked < len(order):
            next_ones = [left[number] for number in order[asked : asked + wanted]]
            part = compute.part(f"questions from {asked + 1}")
            known += keep_known(model, next_ones, behavior=self.behavior, chat_format=self.chat_format, compute=part)
            asked += len(next_ones)
            logger.info("the model knows %d of %d questions of %s", len(known), asked, self.name)
        if len(known) < max(1, n or 0):
            raise ExampleError(
                f"The model answers {len(known)} of the {asked} questions of {self.name} rightly that the evaluation "
                f"does not ask, too few for {n or 'any'} examples; ask for fewer (n), name easier questions, or teach "
                "those that it does not know too (known = false)."
            )
        kept = set(map(content_of, known[:wanted]))
        return replace(self, all_questions=tuple(each for each in left if content_of(each) in kept))

    def taught(self, evaluated: Sequence[Question], *, n: int | None, seed: int) -> tuple[Question, ...]:
        """The questions of :meth:`examples`.

        Raises:
            ExampleError: there are fewer than ``n``, or none is left.
        """
        left = self.not_evaluated(evaluated)
        return some(left, n, seed, f"{self.name} has", "questions that the evaluation does not ask")

    def not_evaluated(self, evaluated: Sequence[Question]) -> tuple[Question, ...]:
        """All that may be taught.

        Raises:
            ExampleError: nothing is left.
        """
        # As much of an example as a question can be found in: itself, its options, and its answer.
        opened = [
            TrainingExample.from_messages(ask(each).then("assistant", each.answers[0])) for each in self.all_questions
        ]
        leaking = {number for number, _ in find_leaks(opened, evaluated)}
        left = tuple(each for number, each in enumerate(self.all_questions) if number not in leaking)
        if not left:
            raise ExampleError(
                f"All {len(self.all_questions)} questions of {self.name} are asked in the evaluation, so none is left "
                "to teach; evaluate on fewer (n), or name another set."
            )
        return left


def question_texts(questions: Iterable[Question]) -> frozenset[str]:
    """Texts that hold questions, by which they are known to be spent."""
    return frozenset(" ".join((each.text, *each.options, *each.answers)) for each in questions)


def some(things: Sequence[Thing], n: int | None, seed: int, whose: str, what: str) -> tuple[Thing, ...]:
    """``n`` of the things to learn from, drawn at random (1,600, or all if they are fewer), in order.

    Raises:
        ExampleError: there are fewer.
    """
    count = min(EXAMPLES, len(things)) if n is None else n
    if count > len(things):
        raise ExampleError(f"{whose} {len(things)} {what}, fewer than {count}; ask for fewer.")
    chosen = sorted(random.Random(f"teaching {seed}").sample(range(len(things)), count))
    return tuple(things[number] for number in chosen)
