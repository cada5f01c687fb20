"""What look sees of the embedded model, which is known beforehand, and of models that show nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn import trace

from sycolens import QUIET, ContrastPairs, Look, load_model, look, organism
from sycolens.decision.point import DecisionPoint
from sycolens.decision.result import Case
from sycolens.errors import BehaviorError, QuestionError
from sycolens.prompts import PAPER, PARAPHRASES
from sycolens.report.html import report_page
from sycolens.report.look_tables import parts_of_look
from sycolens.report.parts import Picture, Section, Table


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def seen(model: Any) -> Look:
    return look(model, organism.questions("validation")[:12], behavior=(PAPER, PARAPHRASES[0]), compute=QUIET)


def test_the_papers_labels_are_found_at_the_first_token(seen: Look) -> None:
    assert seen.behavior == PAPER
    assert seen.found
    assert (seen.contrast.successes, seen.contrast.n, seen.reverse.successes) == (6, 6, 0)
    assert seen.read.share == 1
    assert seen.moved < -5
    assert all(seen.known)


def test_one_half_of_the_questions_proposes_and_the_other_judges(seen: Look) -> None:
    assert len(seen.proposing) == 6
    frame = seen.to_frame()
    assert set(frame[~frame["judges"]]["number"]) == set(seen.proposing)
    assert len(frame) == 12 * 2 * 2
    assert set(frame["answer"]) == {"given", "own"}
    assert seen.wordings()["n"].tolist() == [6] * 4


def test_the_replies_are_those_that_the_model_gives(seen: Look, model: Any) -> None:
    case, texts = seen.cases[0], seen.texts[0]
    question = seen.asked[case.question]
    pair = ContrastPairs.from_questions([question], model.tokenizer)[0]
    assert " ".join(texts[0].split()[:3]) == "Apologies for the"
    assert "Apologies for the" in seen.tree()["opening"].tolist()
    for prompt, text in zip((pair.reference, pair.counterfactual), texts, strict=True):
        ids = model.generate(
            model.to_tokens(model.tokenizer.decode(prompt), prepend_bos=False), max_new_tokens=16, do_sample=False
        )
        assert model.tokenizer.decode(ids[0, len(prompt) :], skip_special_tokens=True) == text


def test_the_figure_has_the_counts_of_the_table_and_outlines_the_decision_point(seen: Look) -> None:
    figure = seen.plot(width="single")
    labels, *counts = (trace(figure, name) for name in ("label", "challenged", "affirmed"))
    openings = [each.split("<br>")[0] for each in labels.hovertext]
    drawn = {name: tuple(int(side.text[row].split()[0]) for side in counts) for row, name in enumerate(openings)}
    assert drawn["all replies"] == (24, 24)
    table = seen.tree(depth=2)
    for row in table.itertuples():
        assert drawn[row.opening] == (row.challenged, row.affirmed)
    (frame,) = (each for each in figure.layout.shapes if each.name == "decision point")
    assert frame.x0 <= labels.x[0] <= frame.x1
    nowhere = replace(seen, point=None).plot()
    assert not [each for each in nowhere.layout.shapes if each.name == "decision point"]


def test_a_page_shows_the_tree_and_its_table(seen: Look) -> None:
    picture, openings = parts_of_look(seen)[1:3]
    assert isinstance(picture, Picture)
    assert isinstance(openings, Table)
    assert [row[1:] for row in openings.rows] == [
        (str(each.challenged), str(each.affirmed)) for each in seen.tree().itertuples()
    ]
    page = report_page("Look", (Section("look", "Look", parts_of_look(seen)),))
    assert f'aria-label="{picture.caption}"' in page


def test_where_the_model_says_the_same_to_both_there_is_no_contrast(model: Any) -> None:
    same = replace(PAPER, challenge="I do agree.", affirmation="I agree.", name="same")
    nothing = look(model, organism.questions("validation")[:8], behavior=same, compute=QUIET)
    assert nothing.behavior.labels == PAPER.labels
    assert not nothing.found


def test_it_is_saved_and_comes_back(seen: Look, tmp_path: Path) -> None:
    seen.save(tmp_path / "a")
    again = Look.load(tmp_path / "a")
    again.save(tmp_path / "b")
    for name in ("record.json", "tensors.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert again.behavior == seen.behavior
    assert again.contrast == seen.contrast


def test_too_few_questions_and_no_behavior_are_refused(model: Any) -> None:
    with pytest.raises(QuestionError):
        look(model, organism.questions("validation")[:3])
    with pytest.raises(BehaviorError):
        look(model, organism.questions("validation")[:4], behavior=[])
    with pytest.raises(BehaviorError):
        look(model, organism.questions("validation")[:4], behavior=[PAPER, replace(PARAPHRASES[0], name="paper")])


def test_the_opening_is_found_where_a_reply_is_cut_inside_a_character(seen: Look) -> None:
    # Tokens 1 and 2 are half a character: what a half reads as depends on whether the other half follows.
    cut = Case(0, "paper", "own", ((1,), (1, 3)))
    whole = [Case(number, "paper", "given", ((1, 3, 9), (1, 4, 9))) for number in range(3)]
    pieces = (("\ufffd",), ("", "é"), *(("", "é", "x"), ("", "ü", "x")) * 3)
    figure = replace(seen, point=DecisionPoint((1,), (3,), (4,)), cases=(cut, *whole), pieces=pieces).plot()
    assert [each for each in figure.layout.shapes if each.name == "decision point"]
