"""The effects of a few heads as bars: the top of the map, with intervals that a reader can compare."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.show.layout import INK, PAGE_WIDTH, Width, axis, page, text_width
from sycolens.show.numbers import Numbers, count_sentence, interval_at, scaled

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
    n_pairs: int | None = None,
    note: str | None = None,
    width: Width = "single",
) -> go.Figure:
    """Effects of a few heads as horizontal bars with their intervals as whiskers, the first at the top.

    The arguments are those of :func:`~sycolens.show.heatmap`, with one name per head.

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
    values, ends = scaled(effect, low, high, unit)
    spread = [values] if ends is None else [values, *ends]
    first = min(0.0, *(each.nan_to_num().min().item() for each in spread))
    last = max(0.0, *(each.nan_to_num().max().item() for each in spread))
    last = last if last > first else first + 1
    margin = 0.04 * (last - first)
    numbers = Numbers(max(-first, last), unit, confidence)
    page_width = PAGE_WIDTH[width]
    left = 14 + max(map(text_width, labels))
    tick_values, tick_texts = numbers.ticks(first - margin, last + margin, most=max(5, (page_width - left) / 40))
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
        name="effect",
        orientation="h",
        x=values.tolist(),
        y=list(range(len(labels))),
        width=0.7,
        marker={"color": [RED if value < 0 else BLUE for value in values.tolist()], "line": {"width": 0}},
        error_x=whiskers,
        hovertext=[
            numbers.hover(label, value, interval_at(ends, row))
            for row, (label, value) in enumerate(zip(labels, values.tolist(), strict=True))
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    has_whiskers = f"Whiskers: {numbers.level} interval." if ends is not None else None
    return go.Figure(
        [bars],
        {
            **page(
                width,
                plot=(page_width - left - 12, 16.0 * len(labels)),
                left=left,
                content=(0, page_width),
                footnote=[count_sentence(n_pairs), has_whiskers, note],
            ),
            "xaxis": axis(
                numbers.title(effect_title),
                range=[first - margin, last + margin],
                tickvals=tick_values,
                ticktext=tick_texts,
                showgrid=True,
                gridcolor="#e6e6e6",
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
