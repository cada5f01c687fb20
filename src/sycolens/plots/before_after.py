"""The paper's Figure 7(b): the effect of every head before and after tuning, on one color scale."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.effect_maps import EffectMap, draw_effects
from sycolens.plots.layout import Width
from sycolens.plots.numbers import Ends, scaled


def before_after(
    before: Float[Tensor, "layer head"],
    after: Float[Tensor, "layer head"],
    *,
    intervals: tuple[Ends, Ends] | None = None,
    confidence: float = 0.95,
    names: tuple[str, str] = ("before tuning", "after tuning"),
    marked: Sequence[tuple[int, int]] = (),
    marked_as: str = "tuned",
    color_title: str = "Effect",
    unit: str = "%",
    limit: float | None = None,
    n_pairs: int | None = None,
    note: str | None = None,
    width: Width = "double",
) -> go.Figure:
    """Two maps of effects, side by side or, where cells would be too small, one above the other.

    Layer 0 is at the top, negative is red and positive blue. The pointer shows both effects of a head on either map.

    Args:
        before, after: one number per head; NaN where a head was not measured. Shares where ``unit`` is "%".
        intervals: low and high ends of each head's interval at ``confidence``, before and after.
        names: what stands over the two maps.
        marked: (layer, head) of the heads to outline in both and, where there is room, to name.
        marked_as: what the marked heads are, for the footnote ("Outlined: the 4 tuned heads").
        color_title, unit, note, width: as for :func:`~sycolens.plots.heatmap`.
        limit: colors run from -limit to limit; by default the largest effect on either map.
        n_pairs: how many contrast pairs each effect is a mean over.

    Raises:
        FigureError: shapes that do not fit, infinite or no numbers, a marked head that is not there.

    >>> import torch
    >>> before, after = torch.tensor([[-0.05, 0.0]]), torch.tensor([[-0.01, 0.0]])
    >>> figure = before_after(before, after, marked=[(0, 0)], n_pairs=100)
    >>> figure.data[0].text[0][0]
    'L0H0<br>before tuning −5.00%<br>after tuning −1.00%<br>100 pairs'
    """
    if before.ndim != 2 or before.shape != after.shape:
        raise FigureError(
            f"before has shape {tuple(before.shape)}, after {tuple(after.shape)}; both must be [layer, head]."
        )
    ends = intervals or ((None, None), (None, None))
    return draw_effects(
        [
            EffectMap(*scaled(each, *interval, unit, name=what), name)
            for what, each, interval, name in zip(("before", "after"), (before, after), ends, names, strict=True)
        ],
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
