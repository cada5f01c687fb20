"""Heads have names, order and bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sycolens import Head, HeadSet
from sycolens.errors import HeadError

number = st.integers(0, 200)


@given(number, number)
def test_a_head_is_read_back_from_its_name(layer: int, index: int) -> None:
    head = Head(layer, index)
    assert Head.parse(str(head)) == head == Head.of((layer, index))
    assert str(head) == f"L{layer}H{index}"


@pytest.mark.parametrize("name", ["", "16.39", "L16", "H39L16", "L-1H3", "L1H2H3", "l1 h2"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(HeadError, match="does not name a head"):
        Head.parse(name)


@pytest.mark.parametrize("pair", [(-1, 0), (0, -1), (1.0, 2), (True, 0)])
def test_a_head_is_two_whole_numbers_from_zero(pair: tuple[int, int]) -> None:
    with pytest.raises(HeadError, match="two whole numbers"):
        Head(*pair)


@given(st.lists(st.tuples(number, number), unique=True))
def test_a_set_keeps_its_order_through_json(pairs: list[tuple[int, int]]) -> None:
    heads = HeadSet(pairs)
    assert [(head.layer, head.index) for head in heads] == pairs
    assert HeadSet.from_json(heads.to_json()) == heads


def test_a_head_is_named_once() -> None:
    with pytest.raises(HeadError, match="L3H0 is named twice"):
        HeadSet(["L3H0", (3, 0)])


@pytest.mark.parametrize("text", ["", "{}", "[1]", '["x"]'])
def test_foreign_json_is_refused(text: str) -> None:
    with pytest.raises(HeadError):
        HeadSet.from_json(text)


def test_a_slice_of_a_set_is_a_set() -> None:
    heads = HeadSet(["L3H0", "L1H4", "L2H5"])
    assert heads[1:] == HeadSet(["L1H4", "L2H5"])
    assert heads[0] == Head(3, 0)
    assert "L3H0" not in heads
    assert Head(3, 0) in heads
