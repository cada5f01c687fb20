"""Effect against effect: equal scales, and names that point to one head."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
import torch
from drawn import check_page, footnote, in_pixels, plot_size, trace
from hypothesis import given, settings
from hypothesis import strategies as st

from sycolens.errors import FigureError
from sycolens.plots import head_scatter
from sycolens.plots.layout import Box, grown, overlap, text_width

WIDTHS = {"single": 3.25, "double": 6.75, "neurips": 5.5, "acl": 3.03}
TITLES: dict[str, Any] = {"first_title": "Path effect", "second_title": "Total effect"}


def some(layers: int, heads: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(layers, heads, generator=generator) * 0.002
    strong = torch.randperm(layers * heads, generator=generator)[:8]
    first.view(-1)[strong] -= 0.05 * torch.rand(8, generator=generator)
    return first, first * 0.8 + torch.randn(layers, heads, generator=generator) * 0.002


def strongest(effect: torch.Tensor, k: int = 8) -> list[tuple[int, int]]:
    return [divmod(int(cell), effect.shape[1]) for cell in effect.flatten().argsort()[:k]]


def test_each_head_is_a_point_and_a_head_that_one_lacks_is_none() -> None:
    first = torch.tensor([[-0.05, 0.01], [math.nan, 0.02]])
    second = torch.tensor([[-0.03, math.nan], [0.01, 0.04]])
    figure = head_scatter(first, second, marked=[(0, 0)], **TITLES)
    plain, marked = trace(figure, "heads"), trace(figure, "marked")
    assert (list(plain.x), list(plain.y)) == (pytest.approx([2]), pytest.approx([4]))
    assert (list(marked.x), list(marked.y)) == (pytest.approx([-5]), pytest.approx([-3]))
    assert marked.hovertext == ("L0H0<br>Path effect −5.00%<br>Total effect −3.00%",)
    assert footnote(figure) == "2 heads. Dashed: equal effects."


@pytest.mark.parametrize("width", WIDTHS)
def test_scales_are_equal_and_the_diagonal_is_where_effects_are(width: Any) -> None:
    first, second = some(6, 8)
    figure = head_scatter(first, second * 0.1, width=width, note="So. " * 60, **TITLES)
    wide, high = plot_size(figure)
    assert wide == pytest.approx(high, abs=0.01)
    assert figure.layout.xaxis.range == figure.layout.yaxis.range
    diagonal = trace(figure, "diagonal")
    assert list(diagonal.x) == list(diagonal.y) == list(figure.layout.xaxis.range)
    start, end = figure.layout.xaxis.range
    assert start < 100 * first.min() < 100 * first.max() < end
    assert start < 0 < end
    assert figure.layout.xaxis.zeroline
    assert figure.layout.yaxis.zeroline
    check_page(figure, WIDTHS[width])


def test_axes_carry_the_unit() -> None:
    layout = head_scatter(*some(6, 8), unit="logits", **TITLES).layout
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == (
        "Path effect\u00a0(logits)",
        "Total effect\u00a0(logits)",
    )


def test_marked_heads_differ_in_shape_and_size_too() -> None:
    figure = head_scatter(*some(6, 8), marked=[(0, 0)], **TITLES)
    plain, marked = trace(figure, "heads").marker, trace(figure, "marked").marker
    assert plain.symbol != marked.symbol
    assert marked.size > plain.size


def named(figure: Any) -> dict[str, Box]:
    names = trace(figure, "names")
    boxes = {}
    for text, x, y in zip(names.text, names.x, names.y, strict=True):
        across, down = in_pixels(figure, x, y)
        half = text_width(text) / 2
        boxes[text] = (across - half, down - 5, across + half, down + 5)
    return boxes


@given(st.sampled_from([(6, 8), (32, 32)]), st.integers(1, 16), st.floats(0, 1), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_names_cover_nothing_and_point_to_one_head(shape: tuple[int, int], marks: int, share: float, seed: int) -> None:
    first, second = some(*shape, seed)
    marked = strongest(first, marks)
    figure = head_scatter(first, second * share, marked=marked, **TITLES)
    boxes = named(figure)
    wide, high = plot_size(figure)
    diamonds, dots = trace(figure, "marked"), trace(figure, "heads")
    at = {
        f"L{layer}H{head}": in_pixels(figure, x, y)
        for (layer, head), x, y in zip(marked, diamonds.x, diamonds.y, strict=True)
    }
    for name, box in boxes.items():
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= wide
        assert box[3] <= high
        near = [other for other, (x, y) in at.items() if overlap(grown(box, 5.5), (x, y, x + 1e-6, y + 1e-6))]
        assert near == [name]
        for x, y in (in_pixels(figure, *point) for point in zip(dots.x, dots.y, strict=True)):
            assert not overlap(box, (x - 2, y - 2, x + 2, y + 2))
    assert not any(overlap(a, b) for a, b in combinations(boxes.values(), 2))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("corner", [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 0.0), (0.0, -1.0)])
def test_a_lone_head_is_named_wherever_it_is(corner: tuple[float, float], width: Any) -> None:
    first, second = torch.zeros(12, 1), torch.zeros(12, 1)
    first[11], second[11] = corner
    assert list(named(head_scatter(first, second, marked=[(11, 0)], width=width, **TITLES))) == ["L11H0"]


def test_maps_without_any_effect_can_be_drawn() -> None:
    low, high = head_scatter(torch.zeros(2, 2), torch.zeros(2, 2), **TITLES).layout.xaxis.range
    assert low < 0 < high


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: head_scatter(torch.zeros(2, 2), torch.zeros(2, 3), **TITLES),
            r"first has shape \(2, 2\), second \(2, 3\)",
        ),
        (lambda: head_scatter(torch.zeros(2), torch.zeros(2), **TITLES), r"\[layer, head\]"),
        (lambda: head_scatter(torch.zeros(2, 2), torch.full((2, 2), math.inf), **TITLES), "second holds infinite"),
        (
            lambda: head_scatter(torch.tensor([[0.0, math.nan]]), torch.tensor([[math.nan, 0.0]]), **TITLES),
            "No head has a number in both",
        ),
        (lambda: head_scatter(torch.zeros(2, 2), torch.zeros(2, 2), marked=[(0, 2)], **TITLES), "L0H2 is marked"),
        (
            lambda: head_scatter(torch.tensor([[0.0, math.nan]]), torch.zeros(1, 2), marked=[(0, 1)], **TITLES),
            "L0H1 is marked, but has no number",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call: Any, says: str) -> None:
    with pytest.raises(FigureError, match=says):
        call()
