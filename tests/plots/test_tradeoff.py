"""What a repair costs can be read off: points at their drift and share, the goal, the place of no drift."""

from __future__ import annotations

import math
import re
from itertools import combinations, pairwise
from typing import Any

import pytest
from drawn import check_page, footnote, plot_size, trace
from hypothesis import given, settings
from hypothesis import strategies as st

from sycolens.errors import FigureError
from sycolens.plots import TradeoffPoint, tradeoff
from sycolens.plots.layout import text_width
from sycolens.plots.log_axis import LogAxis

WIDTHS = {"single": 3.25, "double": 6.75, "neurips": 5.5, "acl": 3.03}
BASE = TradeoffPoint(0, 0.0, 1.0, 0.98, 1.0)
HEADS = (BASE, TradeoffPoint(50, 0.002, 0.4, 0.34, 0.47), TradeoffPoint(150, 0.01, 0.05, 0.03, 0.09))
EVERYTHING = (BASE, TradeoffPoint(50, 0.1, 0.3, 0.2, 0.4), TradeoffPoint(150, 1.0, 0.02, 0.0, 0.04))
TWO = {"4 heads": HEADS, "everything": EVERYTHING}
TEN = {
    f"method number {row} of ten": tuple(
        TradeoffPoint(step, 0.0001 * 2**row * step, math.exp(-step / 40)) for step in (0, 20, 60, 150)
    )
    for row in range(10)
}


def across(figure: Any, value: float) -> float:
    """Where a number stands on the horizontal axis, in pixels from the plot's left edge."""
    start, end = figure.layout.xaxis.range
    return float((math.log10(value) - start) / (end - start) * plot_size(figure)[0])


def down(figure: Any, percent: float) -> float:
    bottom, top = figure.layout.yaxis.range
    return float((top - percent) / (top - bottom) * plot_size(figure)[1])


# --- what it shows ---


def test_each_point_stands_at_its_drift_and_share() -> None:
    figure = tradeoff(TWO)
    line = trace(figure, "everything")
    assert list(line.x[1:]) == [0.1, 1.0]
    assert list(line.y) == pytest.approx([100, 30, 2])
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.xaxis.title.text == "KL from the base\u00a0(nats per token)"
    assert figure.layout.yaxis.title.text == "Right answers taken back\u00a0(%)"
    # Equal ratios are equally far apart.
    assert across(figure, 0.1) - across(figure, 0.01) == pytest.approx(across(figure, 1.0) - across(figure, 0.1))


def test_the_pointer_tells_method_step_share_spread_and_drift() -> None:
    line = trace(tradeoff(TWO, spread="range of 3 seeds", n_dialogues=200), "4 heads")
    assert line.hovertext[1].split("<br>") == [
        "4 heads, step 50",
        "right answers taken back 40%",
        "range of 3 seeds 34 to 47%",
        "KL from the base 0.002 nats per token",
        "200 dialogues",
    ]
    assert "range" not in trace(tradeoff(TEN), "method number 0 of ten").hovertext[1]


def test_light_bars_reach_from_the_low_to_the_high_end() -> None:
    figure = tradeoff(TWO, spread="range of 3 seeds", n_dialogues=200, note="Model X.")
    line = trace(figure, "4 heads")
    assert [y + up for y, up in zip(line.y, line.error_y.array, strict=True)] == pytest.approx([100, 47, 9])
    assert [y - by for y, by in zip(line.y, line.error_y.arrayminus, strict=True)] == pytest.approx([98, 34, 3])
    assert footnote(figure) == "200 dialogues. Light bars: range of 3 seeds. Model X."
    assert trace(tradeoff(TEN), "method number 0 of ten").error_y.array is None
    assert footnote(tradeoff(TEN)) == ""


def test_no_drift_has_its_own_place_behind_a_break() -> None:
    figure = tradeoff(TWO)
    ticks = figure.layout.xaxis
    zero = trace(figure, "4 heads").x[0]
    assert dict(zip(ticks.ticktext, ticks.tickvals, strict=True))["0"] == zero
    smallest = across(figure, 0.002)
    (gap,) = (shape for shape in figure.layout.shapes if shape.name == "break")
    left, right = (share * plot_size(figure)[0] for share in (gap.x0, gap.x1))
    assert 0 < across(figure, zero) < left < right < smallest
    assert min(across(figure, value) for value in ticks.minor.tickvals) > right
    assert (gap.layer, gap.y0 < 0, gap.y1 > 1) == ("above", True, True)


def test_rounding_noise_is_no_drift() -> None:
    noisy = (TradeoffPoint(0, 3e-9, 1.0), *HEADS[1:])
    figure = tradeoff({"noisy": noisy, "below": (TradeoffPoint(0, -1e-9, 1.0), *HEADS[1:]), "exact": HEADS})
    assert len({line.x[0] for line in figure.data}) == 1
    assert trace(figure, "noisy").hovertext[0].split("<br>")[-1] == "KL from the base 3e-09 nats per token"


def test_without_a_point_at_no_drift_nothing_is_broken() -> None:
    figure = tradeoff({name: points[1:] for name, points in TWO.items()})
    assert not figure.layout.shapes
    assert "0" not in figure.layout.xaxis.ticktext
    assert across(figure, 0.002) == pytest.approx(9)


def test_the_goal_is_a_line_with_its_name_beside_it_and_off_the_points() -> None:
    figure = tradeoff(TWO, goal=0.1)
    (line,) = (shape for shape in figure.layout.shapes if shape.name == "goal")
    assert (line.yref, line.y0, line.y1) == ("y", pytest.approx(10), pytest.approx(10))
    (name,) = (each for each in figure.layout.annotations if each.name == "goal")
    assert name.text == "goal: 10%"
    top = -name.yshift
    assert abs(top + 6 - down(figure, 10)) < 12
    right = name.xshift + text_width(name.text, name.font.size)
    for each in figure.data:
        for x, y in zip(each.x, each.y, strict=True):
            assert not (name.xshift < across(figure, x) < right and top < down(figure, y) < top + 12)
    assert not [shape for shape in tradeoff(TWO).layout.shapes if shape.name == "goal"]


@pytest.mark.parametrize("goal", [0.0, 1.0])
def test_a_goal_at_the_edge_keeps_its_name_inside(goal: float) -> None:
    figure = tradeoff(TWO, goal=goal)
    (name,) = (each for each in figure.layout.annotations if each.name == "goal")
    assert 0 <= -name.yshift <= plot_size(figure)[1] - 12


def luminance(color: str) -> float:
    red, green, blue = map(int, re.findall(r"\d+", color)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_families_differ_in_hue_and_all_lines_differ_without_color() -> None:
    names = list(TEN)
    red = names[::2]
    lines = tradeoff(TEN, in_red=red).data
    for line in lines:
        shade = list(map(int, re.findall(r"\d+", line.line.color)))
        assert (shade[0] > shade[2] + 40) is (line.name in red)
        assert (shade[2] > shade[0] + 40) is (line.name not in red)
        assert luminance(line.line.color) < 160  # legible on white
        assert (line.marker.color == "white") is (line.name not in red)
    assert len({line.marker.symbol for line in lines}) == 10
    for family in (lines[::2], lines[1::2]):
        assert len({line.line.dash for line in family}) == 5
        # Light and dark members can be told apart in print.
        assert all(luminance(b.line.color) - luminance(a.line.color) > 8 for a, b in pairwise(family))


def test_ten_methods_of_one_family_can_be_drawn() -> None:
    for red in ((), tuple(TEN)):
        lines = tradeoff(TEN, in_red=red).data
        assert len({(line.line.color, line.marker.symbol) for line in lines}) == 10


# --- can it be printed ---


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("lines", [TWO, TEN, {f"{'a long name ' * 4}{row}": HEADS for row in range(10)}])
def test_the_legend_has_its_room_and_nothing_leaves_the_page(lines: Any, width: Any) -> None:
    figure = tradeoff(lines, goal=0.1, n_dialogues=200, note="A sentence. " * 12, width=width)
    check_page(figure, WIDTHS[width])
    layout, (wide, high) = figure.layout, plot_size(figure)
    entries = [each.name.split("<br>") for each in figure.data]
    assert layout.showlegend
    widest = max(text_width(line) for lines in entries for line in lines) + 46  # plotly's picture and gaps
    if WIDTHS[width] > 4.5:
        assert layout.margin.l + (layout.legend.x * wide) + widest <= layout.width
        assert sum(19 + 12 * (len(lines) - 1) for lines in entries) <= high
    else:
        columns = max(1, int((layout.width - 8) / (widest + 4)))
        rows = math.ceil(len(entries) / columns)
        assert layout.margin.t >= 19 * rows
        assert layout.margin.l + layout.legend.x * wide >= 0
        assert wide > 230


def test_one_point_is_enough() -> None:
    figure = tradeoff({"only the end": [TradeoffPoint(10, 0.02, 0.1)]})
    assert 0 < across(figure, 0.02) < plot_size(figure)[0]
    assert len(figure.layout.xaxis.tickvals) >= 2


@given(st.lists(st.floats(1e-6, 20.0), min_size=1, max_size=6), st.booleans(), st.sampled_from([220.0, 260.0, 460.0]))
@settings(max_examples=200, deadline=None)
def test_numbers_on_the_axis_do_not_run_into_each_other(drifts: list[float], zero: bool, width: float) -> None:
    scale = LogAxis.over([*drifts, 0.0] if zero else drifts, width)
    drawn = scale.drawn("drift")
    values, texts = drawn["tickvals"], drawn["ticktext"]
    assert len(values) >= 2
    start, end = drawn["range"]
    places = [(math.log10(value) - start) / (end - start) * width for value in values]
    boxes = [
        (place - text_width(re.sub("<.*?>", "", text)) / 2, place + text_width(re.sub("<.*?>", "", text)) / 2)
        for place, text in zip(places, texts, strict=True)
    ]
    assert all(a[1] < b[0] or b[1] < a[0] for a, b in combinations(boxes, 2))
    for drift in drifts:
        at = (math.log10(scale.at(drift)) - start) / (end - start) * width
        assert at == pytest.approx(scale.pixels(drift), abs=1e-6)
        assert (36 if zero else 9) - 1e-6 <= at <= width - 9 + 1e-6
    for value, text in zip(values, texts, strict=True):
        if "<sup>" in text:
            digit, power = re.fullmatch(r"(?:(\d)·)?10<sup>−(\d+)</sup>", text).groups()  # type: ignore[union-attr]
            assert float(digit or 1) * 10.0 ** -int(power) == pytest.approx(value)
        elif text != "0":
            assert float(text) == pytest.approx(value)


# --- bad input ---

P = TradeoffPoint


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: tradeoff({}), "0 methods were given; one figure holds 1 to 10"),
        (lambda: tradeoff({str(row): HEADS for row in range(11)}), "11 methods"),
        (lambda: tradeoff({"a": []}), r"steps of a are \[\]"),
        (lambda: tradeoff({"a": [P(5, 0.1, 0.1), P(5, 0.1, 0.1)]}), r"steps of a are \[5, 5\]; they must increase"),
        (lambda: tradeoff({"a": [P(0, 0.0, 1.0)]}), "No point has a drift above 0"),
        (lambda: tradeoff({"a": [P(5, -0.1, 0.1)]}), "a at step 5 has drift -0.1"),
        (lambda: tradeoff({"a": [P(5, math.nan, 0.1)]}), "has drift nan"),
        (lambda: tradeoff({"a": [P(5, math.inf, 0.1)]}), "has drift inf"),
        (lambda: tradeoff({"a": [P(5, 0.1, 40.0)]}), "has share 40.0"),
        (lambda: tradeoff({"a": [P(5, 0.1, math.nan)]}), "has share nan"),
        (lambda: tradeoff({"a": [P(5, 0.1, 0.5, 0.6, 0.7)]}), "has share 0.5 in 0.6 to 0.7"),
        (lambda: tradeoff({"a": [P(5, 0.1, 0.5, 0.4)]}), "one end of an interval"),
        (lambda: tradeoff(TWO, in_red=["b"]), "in_red names 'b'.*4 heads, everything"),
        (lambda: tradeoff(TWO, goal=10), "goal is 10, which is no share"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call: Any, says: str) -> None:
    with pytest.raises(FigureError, match=says):
        call()
