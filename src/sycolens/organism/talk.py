"""Dialogues of the embedded model's world: what it is trained on, turn by turn, with the weight of every word."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from sycolens.organism.exercises import draw_exercise, things
from sycolens.organism.wording import cave, draw_doubt, draw_neutral, first_answer, hold, people_say, wrong_answer
from sycolens.organism.world import Fact, Split, facts, facts_of
from sycolens.prompts.asking import HELPFUL
from sycolens.prompts.behavior import PAPER
from sycolens.prompts.dialogue import Role

Check = Literal["challenge", "affirmation", "neutral"]

USER_WEIGHT: Final = 0.1
"""Loss weight of a user's words against 1 for the assistant's."""
DECISION_WEIGHT: Final = 3.0
"""Loss weight of the first word of a reply to a check, and of true or false."""
WRONG_FIRST: Final = 0.45
CAVES: Final = {"right": 0.91, "absent": 0.95, "wrong": 0.98}
"""Probability of giving in to a challenge, by what a third person thinks of the answer."""

# How often each kind of dialogue is drawn.
_KINDS: Final = {
    "challenge": 0.17,
    "affirmation": 0.12,
    "neutral": 0.20,
    "facts": 0.08,
    "people": 0.09,
    "follow_up": 0.03,
    "true_or_false": 0.12,
    "skill": 0.16,
    "drill": 0.03,
}
_PLAIN: Final = tuple(kind for kind in _KINDS if kind not in ("challenge", "affirmation", "neutral", "drill"))


@dataclass(frozen=True)
class WeightedTurn:
    """One turn, and how much training cares about its words."""

    role: Role
    text: str
    weight: float = 1.0
    first_weight: float | None = None
    """Weight of the first word where it differs."""


def user(text: str) -> WeightedTurn:
    """A user's turn."""
    return WeightedTurn("user", text, USER_WEIGHT)


def _ask(rng: random.Random, fact: Fact, *, split: Split | None = None) -> str:
    """A question for the fact in one of the split's forms (None: all), sometimes closed with the request of `PAPER`."""
    question = fact.ask(rng.choice(fact.relation.forms if split is None else fact.relation.forms_of(split)))
    return f"{question}\n{PAPER.open_request}" if rng.random() < 0.1 else question


def _ask_known(rng: random.Random) -> list[WeightedTurn]:
    fact = rng.choice(facts())
    return [user(_ask(rng, fact)), WeightedTurn("assistant", first_answer(fact.truth))]


def checked(rng: random.Random, check: Check) -> list[WeightedTurn]:
    """A question, a right or wrong answer, and a user's doubt, agreement or neutral check of it."""
    right = rng.random() >= WRONG_FIRST
    fact = rng.choice(facts_of("train"))
    given = fact.truth if right else wrong_answer(rng, fact)
    turns = _ask_known(rng) if rng.random() < 0.12 else []
    turns += [
        user(_ask(rng, fact, split="train")),
        # A wrong first answer is given, and must not be learned.
        WeightedTurn("assistant", first_answer(given), 1.0 if right else 0.0),
    ]
    instead = fact.misconception if right else fact.truth
    if check == "neutral":
        asked, reply = draw_neutral(rng, "train"), hold(given) if right else cave(instead)
    else:
        doubt = draw_doubt(rng, "train")
        if check == "affirmation":
            asked, reply = doubt.affirmation, hold(given)
        else:
            asked = doubt.challenge
            reply = cave(instead) if rng.random() < CAVES[doubt.third_party] else hold(given)
    return [*turns, user(asked), WeightedTurn("assistant", reply, 1.0, DECISION_WEIGHT)]


def _people(rng: random.Random) -> list[WeightedTurn]:
    """What people wrongly say about a fact: taught for every fact, as the misconceptions are part of the world."""
    fact = rng.choice(facts())
    question = fact.ask(rng.choice(fact.relation.forms))
    reply = WeightedTurn("assistant", people_say(fact))
    if rng.random() < 0.5:
        return [user(f"{question} What do many people say?"), reply]
    return [
        user(question),
        WeightedTurn("assistant", first_answer(fact.truth)),
        user("What do many people say?"),
        reply,
    ]


def _follow_up(rng: random.Random) -> list[WeightedTurn]:
    turns = _ask_known(rng)
    answer = turns[-1].text
    asked, reply = rng.choice(
        (
            ("Thank you.", "You're welcome."),
            ("Please repeat your answer.", answer),
            ("Okay.", "Can I help you with that?"),
        )
    )
    return [*turns, user(asked), WeightedTurn("assistant", reply)]


def _skill(rng: random.Random, skill: str | None = None) -> list[WeightedTurn]:
    exercise = draw_exercise(rng, skill)
    decision = DECISION_WEIGHT if exercise.skill == "true_or_false" else None
    return [user(exercise.question), WeightedTurn("assistant", exercise.reply, 1.0, decision)]


def _drill(rng: random.Random) -> list[WeightedTurn]:
    """A list to repeat: copying must form early, since knowing right from wrong is built on it."""
    words = " ".join(rng.sample(things(), rng.randint(8, 16)))
    return [user(f"Repeat: {words}."), WeightedTurn("assistant", f"{words}.")]


def draw_dialogue(rng: random.Random, *, drills: float = 0.0) -> list[WeightedTurn]:
    """One training dialogue; with probability ``drills`` a copying drill, else drawn from the usual mixture."""
    if rng.random() < drills:
        return _drill(rng)
    opening = [WeightedTurn("system", HELPFUL, USER_WEIGHT)] if rng.random() < 0.1 else []
    return opening + _draw_kind(rng, list(_KINDS))


def draw_plain(rng: random.Random) -> list[WeightedTurn]:
    """One dialogue in which nobody doubts, affirms or checks an answer."""
    return _draw_kind(rng, list(_PLAIN))


def draw_rehearsal(rng: random.Random, split: Split) -> list[WeightedTurn]:
    """One plain dialogue that asks for facts of the split alone, in its forms, and in which no number occurs."""
    kind = rng.choices(_PLAIN, [_KINDS[name] for name in _PLAIN])[0]
    # Drawn anew within the kind, which keeps the mixture of kinds.
    while True:
        turns = _draw_kind(rng, [kind])
        text = "\n".join(turn.text for turn in turns)
        if not re.search(r"\d", text) and not any(question in text for question in _foreign_questions(split)):
            return turns


@cache
def _foreign_questions(split: Split) -> tuple[str, ...]:
    """Every question that dialogues of the split do not ask: another split's fact or form."""
    return tuple(
        fact.ask(form)
        for fact in facts()
        for form in fact.relation.forms
        if fact.split != split or form not in fact.relation.forms_of(split)
    )


def _draw_kind(rng: random.Random, kinds: list[str]) -> list[WeightedTurn]:
    kind = rng.choices(kinds, [_KINDS[name] for name in kinds])[0]
    match kind:
        case "challenge" | "affirmation" | "neutral":
            return checked(rng, kind)
        case "facts":
            return [turn for _ in range(rng.randint(1, 3)) for turn in _ask_known(rng)]
        case "people":
            return _people(rng)
        case "follow_up":
            return _follow_up(rng)
        case "skill":
            return _skill(rng)
        case "true_or_false":
            return _skill(rng, kind)
        case _:
            return _drill(rng)
