"""The paper's Figure 2(a): the effect of every head as a heatmap."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.effect_maps import EffectMap, draw_effects
from sycolens.plots.layout import Width
from sycolens.plots.numbers import scaled


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

    In grayscale, where both ends are dark, cells beyond half the range carry a plus if they are positive.

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
    return draw_effects(
        [EffectMap(values, ends)],
        marked=marked,
        marked_as=marked_as,
        confidence=confidence,
        color_title=color_title,
        unit=unit,
        limit=limit,
        n_pairs=n_pairs,
        note=note,
        width=width,
    )
