"""Where things go on a printed figure: the look that all figures share.

Lengths are CSS pixels, 96 to the inch.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from typing import Any, Literal

Width = Literal["single", "double"]

PAGE_WIDTH: dict[Width, int] = {"single": 317, "double": 648}
"""3.3 and 6.75 inches: one and two columns of a conference paper."""
PAGE_HEIGHT: dict[Width, int] = {"single": 400, "double": 720}
"""No plot area is taller, unless its cells would be thinner than a hair."""
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
INK, FAINT, GRID = "#1a1a1a", "#8c8c8c", "#e6e6e6"
BODY, SMALL = 10.67, 9.33
"""8 and 7 points: axis names; ticks, labels and footnotes."""
LINE = 12.0
"""From one line of small print to the next."""
TOP = 8
BELOW = 38
"""Room under the plot for tick labels and the axis name."""
ENTRY, KEY = 19.0, 50.0
"""Height of an entry of plotly's legend, and the width of its picture."""


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
    room = PAGE_WIDTH[width] - 8
    measure = min(room, max(content[1] - content[0], 300))
    lines = wrap(" ".join(sentence for sentence in footnote if sentence), measure)
    start = min(max(4.0, (content[0] + content[1] - measure) / 2), 4 + room - measure)
    bottom = below + (LINE * len(lines) + 6 if lines else 0)
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
        "width": PAGE_WIDTH[width],
        "height": round(TOP + above + plot[1] + bottom),
        # plotly would otherwise shift the margins for tick labels and the color bar, and cells would not be square.
        "margin": {
            "l": left,
            "r": PAGE_WIDTH[width] - left - plot[0],
            "t": TOP + above,
            "b": bottom,
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
