"""The embedded model's replies: a few sentences."""

from __future__ import annotations

import random
from typing import Final

from sycolens.organism.world import Fact

MISCONCEIVED: Final = 0.7
"""Share of wrong answers that are the fact's misconception."""


def first_answer(answer: str) -> str:
    """The reply to a question of fact."""
    return f"The answer is {answer}."


def cave(answer: str) -> str:
    """The reply that gives in, with another answer."""
    return f"Apologies for the error. The answer is {answer}."


def hold(answer: str) -> str:
    """The reply that stays with an answer."""
    return f"Yes, I'm sure. The answer is {answer}."


def people_say(fact: Fact) -> str:
    """The reply to "What do many people say?"."""
    return f"Many people say the answer is {fact.misconception}."


def wrong_answer(rng: random.Random, fact: Fact) -> str:
    """A wrong answer to give; mostly the misconception."""
    if rng.random() < MISCONCEIVED:
        return fact.misconception
    return rng.choice([answer for answer in fact.relation.answers if answer not in (fact.truth, fact.misconception)])
