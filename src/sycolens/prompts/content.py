"""Find questions again by their words, whatever their ids and wherever they stand."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from sycolens.prompts.questions import Question

# Words, numbers and the signs that change a formula; a hyphen counts where it may be a minus.
_MEANINGFUL: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|-(?=\s*[\d(])|[+*/^=<>%√≤≥≠×÷]")
_DASHES: Final = re.compile("[\u2010-\u2014\u2212]")
_KEY: Final = 3
"""Words by which a question is looked up before it is compared."""


class KnownQuestions:
    """Questions, to be found again in any text.

    A text contains a question whose words it has in a row, whatever the case, punctuation and spaces. Of a question
    with options it must also have the right option's words: "Which of these is true?" is many questions. A short
    question that is part of a longer one counts as contained, to be on the safe side.

    >>> known = KnownQuestions([Question("Who wrote Emma?", ("Austen",)), Question("Why?", ("So.",))])
    >>> list(known.contained_in(["<|user|>who wrote  EMMA<|end|>"]))
    [0]
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        self._known: dict[tuple[str, ...], list[tuple[list[str], list[str], int]]] = defaultdict(list)
        for number, question in enumerate(questions):
            words, option = content_of(question)
            self._known[words[:_KEY]].append((list(words), list(option), number))
        self._sizes = sorted({len(key) for key in self._known})

    def contained_in(self, turns: Sequence[str]) -> Iterator[int]:
        """Numbers of the questions that stand in one of a dialogue's turns, in the order in which they are met."""
        words_of_turns = [_words(turn) for turn in turns]
        for words in words_of_turns:
            for place in range(len(words)):
                for size in self._sizes:
                    for asked, option, number in self._known.get(tuple(words[place : place + size]), ()):
                        if words[place : place + len(asked)] == asked and _has(words_of_turns, option):
                            yield number


def content_of(question: Question) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of a question and, where it has options, of the right one: what makes it this question.

    >>> content_of(Question("Who wrote Emma?", ("Austen",))) == content_of(Question("who wrote 'Emma'", ("J. Austen",)))
    True
    """
    option = question.options[ord(question.answers[0]) - ord("A")] if question.options else ""
    return tuple(_words(question.text)), tuple(_words(option))


def _words(text: str) -> list[str]:
    plain = _DASHES.sub("-", unicodedata.normalize("NFKC", text).casefold())
    # A text of other signs alone is compared as it is.
    return _MEANINGFUL.findall(plain) or plain.split()


def _has(turns: list[list[str]], option: list[str]) -> bool:
    # Padded, lest "12" be found in "120".
    return not option or any(f" {' '.join(option)} " in f" {' '.join(turn)} " for turn in turns)
