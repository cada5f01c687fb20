"""Where things go on a printed figure: the look that all figures share.

Lengths are CSS pixels, 96 to the inch.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeVar

from sycolens.errors import FigureError

Number = TypeVar("Number", int, float)
Named = Literal["single", "double", "icml", "icml_wide", "neurips", "acl", "acl_wide", "nature", "nature_wide"]
Width = float | Named
"""Of a printed figure: inches, or a column or the whole text width of a venue."""
INCHES: Final[dict[str, float]] = {
    "single": 3.25,
    "double": 6.75,
    "icml": 3.25,
    "icml_wide": 6.75,
    "neurips": 5.5,
    "acl": 3.03,
    "acl_wide": 6.3,
    "nature": 3.5,
    "nature_wide": 7.2,
}
LEAST_INCHES, MOST_INCHES = 3.0, 15.0
PANEL = 1.9
"""Inches of the narrowest panel beside others, for the figures that fit one."""
BROAD = 4.5
"""Inches from which on a figure is laid out for the whole text width rather than for a column."""
PAGE_HEIGHT = (400, 720)
"""No plot area is taller, in a column and over the whole width, unless its cells would be thinner than a hair."""
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
INK, FAINT, GRID = "#1a1a1a", "#8c8c8c", "#e6e6e6"
BODY, SMALL = 10.67, 9.33
"""8 and 7 points: axis names; ticks, labels and footnotes."""
LINE = 12.0
"""From one line of small print to the next."""
NOTE_GAP = 6
"""Below the small print."""
GRAIN = 4
"""Heights are multiples of it: three points, as a browser prints whole points only."""
TOP = 8
BELOW = 38
"""Room under the plot for tick labels and the axis name."""
ENTRY, KEY = 19.0, 50.0
"""Height of an entry of plotly's legend, and the width of its picture."""


def page_width(width: Width, *, least: float = PANEL) -> float:
    """Width of a figure in pixels; ``least`` are the fewest inches that it can be.

    Raises:
        FigureError: a name that is not known, or inches that no page has.

    >>> page_width("neurips"), page_width(3.25)
    (528.0, 312.0)
    """
    inches = INCHES.get(width) if isinstance(width, str) else width
    if isinstance(inches, bool) or not isinstance(inches, int | float) or not least <= inches <= MOST_INCHES:
        raise FigureError(
            f"width={width!r}; give inches from {least:g} to {MOST_INCHES:g}, or one of {', '.join(INCHES)}."
        )
    return round(96 * inches, 2)


def plot_height(inches: float) -> float:
    """A height that a plot can have.

    Raises:
        FigureError: it is less than half an inch, more than a page, or no number.
    """
    if not isinstance(inches, int | float) or not 0.5 <= inches <= 9:
        raise FigureError(f"height={inches!r}; give inches from 0.5 to 9.")
    return inches


def by_width(width: Width, choices: tuple[Number, Number]) -> Number:
    """The first of the two for a figure of one column, the second for a broader one."""
    return choices[page_width(width) >= 96 * BROAD]


Box = tuple[float, float, float, float]
"""Left, top, right, bottom; pixels from the plot's upper left corner."""


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes have more than an edge in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def grown(box: Box, by: float) -> Box:
    """The box with a margin around it."""
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


def text_width(text: str, size: float = SMALL) -> float:
    """Width of a text in Arial, a little on the generous side; letters of East Asia are as wide as they are high."""
    return size * sum(map(_advance, text))


def _advance(letter: str) -> float:
    plain = 1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.59
    return next((width for letters, width in _ADVANCES if letter in letters), plain)


_ADVANCES = (
    (" .,:;'|!ijlIft/", 0.28),
    ("()[]-r", 0.34),
    ("ckJsvxyz", 0.5),
    ("ABEFKPSTVXYZ", 0.67),
    ("CDGHNOQRUw", 0.78),
    ("mMW%", 0.95),
)
"""Widths of letters in Arial, as shares of the font size, in classes and rounded up."""


def wrap(text: str, width: float, size: float = SMALL) -> list[str]:
    """The text in lines of at most ``width``, unless a single word is longer."""
    lines: list[str] = []
    for word in text.split(" ") if text else ():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def tick_step(cell: float, *, apart: float) -> int:
    """The smallest power of two that keeps ticks ``apart`` where one cell measures ``cell``."""
    return 1 << max(0, math.ceil(math.log2(apart / cell)))


def page(
    width: Width,
    *,
    plot: tuple[float, float],
    left: float,
    content: tuple[float, float],
    footnote: Iterable[str | None],
    above: float = 0,
    below: float = BELOW,
) -> dict[str, Any]:
    """A white page of print width around a plot area of ``plot`` (width, height), ``left`` pixels from the page's edge.

    The footnote, made of the sentences that are not None, runs under ``content``: from its left to its right end.
    ``above`` is room over the plot, for a legend; ``below`` is room under it, for an axis.
    """
    room = page_width(width) - 8
    measure = min(room, max(content[1] - content[0], 300))
    lines = wrap(" ".join(sentence for sentence in footnote if sentence), measure)
    start = min(max(4.0, (content[0] + content[1] - measure) / 2), 4 + room - measure)
    over = TOP + above + plot[1]
    height = whole_points(over + below + (LINE * len(lines) + NOTE_GAP if lines else 0))
    note = {
        "name": "footnote",
        "text": "<br>".join(lines),
        "showarrow": False,
        "align": "left",
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": 0,
        "xanchor": "left",
        "yanchor": "top",
        "xshift": start - left,
        "yshift": -below,
        "borderpad": 0,
        "font": {"size": SMALL},
    }
    return {
        "width": page_width(width),
        "height": height,
        # plotly would otherwise shift the margins for tick labels and the color bar, and cells would not be square.
        "margin": {
            "l": left,
            "r": page_width(width) - left - plot[0],
            "t": TOP + above,
            "b": height - over,
            "pad": 0,
            "autoexpand": False,
        },
        "font": {"family": FONT, "size": SMALL, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "showlegend": False,
        "hoverlabel": {"bgcolor": "white", "bordercolor": FAINT, "font": {"family": FONT, "size": BODY, "color": INK}},
        "annotations": [note] if lines else [],
    }


def whole_points(height: float) -> int:
    """The next height that is printed exactly."""
    return GRAIN * math.ceil(height / GRAIN - 1e-9)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """A thin framed axis without grid."""
    return {
        "title": {"text": title, "font": {"size": BODY}, "standoff": 4},
        "showgrid": False,
        "zeroline": False,
        "showline": True,
        "mirror": True,
        "linecolor": FAINT,
        "linewidth": 0.75,
        "ticks": "outside",
        "ticklen": 3,
        "tickwidth": 0.75,
        "tickcolor": FAINT,
        **more,
    }


def legend(**more: Any) -> dict[str, Any]:
    """A plain legend whose left edge is at ``x``."""
    return {"xanchor": "left", "font": {"size": SMALL}, "bgcolor": "rgba(255,255,255,0)", **more}
