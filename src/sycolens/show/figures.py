"""The paper's Figure 2(a): the effect of every head as a heatmap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.show.layout import BODY, FAINT, INK, Width, axis, page, tick_step
from sycolens.show.numbers import Ends, Numbers, interval_at, pairs_sentence, scaled
from sycolens.show.sheet import BAR, Sheet

COLORS = "RdBu"
"""plotly's scale runs from dark red (lowest) over white to dark blue (highest)."""
NAMES = 10
"""At most so many heads are named on a map whose cells are too small for text."""


def heatmap(
    effect: Float[Tensor, "layer head"],
    *,
    low: Float[Tensor, "layer head"] | None = None,
    high: Float[Tensor, "layer head"] | None = None,
    confidence: float = 0.95,
    marked: Sequence[tuple[int, int]] = (),
    marked_as: str = "most negative",
    color_title: str = "Effect",
    unit: str = "%",
    limit: float | None = None,
    n_pairs: int | None = None,
    note: str | None = None,
    width: Width = "double",
) -> go.Figure:
    """Effect of every head, layer 0 at the top, negative in red and positive in blue on a scale symmetric around 0.

    In greyscale, where both ends are dark, cells beyond half the range carry a plus if they are positive.

    Args:
        effect: one number per head; NaN where a head was not measured. Shares where ``unit`` is "%": -0.05 is -5%.
        low, high: ends of each head's interval at ``confidence``, in the unit of ``effect``.
        marked: (layer, head) of the heads to outline and, where there is room, to name; the first matters most.
        marked_as: what the marked heads are, for the footnote ("Outlined: the 8 most negative heads").
        color_title: what the color means; the unit is added.
        unit: "%" multiplies by 100; anything else stands behind the numbers as it is ("" for none).
        limit: colors run from -limit to limit, so that several maps can share a scale; by default the largest effect.
        n_pairs: how many contrast pairs the effect is a mean over.
        note: a further sentence for the footnote.
        width: "single" (3.3 inches) or "double" (6.75 inches).

    Raises:
        FigureError: shapes that do not fit, infinite or no numbers, half an interval, a marked head that is not there.

    >>> import torch
    >>> figure = heatmap(torch.tensor([[0.0, -0.05], [0.01, 0.0]]), marked=[(0, 1)], n_pairs=100)
    >>> figure.layout.width, figure.data[0].text[0][1]
    (648, 'L0H1<br>effect −5.00%')
    """
    if effect.ndim != 2:
        raise FigureError(f"effect has shape {tuple(effect.shape)}; a map needs [layer, head].")
    values, ends = scaled(effect, low, high, unit)
    layers, heads = values.shape
    cells = [(int(layer), int(head)) for layer, head in marked]
    for layer, head in cells:
        if not (0 <= layer < layers and 0 <= head < heads):
            raise FigureError(f"L{layer}H{head} is marked, but the map has {layers} layers of {heads} heads.")
    if limit is not None and not limit > 0:
        raise FigureError(f"limit is {limit}; it is half the color range and must be above 0.")

    measured = values[~values.isnan()]
    top = (measured.abs().max().item() or 1.0) if limit is None else limit * (100 if unit == "%" else 1)
    numbers = Numbers(max(top, measured.abs().max().item()), unit, confidence)
    _, tick_texts = numbers.ticks(-top, top, most=10)
    sheet = Sheet.fit(layers, heads, width, bar_title=numbers.title(color_title), tick_texts=tick_texts)
    shade = (values / top).clamp(-1, 1)
    positive = [(layer, head) for layer, head in (shade > 0.5).nonzero().tolist()]
    has_gaps = len(measured) < values.numel()
    sentences = [
        pairs_sentence(n_pairs),
        _interval_sentence(ends, numbers),
        _outlined_sentence(len(cells), marked_as),
        f"+:\u00a0above\u00a0{numbers.write(top / 2)}." if positive else None,
        "Gray: not measured." if has_gaps else None,
        note,
    ]
    effects = go.Heatmap(
        name="effect",
        z=values.tolist(),
        zmin=-top,
        zmax=top,
        colorscale=COLORS,
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
        colorbar=_color_bar(sheet, numbers, top),
    )
    return go.Figure(
        [effects, _plus_signs(positive, shade, sheet), _outlines(cells, sheet), _names(cells, shade, sheet)],
        {
            **page(width, plot=(sheet.width, sheet.height), left=sheet.left, content=sheet.content, footnote=sentences),
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


def _interval_sentence(ends: Ends | None, numbers: Numbers) -> str | None:
    if ends is None:
        return None
    half = (ends[1] - ends[0]) / 2
    median, widest = half.nanmedian().item(), half.nan_to_num().max().item()
    typical, worst = (numbers.write(each, sign="minus") for each in (median, widest))
    return f"{numbers.level} intervals: ±{typical} at the median head, ±{worst} at most."


def _outlined_sentence(count: int, marked_as: str) -> str | None:
    how_many = f"{count} {marked_as} heads" if count > 1 else f"{marked_as} head"
    return f"Outlined: the {how_many}." if count else None


def _color_bar(sheet: Sheet, numbers: Numbers, top: float) -> dict[str, Any]:
    tick_values, tick_texts = numbers.ticks(-top, top, most=min(10, sheet.height / 15))
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


def _plus_signs(cells: Sequence[tuple[int, int]], shade: Tensor, sheet: Sheet) -> go.Scatter:
    ink = [_ink_on(shade[cell].item()) for cell in cells]
    size = min(8.0, 0.5 * min(sheet.cell_width, sheet.cell_height))
    return go.Scatter(
        name="positive",
        mode="markers",
        x=[head for _, head in cells],
        y=[layer for layer, _ in cells],
        marker={"symbol": "cross-thin", "size": size, "line": {"color": ink, "width": min(1.0, size / 4)}},
        hoverinfo="skip",
    )


def _names(cells: Sequence[tuple[int, int]], shade: Tensor, sheet: Sheet) -> go.Scatter:
    names = [f"L{layer}H{head}" for layer, head in cells]
    if all(map(sheet.holds, names)):
        placed = [(name, sheet.box(*cell)) for name, cell in zip(names, cells, strict=True)]
        ink = [_ink_on(shade[cell].item()) for cell in cells]
    else:
        placed = sheet.place_names(names, cells, shade, most=NAMES)
        ink = [INK] * len(placed)
    middles = [sheet.in_cells(box) for _, box in placed]
    return go.Scatter(
        name="names",
        mode="text",
        x=[x for x, _ in middles],
        y=[y for _, y in middles],
        text=[name for name, _ in placed],
        textposition="middle center",
        textfont={"color": ink},
        hoverinfo="skip",
    )


def _ink_on(shade: float) -> str:
    return "white" if abs(shade) > 0.6 else INK
