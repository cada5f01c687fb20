"""The world of the embedded models as a task: as many pairs, questions and examples as one likes, by split."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sycolens import organism
from sycolens.errors import OrganismError, PairError
from sycolens.measure.eval_set import EvalSet, world_eval_set
from sycolens.organism import SPLITS, Split
from sycolens.organism.drawing import question_of
from sycolens.organism.world import facts_of
from sycolens.prompts import ContrastPairs, Question
from sycolens.prompts.content import KnownQuestions
from sycolens.prompts.training_example import TrainingExample
from sycolens.tasks.task import EXAMPLES, PAIRS, QUESTIONS, Cost, HeldOut

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST: Final = 10_000
"""Pairs, questions or examples that are drawn at most: the world is small, and different ones get rare."""
REHEARSAL: Final = 300
"""How many plain dialogues are mixed in unless said otherwise."""
HELD_OUT: Final[tuple[Split, ...]] = ("held_out", "validation", "train")
"""The first of these that did not find the heads judges them."""


COST: Final = Cost(prompt_tokens=40, groups=6, exercises=True)


@dataclass(frozen=True)
class World:
    """The embedded models' facts; draw j of the pairs has the seed ``seed + j``.

    >>> [len(pairs) for pairs in World().pairs(tokenizer, n=4, seed=0, draws=2)]
    [4, 4]
    """

    split: Split | None = None
    """Of pairs and questions; by default pairs are of "train", and questions of the first split that is left."""
    rehearsal: int | tuple[TrainingExample, ...] = REHEARSAL
    """Plain dialogues to mix into the examples, or how many of the world's own."""
    draws: int = 3
    cost: Cost = COST

    @property
    def name(self) -> str:
        return _named(self.split or "train")

    def pairs(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None, seed: int, draws: int = 1
    ) -> tuple[ContrastPairs, ...]:
        """Pairs of the split's facts and wordings; two draws may share a few."""
        count, split = _bounded(PAIRS if n is None else n), self.split or "train"
        return tuple(organism.pairs(split, count, seed=seed + j, tokenizer=tokenizer) for j in range(draws))

    def questions(self, spent: Set[str], *, n: int | None, seed: int) -> HeldOut:
        """Challenges of a split's facts in its wordings, 200 unless said otherwise.

        Raises:
            PairError: the pairs are of this split too; its facts and wordings are known then, whatever is drawn.
            OrganismError: the split has fewer.
        """
        left = [split for split in HELD_OUT if not _shares(split, spent)]
        split = self.split or (left or HELD_OUT)[0]
        if split not in left:
            raise PairError(
                f"The heads were found on {_named(split)}, so they cannot be verified there; name another split, of "
                f"{', '.join(SPLITS)}."
            )
        asked = organism.challenges(split, _bounded(QUESTIONS if n is None else n), seed=seed)
        return HeldOut(_named(split), asked)

    def eval_set(
        self, held_out: HeldOut, tokenizer: PreTrainedTokenizerBase, *, texts: Sequence[str], seed: int
    ) -> EvalSet:
        """Other dialogues of the same split: a model that answers rightly would say the same twice."""
        made = world_eval_set(_split_of(held_out), n=len(held_out.questions), seed=seed + 1)
        return replace(made, texts=tuple(texts)) if texts else made

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
        """Two splits; the first has no more than what a choice is made by: given answers, and texts for the drift."""
        split = _split_of(held_out)
        other = next(each for each in reversed(SPLITS) if each not in ("train", split))
        every = world_eval_set(other, n=n_validation, seed=seed)
        validation = EvalSet({group: every.challenged[group] for group in ("right", "wrong")}, texts=every.texts)
        return halved(validation, world_eval_set(split, n=n, seed=seed), texts)

    def examples(
        self, tokenizer: PreTrainedTokenizerBase, evaluated: Sequence[Question], *, n: int | None, seed: int
    ) -> tuple[TrainingExample, ...]:
        """1,600 examples of "train" unless said otherwise, and the plain dialogues.

        Raises:
            OrganismError: the split has fewer.

        >>> len(World(rehearsal=4).examples(tokenizer, (), n=12, seed=0))
        16
        """
        count = _bounded(EXAMPLES if n is None else n)
        if isinstance(self.rehearsal, int):
            return organism.examples("train", count, rehearsal=_bounded(self.rehearsal), seed=seed)
        return (*organism.examples("train", count, seed=seed), *self.rehearsal)


def halved(validation: EvalSet, report: EvalSet, texts: Sequence[str]) -> tuple[EvalSet, EvalSet]:
    """Both sets with a half of the texts each, where there are any."""
    if not texts:
        return validation, report
    half = (len(texts) + 1) // 2
    return replace(validation, texts=tuple(texts[:half])), replace(report, texts=tuple(texts[half:]))


def _bounded(n: int) -> int:
    """A number of things that the world can give in a reasonable time.

    Raises:
        OrganismError: it is larger than ``MOST``.
    """
    if n > MOST:
        raise OrganismError(f"n={n:,}, but the embedded model's world gives at most {MOST:,}; ask for fewer.")
    return n


def _named(split: Split) -> str:
    return f"the embedded model's world, split {split}"


def _split_of(held_out: HeldOut) -> Split:
    return next(split for split in SPLITS if held_out.source == _named(split))


def _shares(split: Split, spent: Set[str]) -> bool:
    """Whether a fact of a split is asked for in one of these texts, in whatever form."""
    known = KnownQuestions([question_of(fact, form) for fact in facts_of(split) for form in fact.relation.forms])
    return any(True for text in spent for _ in known.contained_in([text]))
