"""What all maps of heads share: colored cells with outlines and names, a color bar, layer 0 at the top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.layout import BODY, FAINT, INK, Width, axis, page, tick_step
from sycolens.plots.numbers import Numbers
from sycolens.plots.sheet import BAR, Sheet

NAMES = 10
"""At most so many heads are named on a map whose cells are too small for text."""


@dataclass(frozen=True)
class HeadMap:
    """One map, ready to be drawn."""

    values: Float[Tensor, "layer head"]
    hover: Sequence[Sequence[str]]
    """What the pointer shows over each head."""
    shade: Float[Tensor, "layer head"]
    """How dark each cell is, from -1 or 0 to 1."""
    under_outlines: Sequence[go.Scatter] = ()


def draw_maps(
    maps: Sequence[HeadMap],
    numbers: Numbers,
    sheet: Sheet,
    *,
    span: tuple[float, float],
    colors: str | Sequence[tuple[float, str]],
    marked: Sequence[tuple[int, int]],
    footnote: Iterable[str | None],
    width: Width,
) -> go.Figure:
    """Maps on a sheet, one for each of its names; ``colors`` run over ``span`` in all of them."""
    layout = page(width, plot=sheet.plot, left=sheet.left, content=sheet.content, footnote=footnote, above=sheet.above)
    traces: list[go.Heatmap | go.Scatter] = []
    for row, head_map in enumerate(maps):
        over = [*head_map.under_outlines, _outlines(marked, sheet), _names(marked, head_map.shade, sheet)]
        drawn = [_cells(head_map, row, numbers, sheet, span, colors), *over]
        number = str(row + 1) if row else ""
        for trace in drawn if row else ():
            trace.update(xaxis=f"x{number}", yaxis=f"y{number}")
        traces += drawn
        layout[f"xaxis{number}"], layout[f"yaxis{number}"] = _axes(row, sheet)
        if sheet.names[row]:
            layout["annotations"].append(_written_above(sheet.names[row], number))
    has_gaps = any(bool(each.values.isnan().any()) for each in maps)
    return go.Figure(traces, {**layout, "plot_bgcolor": "#d0d0d0" if has_gaps else "white"})


def _cells(
    each: HeadMap,
    row: int,
    numbers: Numbers,
    sheet: Sheet,
    span: tuple[float, float],
    colors: str | Sequence[tuple[float, str]],
) -> go.Heatmap:
    # One color bar beside them all.
    bar = {"showscale": False} if row else {"colorbar": _color_bar(sheet, numbers, span)}
    return go.Heatmap(
        name=sheet.names[row].replace("<br>", " ") or numbers.what,
        z=each.values.tolist(),
        zmin=span[0],
        zmax=span[1],
        colorscale=colors,
        xgap=sheet.gap,
        ygap=sheet.gap,
        text=each.hover,
        hovertemplate="%{text}<extra></extra>",
        **bar,
    )


def _axes(row: int, sheet: Sheet) -> tuple[dict[str, Any], dict[str, Any]]:
    """Heads across and layers down; maps beside or above each other share their numbers."""
    across: dict[str, Any] = {
        "range": [-0.5, sheet.heads - 0.5],
        "tickvals": list(range(0, sheet.heads, tick_step(sheet.cell_width, apart=22))),
    }
    down: dict[str, Any] = {
        "range": [sheet.layers - 0.5, -0.5],
        "tickvals": list(range(0, sheet.layers, tick_step(sheet.cell_height, apart=14))),
    }
    last = len(sheet.names) - 1
    if last:
        number = str(row + 1) if row else ""
        domains = sheet.domains(row)
        across |= {"domain": domains[0], "anchor": f"y{number}", "showticklabels": not sheet.stacked or row == last}
        down |= {"domain": domains[1], "anchor": f"x{number}", "showticklabels": sheet.stacked or row == 0}
    return (
        axis("Head" if across.get("showticklabels", True) else "", **across),
        axis("Layer" if down.get("showticklabels", True) else "", **down),
    )


def _written_above(name: str, number: str) -> dict[str, Any]:
    return {
        "name": "map name",
        "text": name,
        "showarrow": False,
        "xref": f"x{number} domain",
        "yref": f"y{number} domain",
        "x": 0.5,
        "y": 1,
        "xanchor": "center",
        "yanchor": "bottom",
        "yshift": 2,
        "borderpad": 0,
        "font": {"size": BODY},
    }


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


def head_names(cells: Iterable[tuple[int, int]]) -> list[str]:
    """What heads are called on a figure."""
    return [f"L{layer}H{head}" for layer, head in cells]


def gaps_sentence(*maps: Float[Tensor, "layer head"]) -> str | None:
    """What gray cells are, if there are any."""
    return "Gray: not measured." if any(values.isnan().any() for values in maps) else None


def outlined_sentence(count: int, marked_as: str) -> str | None:
    """What the outlined heads are, if there are any."""
    how_many = f"{count} {marked_as} heads" if count > 1 else f"{marked_as} head"
    return f"Outlined: the {how_many}." if count else None


def ink_on(shade: float) -> str:
    """The color of text that is legible on a cell."""
    return "white" if abs(shade) > 0.6 else INK


def _color_bar(sheet: Sheet, numbers: Numbers, span: tuple[float, float]) -> dict[str, Any]:
    wide, high = sheet.plot
    tick_values, tick_texts = numbers.ticks(*span, most=min(10, high / 15))
    return {
        "title": {"text": sheet.bar_title, "side": "right", "font": {"size": BODY}},
        "x": 1 + 8 / wide,
        "xanchor": "left",
        "xpad": 0,
        "ypad": 0,
        "thickness": BAR,
        "lenmode": "pixels",
        "len": high,
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
    names = head_names(cells)
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
