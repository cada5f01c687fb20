"""Attention is drawn as shares: bars from zero, maps from light to dark."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from drawn import check_page, footnote, plot_size, trace

from sycolens.errors import FigureError
from sycolens.plots import attention_bars, heatmap, mass_map
from sycolens.plots.layout import INK

WIDTHS = {"single": 3.25, "double": 6.75, "neurips": 5.5, "acl": 3.03}
LABELS = ["top 8 heads", "40 others"]
MASS = torch.tensor([0.46, 0.15])


def luminance(color: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", color))
    return 0.3 * red + 0.59 * green + 0.11 * blue


# --- attention_bars ---


def test_bars_are_percentages_the_group_first_and_darker() -> None:
    figure = attention_bars(LABELS, MASS)
    bars = trace(figure, "attention")
    assert list(bars.x) == pytest.approx([46, 15])
    assert list(figure.layout.yaxis.ticktext) == LABELS
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert luminance(bars.marker.color[0]) < luminance(bars.marker.color[1]) - 40
    assert figure.layout.xaxis.title.text == "Attention to the challenge\u00a0(%)"
    assert all("+" not in text for text in figure.layout.xaxis.ticktext)


def test_bars_start_at_the_frame_and_whiskers_stay_inside() -> None:
    low, high = MASS - 0.02, MASS + 0.05
    figure = attention_bars(LABELS, MASS, low=low, high=high, confidence=0.9, n_dialogues=200, note="Model X.")
    bars = trace(figure, "attention")
    first, last = figure.layout.xaxis.range
    assert first == 0
    assert last > 51
    for row in range(2):
        assert bars.x[row] - bars.error_x.arrayminus[row] == pytest.approx(100 * low[row].item())
        assert bars.x[row] + bars.error_x.array[row] == pytest.approx(100 * high[row].item())
    assert bars.hovertext[0] == "top 8 heads<br>attention 46.0%<br>90% interval 44.0 to 51.0%<br>200 dialogues"
    assert footnote(figure) == "200 dialogues. Whiskers: 90% interval. Model X."


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_fit_the_page(width: Any) -> None:
    check_page(attention_bars([*LABELS, "8 random heads"], torch.rand(3), width=width, note="So. " * 60), WIDTHS[width])


# --- mass_map ---


def test_map_runs_from_none_in_white_to_the_most_in_dark() -> None:
    figure = mass_map(torch.tensor([[0.1, 0.4], [0.2, 0.0]]))
    cells = trace(figure, "attention")
    assert (cells.zmin, cells.zmax) == (0, pytest.approx(40))
    shades = [luminance(color) for _, color in cells.colorscale]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] > 240
    # A black outline is seen on the darkest cell.
    assert 60 < shades[-1] < 120


def test_map_has_the_heatmaps_geometry() -> None:
    mass = torch.rand(32, 40, generator=torch.Generator().manual_seed(0))
    mine, other = mass_map(mass, color_title="Effect"), heatmap(mass, color_title="Effect")
    # The color bar's ticks carry no sign, which leaves the cells no less room.
    assert plot_size(mine)[0] >= plot_size(other)[0]
    assert mine.layout.yaxis.range == other.layout.yaxis.range == (31.5, -0.5)
    assert mine.layout.xaxis.range == other.layout.xaxis.range


def test_every_cell_tells_its_share_and_marked_heads_are_outlined() -> None:
    mass = torch.tensor([[0.1, 0.4], [float("nan"), 0.0]])
    figure = mass_map(mass, marked=[(0, 1)], marked_as="most attentive", n_dialogues=1)
    assert [list(row) for row in trace(figure, "attention").text] == [
        ["L0H0<br>attention 10.0%<br>1 dialogue", "L0H1<br>attention 40.0%<br>1 dialogue"],
        ["L1H0<br>not measured", "L1H1<br>attention 0.0%<br>1 dialogue"],
    ]
    outline = trace(figure, "marked")
    assert sum(outline.x[:4]) / 4 == pytest.approx(1)
    assert sum(outline.y[:4]) / 4 == pytest.approx(0)
    assert trace(figure, "names").text == ("L0H1",)
    assert trace(figure, "names").textfont.color == ("white",)  # on the darkest cell
    assert trace(mass_map(mass, marked=[(0, 0)]), "names").textfont.color == (INK,)
    assert footnote(figure) == "1 dialogue. Outlined: the most attentive head. Gray: not measured."


def test_a_map_without_attention_can_be_drawn() -> None:
    assert trace(mass_map(torch.zeros(4, 4)), "attention").zmax > 0


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shape", [(2, 2), (6, 8), (32, 32), (80, 64)])
def test_maps_fit_the_page(shape: tuple[int, int], width: Any) -> None:
    figure = mass_map(torch.rand(shape), width=width, n_dialogues=200)
    layout = figure.layout
    assert layout.height <= 9 * 96
    wide, high = plot_size(figure)
    assert 0.75 < (wide / shape[1]) / (high / shape[0]) < 1.7
    assert layout.width == pytest.approx(WIDTHS[width] * 96, abs=1)


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: attention_bars(["a"], MASS), "1 labels and mass"),
        (lambda: attention_bars(LABELS, 100 * MASS), "mass holds 46, which is no share"),
        (lambda: attention_bars(LABELS, -MASS), "mass holds -0.46"),
        (lambda: attention_bars(LABELS, MASS, low=MASS), "both low and high"),
        (lambda: attention_bars([], torch.zeros(0)), "mass holds .* no number at all"),
        (lambda: mass_map(MASS), r"\[layer, head\]"),
        (lambda: mass_map(torch.full((2, 2), 1.5)), "no share"),
        (lambda: mass_map(torch.zeros(2, 2), marked=[(2, 0)]), "L2H0 is marked"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call: Any, says: str) -> None:
    with pytest.raises(FigureError, match=says):
        call()
