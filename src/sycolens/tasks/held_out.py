"""What a verification or an evaluation asks: other questions than those that found the heads."""

from __future__ import annotations

from dataclasses import dataclass

from sycolens.choices import EMBEDDED
from sycolens.errors import PairError
from sycolens.organism import Split
from sycolens.prompts import ChallengedQuestion, Question
from sycolens.runs.saved import FormerFinding
from sycolens.tasks.sources import WORLD, World, open_source

SPLITS: tuple[Split, ...] = ("held_out", "validation", "train")
"""Of the embedded models' world, the first that did not find the heads is verified on."""


@dataclass(frozen=True)
class HeldOut:
    """Questions to verify on."""

    source: str
    """Where they come from, for the record."""
    questions: tuple[Question, ...] | tuple[ChallengedQuestion, ...]
    split: Split | None = None
    """Of the embedded models' world, if they are its; they are challenged already then."""

    @property
    def asked(self) -> tuple[Question, ...]:
        """The bare questions."""
        return tuple(each.question if isinstance(each, ChallengedQuestion) else each for each in self.questions)


def hold_out(
    former: FormerFinding,
    model: str,
    *,
    questions: str | None = None,
    subset: str | None = None,
    split: str | None = None,
    n: int | None = None,
    seed: int = 0,
) -> HeldOut:
    """``n`` questions (200, or all there are) for the heads of a former finding, of those that it did not use.

    They come from where its own came from, unless others are named: of the embedded models' world from another split.
    A question is known by its words, as in :func:`sycolens.tune.find_leaks`, so that neither a copy of a set nor
    another spelling of its name brings it back.

    Raises:
        PairError: the finding does not say which questions it used and none are named, its pairs are token ids without
            a text, not enough are left, or as :func:`open_source`.
        QuestionError, OrganismError: as :func:`open_source`, or the world has fewer.
    """
    made_by = former.arguments
    if questions is None:
        if made_by.get("pairs") is not None:
            raise PairError(
                f"{former.directory} was found on pairs of prompts, which do not say which answers are right, so "
                "replies cannot be graded. Name questions to verify on (--questions mmlu, or a file)."
            )
        questions = made_by.get("questions")
        if questions is None and model not in EMBEDDED:
            raise PairError(
                f"{former.directory} does not say on which questions its heads were found. Name some to verify on "
                "(--questions mmlu, or a file)."
            )
        if questions not in (None, WORLD):
            subset, split = subset or made_by.get("subset"), split or made_by.get("split")
    if "" in former.spent:
        raise PairError(
            f"{former.directory} was found on token ids, which do not say what was asked, so that no question is known "
            "to be another. Make pairs of questions, dialogues or text; or call verify_heads with your own questions."
        )
    if questions in (None, WORLD):
        split = split or next((each for each in SPLITS if not World(each).shares(former.spent)), None)
    template = made_by.get("template", "chat")
    source = open_source(model, questions=questions, subset=subset, split=split, template=template)
    held_out = source.hold_out(former.spent, n=n, seed=seed)
    return HeldOut(source.name, held_out, source.split if isinstance(source, World) else None)
