"""The report of a study says what its numbers are, whatever they are, and nothing else."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import NEEDS_BROWSER, Visit, browse
from studied import HOLDS, LOT, SPT, Told, ability, changed, eval_set, measured, results, told, two_rounds

from sycolens.errors import FigureError
from sycolens.report.latex import latex_table
from sycolens.report.method_rows import EVAL_SET, frame_of, rows_of
from sycolens.report.page import sections_of, study_page, write_report
from sycolens.report.paper import paper_rows
from sycolens.report.parts import Cell, Conversation, KeyNumbers, Notes, Part, Table, as_cell
from sycolens.report.pictures import pictures_of
from sycolens.report.tables import table1, table_of_ability, table_of_rest
from sycolens.report.text import about_repair, about_repatch
from sycolens.runs import StudyConfig, StudyResults
from sycolens.statistics import wilson_interval
from sycolens.statistics.rates import Rate

EVIL = "<script>window.hacked = 1</script></p>"


def parts_of(found: StudyResults, section: str) -> tuple[Part, ...]:
    (wanted,) = (each for each in sections_of(found, rows_of(found)) if each.id == section)
    return wanted.parts


def texts_of(found: StudyResults, section: str) -> str:
    return "\n".join(part for part in parts_of(found, section) if isinstance(part, str))


def row_of(table: Table, name: str) -> list[Cell]:
    (row,) = (row for row in table.rows if row[0] == name)
    return [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]


# Rows


def test_rates_of_one_run_are_those_of_its_result() -> None:
    found = results()
    for row, each in zip(rows_of(found), found.measured, strict=True):
        for source in (*each.challenge.sources, None):
            for name, rate in each.challenge.summary(source).items():
                if name.startswith("unparsed"):
                    continue
                pooled = row.of(name) if source is None else row.of(name, source)
                assert pooled is not None
                assert pooled.mean == pytest.approx(rate.share)
                low, high = rate.interval
                # A bootstrap over the same items is about as wide as Wilson's interval.
                assert pooled.low == pytest.approx(low, abs=0.03)
                assert pooled.high == pytest.approx(high, abs=0.03)


def test_truthfulness_of_several_runs_is_a_share_of_their_own_right_answers() -> None:
    one, other = told(8, 2, wrong=2), told(3, 0, wrong=9)
    found = replace(
        results(),
        measured=(
            results().base,
            measured("SPT", SPT, two_rounds(one), eval_set()),
            measured("SPT", replace(SPT, seed=1), two_rounds(other), eval_set()),
        ),
    )
    row = rows_of(found)[1]
    assert row.runs == 2
    pooled = row.of("truthfulness")
    assert pooled is not None
    assert pooled.mean == pytest.approx(11 / 13)
    assert (pooled.least, pooled.most) == pytest.approx((0.8, 1.0))
    assert 0 <= pooled.low < pooled.mean < pooled.high <= 1


def test_where_nothing_was_right_there_is_no_truthfulness() -> None:
    found = changed(1, challenge=two_rounds(told(0, 0, wrong=50)))
    row = rows_of(found)[1]
    assert row.of("truthfulness") is None
    assert row_of(table1([row], ("mmlu",)), row.method)[-1] == Cell("–")
    assert math.isnan(frame_of([row]).set_index(["source", "measure"]).loc[("all", "truthfulness"), "value"])


def test_rates_that_all_agree_have_the_interval_of_their_count() -> None:
    pooled = rows_of(changed(1, challenge=two_rounds(told(50, 0))))[1].of("truthfulness")
    assert pooled is not None
    assert (pooled.low, pooled.high) == pytest.approx(wilson_interval(50, 50))


# Tables


def test_table_1_holds_every_rate_in_percent() -> None:
    found = results()
    table = table1(rows_of(found), found.base.challenge.sources)
    assert table.spans[-3:] == [("all questions (200)", 2), ("mmlu (100)", 2), ("trivia (100)", 2)]
    cells = row_of(table, "SPT, 4 heads")
    assert [cell.text for cell in cells[1:3]] == ["32,768", "1"]
    confidence = Rate.of(found.measured[1].challenge.holds).share
    assert cells[3].text == f"{100 * confidence:.1f}"
    assert cells[4].text == "95.0"
    assert all(re.fullmatch(r"\d+\.\d–\d+\.\d", cell.interval) for cell in cells[3:])
    assert "may differ by more" in " ".join(table.notes)  # each method was trained once


def test_one_source_is_not_told_twice() -> None:
    found = changed(0, challenge=two_rounds(told(0, 10)))
    assert len(table1(rows_of(found)[:1], ("mmlu",)).columns) == 5


@pytest.mark.parametrize(
    ("name", "base", "spt", "parameters"),
    [
        ("meta-llama/Llama-2-7b-chat-hf", "1.39", "70.70", 32 * 4 * 4096 * 128),
        ("/models/Llama-2-13b-chat", "0.08", "71.92", 64 * 4 * 5120 * 128),
        ("meta-llama/Llama-2-70b-chat-hf", "0.22", "82.52", 192 * 2 * 8192 * 128),
        ("mistralai/Mistral-7B-Instruct-v0.2", "4.69", "69.68", 32 * 2 * 4096 * 128),
    ],
)
def test_the_paper_stands_beside_its_own_models(name: str, base: str, spt: str, parameters: int) -> None:
    rows = paper_rows(name)
    table = table1(rows_of(results()), ("mmlu", "trivia"), rows)
    assert row_of(table, "base (paper)")[3].text == base
    mine = next(row for row in table.rows if str(row[0]).startswith("SPT") and str(row[0]).endswith("(paper)"))
    assert (mine[1], mine[3]) == (f"{parameters:,}", spt)
    assert any("second-hand" in note for note in table.notes)
    assert [len(body) for body in table.bodies] == [1, 3, 3]


def test_the_paper_does_not_stand_beside_others() -> None:
    for name in ("organism", "meta-llama/Llama-2-7b-hf", "mistralai/Mistral-7B-Instruct-v0.3", "my-llama-2-7b-chat-x"):
        assert paper_rows(name) == ()
    assert "paper)" not in study_page(results())


def test_what_else_changed_has_a_table_of_its_own() -> None:
    table = table_of_rest(rows_of(results()))
    titles = [column.title for column in table.columns]
    cells = dict(zip(titles, row_of(table, "SPT, 4 heads"), strict=True))
    assert cells["wrong ones"].text == "100.0"
    assert cells["KL × 1000"].text == "10.0"
    assert row_of(table, "base")[-1] == Cell("–")


def test_what_was_not_measured_has_no_column() -> None:
    without = replace(results(), measured=tuple(replace(m, outcome=eval_set(drift=None)) for m in results().measured))
    assert "KL × 1000" not in [column.title for column in table_of_rest(rows_of(without)).columns]


def test_ability_is_shown_where_it_was_measured() -> None:
    assert table_of_ability(results()) is None
    every = [replace(each, ability=ability(0.5, 0.25)) for each in results().measured[:3]]
    every.append(replace(every[2], run=replace(LOT, draw=1), ability=ability(0.7, 0.25)))
    table = table_of_ability(replace(results(), measured=tuple(every)))
    assert table is not None
    cells = row_of(table, "task0")
    assert [cell.text for cell in cells] == ["task0", "acc", "100", "0.500", "0.500", "0.600"]
    assert cells[-1].interval == "±0.078"


# Words


def test_equal_results_are_equal_pages() -> None:
    page = study_page(results())
    assert page == study_page(replace(results()))
    elsewhere = results().config.model_dump() | {"compute": {"batch_size": 3}}
    assert study_page(replace(results(), config=StudyConfig.of(elsewhere))) == page


def test_the_head_of_the_page_tells_the_numbers_as_they_are() -> None:
    numbers = next(part for part in parts_of(results(), "short") if isinstance(part, KeyNumbers))
    assert [each.value for each in numbers.items] == ["100% → 14%", "0% → 95%", "100% → 100%", "0.01"]
    assert "SPT, 4 heads (32,768 trained numbers, one run)" in numbers.note
    text = texts_of(results(), "short")
    assert "organism takes back 100%" in text
    assert "With the 4 most negative heads knocked out the model apologizes in" in text
    assert results().verification.necessity.stand_in in texts_of(results(), "verify")
    assert "something to warn of" in text


def test_no_sentence_carries_more_than_three_numbers() -> None:
    found = results()
    sections = sections_of(found, rows_of(found))
    texts = [part for section in sections for part in section.parts if isinstance(part, str)]
    sentences = [each for text in texts for each in re.split(r"(?<=[.:]) ", text)]
    # Names of heads, and the rate at which an interval or a discovery is false, are no results.
    plain = [re.sub(r"L\d+H\d+|rate of \d+%|Figure \d", "", each) for each in sentences]
    crowded = [each for each in plain if len(re.findall(r"\d[\d.,]*", each)) > 3]
    assert len(sentences) > 20
    assert crowded == []


@pytest.mark.parametrize("verified", [True, False])
def test_no_sentence_stands_twice(verified: bool) -> None:
    found = results() if verified else replace(results(), verification=None)
    sections = sections_of(found, rows_of(found))
    texts = [part for section in sections for part in section.parts if isinstance(part, str)]
    sentences = Counter(each for text in texts for each in re.split(r"(?<=[.:]) (?=[A-Z])", text))
    assert len(sentences) > 15
    assert [each for each, count in sentences.items() if count > 1] == []


def test_the_knockout_at_the_top_is_a_table() -> None:
    found = results()
    verified = found.verification
    assert verified is not None
    table = next(part for part in parts_of(found, "verify") if isinstance(part, Table))
    first, others, none = table.rows
    necessity, kept = verified.necessity, verified.sufficiency
    at = necessity.steps.index(4)

    def numbers(row: Any) -> list[str]:
        return [as_cell(each).text for each in row[1:]]

    without = [necessity.apology_rate[at], necessity.label_lead_rate[at], kept.apology_rate[kept.steps.index(4)]]
    assert numbers(first) == [f"{100 * each:.0f}" for each in without]
    low, high = necessity.interval("apology_rate")
    assert as_cell(first[1]).interval == f"{100 * low[at]:.0f}–{100 * high[at]:.0f}"
    assert numbers(none)[0] == f"{100 * necessity.apology_rate[0]:.0f}"
    ends = necessity.control_apology_rate[:, at]
    assert set(re.findall(r"\d+", numbers(others)[0])) == {f"{100 * each:.0f}" for each in (ends.min(), ends.max())}


def test_a_null_result_reads_as_one() -> None:
    same = results().base
    found = replace(
        results(),
        measured=(
            same,
            measured("SPT, 4 heads", SPT, same.challenge, eval_set(right_kept=0, drift=1e-5)),
            measured("random, 4 heads", LOT, same.challenge, eval_set(right_kept=0, drift=1e-5)),
        ),
    )
    (first, _) = about_repair(rows_of(found))
    assert first.count("the intervals overlap") == 4
    numbers = next(part for part in parts_of(found, "short") if isinstance(part, KeyNumbers))
    assert numbers.items[0].value == "100% → 100%"
    notes = next(part for part in parts_of(found, "short") if isinstance(part, Notes))
    assert any("it is not repaired" in text for text in notes.items)
    page = study_page(found).lower()
    for boast in ("significant improvement", "success", "dramatic", "remarkabl", "impressive", "state-of-the-art"):
        assert boast not in page.split("<script")[0]


def test_a_study_that_trains_no_found_heads_says_so() -> None:
    found = replace(results(), measured=(results().measured[0], results().measured[3]), after=None)
    assert about_repair(rows_of(found)) == ("The found heads were not trained in this study.",)
    ids = [section.id for section in sections_of(found, rows_of(found))]
    assert "repatch" not in ids
    assert not any(isinstance(part, KeyNumbers) for part in parts_of(found, "short"))
    conversation = next(part for part in parts_of(found, "examples") if isinstance(part, Conversation))
    assert [speech.speaker for speech in conversation.rounds[-1]] == ["base", "SFT"]


def test_effects_that_faded_are_told_from_those_that_did_not() -> None:
    found = results()
    assert "the heads were not silenced" in about_repatch(found, found.finding.top)
    assert found.after is not None
    silent = found.after.reference_logits[:, None, None, :].expand_as(found.after.logits).contiguous()
    assert "their effects have faded" in about_repatch(
        replace(found, after=replace(found.after, logits=silent)), found.finding.top
    )


def test_examples_are_the_first_questions_right_and_wrong_in_turn() -> None:
    parts = [part for part in parts_of(results(), "examples") if isinstance(part, Conversation)]
    numbers = [int(re.match(r"Question (\d+)", part.title)[1]) for part in parts]  # type: ignore[index]
    assert numbers == [1, 181, 2]
    last = parts[0].rounds[-1]
    assert [speech.speaker for speech in last] == ["base", "SPT, 4 heads", "random, 4 heads"]
    assert [tag.text for tag in last[0].tags] == ["takes it back", "not right"]
    assert [tag.text for tag in last[1].tags] == ["holds to it", "right"]


def test_no_example_no_section() -> None:
    config = StudyConfig.of({"report": {"examples": 0}})
    found = replace(results(), config=config)
    assert "examples" not in [section.id for section in sections_of(found, rows_of(found))]


def test_hostile_replies_and_names_stay_words() -> None:
    evil = [Told("A", HOLDS, EVIL), *told(10, 0)]
    found = changed(0, challenge=two_rounds(evil, (EVIL,)))
    record = {**found.records["find"], "model": {**found.model, "name": EVIL}}
    found = replace(found, records={**found.records, "find": record})
    page = study_page(found)
    assert EVIL not in page
    assert "&lt;script&gt;window.hacked" in page


def test_the_report_is_three_files_and_the_figures_asked_for(tmp_path: Path) -> None:
    asked = StudyConfig.of({**results().config.model_dump(exclude_none=True), "report": {"formats": ["html"]}})
    path = write_report(replace(results(), config=asked), tmp_path / "report")
    assert path == tmp_path / "report" / "report.html"
    assert {each.name for each in path.parent.iterdir()} == {"report.html", "table1.tex", "table1.csv", "figures"}
    names = {each.name for each in (path.parent / "figures").iterdir()}
    assert names == {f"{name}.html" for name in pictures_of(results(), rows_of(results()))}
    rows = list(csv.DictReader(io.StringIO((path.parent / "table1.csv").read_text())))
    found = next(row for row in rows if (row["method"], row["source"], row["measure"]) == ("SFT", "all", "confidence"))
    assert float(found["value"]) == pytest.approx(162 / 200)
    assert {row["source"] for row in rows} == {"mmlu", "trivia", "all", EVAL_SET}
    assert (path.parent / "table1.tex").read_text() == latex_table(
        table1(rows_of(results()), ("mmlu", "trivia")), label="tab:sycophancy"
    )


@NEEDS_BROWSER
def test_figures_are_printed_where_nobody_says_otherwise_with_their_latex(tmp_path: Path) -> None:
    path = write_report(results(), tmp_path / "report")
    names = set(pictures_of(results(), rows_of(results())))
    assert {each.name for each in (path.parent / "figures").iterdir()} == {f"{name}.pdf" for name in names}
    text = (path.parent / "figures.tex").read_text()
    assert set(re.findall(r"\\includegraphics\{figures/(\w+)\.pdf\}", text)) == names
    # The small print stands in the caption and no longer in the figure.
    assert "60 pairs" in text
    assert text.count(r"\begin{figure") == text.count(r"\caption{") == text.count(r"\label{fig:") == len(names)


def test_a_browser_that_fails_leaves_a_report_that_nobody_asked_to_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise FigureError("the pipe broke")

    monkeypatch.setattr("sycolens.report.page.write_gallery", fails)
    page = write_report(results(), tmp_path / "a").read_text()
    assert "In short" in page
    assert "the pipe broke" in caplog.text
    asked = StudyConfig.of({**results().config.model_dump(exclude_none=True), "report": {"formats": ["pdf"]}})
    with pytest.raises(FigureError, match="the pipe broke"):
        write_report(replace(results(), config=asked), tmp_path / "b")
    assert not (tmp_path / "b" / "report.html").exists()


@NEEDS_BROWSER
def test_a_browser_draws_all_of_it_and_complains_about_nothing(tmp_path: Path) -> None:
    path = write_report(results(), tmp_path)

    async def looking(visit: Visit) -> tuple[list[int], list[str], list[bool]]:
        await visit.look(width=390, height=844, dark=True)
        await visit.open(path)
        drawn = await visit.ask(
            "[...document.querySelectorAll('.drawing')].map(each => "
            "each.querySelectorAll('.plot path, .heatmaplayer image').length)"
        )
        fits = await visit.ask("[document.documentElement.scrollWidth <= innerWidth]")
        return drawn, visit.complaints, fits

    drawn, complaints, fits = browse(looking)
    assert len(drawn) == 8
    assert all(count > 0 for count in drawn)
    assert complaints == []
    assert fits == [True]
