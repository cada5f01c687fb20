"""A knockout curve shows its rates, intervals and controls where they are, and each can be told from the others."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
import torch
from drawn import check_page, footnote, in_pixels, names_beside, plot_size, trace
from hypothesis import given, settings
from hypothesis import strategies as st

from sycolens.errors import FigureError
from sycolens.plots import knockout_curve
from sycolens.plots.curve import LineName, spread
from sycolens.plots.layout import LINE, overlap, text_width

WIDTHS = {"single": 3.25, "double": 6.75, "neurips": 5.5, "acl": 3.03}
STEPS = (0, 1, 2, 4, 8, 16, 32)
APOLOGIZES = torch.tensor([0.98, 0.9, 0.62, 0.4, 0.2, 0.15, 0.12])
RIGHT = torch.tensor([0.3, 0.31, 0.36, 0.4, 0.41, 0.4, 0.38])
RATES = {"apologizes": APOLOGIZES, "right after": RIGHT}


def controls(base: torch.Tensor, n: int = 20) -> torch.Tensor:
    noise = torch.randn(n, len(base), generator=torch.Generator().manual_seed(n)) * 0.02
    return (base[0] + noise).clamp(0, 1)


def full(**options: Any) -> Any:
    return knockout_curve(
        STEPS,
        RATES,
        intervals={name: ((rate - 0.05).clamp(min=0), (rate + 0.04).clamp(max=1)) for name, rate in RATES.items()},
        controls={name: controls(rate) for name, rate in RATES.items()},
        n_dialogues=200,
        **options,
    )


# --- what it shows ---


def test_steps_are_equally_spaced_and_named_by_their_numbers() -> None:
    figure = full()
    line = trace(figure, "apologizes")
    assert list(line.x) == [0, 1, 2, 3, 4, 5, 6]
    assert list(line.y) == pytest.approx((100 * APOLOGIZES).tolist())
    assert list(figure.layout.xaxis.tickvals) == list(line.x)
    assert list(figure.layout.xaxis.ticktext) == ["0", "1", "2", "4", "8", "16", "32"]
    assert figure.layout.xaxis.title.text == "Heads ablated"
    assert figure.layout.yaxis.title.text == "Share of dialogues\u00a0(%)"


def test_the_axis_runs_from_nothing_to_everything() -> None:
    low, high = knockout_curve([0, 1], {"apologizes": torch.tensor([0.5, 0.45])}).layout.yaxis.range
    assert -5 < low < 0
    assert 100 < high < 105


def test_the_pointer_tells_step_rate_interval_and_dialogues() -> None:
    line = trace(full(confidence=0.9), "apologizes")
    assert line.hovertext[2] == "Heads ablated: 2<br>apologizes 62%<br>90% interval 57 to 66%<br>200 dialogues"
    assert trace(knockout_curve(STEPS, RATES), "right after").hovertext[6] == "Heads ablated: 32<br>right after 38%"


def test_shade_lies_between_the_ends_of_the_interval() -> None:
    band = trace(full(), "right after, interval")
    assert list(band.x) == [*range(7), *reversed(range(7))]
    assert list(band.y[:7]) == pytest.approx((100 * RIGHT + 4).tolist())
    assert list(band.y[7:]) == pytest.approx((100 * RIGHT - 5).flip(0).tolist())


def test_hatching_is_the_range_of_the_controls_and_the_thin_line_their_median() -> None:
    sets = torch.tensor([[0.9, 0.8], [1.0, 0.6], [0.7, 0.7]])
    figure = knockout_curve([0, 4], {"apologizes": torch.tensor([0.9, 0.1])}, controls={"apologizes": sets})
    band, median = trace(figure, "random heads, range"), trace(figure, "random heads")
    assert list(band.y[:4]) == pytest.approx([100, 80, 60, 70])  # its outline
    strokes = [(x, y) for x, y in zip(band.x[6:], band.y[6:], strict=True) if x is not None]
    assert len(strokes) > 20
    assert all(70 - 10 * x - 1 <= y <= 100 - 20 * x + 1 for x, y in strokes)
    assert list(median.y) == pytest.approx([90, 70])
    assert median.line.width < trace(figure, "apologizes").line.width
    assert median.hovertext[1] == "Heads ablated: 4<br>random heads: median 70%<br>3 sets: 60% to 80%"
    assert footnote(figure) == "Hatched: range of 3 sets of random heads, thin line: median."


def test_footnote_says_what_is_shaded_and_hatched() -> None:
    figure = full(confidence=0.9, control_name="heads of the same layers", note="Model X.")
    assert footnote(figure) == (
        "200 dialogues. Shaded: 90% intervals. "
        "Hatched: range of 20 sets of heads of the same layers, thin line: median. Model X."
    )
    assert footnote(knockout_curve(STEPS, RATES)) == ""


def test_rates_differ_without_color_too() -> None:
    rates = {name: torch.tensor([0.1 * row, 0.2 * row]) for row, name in enumerate(["a", "b", "c", "d"], start=1)}
    lines = [trace(knockout_curve([0, 1], rates), name) for name in rates]
    for of in (lambda line: line.line.dash, lambda line: line.marker.symbol, lambda line: line.line.color):
        assert len({of(line) for line in lines}) == 4


def test_markers_are_all_there_unless_they_would_touch() -> None:
    assert set(trace(full(), "apologizes").marker.size) == {6}
    many = knockout_curve(range(65), {"apologizes": torch.linspace(1, 0, 65)})
    shown = [row for row, size in enumerate(trace(many, "apologizes").marker.size) if size]
    apart = in_pixels(many, shown[1], 0)[0] - in_pixels(many, shown[0], 0)[0]
    assert 8 < apart < 20
    assert set(many.layout.xaxis.tickvals) <= set(shown)


def test_one_step_still_shows_its_interval() -> None:
    rate = torch.tensor([0.5])
    figure = knockout_curve([8], {"apologizes": rate}, intervals={"apologizes": (rate - 0.1, rate + 0.1)})
    band = trace(figure, "apologizes, interval")
    assert in_pixels(figure, max(band.x), 0)[0] - in_pixels(figure, min(band.x), 0)[0] > 10
    assert (min(band.y), max(band.y)) == pytest.approx((40, 60))


# --- can it be read and printed ---


@pytest.mark.parametrize("width", WIDTHS)
def test_page_has_its_print_width_and_names_stay_on_it(width: Any) -> None:
    figure = full(width=width, note="A sentence. " * 9)
    check_page(figure, WIDTHS[width])
    assert not figure.layout.showlegend
    right_edge = figure.layout.width - figure.layout.margin.l
    assert all(right <= right_edge for _, _, right, _ in names_beside(figure).values())


@pytest.mark.parametrize("width", WIDTHS)
def test_names_stand_where_their_lines_end(width: Any) -> None:
    figure = full(width=width)
    names = names_beside(figure)
    assert list(names) == ["apologizes", "right after", "apologizes, random heads", "right after, random heads"]
    for name, (left, top, _, bottom) in names.items():
        line = trace(figure, name)
        _, end = in_pixels(figure, line.x[-1], line.y[-1])
        assert left > plot_size(figure)[0]
        assert abs((top + bottom) / 2 - end) <= LINE
    assert not any(overlap(a, b) for a, b in combinations(names.values(), 2))


def test_one_rate_calls_its_controls_by_what_they_are() -> None:
    figure = knockout_curve(
        STEPS, {"leans to the apology": RIGHT}, controls={"leans to the apology": controls(RIGHT) / 4}
    )
    assert list(names_beside(figure)) == ["leans to the apology", "random heads"]


def test_where_all_names_do_not_fit_the_rates_keep_theirs() -> None:
    together = torch.linspace(0.9, 0.15, 7)
    figure = knockout_curve(
        STEPS, {"apologizes": APOLOGIZES, "right after": together}, controls={"right after": together.expand(3, 7)}
    )
    assert list(names_beside(figure)) == ["apologizes", "right after"]
    assert not figure.layout.showlegend


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_that_end_together_get_a_legend_with_room_above(width: Any) -> None:
    rates = {f"rate {each} of a long name that says what was counted": torch.full((7,), 0.5) for each in "abcd"}
    figure = knockout_curve(STEPS, rates, controls={next(iter(rates)): controls(RIGHT)}, width=width)
    assert names_beside(figure) == {}
    assert figure.layout.showlegend
    entries = [each for each in figure.data if each.showlegend is not False]
    assert [each.name.replace("<br>", " ") for each in entries] == list(rates)
    lines = [line for each in entries for line in each.name.split("<br>")]
    assert all(text_width(line) <= figure.layout.width - figure.layout.margin.l - 40 for line in lines)
    assert figure.layout.margin.t >= LINE * len(lines)
    check_page(figure, WIDTHS[width])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("steps", [[0, 1], list(range(65)), [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]])
def test_step_numbers_do_not_run_into_each_other(steps: list[int], width: Any) -> None:
    figure = knockout_curve(steps, {"apologizes": torch.zeros(len(steps))}, width=width)
    ticks = figure.layout.xaxis
    middles = [in_pixels(figure, at, 0)[0] for at in ticks.tickvals]
    assert len(middles) >= 2
    for (before, text), (after, following) in zip(
        zip(middles, ticks.ticktext, strict=True), list(zip(middles, ticks.ticktext, strict=True))[1:], strict=False
    ):
        assert before + text_width(text) / 2 < after - text_width(following) / 2
    assert middles[-1] + text_width(ticks.ticktext[-1]) / 2 <= figure.layout.width - figure.layout.margin.l


@given(st.lists(st.tuples(st.floats(0, 150), st.integers(1, 3)), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_spread_names_are_clear_of_each_other_and_near_their_lines(ends: list[tuple[float, int]]) -> None:
    names = [LineName("<br>".join("x" * lines), "black", at) for at, lines in ends]
    tops = spread(names, height=160, room=50)
    if tops is None:
        return
    boxes = [(0.0, top, 1.0, top + name.height) for top, name in zip(tops, names, strict=True)]
    assert not any(overlap(_inside(a), _inside(b)) for a, b in combinations(boxes, 2))
    assert all(top >= 0 and bottom <= 160 + 1e-9 for _, top, _, bottom in boxes)
    assert all(abs((box[1] + box[3]) / 2 - name.at) <= LINE + 1e-9 for box, name in zip(boxes, names, strict=True))


def _inside(box: tuple[float, ...]) -> tuple[float, float, float, float]:
    return box[0], box[1] + 1e-6, box[2], box[3] - 1e-6


def test_names_that_have_room_do_not_move() -> None:
    assert spread([LineName("a", "black", 100), LineName("b", "black", 40)], height=160, room=50) == [94, 34]
    assert spread([LineName("a" * 30, "black", 100)], height=160, room=50) is None


# --- bad input ---

FLAT = torch.tensor([0.5, 0.5])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: knockout_curve([], {"a": torch.zeros(0)}), "must increase"),
        (lambda: knockout_curve([2, 2], {"a": FLAT}), r"steps are \[2, 2\]; they must increase"),
        (lambda: knockout_curve([0, 1], {}), "0 rates were given"),
        (lambda: knockout_curve([0, 1], dict.fromkeys("abcde", FLAT)), "5 rates were given; one figure holds 1 to 4"),
        (lambda: knockout_curve([0, 1], {"a": torch.zeros(3)}), r"a has shape \(3,\), not \(2,\)"),
        (lambda: knockout_curve([0, 1], {"a": torch.zeros(2, 2)}), "a has shape"),
        (lambda: knockout_curve([0, 1], {"a": 100 * FLAT}), "a holds 50, which is no share"),
        (lambda: knockout_curve([0, 1], {"a": torch.tensor([0.5, math.nan])}), "a holds NaN"),
        (lambda: knockout_curve([0, 1], {"a": FLAT}, intervals={"b": (FLAT, FLAT)}), "intervals name 'b'"),
        (lambda: knockout_curve([0, 1], {"a": FLAT}, intervals={"a": (FLAT, FLAT[:1])}), "a has shape"),
        (lambda: knockout_curve([0, 1], {"a": FLAT}, controls={"b": FLAT[None]}), "controls name 'b'"),
        (lambda: knockout_curve([0, 1], {"a": FLAT}, controls={"a": FLAT}), "a has shape"),
        (lambda: knockout_curve([0, 1], {"a": FLAT}, controls={"a": torch.zeros(0, 2)}), r"hold \[0\] sets"),
        (
            lambda: knockout_curve(
                [0, 1], {"a": FLAT, "b": FLAT}, controls={"a": FLAT.expand(3, 2), "b": FLAT.expand(4, 2)}
            ),
            r"hold \[3, 4\] sets",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call: Any, says: str) -> None:
    with pytest.raises(FigureError, match=says):
        call()
