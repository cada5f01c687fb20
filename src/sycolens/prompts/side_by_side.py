"""Two prompts next to each other, with what differs between them marked."""

from __future__ import annotations

import html
import re
import unicodedata
from difflib import SequenceMatcher
from itertools import zip_longest

_WORDS = re.compile(r"\n|[^\S\n]+|\S+")
_Word = tuple[str, bool]


def differing(left: str, right: str) -> tuple[list[_Word], list[_Word]]:
    """Words (and the spaces between them) of both texts, each with whether it is missing on the other side.

    >>> differing("I do", "I don't")[0]
    [('I', False), (' ', False), ('do', True)]
    """
    a, b = _WORDS.findall(left), _WORDS.findall(right)
    marked_a, marked_b = [True] * len(a), [True] * len(b)
    for i, j, size in SequenceMatcher(a=a, b=b, autojunk=False).get_matching_blocks():
        marked_a[i : i + size] = marked_b[j : j + size] = [False] * size
    return list(zip(a, marked_a, strict=True)), list(zip(b, marked_b, strict=True))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def _wrap(words: list[_Word], width: int) -> list[tuple[str, str]]:
    """Lines no wider than ``width``, each with a line of carets under the marked words."""
    lines, text, marks = [], "", ""
    for word, marked in words:
        if word == "\n":
            lines.append((text, marks))
            text = marks = ""
            continue
        shown = "".join(c if c.isprintable() else " " for c in word)
        if _width(text) + _width(shown) > width and not shown.isspace() and text.strip():
            lines.append((text, marks))
            text = marks = ""
        for char in shown:
            if _width(text + char) > width:
                lines.append((text, marks))
                text = marks = ""
                if shown.isspace():
                    break
            text += char
            marks += ("^" if marked and not char.isspace() else " ") * _width(char)
    return [*lines, (text, marks)]


def side_by_side(left: str, right: str, *, titles: tuple[str, str], width: int = 100) -> str:
    """Both texts in two columns, ``width`` characters in all; carets stand under the words that differ."""
    column = max(10, (width - 3) // 2)
    rows = []
    wrapped = [_wrap(words, column) for words in differing(left, right)]
    for (a, a_marks), (b, b_marks) in zip_longest(*wrapped, fillvalue=("", "")):
        rows.append((a, b))
        if a_marks.strip() or b_marks.strip():
            rows.append((a_marks, b_marks))
    head = [titles, ("-" * column, "-" * column)]
    return "\n".join((a + " " * (column - _width(a)) + " | " + b).rstrip() for a, b in [*head, *rows])


def as_html(left: str, right: str, *, titles: tuple[str, str]) -> str:
    """The same as one row of an HTML table, what differs in ``<mark>``."""
    cells = [
        "".join(f"<mark>{html.escape(w)}</mark>" if marked and w.strip() else html.escape(w) for w, marked in words)
        for words in differing(left, right)
    ]
    head = "".join(f"<th style='text-align:left'>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<td style='white-space:pre-wrap;text-align:left;vertical-align:top'>{cell}</td>" for cell in cells)
    return f"<table><tr>{head}</tr><tr>{body}</tr></table>"
