"""Text and numbers as they are shown: nothing hidden in them, nothing that runs, no longer than there is room."""

from __future__ import annotations

import html
import math
import re
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TURNING: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What turns the words around it to another direction."""
_UNWRITABLE: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""What no file can hold."""


def visible(text: str) -> str:
    """The text with a picture in place of every control character but tabs and line breaks.

    >>> visible("a\\x1b[31m")
    'a␛[31m'
    """
    return _CONTROL.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"


def legible(text: str) -> str:
    """The same, also with a mark in place of what would turn the words around.

    >>> legible("right\\u202e to left")
    'right� to left'
    """
    return _TURNING.sub("\ufffd", visible(text))


def escaped(text: str) -> str:
    """Legible text as HTML, in which nothing is markup.

    >>> escaped("<b>bold</b>")
    '&lt;b&gt;bold&lt;/b&gt;'
    """
    return html.escape(_UNWRITABLE.sub("\ufffd", legible(text)))


def shortened(text: str, most: int) -> str:
    """At most so many characters of a text, on one line; dots stand for what is left out.

    >>> shortened("Which of these\\nis a planet?", 16)
    'Which of these…'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def counted(count: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "pair"), counted(1200, "pair")
    ('1 pair', '1,200 pairs')
    """
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def digits_of(top: float) -> int:
    """How many decimals give three digits at the largest number.

    >>> digits_of(4.21)
    2
    """
    return max(0, 2 - math.floor(math.log10(top))) if top else 2


def written(value: float, decimals: int, *, plus: bool = False) -> str:
    """A number with a true minus, and with a plus where signs matter; zero has no sign.

    >>> written(-0.051, 2), written(1234.5, 1, plus=True), written(-0.001, 2)
    ('−0.05', '+1,234.5', '0.00')
    """
    text = f"{abs(value):,.{decimals}f}"
    if not any(digit in "123456789" for digit in text):
        return text
    return ("−" if value < 0 else "+" if plus else "") + text


def percent(share: float) -> str:
    """A share as a percentage.

    >>> percent(0.625), percent(float("nan"))
    ('62.5%', 'no cases')
    """
    return "no cases" if math.isnan(share) else f"{written(100 * share, 1)}%"


def between(low: float, high: float) -> str:
    """Two ends of shares as percentages.

    >>> between(0.25, 0.5)
    '25.0% to 50.0%'
    """
    return f"{percent(low)} to {percent(high)}"
