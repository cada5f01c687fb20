"""A result as one HTML element: a line, its figure, a key table, and what else there is to see.

Notebooks show it in the reader's own colors, light or dark. Sites that show notebooks strip scripts, style sheets and
some styles; what is left then is the same text, table and figure, one below the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sycolens.shown.words import escaped

ROWS: Final = 8
"""A key table has at most so many rows."""
_LEFT: Final = "text-align:left;vertical-align:top"
_TEXT: Final = f"{_LEFT};white-space:pre-wrap;overflow-wrap:anywhere;max-width:36em"


def page(
    line: str,
    *,
    figure: str = "",
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (),
    note: str = "",
) -> str:
    """One element of a line, a figure from :mod:`sycolens.shown.svg`, and a table of texts; all but the figure is text.

    >>> "Found &lt;3</div>" in page("Found <3", rows=[("heads", "3")])
    True
    """
    parts = [f'<div style="font-weight:bold">{escaped(line)}</div>']
    # The figure comes last, since a viewer that cannot draw it leaves its texts; in the row it stands on the left.
    row = (table(columns, rows) if rows else "") + figure
    if row:
        row_style = "display:flex;flex-flow:row-reverse wrap-reverse;justify-content:flex-end;align-items:flex-end"
        parts.append(f'<div style="{row_style};gap:16px;margin:6px 0">{row}</div>')
    if note:
        parts.append(f'<div style="font-size:85%;opacity:0.75">{escaped(note)}</div>')
    return f'<div style="margin-bottom:8px">{"".join(parts)}</div>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Texts in rows, under the names of their columns if they have any; line breaks are kept.

    >>> table(("head", "score"), [("L1H1", "−4.0%")]).count("<td")
    2
    """
    head = "".join(f'<th style="{_LEFT}">{escaped(name)}</th>' for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td style={chr(34)}{_TEXT}{chr(34)}>{escaped(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return f'<table style="margin:0">{f"<tr>{head}</tr>" if head else ""}{body}</table>'


def few(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """As many rows as a key table has; the last one counts those left out.

    >>> few([(str(k), "") for k in range(20)])[-1]
    ('and 13 more', '')
    """
    if len(rows) <= ROWS:
        return list(rows)
    kept = list(rows[: ROWS - 1])
    return [*kept, (f"and {len(rows) - len(kept)} more", *[""] * (len(rows[0]) - 1))]
