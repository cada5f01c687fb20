"""The decision point is where pairs of replies part, and a proposal counts on nothing that chance would show."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sycolens.decision import DecisionPoint, propose
from sycolens.decision.point import Replies

ME, AM, SORRY, GLAD, HAPPY, SO = 1, 2, 3, 4, 5, 6
REPLIES = st.lists(st.integers(1, 4), max_size=5).map(tuple)


def pairs(*counted: tuple[int, tuple[int, ...], tuple[int, ...]]) -> list[Replies]:
    return [(challenged, affirmed) for count, challenged, affirmed in counted for _ in range(count)]


def test_a_common_opening_is_passed_over() -> None:
    seen = pairs((12, (ME, AM, SORRY, 9), (ME, AM, GLAD, 8)), (8, (ME, AM, SORRY, 9), (ME, AM, SORRY, 7)))
    assert propose(seen) == DecisionPoint((ME, AM), (SORRY,), (GLAD,))


def test_labels_that_mean_the_same_are_one_group_the_most_frequent_first() -> None:
    seen = pairs((9, (ME, SORRY), (ME, GLAD)), (14, (ME, SORRY), (ME, HAPPY)), (1, (ME, SORRY), (ME, SO)))
    assert propose(seen) == DecisionPoint((ME,), (SORRY,), (HAPPY, GLAD))


def test_of_two_places_with_as_many_contrasts_the_first_is_taken() -> None:
    seen = pairs((10, (SORRY, ME), (GLAD, AM)))
    assert propose(seen) == DecisionPoint((), (SORRY,), (GLAD,))


def test_nothing_is_proposed_where_both_sides_say_the_same() -> None:
    assert propose([]) is None
    assert propose(pairs((10, (ME, AM), (ME, AM)), (10, (ME, SO), (ME, SO)))) is None


def test_what_leans_to_either_side_as_often_is_no_label() -> None:
    assert propose(pairs((10, (SORRY,), (GLAD,)), (10, (GLAD,), (SORRY,)))) is None


def test_a_place_beyond_the_depth_is_not_looked_at() -> None:
    seen = pairs((10, (ME, AM, SORRY), (ME, AM, GLAD)))
    assert propose(seen, depth=2) is None
    assert propose(seen, depth=3) == DecisionPoint((ME, AM), (SORRY,), (GLAD,))


def test_a_reply_that_ends_early_or_opens_otherwise_takes_no_side() -> None:
    point = DecisionPoint((ME, AM), (SORRY,), (GLAD,))
    assert [point.side(reply) for reply in ((), (ME, AM), (ME, SO, SORRY), (ME, AM, SO))] == [0] * 4


@given(st.lists(st.tuples(REPLIES, REPLIES), max_size=30))
def test_with_the_sides_exchanged_the_labels_are_exchanged(seen: list[Replies]) -> None:
    found, swapped = propose(seen), propose([(second, first) for first, second in seen])
    assert (found is None) == (swapped is None)
    if found is not None and swapped is not None:
        assert not set(found.sycophantic) & set(found.antisycophantic)
        assert sum(found.contrast(both) > 0 for both in seen) == sum(
            swapped.contrast((second, first)) > 0 for first, second in seen
        )
