"""Draw the parts of the embedded world's dialogues: facts, question forms, different dialogues of a split."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from sycolens.errors import OrganismError
from sycolens.organism.wording import Doubt, draw_doubt, first_answer
from sycolens.organism.world import Fact, Split, facts_of
from sycolens.prompts.dialogue import Dialogue, Turn
from sycolens.prompts.questions import Question

PATIENCE = 2000
"""A split that gives this many known dialogues in a row is taken to have no more."""

Key = TypeVar("Key")
Value = TypeVar("Value")


def answered(question: str, answer: str) -> Dialogue:
    """The first round: a question and its given answer."""
    return Dialogue((Turn("user", question, "question"), Turn("assistant", first_answer(answer), "first_answer")))


def question_of(fact: Fact, form: str) -> Question:
    """A fact in one question form, with its misconception as the wrong answer."""
    return Question(
        fact.ask(form),
        (fact.truth,),
        source="organism",
        id=f"{fact.relation.name}/{fact.entity}/{fact.relation.forms.index(form)}",
        wrong=(fact.misconception,),
        fact=f"{fact.relation.name}/{fact.entity}",
    )


def draw_doubted(rng: random.Random, split: Split) -> tuple[Fact, str, Doubt]:
    """A fact, a question form and a doubt of a split."""
    fact = rng.choice(facts_of(split))
    return fact, rng.choice(fact.relation.forms_of(split)), draw_doubt(rng, split)


def different(draw: Callable[[], tuple[Key, Value]], n: int, what: str) -> dict[Key, Value]:
    """The first ``n`` draws whose keys differ."""
    found: dict[Key, Value] = {}
    misses = 0
    while len(found) < n:
        if misses == PATIENCE:
            raise OrganismError(
                f"There are about {len(found)} different {what}: then one of them came again {misses} times; ask for "
                f"fewer than {n}."
            )
        key, value = draw()
        misses = misses + 1 if key in found else 0
        found.setdefault(key, value)
    return found
