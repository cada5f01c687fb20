"""The heatmap and the bars show the numbers they were given, and can be printed."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import pytest
import torch
from drawn import footnote, trace

from sycolens.errors import FigureError
from sycolens.plots import head_bars, heatmap
from sycolens.plots.layout import LINE, text_width

SHAPES = [(2, 2), (6, 8), (12, 12), (32, 32), (40, 40), (48, 8), (24, 64), (80, 64)]
WIDTHS = {"single": 3.25, "double": 6.75, "neurips": 5.5, "acl": 3.03}


def a_map(layers: int = 32, heads: int = 40) -> torch.Tensor:
    return torch.randn(layers, heads, generator=torch.Generator().manual_seed(layers)) * 0.002


def color_of(figure: Any, value: float) -> tuple[float, ...]:
    cells = trace(figure, "effect")
    place = (value - cells.zmin) / (cells.zmax - cells.zmin)
    stops = [(stop, [int(part) for part in re.findall(r"\d+", color)]) for stop, color in cells.colorscale]
    for (start, first), (end, last) in pairwise(stops):
        if place <= end or end == 1:
            share = (place - start) / (end - start)
            return tuple(a + share * (b - a) for a, b in zip(first, last, strict=True))
    raise AssertionError("the color scale does not reach 1")


# --- heatmap: what it shows ---


def test_layer_zero_is_at_the_top_and_head_zero_at_the_left() -> None:
    figure = heatmap(a_map(6, 8))
    bottom, top = figure.layout.yaxis.range
    left, right = figure.layout.xaxis.range
    assert (bottom, top) == (5.5, -0.5)
    assert (left, right) == (-0.5, 7.5)
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("Head", "Layer")


def test_negative_is_red_positive_is_blue_and_zero_is_neutral() -> None:
    figure = heatmap(torch.tensor([[-0.01, 0.04], [0.0, 0.002]]))
    cells = trace(figure, "effect")
    assert cells.zmin == -cells.zmax == pytest.approx(-4.0)
    for value in (-4.0, -1.0):
        red, _, blue = color_of(figure, value)
        assert red > blue + 30
    for value in (4.0, 1.0):
        red, _, blue = color_of(figure, value)
        assert blue > red + 30
    assert max(color_of(figure, 0.0)) - min(color_of(figure, 0.0)) <= 2


def test_every_cell_tells_its_name_effect_and_interval() -> None:
    effect = a_map()
    effect[16, 39] = -0.038
    figure = heatmap(effect, low=effect - 0.004, high=effect + 0.0021, confidence=0.9)
    cells = trace(figure, "effect")
    assert cells.text[16][39] == "L16H39<br>effect −3.80%<br>90% interval −4.20 to −3.59%"
    assert cells.z[16][39] == pytest.approx(-3.8)
    assert heatmap(effect).data[0].text[16][39] == "L16H39<br>effect −3.80%"
    assert heatmap(effect * 100, unit="logits").data[0].text[16][39] == "L16H39<br>effect −3.80 logits"


def test_marked_heads_are_outlined_where_they_are() -> None:
    figure = heatmap(a_map(), marked=[(16, 39), (0, 0)])
    outline = trace(figure, "marked")
    boxes, points = [], []
    for x, y in zip(outline.x, outline.y, strict=True):
        if x is None:
            boxes.append(points)
            points = []
        else:
            points.append((x, y))
    for box, (layer, head) in zip(boxes, [(16, 39), (0, 0)], strict=True):
        assert box[0] == box[-1]
        assert sum(x for x, _ in box[:-1]) / 4 == pytest.approx(head)
        assert sum(y for _, y in box[:-1]) / 4 == pytest.approx(layer)
        assert max(max(abs(x - head), abs(y - layer)) for x, y in box) < 0.5  # not clipped at the plot's edge
    assert "Outlined: the 2 most negative heads." in footnote(figure)


def test_names_stand_in_large_cells_and_beside_small_ones() -> None:
    large = trace(heatmap(a_map(6, 8), marked=[(3, 0)]), "names")
    assert (large.text, large.x[0], large.y[0]) == (("L3H0",), pytest.approx(0), pytest.approx(3))
    small = trace(heatmap(a_map(), marked=[(16, 3)]), "names")
    assert small.text == ("L16H3",)
    assert max(abs(small.x[0] - 3), abs(small.y[0] - 16)) > 0.5


def test_in_greyscale_the_sign_of_strong_cells_stays_visible() -> None:
    effect = torch.tensor([[-0.04, 0.04, 0.001], [0.021, 0.019, -0.03]])
    figure = heatmap(effect)
    plus = trace(figure, "positive")
    assert sorted(zip(plus.y, plus.x, strict=True)) == [(0, 1), (1, 0)]
    assert "+: above +2.00%." in footnote(figure)
    assert "+:" not in footnote(heatmap(-effect.abs()))


def test_footnote_says_how_many_pairs_and_how_wide_the_intervals() -> None:
    effect = a_map(6, 8)
    half = torch.full_like(effect, 0.001)
    half[2, 2] = 0.003
    figure = heatmap(effect, low=effect - half, high=effect + half, n_pairs=1200, note="Model X.")
    assert footnote(figure).startswith("1,200 pairs. 95% intervals: ±0.100% at the median head, ±0.300% at most.")
    assert footnote(figure).endswith("Model X.")
    assert footnote(heatmap(a_map(6, 8).abs() * -1)) == ""


def test_heads_that_were_not_measured_are_gray_not_zero() -> None:
    effect = a_map(6, 8)
    effect[2, 5] = math.nan
    figure = heatmap(effect)
    cells = trace(figure, "effect")
    assert math.isnan(cells.z[2][5])
    assert cells.text[2][5] == "L2H5<br>not measured"
    assert "Gray: not measured." in footnote(figure)
    assert figure.layout.plot_bgcolor != "white"


def test_maps_can_share_a_scale() -> None:
    before, after = heatmap(a_map() * 10, limit=0.08), heatmap(a_map(), limit=0.08)
    assert trace(before, "effect").zmax == trace(after, "effect").zmax == pytest.approx(8.0)


def test_a_map_without_any_effect_can_be_drawn() -> None:
    figure = heatmap(torch.zeros(4, 4), low=torch.zeros(4, 4), high=torch.zeros(4, 4))
    assert trace(figure, "effect").zmax > 0


# --- heatmap: can it be printed ---


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("layers", "heads"), SHAPES)
def test_page_has_its_print_width_and_square_cells(layers: int, heads: int, width: Any) -> None:
    figure = heatmap(a_map(layers, heads), n_pairs=100, width=width, color_title="Effect on sycophantic share")
    layout = figure.layout
    assert layout.width == pytest.approx(WIDTHS[width] * 96, abs=1)
    assert layout.height <= 9 * 96  # a page
    assert layout.title.text is None
    cell_width = (layout.width - layout.margin.l - layout.margin.r) / heads
    cell_height = (layout.height - layout.margin.t - layout.margin.b) / layers
    assert 0.65 < cell_width / cell_height < 1.7
    assert cell_width > 2.5


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("layers", "heads"), SHAPES)
def test_ticks_do_not_run_into_each_other(layers: int, heads: int, width: Any) -> None:
    layout = heatmap(a_map(layers, heads), width=width).layout
    across = (layout.width - layout.margin.l - layout.margin.r) / heads
    down = (layout.height - layout.margin.t - layout.margin.b) / layers
    x, y = layout.xaxis.tickvals, layout.yaxis.tickvals
    assert x[0] == y[0] == 0
    assert len(x) >= 2
    assert len(y) >= 2
    # Two digits of 7 points are 10.4 pixels wide and 9.3 high.
    assert (x[1] - x[0]) * across > 14
    assert (y[1] - y[0]) * down > 11


@pytest.mark.parametrize("width", WIDTHS)
def test_footnote_lies_under_the_axis_and_inside_the_page(width: Any) -> None:
    effect = a_map()
    figure = heatmap(
        effect,
        low=effect - 0.01,
        high=effect + 0.01,
        n_pairs=100,
        marked=[(1, 1)],
        note="A sentence. " * 9,
        width=width,
    )
    (note,) = figure.layout.annotations
    lines = note.text.count("<br>") + 1
    assert lines > 1
    assert -note.yshift >= 34  # tick labels and axis name
    assert -note.yshift + LINE * lines <= figure.layout.margin.b
    left = figure.layout.margin.l + note.xshift
    assert left >= 0
    assert all(left + text_width(line, note.font.size) <= figure.layout.width for line in note.text.split("<br>"))


# --- head_bars ---


def test_bars_run_from_the_first_head_at_the_top() -> None:
    figure = head_bars(["L3H0", "L1H4", "L0H7"], torch.tensor([-0.05, -0.02, 0.01]))
    bars = trace(figure, "effect")
    assert list(bars.x) == pytest.approx([-5.0, -2.0, 1.0])
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert list(figure.layout.yaxis.ticktext) == ["L3H0", "L1H4", "L0H7"]
    assert figure.layout.xaxis.title.text == "Effect\u00a0(%)"
    shades = [tuple(map(int, re.findall(r"\d+", color))) for color in bars.marker.color]
    assert [red > blue for red, _, blue in shades] == [True, True, False]


def test_whiskers_end_at_the_interval_and_nothing_leaves_the_axis() -> None:
    effect, low, high = torch.tensor([-0.05, -0.02]), torch.tensor([-0.07, -0.03]), torch.tensor([-0.04, 0.01])
    figure = head_bars(["L3H0", "L1H4"], effect, low=low, high=high, n_pairs=1)
    bars = trace(figure, "effect")
    for row in range(2):
        assert bars.x[row] - bars.error_x.arrayminus[row] == pytest.approx(100 * low[row].item())
        assert bars.x[row] + bars.error_x.array[row] == pytest.approx(100 * high[row].item())
    first, last = figure.layout.xaxis.range
    assert first < -7
    assert last > 1
    assert footnote(figure) == "1 pair. Whiskers: 95% interval."
    assert bars.hovertext[0] == "L3H0<br>effect −5.00%<br>95% interval −7.00 to −4.00%"


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: heatmap(torch.zeros(4)), r"\[layer, head\]"),
        (lambda: heatmap(torch.zeros(2, 2), low=torch.zeros(2, 2)), "both low and high"),
        (lambda: heatmap(torch.zeros(2, 2), low=torch.zeros(2), high=torch.zeros(2)), "low has shape"),
        (lambda: heatmap(torch.full((2, 2), math.nan)), "no number at all"),
        (lambda: heatmap(torch.tensor([[math.inf, 0.0]])), "infinite"),
        (lambda: heatmap(torch.zeros(2, 2), marked=[(0, 2)]), "L0H2 is marked"),
        (lambda: heatmap(torch.zeros(2, 2), limit=0.0), "limit is 0.0"),
        (lambda: heatmap(torch.zeros(0, 2)), "no number at all"),
        (lambda: head_bars(["L0H0"], torch.zeros(2)), "1 labels"),
        (lambda: head_bars([], torch.zeros(0)), "no number at all"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call: Any, says: str) -> None:
    with pytest.raises(FigureError, match=says):
        call()


def test_bars_of_heads_that_are_not_told_from_none_are_hollow() -> None:
    q = torch.tensor([0.01, 0.2, 0.05])
    figure = head_bars(["L0H0", "L0H1", "L1H0"], torch.tensor([-0.3, -0.2, 0.1]), q=q)
    (bars,) = figure.data
    assert [color == "white" for color in bars.marker.color] == [False, True, False]
    assert list(bars.marker.line.width) == [0.0, 1.0, 0.0]
    assert bars.marker.line.color[1] == bars.marker.color[0]  # red, as both are negative
    assert "0.05" in footnote(figure)
    assert "q above" not in footnote(head_bars(["L0H0"], torch.tensor([-0.3]), q=torch.tensor([0.05])))
    with pytest.raises(FigureError, match=r"\(2,\)"):
        head_bars(["L0H0"], torch.tensor([-0.3]), q=torch.zeros(2))
