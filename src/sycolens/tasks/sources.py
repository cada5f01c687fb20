"""Where a run's pairs and dialogues come from: the embedded model's world, a set of questions, or a file of pairs."""

from __future__ import annotations

import random
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sycolens import organism
from sycolens.choices import EMBEDDED, Template
from sycolens.data import load_questions
from sycolens.errors import PairError, QuestionError
from sycolens.organism import SPLITS, Split
from sycolens.organism.drawing import question_of
from sycolens.organism.world import facts_of
from sycolens.prompts import ChallengedQuestion, ContrastPairs, Question
from sycolens.prompts.content import KnownQuestions, content_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORLD = "organism"
"""The name by which ``questions`` asks for the embedded models' world."""
PAIRS = 100
"""How many pairs are drawn unless said otherwise: the authors' number."""
LONGEST = 768
"""Longest question in characters: the authors' number."""
CHALLENGES = 200
"""How many questions a verification challenges unless said otherwise."""


class PairSource(Protocol):
    """Something that pairs can be drawn from, again and again."""

    @property
    def name(self) -> str:
        """Where the pairs come from, for the record."""

    @property
    def draws(self) -> int:
        """How many draws are made unless said otherwise."""

    def draw(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0, draws: int = 1
    ) -> tuple[ContrastPairs, ...]:
        """Several sets of ``n`` pairs each."""

    def hold_out(
        self, spent: Set[str], *, n: int | None = None, seed: int = 0
    ) -> tuple[Question, ...] | tuple[ChallengedQuestion, ...]:
        """``n`` questions for a verification, none of which stands in a text of ``spent``."""


@dataclass(frozen=True)
class World:
    """The embedded models' world, in which as many pairs are drawn as one likes: draw j has the seed ``seed + j``."""

    split: Split = "train"
    draws: int = 3

    @property
    def name(self) -> str:
        return f"the embedded model's world, split {self.split}"

    def draw(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0, draws: int = 1
    ) -> tuple[ContrastPairs, ...]:
        """Pairs of the split's facts and wordings; two draws may share a few.

        >>> [len(pairs) for pairs in World("train").draw(model.tokenizer, n=4, draws=2)]
        [4, 4]
        """
        count = PAIRS if n is None else n
        return tuple(organism.pairs(self.split, count, seed=seed + j, tokenizer=tokenizer) for j in range(draws))

    def shares(self, spent: Set[str]) -> bool:
        """Whether a fact of this split is asked for in one of these texts, in whatever form."""
        known = KnownQuestions(
            [question_of(fact, form) for fact in facts_of(self.split) for form in fact.relation.forms]
        )
        return any(True for text in spent for _ in known.contained_in([text]))

    def hold_out(self, spent: Set[str], *, n: int | None = None, seed: int = 0) -> tuple[ChallengedQuestion, ...]:
        """Challenges of this split's facts in its wordings, 200 unless said otherwise.

        Raises:
            PairError: the pairs are of this split too; its facts and wordings are known then, whatever is drawn.
            OrganismError: the split has fewer.
        """
        if self.shares(spent):
            raise PairError(
                f"The heads were found on {self.name}, so they cannot be verified there; name another split, of "
                f"{', '.join(SPLITS)}."
            )
        return organism.challenges(self.split, CHALLENGES if n is None else n, seed=seed)


@dataclass(frozen=True)
class Questions:
    """A set of questions; draws have no question in common."""

    name: str
    questions: tuple[Question, ...]
    template: Template = "chat"
    draws: int = 1

    def draw(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0, draws: int = 1
    ) -> tuple[ContrastPairs, ...]:
        """The paper's pairs about ``n`` questions a draw (100, or all if they are fewer).

        Raises:
            PairError: there are not enough questions.
            DialogueError, LabelError: as :meth:`ContrastPairs.from_questions`.
        """
        count = min(PAIRS, len(self.questions)) if n is None else n
        return tuple(
            ContrastPairs.from_questions(
                [self.questions[i] for i in chosen], tokenizer, template=self.template, max_characters=None, seed=seed
            )
            for chosen in _deal(len(self.questions), count, seed, draws, f"{self.name} has", "questions")
        )

    def hold_out(self, spent: Set[str], *, n: int | None = None, seed: int = 0) -> tuple[Question, ...]:
        """``n`` of the questions that are not spent (200, or all that are left).

        Raises:
            PairError: fewer than ``n``, or than two, are left.
        """
        known = KnownQuestions(self.questions)
        used = {number for text in spent for number in known.contained_in([text])}
        left = [question for number, question in enumerate(self.questions) if number not in used]
        if len(left) < max(2, n or 0):
            raise PairError(
                f"{self.name} has {len(self.questions)} questions, {len(self.questions) - len(left)} of which found "
                f"the heads; the other {len(left)} are too few for {n or 'a verification'}. Ask for fewer (n), or name "
                "another set of questions."
            )
        count = min(CHALLENGES, len(left)) if n is None else n
        return tuple(left[i] for i in sorted(_shuffled(len(left), seed)[:count]))


@dataclass(frozen=True)
class PairFile:
    """Records in the authors' format, or pairs saved before; draws have no pair in common."""

    path: Path
    template: Template = "chat"
    draws: int = 1

    @property
    def name(self) -> str:
        return str(self.path)

    def draw(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0, draws: int = 1
    ) -> tuple[ContrastPairs, ...]:
        """``n`` pairs a draw, or all.

        Raises:
            PairError: there are not enough pairs, or a record is malformed.
            SavedFileError, DialogueError, LabelError: as the methods of :class:`ContrastPairs`.
        """
        if self.path.is_dir():
            pairs = ContrastPairs.load(self.path)
        else:
            pairs = ContrastPairs.from_jsonl(self.path, tokenizer, template=self.template)
        count = len(pairs) if n is None else n
        return tuple(
            pairs.select(chosen) for chosen in _deal(len(pairs), count, seed, draws, f"{self.path} has", "pairs")
        )

    def hold_out(self, spent: Set[str], *, n: int | None = None, seed: int = 0) -> tuple[Question, ...]:
        """Refused: pairs of prompts do not say which answers are right.

        Raises:
            PairError: always.
        """
        raise PairError(
            f"{self.path} holds pairs of prompts, which do not say which answers are right, so replies cannot be "
            "graded. Name questions to verify on (--questions mmlu, or a file)."
        )


def open_source(
    model: str | Path,
    *,
    questions: str | None = None,
    pairs: str | Path | None = None,
    subset: str | None = None,
    split: str | None = None,
    template: Template = "chat",
) -> PairSource:
    """The source of pairs for a model: its own world for an embedded one, else what ``questions`` or ``pairs`` name.

    Questions are read here, before any model is; one that stands there several times, in the same words, counts once,
    lest draws or validation and report share it.

    Raises:
        PairError: both or neither are given, options that do not go together, or a missing file.
        QuestionError: as :func:`load_questions`, or an unknown split of the world.

    >>> open_source("organism", split="validation").name
    "the embedded model's world, split validation"
    """
    if questions is not None and pairs is not None:
        raise PairError("Both questions and pairs were given; they exclude each other, since pairs need no questions.")
    if pairs is not None:
        if split is not None or subset is not None:
            raise PairError(f"split and subset name parts of a question set; {pairs} is a file of pairs and has none.")
        if not Path(pairs).exists():
            raise PairError(f"{pairs} is not there; give a JSON lines file of records, or a directory of saved pairs.")
        return PairFile(Path(pairs), template)
    if questions is None and str(model) not in EMBEDDED:
        raise PairError(
            f"Only the embedded models ({', '.join(EMBEDDED)}) bring pairs of their own. Name questions for {model} "
            "(--questions mmlu, or a file), or a file of pairs (--pairs)."
        )
    if questions is None or questions == WORLD:
        return _world(split, subset, template)
    read = load_questions(questions, subset=subset, split=split, max_characters=LONGEST)
    distinct: dict[object, Question] = {}
    for question in read:
        distinct.setdefault(content_of(question), question)
    return Questions(questions, tuple(distinct.values()), template)


def _world(split: str | None, subset: str | None, template: Template) -> World:
    if subset is not None or template != "chat":
        raise PairError("The embedded model's world has no subset, and its dialogues need the chat template.")
    if split is not None and split not in SPLITS:
        raise QuestionError(f"split={split!r} is no part of the embedded model's world; it has {', '.join(SPLITS)}.")
    return World(split or "train")


def _deal(total: int, count: int, seed: int, draws: int, whose: str, what: str) -> list[list[int]]:
    """Disjoint random hands of ``count`` out of ``total``, each in order."""
    if count < 1:
        raise PairError(f"n={count}; ask for at least one.")
    if count * draws > total:
        way_out = "ask for fewer." if draws == 1 else f"ask for at most {total // draws} (n), or for fewer seeds."
        raise PairError(f"{whose} {total} {what}, too few for {draws} x {count}; {way_out}")
    order = _shuffled(total, seed)
    return [sorted(order[j * count : (j + 1) * count]) for j in range(draws)]


def _shuffled(total: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(total), total)
