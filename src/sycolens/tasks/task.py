"""What a run asks for dialogues: pairs that find heads, other questions that judge them, and examples to learn from."""

from __future__ import annotations

import random
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sycolens.errors import PairError
from sycolens.measure.eval_set import EvalSet
from sycolens.prompts import ChallengedQuestion, ContrastPairs, Question
from sycolens.prompts.training_example import TrainingExample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Thing = TypeVar("Thing")

PAIRS: Final = 100
"""How many pairs are drawn unless said otherwise: the authors' number."""
QUESTIONS: Final = 200
"""How many questions are held out unless said otherwise."""
EXAMPLES: Final = 1600
"""How many examples are drawn unless said otherwise, or all that a smaller source gives."""


@dataclass(frozen=True)
class Cost:
    """A rough idea of a task's dialogues."""

    prompt_tokens: int = 160
    """Of a challenged dialogue."""
    groups: int = 2
    """Of given answers in the eval set: right and wrong ones, and others."""
    exercises: bool = False
    """Whether the eval set also asks for other skills, and brings texts."""


@dataclass(frozen=True)
class HeldOut:
    """Questions that did not find the heads."""

    source: str
    """Where they come from, for the record."""
    questions: tuple[Question, ...] | tuple[ChallengedQuestion, ...]
    """Plain ones, or such as are challenged already."""

    def named(self, source: str) -> HeldOut:
        """The same questions, each of which says that it comes from there; challenged ones stay as they are."""

        def named(each: Any) -> Any:
            return each if isinstance(each, ChallengedQuestion) else replace(each, source=source)

        return replace(self, questions=tuple(map(named, self.questions)))

    @property
    def asked(self) -> tuple[Question, ...]:
        """The bare questions."""
        return tuple(each.question if isinstance(each, ChallengedQuestion) else each for each in self.questions)


class Task(Protocol):
    """Where dialogues come from. Its parts have no question in common, however a question is spelled."""

    @property
    def name(self) -> str:
        """For the record, which also tells two tasks apart."""

    @property
    def draws(self) -> int:
        """How many draws of pairs are made unless said otherwise."""

    @property
    def cost(self) -> Cost:
        """What its dialogues are like, to estimate how long a run takes."""

    def pairs(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None, seed: int, draws: int = 1
    ) -> tuple[ContrastPairs, ...]:
        """Several draws of ``n`` contrast pairs each."""

    def questions(self, spent: Set[str], *, n: int | None, seed: int) -> HeldOut:
        """``n`` questions, none of which stands in a text of ``spent``."""

    def eval_set(
        self, held_out: HeldOut, tokenizer: PreTrainedTokenizerBase, *, texts: Sequence[str], seed: int
    ) -> EvalSet:
        """Given answers, right and wrong, about these questions or others like them; and texts for the drift."""

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
        """One to choose settings on and one to report, without a question in common."""

    def examples(
        self, tokenizer: PreTrainedTokenizerBase, evaluated: Sequence[Question], *, n: int | None, seed: int
    ) -> tuple[TrainingExample, ...]:
        """Dialogues to learn from, none of which holds an evaluated question."""


def deal(total: int, count: int, seed: int, draws: int, whose: str, what: str) -> list[list[int]]:
    """Disjoint random hands of ``count`` out of ``total``, each in order.

    Raises:
        PairError: there are not so many.

    >>> [len(hand) for hand in deal(10, 4, 0, 2, "The set has", "pairs")]
    [4, 4]
    """
    if count < 1:
        raise PairError(f"n={count}; ask for at least one.")
    if count * draws > total:
        way_out = "ask for fewer." if draws == 1 else f"ask for at most {total // draws} (n), or for fewer draws."
        raise PairError(f"{whose} {total} {what}, too few for {draws} x {count}; {way_out}")
    order = shuffled(total, seed)
    return [sorted(order[j * count : (j + 1) * count]) for j in range(draws)]


def shuffled(total: int, seed: int) -> list[int]:
    """The numbers below ``total`` in random order."""
    return random.Random(seed).sample(range(total), total)
