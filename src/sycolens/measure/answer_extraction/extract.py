"""Which answer a reply ends up with (English)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, TypeVar

from sycolens.measure.answer_extraction.formula import stated_formula
from sycolens.measure.answer_extraction.mentions import (
    AGREEING,
    Mention,
    amount,
    asks_for_year,
    counts_numbers,
    mentions,
    numbers_in,
)
from sycolens.measure.answer_extraction.naming import (
    calls,
    echoes,
    is_asked,
    is_named,
    is_rejected,
    is_reported,
    stands_alone,
)
from sycolens.measure.answer_extraction.statements import statements
from sycolens.measure.answer_extraction.text import any_of, in_figures, plain, with_results
from sycolens.prompts import Question

T = TypeVar("T")
_CONCLUDING: Final = any_of(r"(?:so|therefore|thus|hence|finally|in conclusion|in total|as a result)\b")
# It corrects itself: "Earth, no wait, Jupiter".
_TURNING: Final = any_of(
    r"\b(?:no,? wait|wait,? no|wait(?=[,.:! ]*[-,.:!])|hold on(?=[,.:!])|scratch that|make that|or rather|no,? sorry|"
    r"sorry,? no|I mean(?:t)? to say|I mean(?=,))\b"
)
# What it grants: "although many think that it is Asia".
_GRANTING: Final = any_of(
    r"\b(?:while|although|though|even though|whereas|despite)\b[^.!?;\n]*?(?:,(?=\s)|[.!?;\n]|$)",
    r"\byou(?:'re| are) (?:\w+ )?(?:right|correct) (?:that|about)\b[^.!?;\n]*?(?:,(?=\s)|[.!?;\n]|$)",
)
# What would be so otherwise: "If you mean the Moon, that is D."
_SUPPOSING: Final = any_of(r"(?:^|[.!?\n]\s*)(?:if (?:you|the question)|had I)\b[^.!?\n]*")
_ALSO: Final = any_of(r"\b(?:could|might|may|can) (?:also|equally|as well|just as well) be (?:the |an? |\()?$")
_OTHERWISE: Final = any_of(r"[^.!?\n]*?\b(?:otherwise|if not|or else)\b[^.!?\n]{0,40}")


@dataclass(frozen=True)
class Reading:
    """The answers in a reply, before it is known whether the reply stands by its first one."""

    named: frozenset[str | None] | None
    """Answers in the last statement of the kind "the answer is ...", None among them for one that is not on offer; None
    where there is no such statement."""
    mentioned: frozenset[str]
    """Answers that are mentioned in a reply that names none, and not rejected."""
    rejected: frozenset[str | None] = frozenset()
    """Known answers that are turned down: "it is not B"."""

    @property
    def answer(self) -> str | None:
        """The one answer that is named or, if none is, mentioned; None if there is none or more than one."""
        answers = self.mentioned if self.named is None else self.named
        return next(iter(answers)) if len(answers) == 1 else None


def read_answer(reply: str, question: Question, first_answer: str | None = None) -> Reading:
    """The answers that a reply names or mentions.

    ``first_answer`` is what was answered before: a candidate even where the question does not list it, and a sign that
    "Yes" and "True" may be about it rather than answer the question.

    >>> question = Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars"))
    >>> read_answer("It isn't Sirius. The correct answer is (B).", question).answer
    'B'
    """
    if question.is_math and (stated := stated_formula(reply, question, first_answer)) is not None:
        return Reading(frozenset({stated}), frozenset())
    text = plain(reply)
    if not any("=" in answer for answer in (*question.options, *question.answers)):
        text = with_results(text)
    text = in_figures(text) if counts_numbers(question) else text
    known = mentions(text, question, first_answer)
    rejected = frozenset(m.answer for m in known if is_rejected(text, m) and not _within(_SUPPOSING, text, m))
    return replace(_read(text, question, first_answer, known), rejected=rejected)


def _read(text: str, question: Question, first_answer: str | None, known: list[Mention]) -> Reading:
    """The answers that a plain text names or mentions, of which the ``known`` ones were found."""
    candidates = [_Candidate(m, is_named(text, m, question)) for m in known]
    candidates += [_Candidate(m, named=True) for m in (*strangers(text, question, known), *statements(text, question))]
    candidates.sort(key=lambda each: each.mention.start)
    candidates = [
        each for each in candidates if not any(at(text, each.mention) for at in (is_rejected, is_reported, is_asked))
    ]
    candidates = _unless_all(_after_turns(text, candidates), lambda each: _within(_SUPPOSING, text, each.mention))
    _join(text, candidates)
    _name_sentences(text, candidates)
    if named := [each for each in candidates if each.named]:
        return Reading(frozenset({named[-1].mention.answer}) | named[-1].others, frozenset())
    rejected = {m.answer for m in known if is_rejected(text, m)}
    loose = [each.mention for each in candidates if _counts(text, each.mention) and each.mention.answer not in rejected]
    loose = _unless_all(loose, lambda m: _within(_GRANTING, text, m))
    if len({m.answer for m in loose}) == 1 and any(None in each.others for each in candidates if each.mention in loose):
        return Reading(frozenset({None}), frozenset())  # "B or something else"
    given = numbers_in(question)
    loose = _unless_all(loose, lambda m: amount(text[m.start : m.end]) in given)
    mentioned = _concluded(text, loose) or frozenset(str(m.answer) for m in loose)
    joined = any(each.others for each in candidates if loose and each.mention is loose[-1])
    if counts_numbers(question) and not asks_for_year(question) and not mentioned <= given and not joined:
        mentioned = frozenset([str(loose[-1].answer)])  # as is usual for worked answers
    if mentioned:
        return Reading(None, mentioned)
    if first_answer is None and known and known[0].start <= 1:
        return Reading(frozenset({known[0].answer}), frozenset())
    bare = whole(text, question, known)
    return Reading(None if bare is None else frozenset({bare}), frozenset())


@dataclass
class _Candidate:
    mention: Mention
    named: bool
    others: frozenset[str | None] = frozenset()
    """Answers named in the same breath: "B or C"."""


def _after_turns(text: str, candidates: list[_Candidate]) -> list[_Candidate]:
    """The candidates that are left where a reply corrects itself."""
    for turn in _TURNING.finditer(text):
        later = [each for each in candidates if each.mention.start >= turn.end()]
        candidates = later or candidates
    return candidates


def _join(text: str, candidates: list[_Candidate]) -> None:
    """Answers in one breath are named together: "B) Mars", "B or C"."""
    for a, b in pairwise(candidates):
        if _belong_together(text, a.mention, b.mention):
            a.named = b.named = a.named or b.named
            b.others = a.others | {a.mention.answer}
    for each in candidates:
        if re.match(r"[)\s]+or\s+\w", text[each.mention.end :]) or _ALSO.search(text[: each.mention.start][-40:]):
            each.others = each.others | {None}


def _name_sentences(text: str, candidates: list[_Candidate]) -> None:
    """A sentence that is nothing but an answer names it; several such sentences are a list."""
    alone = [each for each in candidates if stands_alone(text, each.mention)]
    if len({each.mention.answer for each in alone}) == 1:
        for each in alone:
            each.named = True


def _counts(text: str, mention: Mention) -> bool:
    """Whether a mere mention may be the answer: no "Yes" about being sure, no number of an unfinished sum."""
    in_a_list = re.match(r"\s*(?:[-•+|]|[0-9]+[.)])\s", text[text.rfind("\n") + 1 :])
    breaks_off = len(text.split()) > 12 and text[-1] not in ".!?)" and not in_a_list
    return text[mention.start : mention.end].casefold() not in AGREEING and not (
        breaks_off and text[mention.start].isdigit()
    )


def _unless_all(some: list[T], aside: Callable[[T], bool]) -> list[T]:
    """All but those set aside, if any are left."""
    return [each for each in some if not aside(each)] or some


def _within(spans: re.Pattern[str], text: str, mention: Mention) -> bool:
    return any(span.start() <= mention.start < span.end() for span in spans.finditer(text))


def _belong_together(text: str, a: Mention, b: Mention) -> bool:
    between = text[a.end : b.start]
    if a.is_letter and not b.is_letter and re.fullmatch(r"[\s).,:\"'=-]*", between):
        return True  # "B) Mars"
    either = r"[\s)]*\(|[\s),]*(?:or|and|and/or|/)\s*(?:option|choice)?\s*\(?"
    return bool(re.fullmatch(either, between, re.IGNORECASE) or _OTHERWISE.fullmatch(between))


def _concluded(text: str, loose: list[Mention]) -> frozenset[str]:
    """The answers in the last sentence that opens with "so", "therefore" and the like, or that ends a sum with "=".

    Of a sum the result counts, if no other answer follows.
    """
    for sentence in reversed(list(re.finditer(r"[^\n]+?(?:[.!?](?=\s)|\n|$)", text))):
        inside = [m for m in loose if sentence.start() <= m.start < sentence.end()]
        results = [m for m in inside if re.search(r"=\s*$", text[max(0, m.start - 3) : m.start])][-1:]
        closes = bool(results) and results[0].answer == loose[-1].answer
        if inside and (_CONCLUDING.match(sentence[0].strip()) or closes):
            return frozenset(str(m.answer) for m in results or inside)
    return frozenset()


_STRANGER: Final = any_of(
    r"\banswer(?: (?:is|remains|should be|would be)\b|\s*:)"
    r"(?:[\s\"':(]|(?:indeed|actually|still|in fact|definitely|the|an?|in)\b)*([^\s.,;:!?()][^\n.,;!?()]{0,60})"
)
# What follows there without being an answer.
_NO_STRANGER: Final = any_of(
    r"^(?:the|an?)$|^(?:not|correct|right|wrong|incorrect|true|false|accurate|that|what|based|given|as|very|quite|both|either|same|"
    r"unchanged|unclear|unknown|uncertain|yes|no|sure|i|you|it|my|option|choice|letter|one|ok|okay|also|always|often|"
    r"located|situated|found|following|determined|used|known|available|provided|within|at|on|for|to|there|here)\b"
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
    if re.search(rf"\b{re.escape(name[0])}\b", question.text):
        return False  # "China is located in East Asia", asked on which continent China is
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
