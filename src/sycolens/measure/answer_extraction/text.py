"""A reply's text, made plain before it is read: no typesetting, sums replaced by their results, numbers in figures."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_CLAUSE: Final = re.compile(
    r"[.!?;]\s|\n|,\s|\b(?:but|although|though|because|while|whereas|however|since|so|therefore)\b", re.IGNORECASE
)
_REACH: Final = 300
"""Characters that a cue reaches; longer clauses are no English."""
_FIGURE: Final = r"\(*-?[0-9][0-9,]*(?:\.[0-9]+)?%?\)*"
_SUM: Final = re.compile(rf"(?<![\w.)]){_FIGURE}(?:\s*(?:[×x*·+/÷^-]|times|plus|minus)\s*{_FIGURE})+\s*(?==)")
_SUM_IN_WORDS: Final = re.compile(
    rf",? (?:times|plus|minus|multiplied by|divided by) {_FIGURE} (?:is|are|makes?|gives?|equals?)\b", re.IGNORECASE
)
_SMALL: Final = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""".split()  # noqa: SIM905
_TENS: Final = ["", "", *"twenty thirty forty fifty sixty seventy eighty ninety".split()]  # noqa: SIM905
_WORTH: Final = {word: k for k, word in enumerate(_SMALL)} | {word: 10 * k for k, word in enumerate(_TENS) if word}
SCALES: Final = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_STARTS: Final = f"{'|'.join(_WORTH)}|an? (?:{'|'.join(SCALES)})"
_IN_WORDS: Final = re.compile(
    rf"\b(?:{_STARTS})(?:(?:[ -]|\band\b)+(?:{'|'.join([*_WORTH, *SCALES])})\b)*(?!\w)", re.IGNORECASE
)


def plain(reply: str) -> str:
    """A reply without typesetting: curly quotes, bold, LaTeX boxes and fractions, line breaks after a colon.

    >>> plain(r"**So** we get $\\boxed{\\frac{3}{4}}$.")
    'So we get answer: 3/4 .'
    """
    text = unicodedata.normalize("NFKC", reply).translate(str.maketrans("\u2019\u2018\u201c\u201d\u2212", "''\"\"-"))
    text = re.sub(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2", text)
    text = re.sub(r"\\(?:boxed|fbox)\{(?:\\text\{)?([^{}]*)\}+", r"answer: \1 ", text)
    text = re.sub(r"####\s*", "\nanswer: ", text)
    text = re.sub(r"\\text\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\(?:times|cdot)\b", "×", text)
    text = re.sub(r"\\[()\[\]]|[*_`#$]", "", re.sub(r"(?<=[\d)])( ?)\*\1(?=[\d(])", " × ", text))
    text = re.sub(r":\s*\n\s*", ": ", text)
    return re.sub(r"[^\S\n]+", " ", text).strip()


def with_results(text: str) -> str:
    """A plain text in which of every sum only the result is left.

    >>> with_results("That is 9 × 2 = 18.")
    'That is = 18.'
    """
    return _SUM_IN_WORDS.sub(" =", _SUM.sub("", text))


def in_figures(text: str) -> str:
    """A plain text with its numbers in figures, if it has none so far. A lone "one" is no number.

    >>> in_figures("Tom has twenty-seven apples.")
    'Tom has 27 apples.'
    """
    if re.search(r"[0-9]", text):
        return text
    return _IN_WORDS.sub(lambda match: match[0] if match[0].lower() == "one" else str(_number(match[0])), text)


def _number(words: str) -> int:
    total, group = 0, 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word == "hundred":
            group = max(group, 1) * 100
        elif word in SCALES:
            total, group = total + max(group, 1) * SCALES[word], 0
        else:
            group += _WORTH.get(word, 0)
    return total + group


def any_of(*phrases: str, end: str = "") -> re.Pattern[str]:
    """A pattern for any of some phrases, in any letter case."""
    return re.compile(f"(?:{'|'.join(phrases)}){end}", re.IGNORECASE)


def clause_before(text: str, place: int) -> str:
    """What stands before a place in its own clause."""
    lead = text[max(0, place - _REACH) : place]
    lead = re.sub(r", ?(indeed|actually|in fact|of course|then|therefore) ?,", r" \1", lead, flags=re.IGNORECASE)
    start = 0
    for boundary in _CLAUSE.finditer(lead):
        start = boundary.end()
    return lead[start:]


def clause_after(text: str, place: int) -> str:
    """What stands after a place in its own clause, with the sign that ends it, if one does."""
    follows = text[place : place + _REACH]
    boundary = _CLAUSE.search(follows)
    return follows[: boundary.start() + (not boundary[0][0].isalpha())] if boundary else follows
