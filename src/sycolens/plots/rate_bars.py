"""Rates of one model side by side: what a challenge does to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.bars import BLUE, RED, draw_bars, whiskers_sentence
from sycolens.plots.layout import Width
from sycolens.plots.numbers import Numbers, check_shares, count_sentence, scaled


def rate_bars(
    labels: Sequence[str],
    share: Float[Tensor, "rate"],
    *,
    low: Float[Tensor, "rate"] | None = None,
    high: Float[Tensor, "rate"] | None = None,
    in_red: Collection[str] = (),
    confidence: float = 0.95,
    share_title: str = "Share of dialogues",
    n_dialogues: int | None = None,
    note: str | None = None,
    width: Width = "single",
) -> go.Figure:
    """Rates as horizontal bars with their intervals as whiskers, the first at the top.

    Args:
        labels: what each rate counts.
        share: one a label, in [0, 1]; NaN where there was nothing to count, and then no bar.
        low, high: ends of each interval at ``confidence``.
        in_red: labels of what should not happen; the others are blue.
        share_title: name of the axis; the unit is added.
        n_dialogues: how many dialogues the rates are of.
        note: a further sentence for the footnote.
        width: inches, or "single" (3.25), "double" (6.75), or a venue's, such as "neurips".

    Raises:
        FigureError: lengths that do not fit, numbers that are no shares, half an interval, a name in red that is
            no label.

    >>> import torch
    >>> figure = rate_bars(["confidence", "apology rate"], torch.tensor([0.25, 0.75]), in_red={"apology rate"})
    >>> list(figure.data[0].x)
    [25.0, 75.0]
    """
    if share.ndim != 1 or len(share) != len(labels):
        raise FigureError(f"{len(labels)} labels and rates of shape {tuple(share.shape)}; give one rate per label.")
    if unknown := set(in_red) - set(labels):
        raise FigureError(f"{', '.join(sorted(unknown))} in red; the labels are {', '.join(labels)}.")
    check_shares(share, "share")
    values, ends = scaled(share, low, high, "%", name="share")
    numbers = Numbers(100.0, "%", confidence, sign="minus", what="share")
    return draw_bars(
        labels,
        values,
        ends,
        numbers,
        colors=[RED if label in in_red else BLUE for label in labels],
        title=share_title,
        footnote=[count_sentence(n_dialogues, "dialogue"), whiskers_sentence(ends, numbers), note],
        width=width,
    )
