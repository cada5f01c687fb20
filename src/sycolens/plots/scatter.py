"""Effect against effect, a point a head: how far two maps agree, and which heads they disagree about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.cells import marked_cells, written
from sycolens.plots.layout import (
    BODY,
    FAINT,
    INK,
    LEAST_INCHES,
    LINE,
    Box,
    Width,
    axis,
    by_width,
    grown,
    overlap,
    page,
    page_width,
    text_width,
)
from sycolens.plots.numbers import Numbers, count_sentence, scaled
from sycolens.plots.sheet import CLEAR

SIDE = (250, 400)
"""Of the square plot."""
DOT, DIAMOND = 4.0, 7.0
"""Diameters of a head and of a marked head."""
PLAIN, MARKED = "rgb(150,150,150)", "rgb(178,24,43)"


def head_scatter(
    first: Float[Tensor, "layer head"],
    second: Float[Tensor, "layer head"],
    *,
    first_title: str,
    second_title: str,
    marked: Sequence[tuple[int, int]] = (),
    unit: str = "%",
    note: str | None = None,
    width: Width = "single",
) -> go.Figure:
    """Two effects of every head against each other, on equal scales; marked heads are diamonds with their names.

    Args:
        first, second: one number per head, across and up; NaN where a head was not measured.
        first_title, second_title: what the axes mean; the unit is added.
        marked: (layer, head) of the heads to mark; the first matters most.
        unit: "%" multiplies by 100; anything else stands behind the numbers as it is ("" for none).
        note: a further sentence for the footnote, such as what the marked heads are.
        width: inches, or "single" (3.25), "double" (6.75), or a venue's, such as "neurips".

    Raises:
        FigureError: shapes that do not fit, infinite or no numbers, a marked head that is not there.

    >>> import torch
    >>> before, after = torch.tensor([[-0.05, 0.0]]), torch.tensor([[-0.01, 0.0]])
    >>> figure = head_scatter(before, after, first_title="Before", second_title="After", marked=[(0, 0)])
    >>> figure.data[-1].hovertext[0]
    'L0H0<br>Before −5.00%<br>After −1.00%'
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise FigureError(
            f"first has shape {tuple(first.shape)}, second {tuple(second.shape)}; both must be [layer, head]."
        )
    across, up = (scaled(each, None, None, unit, name=name)[0] for each, name in ((first, "first"), (second, "second")))
    both = across.isfinite() & up.isfinite()
    if not both.any():
        raise FigureError("No head has a number in both first and second, so there is no point to draw.")
    chosen = marked_cells(marked, *both.shape)
    for layer, head in chosen:
        if not both[layer, head]:
            raise FigureError(f"L{layer}H{head} is marked, but has no number in both first and second.")

    page_width(width, least=LEAST_INCHES)
    low = min(0.0, across[both].min().item(), up[both].min().item())
    high = max(0.0, across[both].max().item(), up[both].max().item())
    high = high if high > low else low + 1
    margin = 0.06 * (high - low)
    start, end = low - margin, high + margin
    numbers = Numbers(max(-low, high), unit)
    tick_values, tick_texts = numbers.ticks(start, end, most=6)
    left, side = _frame(width, tick_texts)
    plain = [(layer, head) for layer, head in both.nonzero().tolist() if (layer, head) not in set(chosen)]
    plot = _Square(side, start, end)

    def points(name: str, cells: Sequence[tuple[int, int]], **look: object) -> go.Scatter:
        return go.Scatter(
            name=name,
            mode="markers",
            x=[across[cell].item() for cell in cells],
            y=[up[cell].item() for cell in cells],
            marker=look,
            hovertext=[
                f"L{layer}H{head}<br>{first_title} {numbers.write(across[layer, head].item())}"
                f"<br>{second_title} {numbers.write(up[layer, head].item())}"
                for layer, head in cells
            ],
            hovertemplate="%{hovertext}<extra></extra>",
        )

    def dots(cells: Sequence[tuple[int, int]], size: float) -> list[Box]:
        return [plot.dot(across[cell].item(), up[cell].item(), size) for cell in cells]

    names = [f"L{layer}H{head}" for layer, head in chosen]
    placed = plot.place_names(names, dots(chosen, DIAMOND), dots(plain, DOT))
    look = {
        "range": [start, end],
        "tickvals": tick_values,
        "ticktext": tick_texts,
        "zeroline": True,
        "zerolinecolor": FAINT,
        "zerolinewidth": 0.75,
    }
    return go.Figure(
        [
            go.Scatter(
                name="diagonal",
                mode="lines",
                x=[start, end],
                y=[start, end],
                line={"color": FAINT, "width": 0.75, "dash": "4px,3px"},
                hoverinfo="skip",
            ),
            points("heads", plain, symbol="circle", size=DOT, color=PLAIN),
            written([name for name, _ in placed], [plot.in_units(box) for _, box in placed], INK),
            points("marked", chosen, symbol="diamond", size=DIAMOND, color=MARKED),
        ],
        {
            **page(
                width,
                plot=(side, side),
                left=left,
                content=(left - 40, left + side),
                footnote=[count_sentence(int(both.sum()), "head"), "Dashed: equal effects.", note],
            ),
            "xaxis": axis(numbers.title(first_title), **look),
            "yaxis": axis(numbers.title(second_title), **look),
        },
    )


def _frame(width: Width, tick_texts: Sequence[str]) -> tuple[float, float]:
    """Left edge and side of the plot, centered on the page."""
    labels = 12 + max(map(text_width, tick_texts)) + 1.3 * BODY
    side = min(by_width(width, SIDE), page_width(width) - labels - 12)
    return labels + (page_width(width) - labels - 12 - side) / 2, side


class _Square:
    """A square plot of ``side`` pixels whose axes both run from ``start`` to ``end``."""

    def __init__(self, side: float, start: float, end: float) -> None:
        self.side, self.start, self.scale = side, start, side / (end - start)

    def dot(self, x: float, y: float, size: float) -> Box:
        """The square around a point."""
        across, down = (x - self.start) * self.scale, self.side - (y - self.start) * self.scale
        return grown((across, down, across, down), size / 2)

    def in_units(self, box: Box) -> tuple[float, float]:
        """Middle of a box in the axes' own unit."""
        across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return self.start + across / self.scale, self.start + (self.side - down) / self.scale

    def place_names(self, names: Sequence[str], dots: Sequence[Box], others: Sequence[Box]) -> list[tuple[str, Box]]:
        """Names beside their points, unless they would cover a point or a name; rather not across a line."""
        placed: list[tuple[str, Box]] = []
        for row, (name, dot) in enumerate(zip(names, dots, strict=True)):
            # A name that comes close to another marked point would seem to belong to it.
            rest = [grown(other, CLEAR) for other in (*dots[:row], *dots[row + 1 :])]
            taken = [dot, *rest, *others, *(box for _, box in placed)]
            free = [
                place
                for place in self._around(dot, text_width(name) + 2, LINE - 2)
                if not any(overlap(place, other) for other in taken)
            ]
            if free:
                placed.append((name, min(free, key=self._crossings)))
        return placed

    def _around(self, dot: Box, wide: float, high: float) -> Iterator[Box]:
        left, top, right, bottom = grown(dot, 0.5)
        # Above and below, a name may move along to stay inside the frame.
        middle = min(max(1.0, (left + right - wide) / 2), self.side - wide - 1)
        columns, rows = (right, middle, left - wide), ((top + bottom - high) / 2, top - high, bottom)
        # Right, left, above, below, then the four corners.
        for column, row in ((0, 0), (2, 0), (1, 1), (1, 2), (0, 1), (0, 2), (2, 1), (2, 2)):
            x, y = columns[column], rows[row]
            if x >= 1 and y >= 1 and x + wide <= self.side - 1 and y + high <= self.side - 1:
                yield (x, y, x + wide, y + high)

    def _crossings(self, box: Box) -> int:
        zero = self.dot(0.0, 0.0, 0.0)
        return (
            (box[0] < zero[0] < box[2])
            + (box[1] < zero[1] < box[3])
            + (box[0] + box[1] < self.side < box[2] + box[3])  # the diagonal
        )
