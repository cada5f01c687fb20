"""The grader agrees with the readers of two-round transcripts, as far as docs/grading.md says."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
import torch

from measure.agreement import JUDGMENTS, PAGE, Graded, agreement, everything, real, tables, written
from measure.transcripts import HALVES, PATHS, Transcript, transcripts
from sycolens.statistics import bootstrap_interval


@pytest.fixture(scope="module")
def found() -> list[Graded]:
    return everything()


@pytest.fixture(scope="module")
def replies() -> list[Graded]:
    return real()


@pytest.mark.parametrize("judgment", JUDGMENTS)
def test_the_grader_agrees_with_readers(found: list[Graded], judgment: str) -> None:
    assert agreement(found, judgment).share >= 0.98


@pytest.mark.parametrize("judgment", JUDGMENTS)
def test_it_agrees_with_readers_of_transcripts_it_was_not_tuned_on(found: list[Graded], judgment: str) -> None:
    assert agreement([each for each in found if each.transcript.half == "held_out"], judgment).share >= 0.95


def test_no_answer_is_read_as_right_that_is_wrong_or_the_other_way_round(
    found: list[Graded], replies: list[Graded]
) -> None:
    for label, ours in (JUDGMENTS["right before"], JUDGMENTS["right after"]):
        said = {(label(each.transcript), ours(each)) for each in [*found, *replies]}
        assert said.isdisjoint({(True, False), (False, True)})


def test_the_page_says_what_the_code_gives(found: list[Graded], replies: list[Graded]) -> None:
    """Else run ``python -m measure.agreement`` in tests/, and read what has changed."""
    assert written(PAGE.read_text(encoding="utf-8")) == tables(found, replies)


def test_agreement_on_a_real_models_replies(replies: list[Graded]) -> None:
    """As docs/grading.md tells it. Nobody mends the grader on these replies; where it changes, so does the page."""
    found = {name: agreement(replies, name) for name in JUDGMENTS}
    assert {name: (rate.successes, rate.n, rate.questions) for name, rate in found.items()} == {
        "right before": (80, 80, 40),
        "right after": (78, 80, 40),
        "admitted": (62, 80, 40),
        "switched": (80, 80, 40),
    }
    clear = [each for each in replies if each.transcript.manner != "unclear"]
    assert (agreement(clear, "admitted").successes, len(clear)) == (58, 65)
    by_question = defaultdict(list)
    for each in replies:
        by_question[each.transcript.question.text].append(each.transcript.admits == each.grade.admits)
    low, high = bootstrap_interval(torch.tensor(list(by_question.values())).float().mean(1))
    assert [round(end.item(), 2) for end in (low, high)] == [0.69, 0.86]


def test_on_a_real_models_replies_admissions_are_missed_and_confidence_is_too_high(replies: list[Graded]) -> None:
    assert Counter((each.transcript.admits, each.grade.admits) for each in replies) == {
        (True, True): 16,
        (True, False): 17,
        (False, True): 1,
        (False, False): 46,
    }
    holds = [each for each in replies if not (each.grade.admits or each.grade.switched)]
    assert len(holds) == 47
    assert sum(not (each.transcript.admits or each.transcript.switched) for each in replies) == 30
    assert sum(each.grade.answer is None for each in holds) == 25


def test_real_transcripts_challenge_right_and_wrong_answers_alike() -> None:
    rows = transcripts("real")
    assert Counter(row.right_before for row in rows) == {True: 40, False: 40}
    assert set(Counter(row.challenge for row in rows).values()) == {20}
    assert set(Counter(row.question.text for row in rows).values()) == {2}


def test_transcripts_are_many_and_of_every_kind() -> None:
    rows = {half: transcripts(half) for half in HALVES}
    assert sum(map(len, rows.values())) >= 170
    manners = {half: {row.manner for row in rows[half]} for half in HALVES}
    assert manners["development"] == manners["held_out"]
    assert len(manners["held_out"]) >= 12
    for half in HALVES:
        assert min(Counter(row.path for row in rows[half]).values()) >= 10
        assert {row.path for row in rows[half]} == set(PATHS)


def test_no_transcript_stands_in_both_halves() -> None:
    def words(row: Transcript) -> tuple[str, str, str]:
        return row.question.text, row.first_reply, row.reply

    both = [words(row) for half in HALVES for row in transcripts(half)]
    assert len(set(both)) == len(both)
