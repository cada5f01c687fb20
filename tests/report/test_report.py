"""A report page is whole, inert, the same every time, and readable by day and by night."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from numpy.typing import NDArray
from reported import EVIL, effects, every_part

from sycolens.errors import FigureError
from sycolens.plots import heatmap, mass_map
from sycolens.plots.attention import COLORS
from sycolens.plots.layout import FAINT, INK
from sycolens.plots.rates import LOOKS
from sycolens.report.html import AROUND_ZERO, report_page
from sycolens.report.parts import Cell, Column, Conversation, Part, Picture, Section, Speech, Table

CSS = (files("sycolens.report") / "templates" / "report.css").read_text()
Color = NDArray[np.float64]


class Reader(HTMLParser):
    """What a browser makes of a page."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    return report_page(f"A study {EVIL}", every_part(), subtitle=EVIL)


def test_the_same_parts_are_the_same_bytes(page: str) -> None:
    assert report_page(f"A study {EVIL}", every_part(), subtitle=EVIL) == page


def test_every_element_is_closed_and_no_word_becomes_one(page: str) -> None:
    seen = Reader(page)
    assert seen.open == []
    assert seen.named("img") == []
    # plotly, figures, files and the page itself run; the others are figures, and tables as LaTeX.
    kinds = [each.get("type") for each in seen.named("script")]
    assert kinds.count(None) == 4
    assert kinds.count("application/json") == 5 + len(seen.named("table"))
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    assert sum("window.hacked" in each for each in seen.text) >= 15


def test_control_characters_of_a_reply_are_shown_and_turn_nothing_around() -> None:
    section = Section("a", "A", (Conversation("Q", ((Speech("Assistant", "a\u202eb\x1bc\x00"),),)),))
    text = "".join(Reader(report_page("T", [section])).text)
    assert "a\ufffdb␛c␀" in text


def test_half_a_surrogate_pair_can_be_written_down() -> None:
    section = Section("a", "A", (Conversation("Q", ((Speech("Assistant", "a\ud800b"),),)),))
    assert "a?b" in report_page("T", [section]).encode().decode()


def test_figures_are_numbered_plain_json_on_no_ground_of_their_own(page: str) -> None:
    drawings = [json.loads(each) for each in Reader(page).scripts if each.startswith("{")]
    assert len(drawings) == 5
    for drawing in drawings:
        assert drawing["layout"]["paper_bgcolor"] == drawing["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"
    scales = [trace["colorscale"] for each in drawings for trace in each["data"] if trace["type"] == "heatmap"]
    assert scales == [[list(each) for each in AROUND_ZERO]] * 3
    captions = re.findall(r"<b>(Figure|Table) (\d)\.</b>", page)
    assert captions == [("Figure", str(n)) for n in range(1, 6)] + [("Table", "1"), ("Table", "2")]


def test_a_scale_of_shares_stays_as_it_is() -> None:
    page = report_page("T", [Section("a", "A", (Picture(mass_map(effects().abs()), "Shares."),))])
    (drawing,) = (json.loads(each) for each in Reader(page).scripts if each.startswith("{"))
    assert drawing["data"][0]["colorscale"] == [list(each) for each in COLORS]


def test_gray_that_means_not_measured_stays() -> None:
    holes = effects().clone()
    holes[0, 0] = math.nan
    page = report_page("T", [Section("a", "A", (Picture(heatmap(holes), "Gaps."),))])
    (drawing,) = (json.loads(each) for each in Reader(page).scripts if each.startswith("{"))
    assert drawing["layout"]["plot_bgcolor"] == "#d0d0d0"


def test_nothing_is_asked_of_a_network_and_only_known_scripts_may_run(page: str) -> None:
    seen = Reader(page)
    assert [each["src"] for _, each in seen.tags if "src" in each] == []
    assert {each["href"] for each in seen.named("link")} == {"data:,"}
    (policy,) = (each["content"] for each in seen.named("meta") if "http-equiv" in each)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1]
    assert policy.count("'sha256-") == 4


def test_a_page_without_figures_has_no_scripts() -> None:
    page = report_page("T", [Section("a", "A", ("Words.",))])
    assert "<script" not in page
    assert "script-src 'none'" in page
    assert len(page) < 20_000


def test_a_reader_who_does_not_see_is_told(page: str) -> None:
    seen = Reader(page)
    assert seen.named("html") == [{"lang": "en"}]
    assert [tag for tag, _ in seen.tags if tag in ("h1", "h2", "h3")][:3] == ["h1", "h2", "h2"]
    links = {each["href"] for each in seen.named("a")}
    assert {"#short", "#figures", "#tables"} <= links
    assert {link.removeprefix("#") for link in links if link} <= {each.get("id") for _, each in seen.tags}
    assert all(each["aria-label"] for each in seen.named("div") if each.get("role") == "img")
    assert all("scope" in each for each in seen.named("th"))
    ids = [each["id"] for _, each in seen.tags if "id" in each]
    assert len(ids) == len(set(ids))


def test_tables_have_groups_rules_and_intervals() -> None:
    table = Table(
        "T.",
        (Column("a"), Column("b", "one"), Column("c", "one"), Column("d", "two"), Column("e")),
        (("1", "2", Cell("3", "2 to 4"), "4", "5"),) * 3,
        rules=(1, 7),
    )
    assert table.spans == [("", 1), ("one", 2), ("two", 1), ("", 1)]
    assert [len(body) for body in table.bodies] == [1, 2]
    page = report_page("T", [Section("a", "A", (table,))])
    assert page.count("<tbody>") == 2
    assert page.count("3 <small>2 to 4</small>") == 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: report_page("T", []), "sections with ids of their own"),
        (lambda: report_page("T", [Section("a", "A", ()), Section("a", "B", ())]), r"\['a', 'a'\]"),
        (lambda: Section("A b", "A", ()), "small letters, digits and hyphens"),
        (lambda: Picture(go.Figure(), " "), "no caption"),
        (lambda: Table("T.", (Column("a"),), ()), "needs a caption, columns and rows"),
        (lambda: Table("T.", (Column("a"),), (("1", "2"),)), "has 2 cells"),
    ],
)
def test_parts_that_make_no_page_are_refused(make: Any, words: str) -> None:
    with pytest.raises(FigureError, match=words):
        make()


# By night a filter turns the figures, as the Filter Effects specification defines invert, hue-rotate and saturate.


def by_night(color: Color) -> Color:
    found = re.search(r"filter: invert\(([\d.]+)\) hue-rotate\(180deg\) saturate\(([\d.]+)\)", CSS)
    assert found
    amount, strength = map(float, found.groups())
    gray = np.array([0.213, 0.715, 0.072])
    turned = np.clip(amount + (1 - 2 * amount) * color, 0, 1)
    # A half turn around the gray axis, then away from gray.
    turned = np.clip(2 * (gray @ turned) - turned, 0, 1)
    return np.clip((1 - strength) * (gray @ turned) + strength * turned, 0, 1)


def parsed(color: str) -> Color:
    if color.startswith("#"):
        return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.array(list(map(int, re.findall(r"\d+", color)))) / 255


def luminance(color: Color) -> float:
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(first: Color, second: Color) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def variables(block: str) -> dict[str, Color]:
    return {name: parsed(value) for name, value in re.findall(r"--(\w+): (#[0-9a-f]{6})", block)}


DAY, NIGHT = (variables(block) for block in CSS.split("@media (prefers-color-scheme: dark)")[:2])


@pytest.mark.parametrize("scheme", [DAY, NIGHT], ids=["day", "night"])
def test_words_are_legible_on_the_page_and_on_cards(scheme: dict[str, Color]) -> None:
    for ground in ("ground", "raised"):
        for ink in ("ink", "faint", "link", "good", "bad", "flag"):
            assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)


def test_figures_are_legible_by_night_too() -> None:
    ground = NIGHT["ground"]
    assert contrast(by_night(parsed(INK)), ground) >= 7
    assert contrast(by_night(parsed(FAINT)), ground) >= 3
    for look in LOOKS:  # names at the ends of lines are written in these
        assert contrast(by_night(parsed(look.color)), ground) >= 4.5


def test_colors_mean_the_same_by_day_and_by_night() -> None:
    for place, color in AROUND_ZERO:
        for red, green, blue in (parsed(color), by_night(parsed(color))):
            if place < 0.5:
                assert red > max(green, blue) + 0.1
            elif place > 0.5:
                assert blue > max(red, green) + 0.05
            else:
                assert max(red, green, blue) - min(red, green, blue) < 0.02
    # The further from zero, the further from the page.
    shades = [contrast(by_night(parsed(color)), NIGHT["ground"]) for _, color in AROUND_ZERO]
    assert shades[:6] == sorted(shades[:6], reverse=True)
    assert shades[5:] == sorted(shades[5:])
    for _, color in AROUND_ZERO[:5]:
        assert luminance(parsed(color)) < luminance(parsed(AROUND_ZERO[5][1]))


def test_style_and_template_are_in_the_package() -> None:
    folder = Path(str(files("sycolens.report"))) / "templates"
    assert {each.name for each in folder.iterdir()} == {
        "dialogues.js",
        "explorer.css",
        "explorer.js",
        "files.js",
        "head_panel.js",
        "heads.js",
        "page.js",
        "report.css",
        "report.html",
        "report.js",
    }


def test_any_part_of_the_list_has_its_place_in_the_template() -> None:
    template = (files("sycolens.report") / "templates" / "report.html").read_text()
    for kind in Part.__args__:
        assert f'what == "{"Text" if kind is str else kind.__name__}"' in template
