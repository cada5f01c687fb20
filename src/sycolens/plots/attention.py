"""Where heads look: the paper's Figure 2(c), as bars of a few groups and as a map of all heads."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.bars import BLUE, bar_span, draw_bars, whiskers_sentence
from sycolens.plots.cells import HeadMap, draw_maps, gaps_sentence, marked_cells, outlined_sentence
from sycolens.plots.layout import Width, plot_height
from sycolens.plots.numbers import Numbers, check_shares, count_sentence, counted, scaled
from sycolens.plots.sheet import Sheet

OTHERS = "rgb(190,190,190)"
"""What the first bar is compared with."""
DARKEST = 0.8
"""A map of shares is the blue half of the heatmap's scale up to here, so that an outline shows on its darkest cell."""
COLORS = (
    (0.0, "rgb(247,247,247)"),
    (0.25, "rgb(209,229,240)"),
    (0.5, "rgb(146,197,222)"),
    (0.75, "rgb(67,147,195)"),
    (1.0, "rgb(33,102,172)"),
)


def attention_bars(
    labels: Sequence[str],
    mass: Float[Tensor, "group"],
    *,
    low: Float[Tensor, "group"] | None = None,
    high: Float[Tensor, "group"] | None = None,
    confidence: float = 0.95,
    mass_title: str = "Attention to the challenge",
    n_dialogues: int | None = None,
    note: str | None = None,
    height: float | None = None,
    width: Width = "single",
) -> go.Figure:
    """Mean attention of a few groups of heads as horizontal bars, the group in question first and in color.

    Args:
        labels: what each group is ("top 8 heads", "40 others").
        mass: mean share of attention of each group, in [0, 1].
        low, high: ends of each interval at ``confidence``.
        mass_title: what the attention goes to; the unit is added.
        n_dialogues: how many dialogues the shares are means over.
        note: a further sentence for the footnote.
        height: inches of the plot itself, such as that of a panel beside it.
        width: inches, or "single" (3.25), "double" (6.75), or a venue's, such as "neurips".

    Raises:
        FigureError: lengths that do not fit, numbers that are no shares, half an interval.

    >>> import torch
    >>> figure = attention_bars(["top 8 heads", "40 others"], torch.tensor([0.46, 0.15]), n_dialogues=200)
    >>> figure.data[0].hovertext[0]
    'top 8 heads<br>attention 46.0%<br>200 dialogues'
    """
    if mass.ndim != 1 or len(mass) != len(labels):
        raise FigureError(f"{len(labels)} labels and mass of shape {tuple(mass.shape)}; give one share per label.")
    check_shares(mass, "mass")
    values, ends = scaled(mass, low, high, "%", name="mass")
    numbers = Numbers(
        max(bar_span(values, ends)),
        "%",
        confidence,
        sign="minus",
        what="attention",
        sample=counted(n_dialogues, "dialogue"),
    )
    return draw_bars(
        labels,
        values,
        ends,
        numbers,
        colors=[BLUE, *[OTHERS] * (len(labels) - 1)],
        title=mass_title,
        footnote=[count_sentence(n_dialogues, "dialogue"), whiskers_sentence(ends, numbers), note],
        width=width,
        thickness=24.0 if height is None else 96 * plot_height(height) / len(labels),
    )


def mass_map(
    mass: Float[Tensor, "layer head"],
    *,
    marked: Sequence[tuple[int, int]] = (),
    marked_as: str = "most negative",
    color_title: str = "Attention to the challenge",
    n_dialogues: int | None = None,
    note: str | None = None,
    width: Width = "double",
) -> go.Figure:
    """Share of attention of every head, layer 0 at the top, from light (none) to dark (the largest).

    Args:
        mass: one share per head, in [0, 1]; NaN where a head was not measured.
        marked, marked_as, color_title, note, width: as for :func:`~sycolens.plots.heatmap`.
        n_dialogues: how many dialogues the shares are means over.

    Raises:
        FigureError: a shape that does not fit, numbers that are no shares, a marked head that is not there.

    >>> import torch
    >>> figure = mass_map(torch.tensor([[0.1, 0.4], [0.2, 0.0]]), marked=[(0, 1)])
    >>> figure.data[0].text[0][1]
    'L0H1<br>attention 40.0%'
    """
    if mass.ndim != 2:
        raise FigureError(f"mass has shape {tuple(mass.shape)}; a map needs [layer, head].")
    check_shares(mass, "mass")
    values, _ = scaled(mass, None, None, "%", name="mass")
    layers, heads = values.shape
    cells = marked_cells(marked, layers, heads)
    top = values.nan_to_num().max().item() or 100.0
    numbers = Numbers(top, "%", sign="minus", what="attention", sample=counted(n_dialogues, "dialogue"))
    _, tick_texts = numbers.ticks(0, top, most=10)
    hover = [
        [numbers.hover(f"L{layer}H{head}", value, None) for head, value in enumerate(row)]
        for layer, row in enumerate(values.tolist())
    ]
    return draw_maps(
        [HeadMap(values, hover, values / top * DARKEST)],
        numbers,
        Sheet.fit(layers, heads, width, bar_title=numbers.title(color_title), tick_texts=tick_texts),
        span=(0.0, top),
        colors=COLORS,
        marked=cells,
        footnote=[
            count_sentence(n_dialogues, "dialogue"),
            outlined_sentence(len(cells), marked_as),
            gaps_sentence(values),
            note,
        ],
        width=width,
    )
