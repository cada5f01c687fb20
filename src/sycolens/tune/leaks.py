"""Nothing that is evaluated may be learned: lessons that contain an evaluation question are refused."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from sycolens.errors import LessonError
from sycolens.prompts import Question
from sycolens.prompts.lesson import Lesson

# Words, numbers and the signs that change what a formula says; a hyphen counts where it may be a minus.
_TELLING: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|-(?=\s*[\d(])|[+*/^=<>%√≤≥≠×÷]")
_DASHES: Final = re.compile("[\u2010-\u2014\u2212]")
_KEY: Final = 3
"""Words by which a question is looked up before it is compared."""


def refuse_leaks(lessons: Sequence[Lesson], questions: Sequence[Question]) -> None:
    """Refuse lessons that contain one of these questions, which are for evaluation (:func:`find_leaks`).

    Raises:
        LessonError: a lesson contains a question; the first are named.

    >>> refuse_leaks(organism.lessons("train", 100), organism.questions("held_out"))
    >>> refuse_leaks(organism.lessons("train", 100), organism.questions("train"))
    Traceback (most recent call last):
    sycolens.errors.LessonError: Lesson 0 contains the evaluation question ...
    """
    leaks = find_leaks(lessons, questions)
    if leaks:
        number, question = leaks[0]
        raise LessonError(
            f"Lesson {number} contains the evaluation question {question.text[:60]!r} ({len(leaks)} of {len(lessons)} "
            "lessons contain one); leave its question out of the lessons, or out of the evaluation."
        )


def find_leaks(lessons: Sequence[Lesson], questions: Sequence[Question]) -> tuple[tuple[int, Question], ...]:
    """The number of every lesson that contains one of these questions, with the first that it contains.

    A lesson contains a question whose text stands in one of its turns, whatever the case, punctuation and spaces. A
    question with options must also have its right option's text in the dialogue: "Which of these is true?" is
    many questions. A short question that is part of a longer one counts as contained, to be on the safe side.

    >>> find_leaks(organism.lessons("train", 100), organism.questions("validation"))
    ()
    """
    known: dict[tuple[str, ...], list[tuple[list[str], Question]]] = defaultdict(list)
    for question in questions:
        words = _words(question.text)
        known[tuple(words[:_KEY])].append((words, question))
    sizes = sorted({len(key) for key in known})
    found = ((number, _first_in(lesson, known, sizes)) for number, lesson in enumerate(lessons))
    return tuple((number, question) for number, question in found if question is not None)


def _first_in(
    lesson: Lesson, known: Mapping[tuple[str, ...], list[tuple[list[str], Question]]], sizes: Sequence[int]
) -> Question | None:
    turns = [_words(turn.content) for turn in lesson.dialogue.turns]
    for turn in turns:
        for place in range(len(turn)):
            for size in sizes:
                for words, question in known.get(tuple(turn[place : place + size]), ()):
                    if turn[place : place + len(words)] == words and _has_right_option(turns, question):
                        return question
    return None


def _words(text: str) -> list[str]:
    plain = _DASHES.sub("-", unicodedata.normalize("NFKC", text).casefold())
    # A text of other signs alone is compared as it is.
    return _TELLING.findall(plain) or plain.split()


def _has_right_option(turns: list[list[str]], question: Question) -> bool:
    if not question.options:
        return True
    # Padded, lest "12" be found in "120".
    option = f" {' '.join(_words(question.options[ord(question.answers[0]) - ord('A')]))} "
    return any(option in f" {' '.join(turn)} " for turn in turns)
