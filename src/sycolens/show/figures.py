"""The paper's Figure 2(a): the effect of every head as a heatmap."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.show.cells import draw_map, gaps_sentence, ink_on, marked_cells, outlined_sentence
from sycolens.show.layout import Width
from sycolens.show.numbers import Ends, Numbers, count_sentence, scaled
from sycolens.show.sheet import Sheet

COLORS = "RdBu"
"""plotly's scale runs from dark red (lowest) over white to dark blue (highest)."""


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
    cells = marked_cells(marked, layers, heads)
    if limit is not None and not limit > 0:
        raise FigureError(f"limit is {limit}; it is half the color range and must be above 0.")

    measured = values[~values.isnan()]
    top = (measured.abs().max().item() or 1.0) if limit is None else limit * (100 if unit == "%" else 1)
    numbers = Numbers(max(top, measured.abs().max().item()), unit, confidence)
    _, tick_texts = numbers.ticks(-top, top, most=10)
    sheet = Sheet.fit(layers, heads, width, bar_title=numbers.title(color_title), tick_texts=tick_texts)
    shade = (values / top).clamp(-1, 1)
    positive = [(layer, head) for layer, head in (shade > 0.5).nonzero().tolist()]
    sentences = [
        count_sentence(n_pairs, "pair"),
        _interval_sentence(ends, numbers),
        outlined_sentence(len(cells), marked_as),
        f"+:\u00a0above\u00a0{numbers.write(top / 2)}." if positive else None,
        gaps_sentence(values),
        note,
    ]
    return draw_map(
        values,
        ends,
        numbers,
        sheet,
        span=(-top, top),
        colors=COLORS,
        shade=shade,
        marked=cells,
        under_outlines=[_plus_signs(positive, shade, sheet)],
        footnote=sentences,
        width=width,
    )


def _interval_sentence(ends: Ends | None, numbers: Numbers) -> str | None:
    if ends is None:
        return None
    half = (ends[1] - ends[0]) / 2
    median, widest = half.nanmedian().item(), half.nan_to_num().max().item()
    typical, worst = (numbers.write(each, sign="minus") for each in (median, widest))
    return f"{numbers.level} intervals: ±{typical} at the median head, ±{worst} at most."


def _plus_signs(cells: Sequence[tuple[int, int]], shade: Tensor, sheet: Sheet) -> go.Scatter:
    ink = [ink_on(shade[cell].item()) for cell in cells]
    size = min(8.0, 0.5 * min(sheet.cell_width, sheet.cell_height))
    return go.Scatter(
        name="positive",
        mode="markers",
        x=[head for _, head in cells],
        y=[layer for layer, _ in cells],
        marker={"symbol": "cross-thin", "size": size, "line": {"color": ink, "width": min(1.0, size / 4)}},
        hoverinfo="skip",
    )
