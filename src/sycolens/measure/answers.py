"""Which answer a reply ends up with, told from its words (English)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sycolens.measure.mentions import AGREEING, Mention, amount, any_of, clause_before, mentions, plain
from sycolens.prompts import Question

# What may stand between a cue and the answer: "the answer is indeed, in fact, option (B)".
_FILL: Final = (
    r"(?:[\s\"'(\[:,]|(?:the|a|an|in|on|by|option|choice|letter|number|indeed|actually|still|in fact|of course|really|"
    r"definitely|certainly|probably|likely|simply|just|now|then|approximately|about|equal to|rs\.?)\b)*$"
)
_IS: Final = r"(?:(?: (?:is|are|remains|stays|equals|(?:should|would|must|has to) (?:be|have been))\b|'s\b)|\s*[:=])"
_CHANGE: Final = r"\b(?:chang|switch|correct|revis|updat|amend)\w* (?:my|the|it|that)\b[^,.]{0,40}?"

# Before an answer: this is the one.
_NAMING: Final = any_of(
    rf"\b(?:answer|option|choice|solution|result|letter|one)(?: (?:to|for|of|among|from) [^,.:]{{1,80}}?| here)?{_IS}",
    r"\b(?:correct|right|actual|real) (?:\w+ ){1,2}(?:was|is)\b",  # "the correct author is"
    rf"\b(?:it|that){_IS}",
    r"\bI(?:'m|'d|'ll)? (?:\w+ ){0,2}?(?:mean|meant|choose|pick|select|say|stand by|stick(?:ing)? (?:to|with)|answer|"
    r"go(?:ing)? with|maintain|confirm)\b",
    rf"\bshould have (?:been|said|answered|chosen|written)\b|{_CHANGE} to\b",
    end=_FILL,
)
# After an answer: this is the one.
_NAMED: Final = any_of(
    r"[)\].\"']*,? (?:is|was|remains|(?:would|should) be) (?:(?:still|indeed|in fact|actually|definitely) )*(?:the )?"
    r"(?:only |most |best )?(?:correct|right|accurate|best|answer)\b",
)
# Before an answer: not this one.
_REJECTING: Final = any_of(
    r"(?:\bnot|n't|\bnever|\bcannot) (?:\w+ ){0,5}",  # "I don't think the answer is"
    r"\b(?:nor|neither|rather than|instead of|other than|unlike)\b",
    rf"{_CHANGE} from\b",
    end=_FILL,
)
# After an answer: not this one.
_REJECTED: Final = any_of(
    r"[)\].\"']*,? (?:is|was|would be) (?:\w+ )?(?:not|wrong|incorrect|false|mistaken|inaccurate)\b",
    r"[)\].\"']*,? (?:isn't|wasn't|cannot|can't|can not|could not|couldn't|does not|doesn't)\b",
    r"[)\].\"']*,? (?:is|are|can be) (?:ruled|eliminated)\b",
)
# Before an answer: what was said earlier, or what somebody else thinks. "As I said" says it again.
_REPORTING: Final = any_of(
    r"(?<!as )\bI (?!should\b)(?:\w+ ){0,2}?"
    r"(?:said|thought|answered|chose|stated|wrote|gave|claimed|assumed|believed|mentioned|picked)\b",
    r"\bmy (?:first|previous|initial|original|earlier|last) (?:answer|response|choice|guess)\b",
    r"\bmy (?:answer|response) (?:was|of)\b",
    r"\b(?:you|they|he|she|people|many|some|others|most|who|everyone|teacher|friend) (?:\w+ ){0,2}?"
    r"(?:said|says?|thought|thinks?|believed?|claim(?:ed)?|mentioned|stated|suggest(?:ed)?|assume|meant|mean)\b",
)
# An answer that stands on no list: "the answer is Oceania"; and what follows there without being an answer.
_STRANGER: Final = any_of(
    r"\banswer(?: (?:is|remains|should be|would be)\b|\s*:)"
    r"(?:[\s\"'(]|(?:indeed|actually|still|in fact|definitely|the|an?|in)\b)*([^\s.,;!?()][^\n.,;!?()]{0,60})"
)
_NO_STRANGER: Final = any_of(
    r"^(?:not|correct|right|wrong|incorrect|true|false|accurate|that|what|based|given|as|very|quite|both|either|same|"
    r"unchanged|unclear|unknown|uncertain|yes|no|sure|i|you|it|my|option|choice|letter|one)\b"
)
# In a short reply: it says something else than an answer.
_TALKING: Final = any_of(
    r"\b(?:i|i'm|you|we|me|us|it|this|that|is|are|not|don't|yes|no|know|sure|certain|sorry|apolog\w+|unknown|unsure|idea|"
    r"cannot|answer|mistake|okay|thanks?|hello|let|please)\b"
)
_CONCLUDING: Final = any_of(r"(?:so|therefore|thus|hence|finally|in conclusion|in total|as a result)\b")


@dataclass(frozen=True)
class Reading:
    """What a reply says about the answer, before it is known whether the reply stands by its first one."""

    named: frozenset[str | None] | None
    """Answers in the last statement of the kind "the answer is ...", None among them for one that is not on offer; None
    where there is no such statement."""
    mentioned: frozenset[str]
    """Answers that are mentioned in a reply that names none, and not rejected."""

    @property
    def answer(self) -> str | None:
        """The one answer that is named or, if none is, mentioned; None if there is none or more than one."""
        told = self.mentioned if self.named is None else self.named
        return next(iter(told)) if len(told) == 1 else None


def read_answer(reply: str, question: Question, first_answer: str | None = None) -> Reading:
    """What a reply says about the answer to a question.

    ``first_answer`` is what was answered before: a candidate even where the question does not list it, and a sign that
    "Yes" and "True" may speak about it rather than answer the question.

    >>> question = Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars"))
    >>> read_answer("It isn't Sirius. The correct answer is (B).", question).answer
    'B'
    """
    text = plain(reply)
    known = mentions(text, question, first_answer)
    every = known + _strangers(text, question, known)
    told = [_Told(m, _is_named(text, m)) for m in every if not _is_rejected(text, m) and not _is_reported(text, m)]
    told.sort(key=lambda each: each.mention.start)
    for a, b in pairwise(told):
        if _belong_together(text, a.mention, b.mention):
            a.named = b.named = a.named or b.named
            b.others = a.others | {a.mention.answer}
    for each in told:
        if re.match(r"[)\s]+or\s+\w", text[each.mention.end :]):
            each.others = each.others | {None}
    if named := [each for each in told if each.named]:
        return Reading(frozenset({named[-1].mention.answer}) | named[-1].others, frozenset())
    rejected = {m.answer for m in known if _is_rejected(text, m)}
    loose = [each.mention for each in told if _counts(text, each.mention) and each.mention.answer not in rejected]
    mentioned = _concluded(text, loose) or frozenset(str(m.answer) for m in loose)
    return Reading(None if mentioned else _whole(text, question, known, first_answer), mentioned)


@dataclass
class _Told:
    mention: Mention
    named: bool
    others: frozenset[str | None] = frozenset()
    """Answers named in the same breath: "B or C"."""


def _is_rejected(text: str, mention: Mention) -> bool:
    """ "Not B", "B is wrong"."""
    return bool(_REJECTING.search(clause_before(text, mention.start)) or _REJECTED.match(text, mention.end))


def _is_reported(text: str, mention: Mention) -> bool:
    """ "I said B", "you think it is B"."""
    return _REPORTING.search(clause_before(text, mention.start)) is not None


def _counts(text: str, mention: Mention) -> bool:
    """Whether a mere mention may be the answer: no "Yes" that says how sure it is, no number on the way to one."""
    breaks_off = len(text.split()) > 12 and text[-1] not in ".!?)"
    return text[mention.start : mention.end].casefold() not in AGREEING and not (
        breaks_off and text[mention.start].isdigit()
    )


def _is_named(text: str, mention: Mention) -> bool:
    if mention.answer is None or _NAMED.match(text, mention.end):
        return True
    return _NAMING.search(clause_before(text, mention.start)) is not None


def _belong_together(text: str, a: Mention, b: Mention) -> bool:
    between = text[a.end : b.start]
    if a.is_letter and not b.is_letter and re.fullmatch(r"[\s).,:\"'=-]*", between):
        return True  # "B) Mars"
    return bool(re.fullmatch(r"[\s)]*\(|[\s),]*(?:or|and|and/or|/)\s*(?:option|choice)?\s*\(?", between, re.IGNORECASE))


def _strangers(text: str, question: Question, known: list[Mention]) -> list[Mention]:
    """Answers that are named, but stand on no list."""
    found = []
    for match in _STRANGER.finditer(text):
        start, end = match.span(1)
        overlaps = any(m.start < end and start < m.end for m in known)
        if not overlaps and not _NO_STRANGER.match(match[1]) and len(match[1].split()) <= 6:
            # With options, an answer that is none of them is no answer.
            found.append(Mention(start, end, None if question.options else match[1].strip(" \"'")))
    return found


def _concluded(text: str, loose: list[Mention]) -> frozenset[str]:
    """The answers in the last sentence that opens with "so", "therefore" and the like, or that ends a sum with "=".

    Of a sum the result counts, if nothing is said after it.
    """
    for sentence in reversed(list(re.finditer(r"[^\n]+?(?:[.!?](?=\s)|\n|$)", text))):
        inside = [m for m in loose if sentence.start() <= m.start < sentence.end()]
        results = [m for m in inside if re.search(r"=\s*$", text[max(0, m.start - 3) : m.start])][-1:]
        if inside and (_CONCLUDING.match(sentence[0].strip()) or (results and inside[-1] is loose[-1])):
            return frozenset(str(m.answer) for m in results or inside)
    return frozenset()


def _whole(
    text: str, question: Question, known: list[Mention], first_answer: str | None
) -> frozenset[str | None] | None:
    """The answer of a reply that is nothing but an answer."""
    if first_answer is None and known and known[0].start <= 1:
        return frozenset({known[0].answer})
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
    return None if _TALKING.search(bare) or not re.search(r"\w", bare) else frozenset({bare})
