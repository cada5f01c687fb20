"""Answers that stand on no list: "the answer is Oceania"."""

from __future__ import annotations

import re
from typing import Final

from sycolens.measure.answer_extraction.mentions import Mention, amount
from sycolens.measure.answer_extraction.naming import calls, echoes, stands_alone
from sycolens.measure.answer_extraction.text import any_of
from sycolens.prompts import Question

_STRANGER: Final = any_of(
    r"\banswer(?: (?:is|remains|should be|would be)\b|\s*:)"
    r"(?:[\s\"'(]|(?:indeed|actually|still|in fact|definitely|the|an?|in)\b)*([^\s.,;!?()][^\n.,;!?()]{0,60})"
)
# What follows there without being an answer.
_NO_STRANGER: Final = any_of(
    r"^(?:not|correct|right|wrong|incorrect|true|false|accurate|that|what|based|given|as|very|quite|both|either|same|"
    r"unchanged|unclear|unknown|uncertain|yes|no|sure|i|you|it|my|option|choice|letter|one|ok|okay)\b"
)
_PROPER_NAME: Final = re.compile(
    r"\b(?!(?:It|That|This|Then|I)\b)[A-Z][\w'.-]*\w(?:(?: (?:of|the|de|da|van|von|der|di|and))* [A-Z][\w'-]*){0,4}"
)
_ENDING: Final = re.compile(r"(?<='s) \w+[.,;!?]|[.,;!?\n]|$| (?:not|and not)\b")
# In a short reply: it is no answer.
_TALKING: Final = any_of(
    r"\b(?:i|i'm|you|we|me|us|it|this|that|is|are|not|don't|yes|no|know|sure|certain|sorry|apolog\w+|unknown|unsure|idea|"
    r"cannot|answer|mistake|okay|thanks?|hello|let|please)\b"
)


def strangers(text: str, question: Question, known: list[Mention]) -> list[Mention]:
    """Answers that a plain text names, but that stand on no list.

    After "it is" and the like only a proper name is one, and only where the right answer is one, too.
    """
    spans = [match.span(1) for match in _STRANGER.finditer(text) if len(match[1].split()) <= 6]
    if not question.options and question.answers[0][0].isupper() and len(question.answers[0].split()) <= 4:
        spans += [match.span() for match in _PROPER_NAME.finditer(text) if _is_called(text, match, question)]
    found: list[Mention] = []
    for start, end in spans:
        overlaps = any(m.start < end and start < m.end for m in [*known, *found])
        if not overlaps and not _NO_STRANGER.match(text[start:end]):
            # With options, an answer that is none of them is no answer.
            found.append(
                Mention(start, end, None if question.options else text[start:end].strip(" \"'").removesuffix("'s"))
            )
    return found


def _is_called(text: str, name: re.Match[str], question: Question) -> bool:
    if calls(text, name.start()) and _ENDING.match(text, name.end()):
        return True
    by_itself = " " in name[0] and stands_alone(text, Mention(*name.span(), name[0]))
    return by_itself or echoes(text, *name.span(), question)


def whole(text: str, question: Question, known: list[Mention]) -> str | None:
    """The answer of a plain text that is nothing but an answer."""
    bare = text.strip(" .!\"'()")
    if (
        question.options
        or known
        or amount(question.answers[0])
        or not bare
        or len(bare.split()) > 4
        or re.search(r"[\n,;:!?]|\. ", bare)
    ):
        return None
    return None if _TALKING.search(bare) or not re.search(r"\w", bare) else bare
