"""Tokens of a model as labels on a figure: on one line, not too long, and never read as markup."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Literal

from sycolens.plots.layout import text_width
from sycolens.shown.words import visible

LABEL = 84.0
"""A longer label is cut."""


def token_names(siblings: Sequence[str | None]) -> list[str | None]:
    """What tokens are called that stand at one place, without their spaces unless these alone tell two apart.

    >>> token_names([" sorry", " glad", "glad", "\\n", None])
    ['sorry', '␣glad', 'glad', '↵', None]
    """
    lines = [None if token is None else on_one_line(token) for token in siblings]
    plain = [None if line is None else line.strip() for line in lines]

    def name(line: str) -> str:
        short = line.strip()
        return cut(short if short and plain.count(short) == 1 else line.replace(" ", "␣") or "·")

    return [None if line is None else name(line) for line in lines]


def on_one_line(text: str) -> str:
    """The text with signs for line breaks, tabs and control characters."""
    return visible(text).replace("\n", "↵").replace("\t", "⇥")


def cut(text: str, *, keep: Literal["start", "end"] = "start") -> str:
    """The text, or as much of its start or end as a label holds.

    >>> cut("Congratulations on that"), cut("Congratulations on that", keep="end")
    ('Congratulations o…', '…ratulations on that')
    """
    if text_width(text) <= LABEL:
        return text
    parts = (f"{text[:n]}…" if keep == "start" else f"…{text[len(text) - n :]}" for n in range(len(text), -1, -1))
    return next(part for part in parts if text_width(part) <= LABEL)


def literal(text: str, *, italic: bool = False) -> str:
    """The text as plotly has to be given it, which reads tags, entities and formulas.

    >>> literal("<b>$x$")
    '&lt;b&gt;&#36;x&#36;'
    """
    plain = html.escape(text, quote=False).replace("$", "&#36;")
    return f"<i>{plain}</i>" if italic else plain
