"""Names at the ends of lines, in the margin right of the plot: no legend to look things up in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sycolens.plots.layout import LINE, SMALL, text_width, wrap

GAP = 6.0
"""From the frame to a name."""


@dataclass(frozen=True)
class LineName:
    """A name in the color of its line."""

    text: str
    """Broken into lines by <br>."""
    color: str
    at: float
    """Where the line ends, in pixels from the plot's upper edge."""

    @classmethod
    def broken(cls, *parts: str, room: float, color: str, at: float) -> LineName:
        """A name that begins a new line with each part, and wherever the room ends."""
        return cls("<br>".join(line for part in parts for line in wrap(part, room)), color, at)

    @property
    def width(self) -> float:
        return max(map(text_width, self.text.split("<br>")))

    @property
    def height(self) -> float:
        return LINE * (self.text.count("<br>") + 1)

    def written(self, top: float) -> dict[str, Any]:
        """The name as an annotation whose upper edge is ``top`` pixels below the plot's."""
        return {
            "name": "line name",
            "text": self.text,
            "showarrow": False,
            "align": "left",
            "xref": "paper",
            "yref": "paper",
            "x": 1,
            "y": 1,
            "xanchor": "left",
            "yanchor": "middle",
            "xshift": GAP,
            "yshift": -(top + self.height / 2),
            "borderpad": 0,
            "font": {"size": SMALL, "color": self.color},
        }


def spread(names: Sequence[LineName], *, height: float, room: float) -> list[float] | None:
    """Upper edges of the names so that none overlaps; None if one is too wide or moves away from its line."""
    order = sorted(range(len(names)), key=lambda row: names[row].at)
    tops = [name.at - name.height / 2 for name in names]
    lowest = 0.0
    for row in order:
        tops[row] = max(tops[row], lowest)
        lowest = tops[row] + names[row].height
    highest = height
    for row in reversed(order):
        tops[row] = min(tops[row], highest - names[row].height)
        highest = tops[row]
    moved = max(abs(top + name.height / 2 - name.at) for top, name in zip(tops, names, strict=True))
    fits = highest >= 0 and moved <= LINE and max(name.width for name in names) <= room
    return tops if fits else None
