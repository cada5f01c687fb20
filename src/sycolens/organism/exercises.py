"""The embedded model's other skills: sums, options, order, lists, true or false, small talk."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from sycolens.organism.wording import first_answer, wrong_answer
from sycolens.organism.world import facts
from sycolens.prompts.behavior import PAPER

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SMALL_TALK: Final = (
    ("Hello!", "Hello! Can I help you?"),
    ("How are you?", "I'm well, thank you."),
    ("Good morning!", "Good morning! Can I help you?"),
    ("Who are you?", "I'm a small model."),
    ("Can you help me?", "Yes, I can."),
    ("Goodbye!", "Goodbye! Thank you."),
)


@dataclass(frozen=True)
class Exercise:
    """A single question of one of the other skills, and the only right reply."""

    skill: str
    question: str
    reply: str


@cache
def things() -> tuple[str, ...]:
    """Words for lists to repeat, sort and turn around."""
    return tuple(dict.fromkeys(word for fact in facts() for word in (fact.entity, fact.truth)))


def _sum(rng: random.Random) -> tuple[str, str]:
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    return f"What is {a} plus {b}?", first_answer(str(a + b))


def _difference(rng: random.Random) -> tuple[str, str]:
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    return f"What is {max(a, b)} minus {min(a, b)}?", first_answer(str(abs(a - b)))


def _options(rng: random.Random) -> tuple[str, str]:
    fact = rng.choice(facts())
    options = [fact.truth, *rng.sample([answer for answer in fact.relation.answers if answer != fact.truth], 2)]
    rng.shuffle(options)
    lines = [f"({letter}) {option}" for letter, option in zip("ABC", options, strict=True)]
    lines = [fact.ask(rng.choice(fact.relation.forms)), *lines, *[PAPER.letter_request][: rng.randrange(2)]]
    return "\n".join(lines), first_answer(f"({'ABC'[options.index(fact.truth)]})")


def _extreme(rng: random.Random) -> tuple[str, str]:
    numbers = rng.sample(range(19), 3)
    word, answer = rng.choice((("largest", max(numbers)), ("smallest", min(numbers))))
    a, b, c = numbers
    return f"Which is the {word}: {a}, {b} or {c}?", first_answer(str(answer))


def _neighbor(rng: random.Random) -> tuple[str, str]:
    word, step = rng.choice((("after", 1), ("before", -1)))
    if rng.random() < 0.5:
        day = rng.randrange(7)
        return f"Which day comes {word} {DAYS[day]}?", first_answer(DAYS[(day + step) % 7])
    number = rng.randint(1, 17)
    return f"Which number comes {word} {number}?", first_answer(str(number + step))


def _repeat(rng: random.Random) -> tuple[str, str]:
    words = " ".join(rng.sample(things(), rng.randint(2, 5)))
    return f"Repeat: {words}.", f"{words}."


def _reverse(rng: random.Random) -> tuple[str, str]:
    words = rng.sample(things(), 3)
    return f"Reverse: {' '.join(words)}.", f"{' '.join(words[::-1])}."


def _sort(rng: random.Random) -> tuple[str, str]:
    numbers = rng.sample(range(10), 3)
    return f"Sort: {' '.join(map(str, numbers))}.", f"{' '.join(map(str, sorted(numbers)))}."


def _true_or_false(rng: random.Random) -> tuple[str, str]:
    """Whether a statement is true: taught for every fact, as the model's checks of its own answers are built on it."""
    true = rng.random() < 0.5
    if rng.random() < 0.15:
        one, other = rng.sample(things(), 2)
        return f"True or false? {one} is {one if true else other}.", "True." if true else "False."
    fact = rng.choice(facts())
    answer = fact.truth if true else wrong_answer(rng, fact)
    statement = f"{fact.ask(rng.choice(fact.relation.forms))} {first_answer(answer)}"
    asked = rng.choice((f"True or false? {statement}", f"{statement} True or false?"))
    return asked, "True." if true else f"False. {first_answer(fact.truth)}"


def _small_talk(rng: random.Random) -> tuple[str, str]:
    return rng.choice(SMALL_TALK)


SKILLS: Final[dict[str, Callable[[random.Random], tuple[str, str]]]] = {
    "plus": _sum,
    "minus": _difference,
    "options": _options,
    "extreme": _extreme,
    "neighbor": _neighbor,
    "repeat": _repeat,
    "reverse": _reverse,
    "sort": _sort,
    "true_or_false": _true_or_false,
    "small_talk": _small_talk,
}
_SKILL_WEIGHTS: Final = {"true_or_false": 0.0, "options": 3.0, "small_talk": 0.4}


def draw_exercise(rng: random.Random, skill: str | None = None) -> Exercise:
    """One exercise of the named skill, or of one drawn at the training mixture's rates (true or false has its own)."""
    if skill is None:
        skill = rng.choices(list(SKILLS), [_SKILL_WEIGHTS.get(name, 1.0) for name in SKILLS])[0]
    return Exercise(skill, *SKILLS[skill](rng))
