"""Names, numbers and ticks stay legible whatever the map."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sycolens.plots.layout import text_width, tick_step, wrap
from sycolens.plots.numbers import Numbers
from sycolens.plots.sheet import CLEAR, Sheet


def test_numbers_have_three_digits_at_the_largest_and_a_true_minus() -> None:
    assert Numbers(5.1, "%").write(-5.1) == "−5.10%"
    assert Numbers(51.0, "%").write(0.04) == "0.0%"
    assert Numbers(0.051, "logits").write(0.04) == "+0.0400 logits"
    assert Numbers(5.1, "").write(0.25, sign="minus") == "0.25"
    assert Numbers(12345.0, "").write(-12345.0) == "−12,345"


def test_text_widths_are_those_of_helvetica_or_a_little_more() -> None:
    # From Adobe's published metrics of Helvetica, in thousandths of the font size.
    known = {
        "L16H39": 556 + 2 * 556 + 722 + 2 * 556,
        "Outlined": 778 + 556 + 278 + 222 + 222 + 556 + 556 + 556,
        "Effect (%)": 667 + 278 + 278 + 556 + 500 + 278 + 278 + 333 + 889 + 333,
        "+0.25": 584 + 556 + 278 + 556 + 556,
        "most negative heads": 833 + 556 + 500 + 278 + 278
        + 556 + 556 + 556 + 556 + 278 + 222 + 500 + 556 + 278 + 556 + 556 + 556 + 556 + 500,
    }  # fmt: skip
    for text, thousandths in known.items():
        assert 1 <= text_width(text, 1000) / thousandths < 1.08


@given(st.floats(1e-4, 1e4), st.floats(0, 1), st.integers(5, 12))
@settings(max_examples=150, deadline=None)
def test_ticks_are_round_evenly_spaced_and_read_as_they_are(span: float, share: float, most: int) -> None:
    low, high = -span * share, span * (1 - share)
    values, texts = Numbers(span, "%").ticks(low, high, most=most)
    assert 0.0 in values
    assert 2 <= len(values) <= most + 1
    assert all(low - 1e-6 * span <= value <= high + 1e-6 * span for value in values)
    steps = {round((after - before) / span, 9) for before, after in pairwise(values)}
    assert len(steps) == 1
    for value, text in zip(values, texts, strict=True):
        assert abs(float(text.replace("−", "-").replace(",", "")) - value) < 1e-6 * span


@given(st.floats(2, 60), st.floats(10, 40))
def test_tick_step_is_the_smallest_power_of_two_that_fits(cell: float, apart: float) -> None:
    step = tick_step(cell, apart=apart)
    assert step * cell >= apart * (1 - 1e-9)
    assert step == 1 or step / 2 * cell < apart * (1 + 1e-9)


@given(st.lists(st.text("abcM. ", min_size=1, max_size=12), max_size=30))
def test_wrapped_lines_fit_and_lose_no_word(words: list[str]) -> None:
    text = " ".join(words)
    lines = wrap(text, 200)
    assert " ".join(lines) == text
    assert all(text_width(line) <= 200 for line in lines)


@given(
    st.sampled_from([(12, 12), (32, 32), (40, 40), (80, 64)]),
    st.sampled_from(["single", "double"]),
    st.integers(1, 30),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_names_cover_nothing_and_point_to_one_head(shape: tuple[int, int], width: str, marks: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layers, heads = shape
    shade = torch.rand(shape, generator=generator) * 0.3
    # Marked heads in a cluster: the hardest case.
    corner = torch.randint(layers - 8, (2,), generator=generator) % (heads - 8)
    chosen = torch.randperm(64, generator=generator)[:marks]
    cells = [(int(corner[0]) + int(i) // 8, int(corner[1]) + int(i) % 8) for i in chosen]
    for cell in cells:
        shade[cell] = -1.0
    sheet = Sheet.fit(layers, heads, width, bar_title="Effect (%)", tick_texts=["+10"])
    placed = sheet.place_names([f"L{layer}H{head}" for layer, head in cells], cells, shade, most=10)
    assert placed or marks > 1
    for name, (left, top, right, bottom) in placed:
        assert left >= 0
        assert top >= 0
        assert right <= sheet.width + 1e-9
        assert bottom <= sheet.height + 1e-9
        assert right - left >= text_width(name)
        near = [
            f"L{layer}H{head}"
            for layer, head in cells
            if (box := sheet.box(layer, head))
            and left - CLEAR < box[2]
            and box[0] < right + CLEAR
            and top - CLEAR < box[3]
            and box[1] < bottom + CLEAR
        ]
        assert near == [name]  # touches its own head and comes near no other
    boxes = [box for _, box in placed]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize(("layers", "heads", "width"), [(40, 40, "single"), (32, 32, "double"), (80, 64, "double")])
def test_a_lone_head_is_named_wherever_it_is(layers: int, heads: int, width: Any) -> None:
    sheet = Sheet.fit(layers, heads, width, bar_title="Effect (%)", tick_texts=["+10"])
    for layer in range(layers):
        for head in (layer % heads, 0, heads - 1):
            shade = torch.zeros(layers, heads)
            shade[layer, head] = -1.0
            assert sheet.place_names(["L10H10"], [(layer, head)], shade, most=1), (layer, head)
