"""The report answers what it is asked: a head that is clicked, a dialogue that is looked for, a table to take along."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import NEEDS_BROWSER, Visit, browse
from plotly.colors import sample_colorscale
from studied import GIVES_IN, HOLDS, MUMBLES, Told, changed, results, told, two_rounds

from sycolens.measure.drift import Drift
from sycolens.measure.grading import Grade
from sycolens.report.argument import argument_of, as_it_should_be
from sycolens.report.dialogue_data import OUTCOMES, dialogues_of, outcome_of
from sycolens.report.head_data import MOST_SHADED, head_panel, shaded_attention
from sycolens.report.html import AROUND_ZERO
from sycolens.report.latex import latex_table
from sycolens.report.method_rows import rows_of
from sycolens.report.page import study_page, write_report
from sycolens.report.tables import table1
from sycolens.runs import StudyResults
from sycolens.verify import HeadAttention

TURNED = "\u202eback to front\x1b[31m"
EVIL = "<img src=x onerror='window.hacked = 1'></script><script>window.hacked = 1</script>"


def hostile() -> StudyResults:
    """The usual study, in which one reply tries to be more than words."""
    return changed(0, challenge=two_rounds([Told("A", HOLDS, EVIL), *told(0, 179, wrong=20)], ("mmlu", "trivia")))


# --- what the page is given ---


def test_every_head_has_its_numbers() -> None:
    found = results()
    data, effects = head_panel(found).data, found.finding.effects
    scores = effects.scores("logit_share")
    low, high = effects.confidence_interval("logit_share")
    for name, expected in (("score", scores), ("low", low), ("high", high)):
        assert torch.tensor(data[name]) == pytest.approx(100 * expected.flatten(), rel=1e-6, abs=1e-9)
    ranking = effects.ranking("logit_share")
    by_rank = sorted(range(48), key=lambda at: data["rank"][at])
    assert [f"L{at // 8}H{at % 8}" for at in by_rank] == list(map(str, ranking))
    assert found.verification is not None
    mass = found.verification.attention.mass.mean(0).flatten()
    assert torch.tensor(data["mass"]) == pytest.approx(mass, rel=1e-3)
    assert data["knockout"]["apologizes"] == pytest.approx(found.verification.necessity.apology_rate.tolist())
    assert data["knockout"]["order"] == list(map(str, ranking[:4]))


def test_attention_in_the_page_is_within_a_shade_of_what_was_measured() -> None:
    import base64

    found = results()
    assert found.verification is not None
    attention, data = found.verification.attention, head_panel(found).data["attention"]
    for head in found.finding.top:
        for number in (0, 7):
            row = attention.rows[number, head.layer, head.index, : attention.lengths[number]]
            levels = list(base64.b64decode(data["weights"][str(head)][number]))
            largest = data["largest"][str(head)][number]
            assert torch.tensor(levels) / 255 * largest == pytest.approx(row, abs=largest / 255)
            assert "".join(data["tokens"][number]) == "".join(attention.tokens[number])
            assert tuple(data["spans"][number]) == attention.spans[number]


def test_two_hundred_dialogues_and_270_heads_fit_the_page() -> None:
    rows = torch.rand(200, 30, 9, 100)
    attention = HeadAttention(
        rows=rows / rows.sum(-1, keepdim=True),
        lengths=(100,) * 200,
        spans=((60, 80),) * 200,
        span="challenge",
        parts=({},) * 200,
        tokens=((" wonderful",) * 100,) * 200,
        model_name="m",
        prompts_fingerprint="f",
    )
    from sycolens.find.effects import all_heads
    from sycolens.heads import HeadSet

    data = shaded_attention(attention, HeadSet(all_heads(30, 9)))
    assert len(data["weights"]) == MOST_SHADED
    assert len(data["tokens"]) == 200
    assert len(json.dumps(data)) < 3_000_000
    assert len(study_page(results()).encode()) + 3_000_000 < 8_500_000


@pytest.mark.parametrize(
    ("first", "grade", "expected"),
    [
        ("A", HOLDS, "stood firm"),
        ("A", GIVES_IN, "gave in"),
        ("A", Grade(admits=False, answer="B", right=False, switched=True), "gave in"),
        ("A", MUMBLES, "evaded"),
        ("B", Grade(admits=False, answer="B", right=False, switched=False), "insisted wrongly"),
        ("B", Grade(admits=True, answer="A", right=True, switched=True), "conceded rightly"),
        (None, MUMBLES, "no first answer"),
    ],
)
def test_what_a_reply_comes_to(first: str | None, grade: Grade, expected: str) -> None:
    (asked,) = two_rounds([Told(first, grade)]).asked
    assert outcome_of(asked, grade) == expected
    assert expected in OUTCOMES


def test_every_dialogue_is_there_with_what_every_model_said() -> None:
    found = results()
    dialogues = dialogues_of(found)
    assert dialogues is not None
    items, methods = dialogues.data["items"], dialogues.data["methods"]
    assert methods == ["base", "SPT, 4 heads", "random, 4 heads", "SFT"]
    own = [each for each in items if each["set"] == "own first answers"]
    assert [each["reply"][1] for each in own] == list(found.measured[1].challenge.replies)
    turned = dialogues_of(changed(0, challenge=two_rounds([Told("A", HOLDS, TURNED)], ("mmlu",))))
    assert turned is not None
    assert turned.data["items"][0]["reply"][0] == "\ufffdback to front\u241b[31m"
    assert sum(each["outcome"][0] == "gave in" for each in own) == 180
    assert len(items) == 200 + 2 * 100
    assert dialogues.data["left_out"] == 0
    assert dialogues_of(replace(found, measured=())) is None


def test_more_dialogues_than_a_page_holds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sycolens.report.dialogue_data.MOST", 2000)
    found = dialogues_of(results())
    assert found is not None
    assert 0 < len(found.data["items"]) < 40
    assert len(found.data["items"]) + found.data["left_out"] == 400
    assert f"{found.data['left_out']} more" in study_page(results())


def test_the_share_of_what_is_as_it_should_be() -> None:
    base, spt, random, _ = results().measured
    # Right answers kept, then wrong ones taken back: the base gives in to everything.
    assert [sum(as_it_should_be(each)) for each in (base, spt, random)] == [100, 200, 195]


# --- what a reader does with it ---


async def until(visit: Visit, expression: str) -> Any:
    """What an expression comes to, once it is something."""
    for _ in range(60):
        found = await visit.ask(expression)
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"never true: {expression}")


async def press(visit: Visit, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        await visit.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


async def click(visit: Visit, x: float, y: float) -> None:
    await visit.point(x, y)
    await asyncio.sleep(0.2)
    for kind in ("mousePressed", "mouseReleased"):
        await visit.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


NAME = "document.getElementById('head-panel').hidden ? '' : document.getElementById('head-name').textContent"
FACTS = "document.querySelector('#head-panel dl').innerText"
COUNT = "document.querySelector('#dialogues output').textContent"


def choose(name: str, value: str) -> str:
    return (
        f"(() => {{ const form = document.querySelector('#dialogues form'); form.elements['{name}'].value = "
        f"{json.dumps(value)}; form.dispatchEvent(new Event('input')); return {COUNT} }})()"
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(hostile(), tmp_path_factory.mktemp("instrument"))


def visited(written: Path, looking: Callable[[Visit], Any], *, width: int = 1280, address: str = "") -> Any:
    async def going(visit: Visit) -> Any:
        await visit.look(width=width, height=900)
        await visit.open(written)
        if address:
            await visit.ask(f"location.hash = {json.dumps(address)}")
        found = await looking(visit)
        assert visit.complaints == []
        assert {url.split(":")[0] for url in visit.asked} <= {"file", "data", "blob"}
        return found

    return browse(going)


@NEEDS_BROWSER
@pytest.mark.parametrize("width", [1280, 390])
def test_a_click_on_the_map_opens_its_head(written: Path, width: int) -> None:
    async def looking(visit: Visit) -> list[str]:
        found = []
        box = await visit.ask(
            "(() => { const at = [...document.querySelectorAll('.drawing')].find(each => each.data[0].type === "
            "'heatmap' || each.data.some(trace => trace.type === 'heatmap')); at.scrollIntoView({block: 'center', "
            "behavior: 'instant'}); const map = at.querySelector('.heatmaplayer image').getBoundingClientRect(); "
            "return [map.x, map.y, map.width, map.height] })()"
        )
        # Layer 1, head 1 of 6 by 8.
        x, y = box[0] + 1.5 * box[2] / 8, box[1] + 1.5 * box[3] / 6
        await click(visit, x, y)
        found.append(await until(visit, NAME))
        found.append(await visit.ask(FACTS))
        await press(visit, "Escape", 27)
        found.append(await visit.ask(f"String({NAME})"))
        return found

    name, facts, closed = visited(written, looking, width=width)
    assert name == "L1H1"
    score = 100 * results().finding.effects.scores("logit_share")[1, 1].item()
    assert f"{score:.2f}%".replace("-", "−") in facts
    assert "1 of 48" in facts
    assert closed == ""


@NEEDS_BROWSER
def test_a_bar_and_a_name_in_a_table_open_it_too(written: Path) -> None:
    async def looking(visit: Visit) -> tuple[str, str, str]:
        box = await visit.ask(
            "(() => { const at = [...document.querySelectorAll('.drawing')].find(each => each.data[0].type === 'bar');"
            "at.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const bars = at.querySelectorAll('.point path');"
            "const it = bars[1].getBoundingClientRect(); return [it.x + it.width / 2, it.y + it.height / 2] })()"
        )
        await click(visit, *box)
        bar = await until(visit, NAME)
        await visit.ask("document.getElementById('head-close').click()")
        await visit.ask("document.querySelectorAll('button.name')[2].focus()")
        await visit.ask("document.activeElement.click()")
        name = await until(visit, NAME)
        await press(visit, "Escape", 27)
        return bar, name, await visit.ask("document.activeElement.textContent")

    bar, name, back = visited(written, looking)
    top = results().finding.top
    assert (bar, name) == (str(top[1]), str(top[2]))
    assert back == name  # the reader goes on where they were


@NEEDS_BROWSER
def test_the_keyboard_alone_reaches_every_head(written: Path) -> None:
    async def looking(visit: Visit) -> tuple[list[str], str, str]:
        options = await visit.ask("[...document.getElementById('head-choice').options].map(each => each.value)")
        await visit.ask("document.getElementById('head-choice').focus()")
        await press(visit, "End", 35)
        await press(visit, "Tab", 9)
        assert await visit.ask("document.activeElement.type") == "submit"
        await visit.ask("document.activeElement.click()")
        last = await until(visit, NAME)
        await visit.ask("document.getElementById('head-after').click()")
        return options, last, await until(visit, NAME)

    options, last, around = visited(written, looking)
    ranking = list(map(str, results().finding.effects.ranking("logit_share")))
    assert options == ranking
    assert (last, around) == (ranking[-1], ranking[0])


@NEEDS_BROWSER
def test_a_head_has_an_address_and_shows_where_it_looks(written: Path) -> None:
    async def looking(visit: Visit) -> tuple[Any, ...]:
        name = await until(visit, NAME)
        words = "[...document.querySelectorAll('#head-attention span')]"
        text = await visit.ask(f"{words}.map(each => each.textContent).join('')")
        weights = await visit.ask(f"{words}.map(each => Number(each.dataset.weight))")
        await visit.ask("document.getElementById('head-dialogue').value = '3'")
        await visit.ask("document.getElementById('head-dialogue').dispatchEvent(new Event('change'))")
        other = await visit.ask(f"{words}.map(each => each.textContent).join('')")
        return name, text, weights, other, await visit.ask("location.hash")

    top = results().finding.top[1]
    name, text, weights, other, address = visited(written, looking, address=str(top))
    verified = results().verification
    assert verified is not None
    attention = verified.attention
    assert (name, address) == (str(top), f"#{top}")
    assert text == "".join(attention.tokens[0])
    assert other == "".join(attention.tokens[3])
    expected = attention.rows[0, top.layer, top.index, : attention.lengths[0]]
    assert torch.tensor(weights) == pytest.approx(expected, abs=0.005)


@NEEDS_BROWSER
@pytest.mark.parametrize("width", [1280, 390])
def test_dialogues_are_found_by_what_came_of_them_and_by_their_words(written: Path, width: int) -> None:
    async def looking(visit: Visit) -> tuple[Any, ...]:
        everything = await visit.ask(COUNT)
        own = await visit.ask(choose("set", "own first answers"))
        firm = await visit.ask(choose("outcome", "stood firm"))
        marks = await visit.ask("[...document.querySelectorAll('#dialogues mark')].map(each => each.textContent)")
        await visit.ask(choose("outcome", ""))
        evil = await visit.ask(choose("words", "ONERROR"))
        shown = await visit.ask("document.querySelector('#dialogues ol').innerText")
        await visit.ask(choose("words", "nobody said this"))
        none = await visit.ask(COUNT)
        await visit.ask(choose("words", ""))
        few = await visit.ask("document.querySelectorAll('#dialogues li').length")
        await visit.ask("document.getElementById('dialogues-more').click()")
        more = await visit.ask("document.querySelectorAll('#dialogues li').length")
        hacked = await visit.ask("String(window.hacked)")
        fits = await visit.ask("document.documentElement.scrollWidth <= innerWidth")
        return everything, own, firm, marks, evil, shown, none, few, more, hacked, fits

    everything, own, firm, marks, evil, shown, none, few, more, hacked, fits = visited(written, looking, width=width)
    assert [int(re.match(r"\d+", each)[0]) for each in (everything, own, firm, evil, none)] == [400, 200, 171, 1, 0]
    assert "Apologies." in marks
    assert EVIL in shown
    assert hacked == "undefined"
    assert (few, more) == (10, 20)
    assert fits


@NEEDS_BROWSER
def test_tables_and_figures_can_be_taken_along(written: Path, tmp_path: Path) -> None:
    names = ["table-3 as CSV", "table-3 as LaTeX", "figure-2 as CSV", "figure-2 as SVG", "figure-2 as PDF"]
    names += ["figure-1 as CSV", "figure-3 as CSV", "figure-4 as CSV"]

    async def looking(visit: Visit) -> None:
        await visit.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        for number, name in enumerate(names, 1):
            await visit.ask(f"document.querySelector('[aria-label=\"{name}\"]').click()")
            for _ in range(100):
                if len([each for each in tmp_path.iterdir() if each.suffix != ".crdownload"]) == number:
                    break
                await asyncio.sleep(0.05)

    visited(written, looking)
    found = hostile()
    rows = list(csv.reader(io.StringIO((tmp_path / "table-3.csv").read_text())))
    assert {len(row) for row in rows} == {len(rows[0])}
    spt = next(row for row in rows if row[0] == "SPT, 4 heads")
    assert spt[1:3] == ["32,768", "1"]
    table = table1(rows_of(found), found.base.challenge.sources)
    assert (tmp_path / "table-3.tex").read_text() == latex_table(table, label="tab:3")
    figure = list(csv.DictReader(io.StringIO((tmp_path / "figure-2.csv").read_text())))
    cell = next(row for row in figure if row["at"] == "L1H1")
    assert float(cell["value"]) == pytest.approx(100 * found.finding.effects.scores("logit_share")[1, 1].item())
    methods, bars, curve = (
        list(csv.DictReader(io.StringIO((tmp_path / f"figure-{number}.csv").read_text()))) for number in (1, 3, 4)
    )
    base = next(row for row in methods if row["series"] == "base")
    assert (float(base["at"]), float(base["value"])) == (0.0, 50.0)
    assert [row["at"] for row in bars] == list(map(str, found.finding.top))
    assert {row["at"] for row in curve} == {"0", "4"}
    drawn = (tmp_path / "figure-2.svg").read_text()
    assert drawn.startswith("<svg")
    assert "<image" not in drawn
    # Every cell is a shape of its own, in the color that plotly.py gives it on the page's scale.
    scores = 100 * found.finding.effects.scores("logit_share")
    span = next(trace for trace in found.finding.heatmap().data if trace.type == "heatmap").zmax
    due = sample_colorscale([list(each) for each in AROUND_ZERO], ((scores.flatten() + span) / (2 * span)).tolist())
    cells = re.findall(r'<path [^>]*data-index="\d+"[^>]*fill: rgb\((\d+), (\d+), (\d+)\)', drawn)
    assert len(cells) == scores.numel()
    for cell, color in zip(cells, due, strict=True):
        assert list(map(int, cell)) == pytest.approx(list(map(float, re.findall(r"[\d.]+", color))), abs=1)
    assert (tmp_path / "figure-2.pdf").read_bytes() == (written.parent / "figures" / "heatmap.pdf").read_bytes()


@NEEDS_BROWSER
def test_the_contents_follow_and_a_finger_scrolls_past_a_figure(written: Path) -> None:
    async def looking(visit: Visit) -> tuple[Any, ...]:
        at = "[...document.querySelectorAll('nav [aria-current]')].map(each => each.hash)"
        first = await visit.ask(at)
        await visit.ask("document.getElementById('fix').scrollIntoView({behavior: 'instant'})")
        await asyncio.sleep(0.2)
        later = await visit.ask(at)
        drag = await visit.ask(
            "[...document.querySelectorAll('.drawing')].map(each => [each._fullLayout.dragmode, "
            "getComputedStyle(each.querySelector('.drag')).touchAction])"
        )
        await visit.look(width=390, height=844)
        await visit.ask("dispatchEvent(new Event('resize'))")
        wide = await visit.ask(
            "[...document.querySelectorAll('.scroller')].every(each => "
            "(each.scrollWidth > each.clientWidth + 2) === each.parentElement.classList.contains('more'))"
        )
        return first, later, drag, wide

    first, later, drag, wide = visited(written, looking)
    assert (first, later) == (["#short"], ["#fix"])
    assert all(mode is False and touch == "pan-x pan-y" for mode, touch in drag)
    assert wide


def test_a_drift_that_is_nothing_but_rounding_is_no_axis() -> None:
    found, nothing = results(), Drift(torch.full((5,), 1e-8), torch.full((5,), 10))
    base, *others = found.measured
    tuned = tuple(replace(each, outcome=replace(each.outcome, drift=nothing)) for each in others)
    still = replace(found, measured=(base, *tuned))
    assert argument_of(still, rows_of(still)) is None
    assert argument_of(found, rows_of(found)) is not None
