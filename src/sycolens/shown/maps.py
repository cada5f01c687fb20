"""Small maps of heads of a page: a cell for every head, layer 0 at the top."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sycolens.shown.svg import BLUE, CHARACTER, FONT, GRAY, RED, svg, text
from sycolens.shown.words import escaped

TITLED: Final = 1200
"""Of more heads than these the pointer says nothing, to keep the output of a notebook small."""
_FILLED: Final = (352, 300)
"""Width and height, in pixels, that a map fills if its cells are then neither too small nor too large."""


@dataclass(frozen=True)
class _Grid:
    """Where cells are, in pixels."""

    layers: int
    heads: int

    @property
    def wide(self) -> int:
        return max(3, min(24, _FILLED[0] // self.heads))

    @property
    def high(self) -> int:
        # Even, so that the middle of a row is a whole number, which is shorter.
        return 2 * max(2, min(9, _FILLED[1] // self.layers // 2))

    @property
    def gap(self) -> int:
        return 1 if self.wide > 5 else 0

    @property
    def left(self) -> float:
        return 8 + CHARACTER * len(str(self.layers - 1))

    def stroke(self, layer: int, head: int) -> str:
        """A cell as a thick stroke: half as long as its outline, of which a large model has sixteen thousand."""
        return f"M{head * self.wide},{layer * self.high}h{self.wide - self.gap}"

    def outline(self, layer: int, head: int) -> str:
        x, y = head * self.wide - 0.5, layer * self.high - self.high / 2 + 0.5
        return f"M{x:g},{y:g}h{self.wide}v{self.high}h-{self.wide}z"

    def plus(self, layer: int, head: int) -> str:
        x, y = head * self.wide + self.wide // 2, layer * self.high
        return f"M{x - 3},{y}h5M{x - 0.5:g},{y - 2.5:g}v5"


def head_map(
    values: Sequence[Sequence[float]],
    write: Callable[[float], str],
    *,
    marked: Sequence[tuple[int, int]] = (),
    limit: float | None = None,
    positive: str = BLUE,
    other: str = "not measured",
    legend: str = "",
) -> str:
    """A cell for every head: red below 0, of the color ``positive`` above, the stronger the larger.

    ``values`` are [layer][head]; where one is not a number, the head is gray and called ``other``. ``limit`` is the
    number from which on the color is strongest, by default the largest. ``write`` gives the words for the pointer.
    Marked heads are outlined. On a map with both signs a plus stands in what is positive and beyond half the range,
    for those who do not tell the colors apart.

    >>> head_map([[-0.05, 0.02]], "{:+.0%}".format).count("<title>")
    2
    """
    grid = _Grid(len(values), len(values[0]))
    numbers = [each for row in values for each in row if not math.isnan(each)]
    top = limit or max(map(abs, numbers), default=0.0) or 1.0
    shades: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for layer, row in enumerate(values):
        for head, each in enumerate(row):
            color, strength = (GRAY, 0.5) if math.isnan(each) else (RED if each < 0 else positive, abs(each) / top)
            shades.setdefault(color, {}).setdefault(f"{min(1.0, strength):.2f}", []).append((layer, head))

    def told(layer: int, head: int) -> str:
        value = values[layer][head]
        return escaped(f"L{layer}H{head} {other if math.isnan(value) else write(value)}")

    def cells(strength: str, places: Sequence[tuple[int, int]]) -> str:
        if grid.layers * grid.heads > TITLED:
            return f'<path d="{"".join(grid.stroke(*each) for each in places)}" stroke-opacity="{strength}"/>'
        return "".join(
            f'<path d="{grid.stroke(*each)}" stroke-opacity="{strength}"><title>{told(*each)}</title></path>'
            for each in places
        )

    colored = "".join(
        f'<g stroke="{color}" stroke-width="{grid.high - grid.gap}">'
        f"{''.join(cells(strength, places) for strength, places in by_strength.items())}</g>"
        for color, by_strength in shades.items()
    )
    large = [(layer, head) for layer, row in enumerate(values) for head, each in enumerate(row) if each > top / 2]
    has_signs = any(each < 0 for each in numbers) and min(grid.wide, grid.high) > 5
    ink = [grid.outline(*each) for each in marked] + [grid.plus(*each) for each in large if has_signs]
    return _framed(grid, colored + (f'<path d="{"".join(ink)}" stroke="currentColor"/>' if ink else ""), legend)


def _framed(grid: _Grid, cells: str, legend: str) -> str:
    """The cells in a frame, with numbers of layers and heads, and the legend below."""
    left, half, wide, high = grid.left, grid.high / 2, grid.heads * grid.wide, grid.layers * grid.high
    rows = [
        (left - 4, max(FONT - 2, layer * grid.high + half + 4), str(layer), "end")
        for layer in _every(grid.layers, grid.high)
    ]
    columns = [
        (left + (head + 0.5) * grid.wide, high + FONT + 3, str(head), "middle")
        for head in _every(grid.heads, grid.wide)
    ]
    frame = f'<rect x="{left - 2:g}" y="0.5" width="{wide + 3}" height="{high + 3}" fill="none"/>'
    return svg(
        left + max(wide + 4, CHARACTER * len(legend)),
        high + (2.9 if legend else 1.5) * FONT + 3,
        f'<g stroke="currentColor" stroke-opacity="0.3">{frame}</g>'
        f'<g fill="none" transform="translate({left:g},{half + 2:g})">{cells}</g>'
        f"{''.join(text(x, y, name, anchor=anchor) for x, y, name, anchor in (*rows, *columns))}"
        f"{text(left, high + 2.5 * FONT + 3, legend)}",
    )


def _every(count: int, size: int) -> range:
    """The rows or columns that are numbered: as many as their numbers have room for."""
    step = next(step for step in (1, 2, 4, 8, 16, 32, 64) if step * size >= 1.6 * FONT or step >= count)
    return range(0, count, step)
