"""Two families of lines, red and blue, whose members differ without color too."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

Color = tuple[int, int, int]

REDS: tuple[Color, Color, Color] = ((103, 0, 31), (190, 30, 45), (226, 110, 80))
BLUES: tuple[Color, Color, Color] = ((5, 48, 97), (33, 102, 172), (90, 160, 205))
"""From dark to light; a family of one takes the middle."""
DASHES = ("solid", "6px,3px", "2px,2px", "7px,2px,2px,2px", "11px,3px")
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "triangle-down",
    "star",
    "pentagon",
    "triangle-left",
    "triangle-right",
    "hexagram",
)
"""Each line has its own; red ones are filled, blue ones hollow."""


@dataclass(frozen=True)
class FamilyLook:
    """Color, dash and marker of a line."""

    color: Color
    dash: str
    symbol: str
    is_filled: bool

    def rgb(self, opacity: float = 1.0) -> str:
        """The color, as plotly takes it."""
        return f"rgba({','.join(map(str, self.color))},{opacity:g})" if opacity < 1 else f"rgb{self.color}"

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.rgb(), "width": 1.5, "dash": self.dash}

    @property
    def marker(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "size": 6.5,
            "opacity": 1,
            "color": self.rgb() if self.is_filled else "white",
            "line": {"color": self.rgb(), "width": 1.1},
        }


def looks(names: Sequence[str], in_red: Collection[str]) -> list[FamilyLook]:
    """A look for each of at most ten names."""
    red = [name for name in names if name in in_red]
    blue = [name for name in names if name not in in_red]
    found = []
    for row, name in enumerate(names):
        family, ramp = (red, REDS) if name in in_red else (blue, BLUES)
        place = family.index(name)
        share = place / (len(family) - 1) if len(family) > 1 else 0.5
        found.append(FamilyLook(_between(ramp, share), DASHES[place % len(DASHES)], SYMBOLS[row], family is red))
    return found


def _between(ramp: tuple[Color, Color, Color], share: float) -> Color:
    start, end = (ramp[0], ramp[1]) if share < 0.5 else (ramp[1], ramp[2])
    part = 2 * share if share < 0.5 else 2 * share - 1
    red, green, blue = (round(a + part * (b - a)) for a, b in zip(start, end, strict=True))
    return red, green, blue
