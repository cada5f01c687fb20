"""A report page in a real browser: every figure is drawn, the pointer finds its numbers, nothing is out of order."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from browser import NEEDS_BROWSER, Visit, browse
from reported import every_part

from sycolens.report.html import report_page
from sycolens.report.parts import Section

pytestmark = NEEDS_BROWSER

FIGURES = 5


async def hover(visit: Visit, number: int) -> str:
    """What the pointer shows over the first point, cell or bar of a figure."""
    drawing = f"document.querySelector('#drawing-{number}')"
    box = await visit.ask(
        f"(() => {{ {drawing}.scrollIntoView({{block: 'center', behavior: 'instant'}});"
        f"const map = {drawing}.querySelector('.heatmaplayer image');"
        f"const at = (map || {drawing}.querySelector('.points path')).getBoundingClientRect();"
        "return map ? [at.x + at.width / 16, at.y + at.height / 12] : [at.x + at.width / 2, at.y + at.height / 2] })()"
    )
    label = ""
    for _ in range(40):
        await visit.point(*box)
        label = await visit.ask(
            f"[...{drawing}.querySelectorAll('.hoverlayer .hovertext text')].map(each => each.textContent).join(' ')"
        )
        if label:
            break
        await asyncio.sleep(0.05)
    return str(label)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All that is asked of the browser, in one session."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_page("A study", every_part()))
    filters = "[...document.querySelectorAll('.drawing')].map(each => getComputedStyle(each).filter)"
    ground = "getComputedStyle(document.body).backgroundColor"

    async def looking(visit: Visit) -> dict[str, Any]:
        found: dict[str, Any] = {}
        await visit.look()
        await visit.open(path)
        found["drawn"] = await visit.ask(
            "[...document.querySelectorAll('.drawing')].map(each => "
            "each.querySelectorAll('.plot path, .heatmaplayer image').length)"
        )
        found["labels"] = [await hover(visit, number) for number in range(1, FIGURES + 1)]
        found["wide by day"] = [await visit.ask(ground), await visit.ask(filters)]
        found["hacked"] = await visit.ask("String(window.hacked)")
        found["sizes"] = {}
        for width in (320, 390, 768, 1280):
            await visit.look(width=width, height=844)
            found["sizes"][width] = await visit.ask("[document.documentElement.scrollWidth, innerWidth]")
        await visit.look(width=390, height=844, dark=True)
        found["phone by night"] = [await visit.ask(ground), await visit.ask(filters)]
        found["label on a phone by night"] = await hover(visit, 2)
        found["scrolled"] = await visit.ask(
            "[...document.querySelectorAll('figure .scroller')].map(each => each.scrollWidth > each.clientWidth + 1)"
        )
        await visit.look(dark=True, media="print")
        found["paper"] = [await visit.ask(ground), await visit.ask(filters)]
        await visit.look(dark=True)
        found["pdf"] = await visit.printed()
        return found | {"complaints": visit.complaints, "asked": visit.asked}

    found: dict[str, Any] = browse(looking)
    return found


def test_nothing_is_complained_about_and_nothing_asked_of_a_network(seen: dict[str, Any]) -> None:
    assert seen["complaints"] == []
    assert {url.split(":")[0] for url in seen["asked"]} <= {"file", "data", "blob"}


def test_every_figure_is_drawn(seen: dict[str, Any]) -> None:
    assert len(seen["drawn"]) == FIGURES
    assert all(count > 0 for count in seen["drawn"])


def test_the_pointer_finds_the_number_of_every_figure(seen: dict[str, Any]) -> None:
    wanted = (
        r"L0H0.*−5\.00%",
        r"Heads ablated: 0.*apologizes 100%",
        r"Heads kept: 0.*apologizes 100%",
        r"2 chosen heads.*50\.0%",
        r"L0H0.*before tuning −5\.00%.*after tuning −2\.50%",
    )
    for pattern, label in zip(wanted, seen["labels"], strict=True):
        assert re.search(pattern, label), label
    assert "apologizes 100%" in seen["label on a phone by night"]


def test_words_of_a_reply_run_nothing(seen: dict[str, Any]) -> None:
    assert seen["hacked"] == "undefined"


def test_no_window_is_too_narrow_for_the_page(seen: dict[str, Any]) -> None:
    for width, (page, window) in seen["sizes"].items():
        assert page <= window == width
    # What is wider than a phone scrolls in its own box: maps and the wide table, but not the small figures.
    assert seen["scrolled"] == [True, False, False, False, True, True, True]


def test_night_turns_the_figures_and_paper_does_not(seen: dict[str, Any]) -> None:
    day, night, paper = seen["wide by day"], seen["phone by night"], seen["paper"]
    assert day == ["rgb(253, 253, 251)", ["none"] * FIGURES]
    assert night[0] == "rgb(22, 24, 27)"
    assert all(each.startswith("invert") for each in night[1])
    assert paper == ["rgb(255, 255, 255)", ["none"] * FIGURES]


def test_paper_is_a4(seen: dict[str, Any]) -> None:
    boxes = set(re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", seen["pdf"]))
    assert len(boxes) == 1
    (size,) = boxes
    assert [float(each) / 72 * 25.4 for each in size] == pytest.approx([210, 297], abs=0.5)


def test_a_page_of_words_alone_works_too(tmp_path: Path) -> None:

    path = tmp_path / "words.html"
    path.write_text(report_page("Words", [Section("a", "A", ("Only words.",))]))

    async def looking(visit: Visit) -> tuple[str, list[str]]:
        await visit.open(path)
        return await visit.ask("document.querySelector('main').innerText"), visit.complaints

    text, complaints = browse(looking)
    assert "Only words." in text
    assert complaints == []
