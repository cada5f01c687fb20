"""The opening tree shows how many replies begin so, where they part, and no text on top of another."""

from __future__ import annotations

import html
import re
from itertools import combinations
from operator import mul
from typing import Any

import pytest
from drawn import footnote, plot_size, trace
from hypothesis import given, settings
from hypothesis import strategies as st

from sycolens.errors import FigureError
from sycolens.plots import opening_tree
from sycolens.plots.layout import LINE, Box, overlap, text_width

WIDTHS = {"single": 3.25, "double": 6.75, "neurips": 5.5, "acl": 3.03}
Replies = list[list[str]]

CHALLENGED: Replies = [*[["I", "'m", " sorry"]] * 7, ["I", "'m", " glad"], ["No", "."], ["The", " end"]]
AFFIRMED: Replies = [*[["I", "'m", " glad"]] * 6, ["I", "'m", " sorry"], *[["Yes"]] * 2, ["I"]]


def counts_of(figure: Any) -> dict[str, tuple[int, int]]:
    """The counts of each opening, by what the pointer shows on it."""
    names = [html.unescape(each.split("<br>")[0]) for each in trace(figure, "label").hovertext]
    sides = [[int(text.split(" ")[0]) for text in trace(figure, name).text] for name in ("challenged", "affirmed")]
    assert len(set(names)) == len(names)
    return dict(zip(names, zip(*sides, strict=True), strict=True))


def boxes_of(figure: Any) -> list[tuple[str, Box]]:
    """Every text of the tree and where it is, from the plot's upper left corner."""
    found = []
    for name in ("label", "challenged", "affirmed"):
        each = trace(figure, name)
        assert each.textposition == "middle right"
        for text, x, y in zip(each.text, each.x, each.y, strict=True):
            plain = html.unescape(re.sub("</?i>", "", text))
            found.append((plain, (x, y - LINE / 2 + 1, x + text_width(plain), y + LINE / 2 - 1)))
    return found


def line_boxes(figure: Any) -> list[Box]:
    """Squares along every line, as wide as the line is thick."""
    boxes = []
    for shape in (each for each in figure.layout.shapes if each.name == "line"):
        x0, y0, bend, *curve, stop = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", shape.path))
        (x1, y1), (x2, y2), (x3, y3) = zip(curve[::2], curve[1::2], strict=True)
        points = [(x0, y0), (stop, y3)]
        for t in (step / 16 for step in range(17)):
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            x, y = (sum(map(mul, weights, along)) for along in ((bend, x1, x2, x3), (y0, y1, y2, y3)))
            points.append((x, y))
        boxes += [(x, y - shape.line.width / 2, x + 0.01, y + shape.line.width / 2) for x, y in points]
    return boxes


def check_layout(figure: Any, inches: float) -> None:
    """Nothing lies on a text, all is on the page, and it has the print width."""
    texts, (wide, high) = boxes_of(figure), plot_size(figure)
    for (_, a), (_, b) in combinations(texts, 2):
        assert not overlap(a, b)
    lines = line_boxes(figure)
    for text, box in texts:
        assert box[0] >= 0, text
        assert box[1] >= 0, text
        assert box[2] <= wide + 1e-6, text
        assert box[3] <= high + 1e-6, text
        assert not any(overlap(box, line) for line in lines), text
    layout = figure.layout
    assert abs(layout.width - inches * 96) < 1
    assert layout.margin.l >= 4
    assert layout.margin.r >= 4
    assert tuple(layout.xaxis.range) == pytest.approx((0, wide))
    assert tuple(layout.yaxis.range) == pytest.approx((high, 0))


def test_counts_are_those_of_a_count_by_hand() -> None:
    assert counts_of(opening_tree(CHALLENGED, AFFIRMED, least=0.0)) == {
        "all replies": (10, 10),
        "I": (8, 8),
        "I'm": (8, 7),
        "I'm sorry": (7, 1),
        "I'm glad": (1, 6),
        "I, then nothing": (0, 1),
        "Yes": (0, 2),
        "Yes, then nothing": (0, 2),
        "No": (1, 0),
        "No.": (1, 0),
        "No., then nothing": (1, 0),
        "The": (1, 0),
        "The end": (1, 0),
        "The end, then nothing": (1, 0),
    }


def test_rare_tokens_are_one_leaf_with_their_counts() -> None:
    figure = opening_tree(CHALLENGED, AFFIRMED, least=0.15)
    assert counts_of(figure) == {
        "all replies": (10, 10),
        "I": (8, 8),
        "I'm": (8, 7),
        "I'm sorry": (7, 1),
        "I'm glad": (1, 6),
        "I, then nothing": (0, 1),  # alone it needs no more room than "other" would
        "Yes": (0, 2),
        "Yes, then nothing": (0, 2),
        "all replies, then one of 2 others": (2, 0),
    }
    assert trace(figure, "label").text[-1] == "<i>other</i>"
    assert "Other: several rarer tokens." in footnote(figure)


def test_a_token_called_other_is_not_taken_for_the_rest() -> None:
    assert trace(opening_tree([["other"]], [["other"]]), "label").text == ("<i>all replies</i>", "other")


@given(
    *[st.lists(st.lists(st.sampled_from("abcde"), max_size=4), min_size=1, max_size=25)] * 2,
    st.floats(0, 0.4),
    st.sampled_from(["single", "double"]),
)
@settings(max_examples=30, deadline=None)
def test_what_goes_on_from_a_token_adds_up_to_it(
    challenged: Replies, affirmed: Replies, least: float, width: Any
) -> None:
    figure = opening_tree(challenged, affirmed, least=least, width=width)
    counts = counts_of(figure)
    for name, found in counts.items():
        opening, _, rest = name.replace("all replies", "").partition(", then")
        if not rest:
            assert found == tuple(
                sum("".join(reply).startswith(opening) for reply in replies) for replies in (challenged, affirmed)
            )
        below = [
            each
            for other, each in counts.items()
            if other != name
            and (
                other.startswith(f"{opening or 'all replies'}, then")
                or ("," not in other and other[:-1] == opening and other != "all replies")
            )
        ]
        if below and not rest:
            assert tuple(map(sum, zip(*below, strict=True))) == found
    check_layout(figure, WIDTHS[width])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("point", [(), ("I",), ("I", "'m")])
def test_the_outlined_token_is_the_decision_point(point: tuple[str, ...], width: Any) -> None:
    figure = opening_tree(CHALLENGED, AFFIRMED, decides_after=point, width=width)
    (frame,) = (shape for shape in figure.layout.shapes if shape.name == "decision point")
    inside = [
        text
        for text, box in boxes_of(figure)
        if frame.x0 <= box[0] and frame.y0 <= box[1] and box[2] <= frame.x1 and box[3] <= frame.y1
    ]
    touched = [text for text, box in boxes_of(figure) if overlap(box, (frame.x0, frame.y0, frame.x1, frame.y1))]
    assert inside == touched
    expected = {
        (): ["all replies", "10 challenged", "10 affirmed"],
        ("I",): ["I", "8", "8"],
        ("I", "'m"): ["'m", "8", "7"],
    }
    assert inside == expected[point]
    assert "Outlined: the decision point" in footnote(figure)


def test_without_a_decision_point_nothing_is_outlined() -> None:
    figure = opening_tree(CHALLENGED, AFFIRMED)
    assert {shape.name for shape in figure.layout.shapes} == {"line"}
    assert "Outlined" not in footnote(figure)


def test_lines_are_as_thick_as_their_share_and_lean_to_the_color_of_their_side() -> None:
    figure = opening_tree([["a"]] * 8 + [["b"]] * 2, [["b"]] * 8 + [["c"]] * 2)
    widths = [shape.line.width for shape in figure.layout.shapes]
    assert [width / sum(widths) for width in widths] == pytest.approx([0.5, 0.4, 0.1])
    shades = [tuple(map(int, re.findall(r"\d+", shape.line.color))) for shape in figure.layout.shapes]
    (b_red, _, b_blue), (a_red, _, a_blue), (c_red, _, c_blue) = shades
    assert a_red > a_blue + 80
    assert c_blue > c_red + 80
    assert 0 < b_blue - b_red < c_blue - c_red


def test_a_reply_is_text_and_never_markup() -> None:
    tokens = ["<b>x</b><br>", "$a$", " &lt;", "\n", "\x1b", ""]
    figure = opening_tree([[token, "!"] for token in tokens], [[token, "?"] for token in tokens])
    texts = trace(figure, "label").text
    for text in (*texts, *trace(figure, "label").hovertext):
        assert not re.search(r"<(?!/?i>|br>)|\$", text)
    shown = [html.unescape(text) for text in texts]
    assert {"<b>x</b><br>", "$a$", "&lt;", "↵", "␛", "·"} <= set(shown)
    assert trace(figure, "label").hovertext[texts.index("&lt;b&gt;x&lt;/b&gt;&lt;br&gt;")].count("<br>") == 2


def test_spaces_are_shown_where_they_alone_tell_tokens_apart() -> None:
    texts = trace(opening_tree([["Yes"], [" No"]], [[" Yes"], [" No"]]), "label").text
    assert set(texts) == {"<i>all replies</i>", "Yes", "␣Yes", "No"}


@pytest.mark.parametrize("width", WIDTHS)
def test_one_reply_alone_is_a_line_of_its_tokens(width: Any) -> None:
    figure = opening_tree([["I", " am"]], [], width=width)
    assert counts_of(figure) == {"all replies": (1, 0), "I": (1, 0), "I am": (1, 0)}
    check_layout(figure, WIDTHS[width])
    assert counts_of(opening_tree([[]], [[]], decides_after=[])) == {"all replies": (1, 1)}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_wide_tree_stays_on_a_page(width: Any) -> None:
    replies = [
        [f"{word}{number}", " then", f" {number}", " and"] for word in ("Certainly", "No") for number in range(30)
    ]
    figure = opening_tree(replies, replies * 2, least=0.0, width=width)
    counts = counts_of(figure)
    first = [each for name, each in counts.items() if name.count(" ") == 0 or name.startswith("all replies, then")]
    assert len(first) > 6
    assert tuple(map(sum, zip(*first, strict=True))) == counts["all replies"] == (60, 120)
    check_layout(figure, WIDTHS[width])
    assert figure.layout.height < 9 * 96


@pytest.mark.parametrize("width", WIDTHS)
def test_long_tokens_are_cut_and_a_long_way_to_the_decision_point_begins_later(width: Any) -> None:
    way = [
        "I",
        " understand",
        *[" very"] * 9,
        " your",
        " entirely",
        " incomprehensiblenesses",
        " concern",
        ",",
        " but",
        " still",
        " I",
    ]
    challenged, affirmed = [[*way, " was"]] * 3 + [["No"]], [[*way, " stand"]] * 4
    figure = opening_tree(challenged, affirmed, decides_after=way, width=width)
    check_layout(figure, WIDTHS[width])
    counts = counts_of(figure)
    opening = "".join(way)
    assert (counts[opening], counts[f"{opening} was"], counts[f"{opening} stand"]) == ((3, 4), (3, 0), (0, 4))
    assert "all replies" not in counts
    assert "All that is drawn begins with “I understand very" in footnote(figure)


def test_as_many_tokens_are_drawn_as_asked_for_but_the_decision_point_is_seen() -> None:
    def deepest(**options: Any) -> int:
        return len(set(trace(opening_tree(CHALLENGED, AFFIRMED, **options), "label").x)) - 1

    assert (deepest(depth=1), deepest(depth=2), deepest(depth=9)) == (1, 2, 3)
    assert deepest(depth=1, decides_after=["I", "'m"]) == 3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: opening_tree([], []), "no replies"),
        (lambda: opening_tree([["I"]], [["I"]], decides_after=["You"]), "'You'"),
        (lambda: opening_tree([["I"]], [["I"]], depth=0), "depth is 0"),
        (lambda: opening_tree([["I"]], [["I"]], least=1.5), "least 1.5"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call: Any, says: str) -> None:
    with pytest.raises(FigureError, match=says):
        call()
