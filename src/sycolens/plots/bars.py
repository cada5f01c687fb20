"""The effects of a few heads as bars: the top of the map, with intervals that a reader can compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.layout import BELOW, BODY, GRID, INK, Width, axis, page, page_width, text_width, wrap
from sycolens.plots.numbers import Ends, Numbers, count_sentence, interval_at, scaled

THICKEST = 32.0
"""Of a bar, in pixels."""
RED, BLUE = "rgb(214,96,77)", "rgb(67,147,195)"
"""Negative and positive, from the middle of the heatmap's scale."""


def head_bars(
    labels: Sequence[str],
    effect: Float[Tensor, "head"],
    *,
    low: Float[Tensor, "head"] | None = None,
    high: Float[Tensor, "head"] | None = None,
    confidence: float = 0.95,
    effect_title: str = "Effect",
    unit: str = "%",
    q: Float[Tensor, "head"] | None = None,
    fdr: float = 0.05,
    n_pairs: int | None = None,
    note: str | None = None,
    width: Width = "single",
) -> go.Figure:
    """Effects of a few heads as horizontal bars with their intervals as whiskers, the first at the top.

    The arguments are those of :func:`~sycolens.plots.heatmap`, with one name per head. Where ``q`` (each head's
    false-discovery rate) is above ``fdr`` the bar is hollow.

    Raises:
        FigureError: lengths that do not fit, infinite or no numbers, half an interval.

    >>> import torch
    >>> figure = head_bars(["L3H0", "L1H4"], torch.tensor([-0.5, -0.25]))
    >>> list(figure.data[0].x)
    [-50.0, -25.0]
    """
    if effect.ndim != 1 or len(effect) != len(labels):
        raise FigureError(
            f"{len(labels)} labels and effects of shape {tuple(effect.shape)}; give one effect per label."
        )
    if q is not None and q.shape != effect.shape:
        raise FigureError(f"q has shape {tuple(q.shape)}, effect {tuple(effect.shape)}; they must be equal.")
    values, ends = scaled(effect, low, high, unit)
    hollow = [False] * len(labels) if q is None else (q > fdr).tolist()
    numbers = Numbers(max(map(abs, bar_span(values, ends))), unit, confidence)
    return draw_bars(
        labels,
        values,
        ends,
        numbers,
        colors=[RED if value < 0 else BLUE for value in values.tolist()],
        title=effect_title,
        hollow=hollow,
        footnote=[
            count_sentence(n_pairs, "pair"),
            whiskers_sentence(ends, numbers),
            f"Hollow: q above {fdr:g}." if any(hollow) else None,
            note,
        ],
        width=width,
    )


def bar_span(values: Float[Tensor, "bar"], ends: Ends | None) -> tuple[float, float]:
    """From the lowest to the highest number on the axis of bars, zero included."""
    spread = [values] if ends is None else [values, *ends]
    first = min(0.0, *(each.nan_to_num().min().item() for each in spread))
    last = max(0.0, *(each.nan_to_num().max().item() for each in spread))
    return first, last if last > first else first + 1


def whiskers_sentence(ends: Ends | None, numbers: Numbers) -> str | None:
    """What the whiskers are, if there are any."""
    return None if ends is None else f"Whiskers: {numbers.level} interval."


def _filled(colors: Sequence[str], hollow: Sequence[bool]) -> dict[str, Any]:
    """The look of bars, of which the hollow ones are but a line in their color."""
    if not any(hollow):
        return {"color": list(colors), "line": {"width": 0}}
    inside = ["white" if empty else color for color, empty in zip(colors, hollow, strict=True)]
    return {"color": inside, "line": {"width": [1.0 if empty else 0.0 for empty in hollow], "color": list(colors)}}


def draw_bars(
    labels: Sequence[str],
    values: Float[Tensor, "bar"],
    ends: Ends | None,
    numbers: Numbers,
    *,
    colors: Sequence[str],
    hollow: Sequence[bool] = (),
    title: str,
    footnote: Iterable[str | None],
    width: Width,
    thickness: float = 16.0,
) -> go.Figure:
    """Bars from zero with their whiskers, their labels at the left; ``thickness`` is a bar with the gap below it."""
    first, last = bar_span(values, ends)
    margin = 0.04 * (last - first)
    # Shares have nothing below zero, and their bars stand on the frame.
    start = first - margin if numbers.sign == "always" else 0.0
    wide = page_width(width)
    left = 14 + max(map(text_width, labels))
    tick_values, tick_texts = numbers.ticks(start, last + margin, most=max(5, (wide - left) / 40))
    # The name of the axis is centered under the plot, and may be as wide as the page allows there.
    lines = wrap(numbers.title(title), wide - left + 4, BODY)
    whiskers = (
        None
        if ends is None
        else {
            "type": "data",
            "symmetric": False,
            "array": (ends[1] - values).tolist(),
            "arrayminus": (values - ends[0]).tolist(),
            "color": INK,
            "thickness": 1,
            "width": 2,
        }
    )
    bars = go.Bar(
        name=numbers.what,
        orientation="h",
        x=values.tolist(),
        y=list(range(len(labels))),
        # However high the plot is, a bar is a bar.
        width=min(0.7, THICKEST / thickness),
        marker=_filled(colors, hollow),
        error_x=whiskers,
        hovertext=[
            numbers.hover(label, value, interval_at(ends, row))
            for row, (label, value) in enumerate(zip(labels, values.tolist(), strict=True))
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    return go.Figure(
        [bars],
        {
            **page(
                width,
                plot=(wide - left - 12, thickness * len(labels)),
                left=left,
                content=(0, wide),
                footnote=footnote,
                below=BELOW + 1.3 * BODY * (len(lines) - 1),
            ),
            "xaxis": axis(
                "<br>".join(lines),
                range=[start, last + margin],
                tickvals=tick_values,
                ticktext=tick_texts,
                showgrid=True,
                gridcolor=GRID,
                gridwidth=0.75,
                zeroline=True,
                zerolinecolor=INK,
                zerolinewidth=0.75,
            ),
            "yaxis": axis(
                "", range=[len(labels) - 0.5, -0.5], tickvals=list(range(len(labels))), ticktext=list(labels)
            ),
        },
    )
