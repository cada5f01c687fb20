"""What small figures are drawn with: SVG inside a page, which needs no script and no style.

Only elements and attributes that sites leave in the output of a notebook. What is written or ruled has the color of the
text around the figure. The pointer shows a number wherever an element has a title.
"""

from __future__ import annotations

import math
from typing import Final

from sycolens.shown.words import escaped

RED, BLUE, ORANGE, GRAY = "#d1443f", "#3b82cf", "#d0700f", "#888"
"""Of middling lightness: they stand out from a light page and from a dark one."""
FONT: Final = 11
"""Size of all words, in pixels."""
CHARACTER: Final = 6.2
"""About the width of a character at that size."""


def text(x: float, y: float, words: str, *, anchor: str = "start") -> str:
    """Words whose start, middle or end stands at a place; nothing where there are none.

    >>> text(4, 10, "a < b")
    '<text x="4" y="10">a &lt; b</text>'
    """
    if not words:
        return ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:g}" y="{y:g}"{where}>{escaped(words)}</text>'


def titled(content: str, words: str) -> str:
    """Elements of which the pointer says something.

    >>> titled('<circle r="4"/>', "L1H1")
    '<g><title>L1H1</title><circle r="4"/></g>'
    """
    return f"<g><title>{escaped(words)}</title>{content}</g>"


def svg(width: float, height: float, content: str) -> str:
    """A figure of so many pixels.

    >>> svg(10.5, 20, "").startswith('<svg width="11" height="20" viewBox="0 0 11 20">')
    True
    """
    # The size of the font holds for all in it; a group, since not every site leaves it on the outermost element.
    wide, high = math.ceil(width), math.ceil(height)
    return (
        f'<svg width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">'
        f'<g font-size="{FONT}" fill="currentColor">{content}</g></svg>'
    )
