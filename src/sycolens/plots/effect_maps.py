"""The paper's Figures 2(a) and 7(b): maps of effects, red to blue around 0, alone or before and after tuning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.cells import HeadMap, draw_maps, gaps_sentence, head_names, ink_on, marked_cells, outlined_sentence
from sycolens.plots.layout import LEAST_INCHES, SMALL, Width, page_width
from sycolens.plots.numbers import Ends, Numbers, count_sentence, counted, interval_at, scaled
from sycolens.plots.sheet import Sheet

COLORS = "RdBu"
"""plotly's scale runs from dark red (lowest) over white to dark blue (highest)."""
LEGIBLE = 36.0
"""Maps stand side by side while a cell has this many square pixels, or where stacking them would not enlarge it."""


@dataclass(frozen=True)
class EffectMap:
    """Effects as they are written, with their intervals."""

    values: Float[Tensor, "layer head"]
    ends: Ends | None
    name: str = ""
    """What stands over the map; a single map needs none."""


def draw_effects(
    maps: Sequence[EffectMap],
    *,
    marked: Sequence[tuple[int, int]],
    marked_as: str,
    confidence: float,
    color_title: str,
    unit: str,
    limit: float | None,
    n_pairs: int | None,
    note: str | None,
    width: Width,
) -> go.Figure:
    """Maps of one shape on one color scale; the options are those of :func:`~sycolens.plots.heatmap`."""
    layers, heads = maps[0].values.shape
    cells = marked_cells(marked, layers, heads)
    if limit is not None and not limit > 0:
        raise FigureError(f"limit is {limit}; it is half the color range and must be above 0.")

    largest = max(each.values.nan_to_num().abs().max().item() for each in maps)
    top = (largest or 1.0) if limit is None else limit * (100 if unit == "%" else 1)
    numbers = Numbers(max(top, largest), unit, confidence)
    sheet = _fit(maps, width, numbers.title(color_title), numbers.ticks(-top, top, most=10)[1])
    shades = [(each.values / top).clamp(-1, 1) for each in maps]
    positive = any(bool((shade > 0.5).any()) for shade in shades)
    hover = [[_hover(maps, numbers, layer, head, n_pairs) for head in range(heads)] for layer in range(layers)]
    return draw_maps(
        [
            HeadMap(each.values, hover, shade, [_plus_signs(shade, cells, sheet)])
            for each, shade in zip(maps, shades, strict=True)
        ],
        numbers,
        sheet,
        span=(-top, top),
        colors=COLORS,
        marked=cells,
        footnote=[
            count_sentence(n_pairs, "pair"),
            _interval_sentence([each.ends for each in maps if each.ends is not None], numbers),
            outlined_sentence(len(cells), marked_as),
            f"+:\u00a0above\u00a0{numbers.write(top / 2)}." if positive else None,
            gaps_sentence(*(each.values for each in maps)),
            note,
        ],
        width=width,
    )


def _fit(maps: Sequence[EffectMap], width: Width, bar_title: str, tick_texts: Sequence[str]) -> Sheet:
    """Side by side, which compares best, unless that leaves cells too small to see."""
    layers, heads = maps[0].values.shape
    beside, stacked = (
        Sheet.fit(
            layers,
            heads,
            width,
            bar_title=bar_title,
            tick_texts=tick_texts,
            names=[each.name for each in maps],
            stacked=stacked,
        )
        for stacked in (False, True)
    )
    small, large = (each.cell_width * each.cell_height for each in (beside, stacked))
    return beside if small >= min(LEGIBLE, large) else stacked


def _hover(maps: Sequence[EffectMap], numbers: Numbers, layer: int, head: int, n_pairs: int | None) -> str:
    name, hover_lines = (
        f"L{layer}H{head}",
        [(each.values[layer, head].item(), interval_at(each.ends, layer, head)) for each in maps],
    )
    if len(maps) == 1:
        return numbers.hover(name, *hover_lines[0])
    lines = [name]
    for each, (value, ends) in zip(maps, hover_lines, strict=True):
        measured = not math.isnan(value)
        lines += (
            replace(numbers, what=each.name).hover_lines(value, ends) if measured else [f"{each.name}: not measured"]
        )
    sample = counted(n_pairs, "pair")
    return "<br>".join([*lines, sample] if sample else lines)


def _interval_sentence(ends: Sequence[Ends], numbers: Numbers) -> str | None:
    if not ends:
        return None
    half = torch.cat([(high - low).flatten() / 2 for low, high in ends])
    median, widest = half.nanmedian().item(), half.nan_to_num().max().item()
    typical, worst = (numbers.write(each, sign="minus") for each in (median, widest))
    return f"{numbers.level} intervals: ±{typical} at the median head, ±{worst} at most."


def _plus_signs(shade: Float[Tensor, "layer head"], marked: Sequence[tuple[int, int]], sheet: Sheet) -> go.Scatter:
    cells = [(layer, head) for layer, head in (shade > 0.5).nonzero().tolist()]
    size = min(8.0, 0.5 * min(sheet.cell_width, sheet.cell_height))
    # Where names stand inside the marked cells, a plus moves above the name.
    named = set(marked) if all(map(sheet.holds, head_names(marked))) else set()
    room = (sheet.cell_height - SMALL) / 2
    up = (sheet.cell_height - room) / 2 / sheet.cell_height
    # plotly draws this symbol 1.4 times as wide as its size, and pales markers of several sizes by default.
    sizes = [min(size, (room - 4) / 1.4) if cell in named else size for cell in cells]
    return go.Scatter(
        name="positive",
        mode="markers",
        x=[head for _, head in cells],
        y=[layer - up if (layer, head) in named else layer for layer, head in cells],
        marker={
            "symbol": "cross-thin",
            **({"size": sizes, "opacity": 1} if named else {"size": size}),
            "line": {"color": [ink_on(shade[cell].item()) for cell in cells], "width": min(1.0, size / 4)},
        },
        hoverinfo="skip",
    )


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
        width: inches, or "single" (3.25), "double" (6.75), or a venue's, such as "neurips".

    Raises:
        FigureError: shapes that do not fit, infinite or no numbers, half an interval, a marked head that is not there.

    >>> import torch
    >>> figure = heatmap(torch.tensor([[0.0, -0.05], [0.01, 0.0]]), marked=[(0, 1)], n_pairs=100)
    >>> figure.layout.width, figure.data[0].text[0][1]
    (648.0, 'L0H1<br>effect −5.00%')
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
    page_width(width, least=LEAST_INCHES)
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
