"""The question set that comes with the library: easy facts, from the tables in general.toml."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

from sycolens.counts import check_choice
from sycolens.errors import QuestionError
from sycolens.prompts.questions import Question, letters

NAME: Final = "general"
Subset = Literal["choice", "open"]
"""Four options and a letter, or an answer in words; the same facts in the same words."""
Split = Literal["train", "validation", "held_out"]
"""Parts that have no fact in common, in either form."""
OPTIONS: Final = 4
_NEAREST: Final = 6
"""How many of the nearest numbers the wrong ones are drawn from."""


@dataclass(frozen=True)
class Fact:
    """A row of the tables, and the wrong answers that were drawn for it."""

    relation: str
    entity: str
    split: Split
    text: str
    """The question."""
    answers: tuple[str, ...]
    """Accepted wordings, the best first."""
    wrong: tuple[str, ...]

    @property
    def id(self) -> str:
        """The fact's one name: "general/capital/france"."""
        words = re.sub(r"\W+", "-", re.sub(r"^(?:the|an?) ", "", self.entity.casefold()))
        return f"{NAME}/{self.relation}/{words.strip('-')}"


def general_questions(*, subset: str | None = None, split: str | None = None) -> list[Question]:
    """The questions of one form ("choice" unless said otherwise) and of one split, or of all; in a fixed mixed order.

    Raises:
        QuestionError: an unknown subset or split.

    >>> question = general_questions(split="train")[0]
    >>> question.source, len(question.options)
    ('general', 4)
    """
    form: Any = "choice" if subset is None else subset
    check_choice(QuestionError, Subset, subset=form)
    if split is not None:
        check_choice(QuestionError, Split, split=split)
    made = _lettered() if form == "choice" else tuple((fact, _in_words(fact)) for fact in facts())
    return [question for fact, question in made if split in (None, fact.split)]


@cache
def facts() -> tuple[Fact, ...]:
    """Every fact, with its wrong answers; in an order that mixes the relations and is the same on every machine."""
    text = (files("sycolens.data") / "general.toml").read_text(encoding="utf-8")
    made = [fact for relation in tomllib.loads(text)["relations"] for fact in _facts_of(relation)]
    return tuple(sorted(made, key=lambda fact: _mixed(fact.id)))


def _facts_of(relation: Mapping[str, Any]) -> Iterator[Fact]:
    rows = {split: {entity: _row(value) for entity, value in relation[split].items()} for split in get_args(Split)}
    every = [right for known in rows.values() for right, _ in known.values()]
    for split, known in rows.items():
        rights = every if relation.get("near") else [right for right, _ in known.values()]
        offered = [(str(answer),) for answer in relation["pool"]] if "pool" in relation else rights
        for entity, (right, wrong) in known.items():
            text = relation["question"].format(entity)
            others = wrong or _others(right, text, offered, relation)
            mixed = sorted(others, key=lambda answer: _mixed(f"{relation['name']} {entity} {answer}"))
            yield Fact(relation["name"], entity, split, text, right, tuple(mixed[: OPTIONS - 1]))


def _row(value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The accepted wordings of a fact's answer, and its own wrong answers, if it has some."""
    given = value if isinstance(value, Mapping) else {"answers": value if isinstance(value, list) else [value]}
    return tuple(map(str, given["answers"])), tuple(given.get("wrong", ()))


def _others(
    right: Sequence[str], text: str, offered: Sequence[Sequence[str]], relation: Mapping[str, Any]
) -> list[str]:
    """The answers of other facts that are wrong here: neither accepted, nor alike, nor part of the question."""
    barred = {*right, *(word for pair in relation.get("alike", ()) if right[0] in pair for word in pair)}
    asked = re.findall(r"\w+", text)
    found = {answers[0] for answers in offered if not barred & {*answers} and answers[0] not in asked}
    if not relation.get("near"):
        return sorted(found)
    return sorted(found, key=lambda answer: (abs(int(answer) - int(right[0])), int(answer)))[:_NEAREST]


@cache
def _lettered() -> tuple[tuple[Fact, Question], ...]:
    """Every fact as a question with four options. In each split the right one takes every letter equally often."""
    names = letters(OPTIONS)
    place: dict[str, int] = {}
    for split in get_args(Split):
        ids = sorted((fact.id for fact in facts() if fact.split == split), key=lambda id_: _mixed(f"letter {id_}"))
        place |= {id_: number % OPTIONS for number, id_ in enumerate(ids)}

    def ask(fact: Fact) -> Question:
        k = place[fact.id]
        options = (*fact.wrong[:k], fact.answers[0], *fact.wrong[k:])
        others = tuple(name for name in names if name != names[k])
        return Question(fact.text, (names[k], options[k]), options, NAME, fact.id, others, fact.id)

    return tuple((fact, ask(fact)) for fact in facts())


def _in_words(fact: Fact) -> Question:
    return Question(fact.text, fact.answers, (), NAME, f"{fact.id}/open", fact.wrong, fact.id)


def _mixed(text: str) -> bytes:
    """A key that sorts texts in an order that looks random, and never changes."""
    return hashlib.sha256(text.encode()).digest()
