"""A shaded text is legible, honest about its numbers, and inert."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from sycolens.errors import FigureError
from sycolens.plots.shading import COLOR, STRONGEST, ShadedText, shaded_text


class Reader(HTMLParser):
    """What a browser makes of it: elements, attributes and text."""

    def __init__(self, shown: ShadedText) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.spans: list[tuple[str, str, str]] = []
        self.feed(shown.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "span":
            named = dict(attrs)
            assert named.keys() == {"title", "style"}
            self.spans.append((str(named["title"]), str(named["style"]), ""))

    def handle_data(self, data: str) -> None:
        if self.spans and self.tags[-1] == "span":
            title, style, text = self.spans[-1]
            self.spans[-1] = (title, style, text + data)


def opacity(style: str) -> float:
    found = re.search(r"rgba\(\d+,\d+,\d+,([\d.]+)\)", style)
    assert found
    return float(found[1])


def test_every_token_has_its_shade_number_and_line() -> None:
    spans = Reader(shaded_text(["Are", " you", " sure"], torch.tensor([0.1, 0.2, 0.4]), underlined=(1, 3))).spans
    assert [title for title, _, _ in spans] == ["token 0: 10.00%", "token 1: 20.00%", "token 2: 40.00%"]
    assert [opacity(style) for _, style, _ in spans] == pytest.approx([STRONGEST / 4, STRONGEST / 2, STRONGEST])
    assert ["border-bottom" in style for _, style, _ in spans] == [False, True, True]
    assert "".join(text for _, _, text in spans) == "Are you sure"


def test_a_limit_is_a_scale_that_several_texts_can_share() -> None:
    shown = shaded_text(["a", "b"], torch.tensor([0.1, 0.6]), limit=0.2)
    assert [opacity(style) for _, style, _ in Reader(shown).spans] == pytest.approx([STRONGEST / 2, STRONGEST])
    assert "Strongest shade: 20.0% or more." in shown.html
    assert "Strongest shade: 60.0%." in shaded_text(["a", "b"], torch.tensor([0.1, 0.6])).html


def test_tokens_of_one_character_share_their_place_and_add_up() -> None:
    spans = Reader(shaded_text(["a", "", "", "東", "b"], torch.tensor([0.1, 0.1, 0.1, 0.2, 0.5]))).spans
    assert [(title, text) for title, _, text in spans] == [
        ("token 0: 10.00%", "a"),
        ("tokens 1 to 3: 40.00%", "東"),
        ("token 4: 50.00%", "b"),
    ]
    assert opacity(spans[1][1]) == pytest.approx(STRONGEST * 0.8)
    for half in ((0, 1), (1, 2)):
        assert "border-bottom" in Reader(shaded_text(["", "a"], torch.ones(2) / 2, underlined=half)).spans[0][1]


def test_words_of_the_prompt_are_inert() -> None:
    evil = ["<script>alert(1)</script>", "</span><img src=x onerror=alert(1)>", "'\"&amp;", "\x1b[31m\x00"]
    shown = shaded_text(evil, torch.ones(4) / 4, caption="<script>model</script>")
    seen = Reader(shown)
    assert set(seen.tags) == {"div", "span"}
    assert [text for _, _, text in seen.spans] == [*evil[:3], "␛[31m␀"]
    assert html.escape("<script>model</script>") in shown.html


def test_line_breaks_and_empty_ends_can_be_seen() -> None:
    assert [text for _, _, text in Reader(shaded_text(["a", "\n", ""], torch.ones(3) / 3)).spans] == ["a", "↵\n", "·"]


def luminance(color: tuple[float, ...]) -> float:
    linear = [(c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("page", "ink"),
    [((255, 255, 255), (0, 0, 0)), ((17, 17, 17), (255, 255, 255)), ((30, 30, 30), (212, 212, 212))],
)
def test_the_strongest_shade_is_legible_and_visible_on_light_and_dark_pages(
    page: tuple[int, int, int], ink: tuple[int, int, int]
) -> None:
    shade = tuple(STRONGEST * c + (1 - STRONGEST) * p for c, p in zip(COLOR, page, strict=True))
    assert contrast(shade, ink) >= 4.5
    # Luminance is what is left in grayscale.
    assert contrast(shade, page) >= 2


def test_a_page_stands_alone(tmp_path: Path) -> None:
    shown = shaded_text(["<b>"], torch.ones(1))
    page = shown.save(tmp_path / "head.html").read_text()
    assert shown.html in page
    assert "color-scheme: light dark" in page
    assert not re.search(r"<script|https?:|src=|@import", page)
    assert shown._repr_html_() == shown.html
    with pytest.raises(FigureError, match=r"let the name end in \.html"):
        shown.save(tmp_path / "head.pdf")


@pytest.mark.parametrize(
    ("weights", "limit", "words"),
    [
        ([0.5], None, "2 tokens and weights of shape"),
        ([0.5, -0.1], None, "outside 0 to 1"),
        ([0.5, float("nan")], None, "outside 0 to 1"),
        ([0.5, 0.5], 0.0, "must be above 0"),
    ],
)
def test_weights_that_are_no_attention_are_refused(weights: list[float], limit: float | None, words: str) -> None:
    with pytest.raises(FigureError, match=words):
        shaded_text(["a", "b"], torch.tensor(weights), limit=limit)
