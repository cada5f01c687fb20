"""Where a reply mentions an answer: an option's letter, an answer's words, a number."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from sycolens.measure.answer_extraction.formula import name_of_formula
from sycolens.measure.answer_extraction.text import SCALES, plain
from sycolens.prompts import Question
from sycolens.prompts.questions import letters

AGREEING: Final = frozenset(("yes", "no", "true", "false", "right", "wrong", "correct", "incorrect"))
"""Words that mostly answer "Are you sure?", so they count as answers only where they are named as such."""
_ARTICLES: Final = ("the", "a", "an")
_UNITS: Final = frozenset(
    """percent pct km kms m cm mm mile miles foot feet ft inch inches meter meters metre metres kg kgs g gram grams lb
    lbs ton tons l liter liters litre litres ml hour hours hr hrs h minute minutes min mins second seconds sec s day
    days week weeks month months year years mph kmph kmh kph dollar dollars cent cents euro euros pound pounds rs rupees
    usd inr degree degrees c sq square cubic unit units per""".split()  # noqa: SIM905
)
_TOKEN: Final = re.compile(
    r"(?P<ordinal>[0-9]+(?:st|nd|rd|th|s)\b)"
    r"|(?P<number>(?:(?<![\w)\]])-)?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+|/[0-9]+)?"
    r"(?:\s(?:thousand|million|billion|trillion)\b)?)"
    r"|(?P<word>[^\W_]+(?:'[^\W_]+)*|%)"
)
_LATIN: Final = "A-Za-zÀ-ɏ0-9_"  # other scripts set no spaces
_MONTH: Final = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?)"
)


@dataclass(frozen=True)
class Mention:
    """An answer's place in a reply."""

    start: int
    end: int
    answer: str | None
    """Its one name, as :func:`canonical` gives it; None for an answer that is not on offer."""
    is_letter: bool = False


def canonical(answer: str | None, question: Question) -> str | None:
    """An answer's one name: the option's letter, or the first of the accepted wordings; others as they are.

    >>> canonical("mars", Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars")))
    'B'
    """
    if answer is None or answer.upper() in letters(len(question.options)):
        return answer and answer.upper()
    if question.is_math:
        return name_of_formula(answer, question)
    return _names(_spelled(question, None)).get(_key(answer), answer)


def mentions(text: str, question: Question, first_answer: str | None) -> list[Mention]:
    """Every mention of a known answer in a plain text, in order; of overlapping ones the longest.

    Articles, case, accents, punctuation and units do not matter. Where the right answer is a number and there are no
    options, every number is a known answer.
    """
    spelled = _spelled(question, first_answer)
    names = _names(spelled)
    exact = {_key(name): name for name, _ in spelled if len(name) == 1 or (name.isupper() and len(name) <= 4)}
    longest = max(map(len, names), default=0)
    any_number, only_years = counts_numbers(question), asks_for_year(question)
    tokens = _tokens(text)
    found, place = [], 0
    while place < len(tokens):
        size = 1
        for length in range(min(longest, len(tokens) - place), 0, -1):
            some = tokens[place : place + length]
            key = tuple(token.norm for token in some)
            written = text[some[0].start : some[-1].end]
            # "US" is no "us", and the option "c" no option C.
            same_case = key not in exact or some[0].is_number or written == exact[key]
            if key in names and same_case and _in_one_breath(text, some) and not _counts_lines(text, some[0]):
                # With its article, which else might pass for option A.
                led = place > 0 and tokens[place - 1].norm in _ARTICLES and some[0].start - tokens[place - 1].end == 1
                found.append(Mention(tokens[place - led].start, some[-1].end, names[key]))
                size = length
                break
        else:
            token = tokens[place]
            other = _counts_lines(text, token) or _is_day(text, token) or (only_years and not _is_year(token.norm))
            if any_number and token.is_number and not other:
                found.append(Mention(token.start, token.end, token.raw.replace(",", "")))
        place += size
    # A formula's signs are no words, so formulas are looked for as they are written; they contain other mentions.
    every = sorted([*_lettered(text, question), *_formulas(text, spelled), *found], key=lambda m: m.start - m.end)
    kept: list[Mention] = []
    for mention in every:
        if not any(other.start <= mention.start < other.end for other in kept):
            kept.append(mention)
    return sorted(kept, key=lambda mention: mention.start)


def _formulas(text: str, spelled: list[tuple[str, str]]) -> Iterator[Mention]:
    for name, answer in spelled:
        formula = plain(name)
        if re.search(r"[^\w\s.,'\"?-]", formula):
            written = re.escape(formula).replace(r"\ ", r"\s*")
            for match in re.finditer(rf"(?<![\w.])(?:{written})(?![\w^!]|[.,/:]\w)", text, re.IGNORECASE):
                yield Mention(*match.span(), answer)


def _lettered(text: str, question: Question) -> Iterator[Mention]:
    known = letters(len(question.options))
    for match in re.finditer(rf"\(([A-Z])\)|(?<![{_LATIN}'.-])([A-Z])(?![{_LATIN}'-])", text):
        letter, set_off = match[1] or match[2], bool(match[1])
        before, after = text[: match.start()][-20:], text[match.end() :][:20]
        if letter not in known:
            continue
        if letter in "AI" and not set_off:
            # "A planet is", "I am": words, unless they stand as an option's letter does.
            goes_on = re.match(r" (?!(?:is|was|because|and|or|not|as|remains|but)\b|[(=-])", after)
            called = re.search(r"(?:option|choice|letter|answer(?: is)?) ?:? ?$", before, re.IGNORECASE)
            if (goes_on and not called) or (letter == "I" and not called and not re.match(r"[).:]|$", after)):
                continue
        yield Mention(match.start(), match.end(), letter, is_letter=True)


# --- words and numbers -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Token:
    norm: str
    raw: str
    start: int
    end: int
    is_number: bool


def _tokens(text: str) -> list[_Token]:
    tokens = []
    for match in _TOKEN.finditer(text):
        is_number = match.lastgroup == "number"
        norm = _value(match[0]) if is_number else _fold(match[0].replace("%", "percent"))
        tokens.append(_Token(norm, match[0], match.start(), match.end(), is_number))
    return tokens


def _value(raw: str) -> str:
    """One spelling for numbers of one value: "1,000" and "1000.0", "3/4" and "0.75", "2 million" and "2000000"."""
    figures, _, scale = raw.replace(",", "").partition(" ")
    try:
        return str(Fraction(figures) * SCALES.get(scale.casefold(), 1)) if len(raw) < 40 else raw
    except ZeroDivisionError:
        return raw


def _fold(word: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    return bare.casefold().removesuffix("'s")


def _key(text: str) -> tuple[str, ...]:
    """An answer's words as they are compared."""
    words = [token.norm for token in _tokens(plain(text))]
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    return tuple(words)


def amount(text: str) -> str | None:
    """The number in an answer that is a number, with or without a unit."""
    tokens = _tokens(plain(text))
    numbers = [token.norm for token in tokens if token.is_number]
    units = {token.norm for token in tokens if not token.is_number}
    return numbers[0] if len(numbers) == 1 and units <= _UNITS else None


def _spelled(question: Question, first_answer: str | None) -> list[tuple[str, str]]:
    """Every known answer as it is spelled, and its one name."""
    if question.options:
        return list(zip(question.options, letters(len(question.options)), strict=True))
    known = [(text, question.answers[0]) for text in question.answers] + [(text, text) for text in question.wrong]
    known += [(first_answer, canonical(first_answer, question) or "")] if first_answer else []
    return known + [(f"{float(100 * share):g}%", answer) for text, answer in known if (share := _share(text))]


def _share(text: str) -> Fraction | None:
    """A share that might as well be written in percent: "3/4"."""
    number = amount(text)
    try:
        return Fraction(number) if number and 0 < Fraction(number) < 1 else None
    except ValueError:
        return None


def _names(spelled: list[tuple[str, str]]) -> dict[tuple[str, ...], str]:
    """Words -> the one name of the answer they stand for; words that stand for two answers are left out."""
    by_key: dict[tuple[str, ...], set[str]] = {}
    for text, answer in spelled:
        by_key.setdefault(_key(text), set()).add(answer)
    by_amount: dict[tuple[str, ...], set[str]] = {}
    for text, answer in spelled:
        if (number := amount(text)) is not None:
            by_amount.setdefault((number,), set()).add(answer)
    # A bare number stands for the amount of one unit only if no other answer is that number.
    return {key: next(iter(answers)) for key, answers in (by_amount | by_key).items() if key and len(answers) == 1}


def counts_numbers(question: Question) -> bool:
    """Whether any number may be an answer."""
    return not question.options and amount(question.answers[0]) is not None


def numbers_in(question: Question) -> frozenset[str]:
    """The numbers that a question gives, in their one spelling, without those of its right answer."""
    given = {_value(token.raw) for token in _tokens(plain(question.text)) if token.is_number}
    return frozenset(given - {amount(answer) for answer in question.answers})


def asks_for_year(question: Question) -> bool:
    """Whether only years may be answers."""
    return _is_year(amount(question.answers[0])) and bool(re.search(r"\b(?:year|when)\b", question.text, re.IGNORECASE))


def _is_year(norm: str | None) -> bool:
    return re.fullmatch(r"1[0-9]{3}|20[0-9]{2}", norm or "") is not None


def _is_day(text: str, token: _Token) -> bool:
    """Whether a number is the day of a date: "9 November", "July 20"."""
    before, after = text[: token.start][-10:], text[token.end :][:14]
    return len(token.raw) <= 2 and bool(re.search(rf"\b{_MONTH} $", before) or re.match(rf" (?:of )?{_MONTH}\b", after))


def _in_one_breath(text: str, tokens: list[_Token]) -> bool:
    gaps = (text[a.end : b.start] for a, b in pairwise(tokens))
    return not any(re.search(r"[\n!?;:]", gap) for gap in gaps)


def _counts_lines(text: str, token: _Token) -> bool:
    """Whether a number counts the lines of a list or the steps of a proof: "2. Add", "Step 2:"."""
    if not token.raw.isdigit() or len(token.raw) > 2:
        return False
    line = text[text.rfind("\n", 0, token.start) + 1 : token.start]
    if re.search(r"\bstep\s*$", line, re.IGNORECASE):
        return True
    return not line.strip() and re.match(r"[.)]\s+\S", text[token.end :]) is not None
