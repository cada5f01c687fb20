"""The geometry of maps of heads: how large a cell is, and where a name fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from sycolens.plots.layout import (
    BODY,
    PAGE_HEIGHT,
    SMALL,
    Box,
    Width,
    by_width,
    grown,
    overlap,
    page_width,
    text_width,
    wrap,
)

LEFT = 38
"""Room for layer numbers and the axis name."""
BAR = 10
"""Thickness of the color bar."""
PALE = 0.35
"""Up to this share of the color range a cell is light enough to write across."""

APART = 14
"""Between two maps."""
CLEAR = 3
"""A name keeps this distance from the marked cells that it does not name."""


@dataclass(frozen=True)
class Sheet:
    """A map of ``layers`` by ``heads`` cells, or several of one size, laid out for one print width."""

    layers: int
    heads: int
    cell_width: float
    cell_height: float
    left: float
    """From the page's edge to the plot."""
    bar_room: float
    """Room that the color bar with its ticks and title takes to the right of the plot."""
    bar_title: str
    """The color bar's title, broken to the bar's length."""
    names: tuple[str, ...] = ("",)
    """What stands over each map, broken to its width."""
    stacked: bool = False
    """Whether several maps stand one above the other rather than side by side."""

    @classmethod
    def fit(
        cls,
        layers: int,
        heads: int,
        width: Width,
        *,
        bar_title: str,
        tick_texts: Sequence[str],
        names: Sequence[str] = ("",),
        stacked: bool = False,
    ) -> Sheet:
        """The largest square-ish cells that the page holds, centered on it; a map for each of the ``names``."""
        ticks = max(map(text_width, tick_texts))
        across, down = (1, len(names)) if stacked else (len(names), 1)
        # Each of several maps may be as tall as a single one, as long as the page holds them all.
        tallest = min(by_width(width, PAGE_HEIGHT), PAGE_HEIGHT[1] / down)
        for lines in (1, 2, 3, 4):
            bar_room = 8 + BAR + 6 + ticks + 6 + 1.3 * BODY * lines
            room = page_width(width) - LEFT - bar_room - APART * (across - 1)
            cell_width = _whole(min(room / (across * heads), 48))
            cell_height = _whole(max(min(cell_width, tallest / layers), 90 / layers))
            cell_width = min(cell_width, _whole(1.6 * cell_height))
            broken = wrap(bar_title, cell_height * layers * down, BODY)
            if len(broken) <= lines:
                break
        spare = room - cell_width * heads * across
        over = tuple("<br>".join(wrap(name, cell_width * heads, BODY)) for name in names)
        left = LEFT + spare // 2
        return cls(layers, heads, cell_width, cell_height, left, bar_room, "<br>".join(broken), over, stacked)

    @property
    def content(self) -> tuple[float, float]:
        """Left and right end of everything on the page but the footnote."""
        return self.left - LEFT, self.left + self.plot[0] + self.bar_room

    @property
    def width(self) -> float:
        """Of one map."""
        return self.cell_width * self.heads

    @property
    def height(self) -> float:
        """Of one map."""
        return self.cell_height * self.layers

    @property
    def above(self) -> float:
        """Room for the name over a map."""
        return max(4 + 1.2 * BODY * (name.count("<br>") + 1) if name else 0.0 for name in self.names)

    @property
    def plot(self) -> tuple[float, float]:
        """Width and height of all maps with what is between them."""
        more = len(self.names) - 1
        if self.stacked:
            return self.width, self.height + more * (self.height + self.above + APART)
        return self.width + more * (self.width + APART), self.height

    def domains(self, row: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where one of the maps lies, as shares of the plot from its left and from its lower edge."""
        wide, high = self.plot
        if self.stacked:
            top = high - row * (self.height + self.above + APART)
            return (0.0, 1.0), (max(0.0, (top - self.height) / high), top / high)
        start = row * (self.width + APART)
        return (start / wide, min(1.0, (start + self.width) / wide)), (0.0, 1.0)

    @property
    def gap(self) -> int:
        """White line between cells that are large enough to spare it."""
        return 1 if min(self.cell_width, self.cell_height) >= 12 else 0

    def box(self, layer: int, head: int) -> Box:
        """Where a cell lies."""
        left, top = head * self.cell_width, layer * self.cell_height
        return (left, top, left + self.cell_width, top + self.cell_height)

    def in_cells(self, box: Box) -> tuple[float, float]:
        """Middle of a box in the axes' own unit: head and layer."""
        return (box[0] + box[2]) / 2 / self.cell_width - 0.5, (box[1] + box[3]) / 2 / self.cell_height - 0.5

    def holds(self, name: str) -> bool:
        """Whether a cell is large enough to have a name written inside."""
        return text_width(name) + 4 <= self.cell_width and self.cell_height >= SMALL + 4

    def place_names(
        self, names: Sequence[str], cells: Sequence[tuple[int, int]], shade: Float[Tensor, "layer head"], *, most: int
    ) -> list[tuple[str, Box]]:
        """Names beside their cells, the first ``most`` of them, unless they would cover a cell that matters or a name.

        ``shade`` is each cell's share of the color range, in [-1, 1].
        """
        boxes = [self.box(*cell) for cell in cells]
        dark = shade.abs() > PALE
        placed: list[tuple[str, Box]] = []
        for row, name in enumerate(names[:most]):
            # A name that comes close to another marked cell would seem to belong to it.
            taken = [grown(box, CLEAR) for box in boxes[:row] + boxes[row + 1 :]] + [box for _, box in placed]
            for place in self._beside(boxes[row], text_width(name) + 4, SMALL + 1):
                if not self._covers(place, dark) and not any(overlap(place, other) for other in taken):
                    placed.append((name, place))
                    break
        return placed

    def _beside(self, cell: Box, wide: float, high: float) -> Iterator[Box]:
        left, top, right, bottom = cell
        # Beside the cell a name may move up or down to stay on the map, above and below it to the left or right.
        middle_x = min(max(0.0, (left + right - wide) / 2), self.width - wide)
        middle_y = min(max(0.0, (top + bottom - high) / 2), self.height - high)
        for x, y in ((right, middle_y), (left - wide, middle_y), (middle_x, top - high), (middle_x, bottom)):
            if x >= 0 and y >= 0 and x + wide <= self.width and y + high <= self.height:
                yield (x, y, x + wide, y + high)

    def _covers(self, box: Box, dark: Tensor) -> bool:
        # A hundredth of a pixel inside, so that a box that only touches a cell does not cover it.
        left, top, right, bottom = grown(box, -0.01)
        columns = slice(int(left / self.cell_width), int(right / self.cell_width) + 1)
        rows = slice(int(top / self.cell_height), int(bottom / self.cell_height) + 1)
        return bool(dark[rows, columns].any())


def _whole(length: float) -> float:
    # Whole pixels make all cells equally wide on screen; below six the loss of room is worse.
    return float(int(length)) if length >= 6 else length
