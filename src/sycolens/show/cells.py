"""What all maps of heads share: colored cells with outlines and names, a color bar, layer 0 at the top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.show.layout import BODY, FAINT, INK, Width, axis, page, tick_step
from sycolens.show.numbers import Ends, Numbers, interval_at
from sycolens.show.sheet import BAR, Sheet

NAMES = 10
"""At most so many heads are named on a map whose cells are too small for text."""


def draw_map(
    values: Float[Tensor, "layer head"],
    ends: Ends | None,
    numbers: Numbers,
    sheet: Sheet,
    *,
    span: tuple[float, float],
    colors: str | Sequence[tuple[float, str]],
    shade: Float[Tensor, "layer head"],
    marked: Sequence[tuple[int, int]],
    under_outlines: Iterable[go.Scatter] = (),
    footnote: Iterable[str | None],
    width: Width,
) -> go.Figure:
    """A map on a sheet: ``colors`` run over ``span``, and ``shade`` tells how dark a cell is, from -1 or 0 to 1."""
    layers, heads = values.shape
    cells = go.Heatmap(
        name=numbers.what,
        z=values.tolist(),
        zmin=span[0],
        zmax=span[1],
        colorscale=colors,
        xgap=sheet.gap,
        ygap=sheet.gap,
        text=[
            [
                numbers.hover(f"L{layer}H{head}", values[layer, head].item(), interval_at(ends, layer, head))
                for head in range(heads)
            ]
            for layer in range(layers)
        ],
        hovertemplate="%{text}<extra></extra>",
        colorbar=_color_bar(sheet, numbers, span),
    )
    has_gaps = bool(values.isnan().any())
    return go.Figure(
        [cells, *under_outlines, _outlines(marked, sheet), _names(marked, shade, sheet)],
        {
            **page(width, plot=(sheet.width, sheet.height), left=sheet.left, content=sheet.content, footnote=footnote),
            "xaxis": axis(
                "Head", range=[-0.5, heads - 0.5], tickvals=list(range(0, heads, tick_step(sheet.cell_width, apart=22)))
            ),
            "yaxis": axis(
                "Layer",
                range=[layers - 0.5, -0.5],
                tickvals=list(range(0, layers, tick_step(sheet.cell_height, apart=14))),
            ),
            "plot_bgcolor": "#d0d0d0" if has_gaps else "white",
        },
    )


def marked_cells(marked: Sequence[tuple[int, int]], layers: int, heads: int) -> list[tuple[int, int]]:
    """The marked heads as plain numbers.

    Raises:
        FigureError: a head is not on the map.
    """
    cells = [(int(layer), int(head)) for layer, head in marked]
    for layer, head in cells:
        if not (0 <= layer < layers and 0 <= head < heads):
            raise FigureError(f"L{layer}H{head} is marked, but the map has {layers} layers of {heads} heads.")
    return cells


def gaps_sentence(values: Float[Tensor, "layer head"]) -> str | None:
    """What gray cells are, if there are any."""
    return "Gray: not measured." if values.isnan().any() else None


def outlined_sentence(count: int, marked_as: str) -> str | None:
    """What the outlined heads are, if there are any."""
    how_many = f"{count} {marked_as} heads" if count > 1 else f"{marked_as} head"
    return f"Outlined: the {how_many}." if count else None


def ink_on(shade: float) -> str:
    """The color of text that is legible on a cell."""
    return "white" if abs(shade) > 0.6 else INK


def _color_bar(sheet: Sheet, numbers: Numbers, span: tuple[float, float]) -> dict[str, Any]:
    tick_values, tick_texts = numbers.ticks(*span, most=min(10, sheet.height / 15))
    return {
        "title": {"text": sheet.bar_title, "side": "right", "font": {"size": BODY}},
        "x": 1 + 8 / sheet.width,
        "xanchor": "left",
        "xpad": 0,
        "ypad": 0,
        "thickness": BAR,
        "lenmode": "pixels",
        "len": sheet.height,
        "tickvals": tick_values,
        "ticktext": tick_texts,
        "ticks": "outside",
        "ticklen": 3,
        "tickwidth": 0.75,
        "tickcolor": FAINT,
        "outlinecolor": FAINT,
        "outlinewidth": 0.75,
    }


def _outlines(cells: Sequence[tuple[int, int]], sheet: Sheet) -> go.Scatter:
    line = min(1.0, 0.2 * min(sheet.cell_width, sheet.cell_height))
    # Half a line inside the cell, so that the plot's edge does not clip it.
    across, down = 0.5 - line / 2 / sheet.cell_width, 0.5 - line / 2 / sheet.cell_height
    x: list[float | None] = []
    y: list[float | None] = []
    for layer, head in cells:
        x += [head - across, head + across, head + across, head - across, head - across, None]
        y += [layer - down, layer - down, layer + down, layer + down, layer - down, None]
    return go.Scatter(name="marked", mode="lines", x=x, y=y, line={"color": INK, "width": line}, hoverinfo="skip")


def _names(cells: Sequence[tuple[int, int]], shade: Tensor, sheet: Sheet) -> go.Scatter:
    names = [f"L{layer}H{head}" for layer, head in cells]
    if all(map(sheet.holds, names)):
        placed = [(name, sheet.box(*cell)) for name, cell in zip(names, cells, strict=True)]
        ink = [ink_on(shade[cell].item()) for cell in cells]
    else:
        placed = sheet.place_names(names, cells, shade, most=NAMES)
        ink = [INK] * len(placed)
    return written([name for name, _ in placed], [sheet.in_cells(box) for _, box in placed], ink)


def written(names: Sequence[str], middles: Sequence[tuple[float, float]], ink: str | Sequence[str]) -> go.Scatter:
    """Names on a figure, each around its middle."""
    return go.Scatter(
        name="names",
        mode="text",
        x=[x for x, _ in middles],
        y=[y for _, y in middles],
        text=list(names),
        textposition="middle center",
        textfont={"color": ink},
        hoverinfo="skip",
    )
