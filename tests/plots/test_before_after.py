"""Two maps of one model's heads are read against each other: one scale, the same heads outlined, both numbers told."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from drawn import footnote

from sycolens.errors import FigureError
from sycolens.plots import before_after, heatmap
from sycolens.plots.layout import BODY, LINE, SMALL, text_width

SHAPES = [(2, 2), (6, 8), (12, 12), (32, 32), (40, 40), (48, 8), (24, 64), (80, 64)]
WIDTHS = {"single": 3.25, "double": 6.75, "neurips": 5.5, "acl": 3.03}
BEFORE = torch.tensor([[-0.05, 0.01, 0.0], [0.0, -0.02, 0.002]])
AFTER = torch.tensor([[-0.004, 0.012, 0.0], [0.001, -0.003, 0.0]])


def drawn(layers: int, heads: int, **options: Any) -> Any:
    generator = torch.Generator().manual_seed(layers)
    before, after = (torch.randn(layers, heads, generator=generator) * 0.002 for _ in range(2))
    return before_after(before, after, **{"marked": [(1, 1), (layers - 1, 0)], **options})


def of_map(figure: Any, row: int, name: str | None = None) -> Any:
    """One of the traces on the first or the second map; its cells where no name is given."""
    found = [each for each in figure.data if (each.xaxis or "x") == ("x", "x2")[row]]
    (one,) = (each for each in found if (each.type == "heatmap" if name is None else each.name == name))
    return one


def boxes(figure: Any) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of the two maps, in pixels of the page."""
    layout = figure.layout
    wide = layout.width - layout.margin.l - layout.margin.r
    high = layout.height - layout.margin.t - layout.margin.b
    found = []
    for x, y in ((layout.xaxis, layout.yaxis), (layout.xaxis2, layout.yaxis2)):
        left, right = (layout.margin.l + share * wide for share in x.domain)
        bottom, top = (layout.margin.t + (1 - share) * high for share in y.domain)
        found.append((left, top, right, bottom))
    return found


# --- what it shows ---


def test_each_map_holds_its_own_effects_under_its_name() -> None:
    figure = before_after(BEFORE, AFTER, names=("base", "tuned on 4 heads"))
    for row, effect in enumerate((BEFORE, AFTER)):
        for shown, expected in zip(of_map(figure, row).z, (100 * effect).tolist(), strict=True):
            assert list(shown) == pytest.approx(expected)
    over = [each for each in figure.layout.annotations if each.name == "map name"]
    assert [(each.text, each.xref, each.yref) for each in over] == [
        ("base", "x domain", "y domain"),
        ("tuned on 4 heads", "x2 domain", "y2 domain"),
    ]


def test_one_scale_and_one_color_bar_serve_both() -> None:
    for figure in (before_after(BEFORE, AFTER), before_after(AFTER, BEFORE)):
        cells = of_map(figure, 0), of_map(figure, 1)
        assert [(each.zmin, each.zmax) for each in cells] == [(pytest.approx(-5), pytest.approx(5))] * 2
        assert cells[0].colorscale == cells[1].colorscale
        assert [each.showscale for each in cells] == [None, False]
    assert of_map(before_after(BEFORE, AFTER, limit=0.08), 1).zmax == pytest.approx(8)


def test_each_map_looks_as_it_would_alone_on_that_scale() -> None:
    figure, alone = before_after(BEFORE, AFTER, limit=0.05), heatmap(AFTER, limit=0.05)
    for of in ("z", "zmin", "zmax", "colorscale"):
        assert getattr(of_map(figure, 1), of) == getattr(alone.data[0], of)
    assert figure.layout.yaxis2.range == alone.layout.yaxis.range == (1.5, -0.5)
    assert figure.layout.xaxis2.range == alone.layout.xaxis.range == (-0.5, 2.5)


def test_the_tuned_heads_are_outlined_in_both() -> None:
    figure = before_after(BEFORE, AFTER, marked=[(0, 0), (1, 2)])
    for row in (0, 1):
        outline = of_map(figure, row, "marked")
        for start, (layer, head) in ((0, (0, 0)), (6, (1, 2))):
            corners = slice(start, start + 4)
            assert sum(outline.x[corners]) / 4 == pytest.approx(head)
            assert sum(outline.y[corners]) / 4 == pytest.approx(layer)
        assert of_map(figure, row, "names").text == ("L0H0", "L1H2")
    assert footnote(figure) == "Outlined: the 2 tuned heads."


def test_the_pointer_tells_both_effects_with_their_intervals_on_either_map() -> None:
    figure = before_after(
        BEFORE,
        AFTER,
        intervals=((BEFORE - 0.01, BEFORE + 0.02), (AFTER - 0.001, AFTER + 0.001)),
        confidence=0.9,
        n_pairs=100,
    )
    for row in (0, 1):
        assert of_map(figure, row).text[0][0].split("<br>") == [
            "L0H0",
            "before tuning −5.00%",
            "90% interval −6.00 to −3.00%",
            "after tuning −0.40%",
            "90% interval −0.50 to −0.30%",
            "100 pairs",
        ]
    # Half of the twelve intervals are ±0.10, half ±1.50.
    assert footnote(figure) == "100 pairs. 90% intervals: ±0.10% at the median head, ±1.50% at most."


def test_a_head_that_one_map_lacks_is_gray_there_and_has_its_number_in_the_other() -> None:
    after = AFTER.clone()
    after[1, 1] = math.nan
    figure = before_after(BEFORE, after)
    assert math.isnan(of_map(figure, 1).z[1][1])
    assert of_map(figure, 0).text[1][1] == "L1H1<br>before tuning −2.00%<br>after tuning: not measured"
    assert footnote(figure) == "Gray: not measured."


def test_a_plus_stands_clear_of_a_name_inside_the_cell() -> None:
    strong = torch.tensor([[0.05, 0.04], [0.0, 0.0]])
    plus = of_map(before_after(strong, strong * 0.1, marked=[(0, 0)]), 0, "positive")
    figure = before_after(strong, strong, marked=[(0, 0)])
    cell = (boxes(figure)[0][3] - boxes(figure)[0][1]) / 2
    (x, y), (_, beside) = zip(plus.x, plus.y, strict=True)
    assert (x, beside) == (0, 0)
    half = 0.7 * plus.marker.size[0]
    assert y * cell + half <= -SMALL / 2  # above the name
    assert y * cell - half >= -cell / 2  # inside the cell


# --- can it be printed ---


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("layers", "heads"), SHAPES)
def test_both_maps_their_names_and_the_bar_lie_inside_the_page(layers: int, heads: int, width: Any) -> None:
    figure = drawn(layers, heads, width=width, color_title="Change of sycophantic share", n_pairs=100, note="So. " * 40)
    layout = figure.layout
    assert layout.width == pytest.approx(WIDTHS[width] * 96, abs=1)
    assert layout.height <= 9 * 96
    assert layout.title.text is None
    first, second = boxes(figure)
    assert first[2] - first[0] == pytest.approx(second[2] - second[0])
    assert first[3] - first[1] == pytest.approx(second[3] - second[1])
    cell = (first[2] - first[0]) / heads, (first[3] - first[1]) / layers
    assert 0.55 < cell[0] / cell[1] < 1.7
    assert cell[0] > 2.5
    # Beside each other, or above each other with room for the name and the ticks between.
    assert second[0] >= first[2] + 10 or second[1] >= first[3] + 1.2 * BODY + 8
    for left, top, right, _ in (first, second):
        assert left >= 30
        assert top >= 1.2 * BODY
        assert text_width("before tuning", BODY) <= right - left or heads * cell[0] < 80
    bar = of_map(figure, 0).colorbar
    assert bar.len == pytest.approx(second[3] - first[1], abs=0.6)  # heights are rounded
    broken = 1 + bar.title.text.count("<br>")
    ticks = max(map(text_width, bar.ticktext))
    assert max(first[2], second[2]) + 8 + bar.thickness + 3 + ticks + 1.2 * BODY * broken <= layout.width
    (note,) = (each for each in layout.annotations if each.name == "footnote")
    assert -note.yshift + LINE * (note.text.count("<br>") + 1) <= layout.margin.b


@pytest.mark.parametrize(
    ("shape", "width", "stacked"),
    [
        ((6, 8), "double", False),
        ((6, 8), "single", False),
        ((32, 32), "double", False),
        ((32, 32), "single", True),
        ((80, 64), "double", True),
        ((48, 8), "single", False),
    ],
)
def test_maps_stand_side_by_side_unless_their_cells_would_be_too_small(
    shape: tuple[int, int], width: Any, stacked: bool
) -> None:
    figure = drawn(*shape, width=width)
    first, second = boxes(figure)
    assert (second[1] > first[3]) is stacked
    assert (second[0] > first[2]) is not stacked
    # Numbers that both maps share are written once.
    assert figure.layout.xaxis.showticklabels is not stacked
    assert figure.layout.yaxis2.showticklabels is stacked


def test_a_long_name_is_broken_and_has_its_room() -> None:
    name = "after tuning the query and output matrices of four heads"
    figure = drawn(6, 8, width="single", names=("before", name))
    over = figure.layout.annotations[-1]
    lines = over.text.split("<br>")
    left, top, right, _ = boxes(figure)[1]
    assert len(lines) > 1
    assert all(text_width(line, BODY) <= right - left for line in lines)
    assert top >= 1.2 * BODY * len(lines)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: before_after(BEFORE, AFTER[:1]), r"before has shape \(2, 3\), after \(1, 3\)"),
        (lambda: before_after(BEFORE[0], AFTER[0]), r"both must be \[layer, head\]"),
        (lambda: before_after(BEFORE, AFTER, marked=[(2, 0)]), "L2H0 is marked"),
        (lambda: before_after(BEFORE, AFTER * math.nan), "after holds infinite numbers, or no number"),
        (lambda: before_after(BEFORE, AFTER, limit=0.0), "limit is 0.0"),
        (lambda: before_after(BEFORE, AFTER, intervals=((BEFORE, BEFORE), (AFTER[0], AFTER[0]))), "low has shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call: Any, says: str) -> None:
    with pytest.raises(FigureError, match=says):
        call()
