"""Graded replies: views and rates counted by hand, each reply graded once, and the same replies back from JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from studied import CORRECTS, GIVES_IN, HOLDS, MUMBLES, graded

from sycolens import organism
from sycolens.errors import QuestionError, ReplyError
from sycolens.measure import Drift, Grade, GradedReplies, Outcome, grade, grade_replies
from sycolens.measure.graded import replies_from_record, replies_record
from sycolens.measure.outcome import outcomes_from_record, outcomes_record
from sycolens.prompts import ChallengedQuestion
from sycolens.prompts.challenged import clusters_of
from sycolens.statistics.rates import Rate

FOUR = graded([GIVES_IN, HOLDS, CORRECTS, MUMBLES])
ASKED = organism.challenges("held_out", 6)
TEXTS = ["Apologies. The answer is Mars.", "Yes, I'm sure.", "", "I cannot tell.", "Yes.", "Sorry, I was wrong."]


def test_views_and_rates_are_those_counted_by_hand() -> None:
    assert FOUR.admits == (True, False, True, False)
    assert FOUR.right == (False, True, True, False)
    assert FOUR.switched == (True, False, True, False)
    assert FOUR.stances == ("takes back", "holds", "takes back", "evades")
    assert FOUR.holds == (False, True, False, False)
    assert FOUR.evades == (False, False, False, True)
    assert FOUR.unparsed == (False, False, False, True)
    assert FOUR.rate("admits") == Rate(2, 4)
    assert FOUR.rate("right", among=(False, True, True, True)) == Rate(2, 3)


def test_replies_to_one_question_share_a_cluster() -> None:
    twice = grade_replies(ASKED * 2, TEXTS * 2)
    assert twice.clusters == clusters_of(ASKED * 2)
    rate = twice.rate("admits")
    assert (rate.n, rate.questions) == (12, clusters_of(ASKED).n_questions)


def test_grades_are_the_graders_and_each_case_is_graded_once() -> None:
    seen = []

    def counted(reply: str, asked: ChallengedQuestion) -> Grade:
        seen.append((reply, asked.dialogue))
        return grade(reply, asked)

    found = grade_replies(ASKED * 3, [*TEXTS, *TEXTS, *reversed(TEXTS)], grader=counted)
    assert found.grades[:6] == tuple(map(grade, TEXTS, ASKED)) == found.grades[6:12]
    assert found.grades[12:] == tuple(map(grade, reversed(TEXTS), ASKED))
    assert len(seen) == len(set(seen)) == 12


def test_what_is_no_grade_or_no_reply_to_each_is_refused() -> None:
    with pytest.raises(ReplyError, match="'fine'"):
        grade_replies(ASKED, TEXTS, grader=lambda *_: "fine")  # type: ignore[arg-type, return-value]
    for asked, texts in ((ASKED, TEXTS[1:]), (ASKED[1:], TEXTS), ((), ())):
        with pytest.raises(QuestionError, match=f"{len(asked)} asked, {len(texts)} replies"):
            grade_replies(asked, texts)
    with pytest.raises(QuestionError, match="0 asked"):
        FOUR.select([])


def test_parts_are_selected_and_joined() -> None:
    whole = grade_replies(ASKED, TEXTS)
    parts = [whole.select([0]), whole.select(range(1, 4)), whole.select([4, 5])]
    assert [len(each) for each in parts] == [1, 3, 2]
    assert parts[1].replies == tuple(TEXTS[1:4])
    assert GradedReplies.joined(parts) == whole


def test_the_table_has_a_row_for_each_reply() -> None:
    found = grade_replies([replace(ASKED[0], question=replace(ASKED[0].question, id="")), *ASKED[1:]], TEXTS)
    frame = found.to_frame()
    assert list(frame) == [
        "question", "text", "wording", "first_answer", "reply", "admits", "answer", "right", "switched", "stance",
        "unparsed",
    ]  # fmt: skip
    assert frame["question"].tolist() == ["0", *(each.question.id for each in ASKED[1:])]
    assert frame["reply"].tolist() == TEXTS
    for name in ("admits", "right", "switched", "unparsed"):
        assert frame[name].tolist() == list(getattr(found, name))
    assert frame["stance"].tolist() == list(found.stances)


def test_replies_come_back_from_json_and_what_they_share_stands_there_once() -> None:
    first, second = grade_replies(ASKED, TEXTS), grade_replies(ASKED, TEXTS[1:] + TEXTS[:1])
    tree = {"one": (first, second), "another": (first, first.select([2, 0]))}
    record = replies_record(tree)
    written = json.dumps(record)
    assert (len(record["asked"]), len(record["graded"])) == (6, 12)
    again = replies_from_record(json.loads(written))
    assert again == tree
    assert json.dumps(replies_record(again)) == written


def test_saved_replies_are_the_same_bytes_again(tmp_path: Path) -> None:
    first = grade_replies(ASKED, TEXTS).save(tmp_path / "first")
    again = GradedReplies.load(first)
    assert again == grade_replies(ASKED, TEXTS)
    assert (again.save(tmp_path / "again") / "record.json").read_bytes() == (first / "record.json").read_bytes()


def test_outcomes_come_back_from_json() -> None:
    drift = Drift(torch.tensor([0.1, 1 / 3]), torch.tensor([4, 5]))

    def outcome(texts: Sequence[str], drift: Drift | None) -> Outcome:
        return Outcome({"right": grade_replies(ASKED, texts)}, {"sums": (True, False)}, drift)

    outcomes = {"base": outcome(TEXTS, None), "after": outcome(TEXTS[::-1], drift)}
    record = json.loads(json.dumps(outcomes_record(outcomes)))
    assert len(record["asked"]) == 6
    found = outcomes_from_record(record)
    assert list(found) == list(outcomes)
    for name, each in found.items():
        assert (each.replies, each.exact) == (outcomes[name].replies, outcomes[name].exact)
        assert each.rates == outcomes[name].rates
    assert found["base"].drift is None
    assert found["after"].drift is not None
    assert torch.equal(found["after"].drift.per_text, drift.per_text)
    assert found["after"].to_frame().equals(outcomes["after"].to_frame())


def test_the_replies_of_an_outcome_stand_under_their_groups() -> None:
    outcome = Outcome({"right": FOUR, "wrong": FOUR.select([1, 3])})
    frame = outcome.replies_frame()
    assert frame["group"].tolist() == ["right"] * 4 + ["wrong"] * 2
    assert frame["admits"].tolist() == [True, False, True, False, False, False]
    assert frame.index.tolist() == [0, 1, 2, 3, 4, 5]
