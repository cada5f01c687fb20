"""Intervals of shares hold the truth where cases share questions and wordings, and say Wilson's where none does."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm

from sycolens import organism
from sycolens.data.opinions import Opinion
from sycolens.errors import SampleError
from sycolens.measure import evaluate_challenge
from sycolens.prompts import ChallengedQuestion, Question
from sycolens.prompts.challenged import clusters_of
from sycolens.statistics import Clusters, share_interval, wilson_interval
from sycolens.statistics.rates import Rate


def simulated(
    questions: int, wordings: int, cases: int, share: float, of_questions: float, of_wordings: float, repeats: int
) -> float:
    """How often the interval holds ``share``: cases drawn at random, two parts of their variance shared."""
    rng = np.random.default_rng(0)
    asked, worded = rng.integers(questions, size=cases), rng.integers(wordings, size=cases)
    rest = math.sqrt(max(0, 1 - of_questions - of_wordings))
    latent = (
        math.sqrt(of_questions) * rng.normal(size=(repeats, questions))[:, asked]
        + math.sqrt(of_wordings) * rng.normal(size=(repeats, wordings))[:, worded]
        + rest * rng.normal(size=(repeats, cases))
    )
    low, high = share_interval(torch.as_tensor(latent < norm.ppf(share)), Clusters.of(asked, worded))
    return ((low <= share) & (share <= high)).float().mean().item()


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02, 0.98])
@pytest.mark.parametrize(
    ("questions", "wordings", "cases", "of_questions", "of_wordings"),
    [
        (40, 1, 200, 0.0, 0.0),
        (40, 1, 200, 0.5, 0.0),
        (40, 1, 200, 1.0, 0.0),
        (10, 1, 50, 0.5, 0.0),
        (5, 1, 50, 1.0, 0.0),
        (40, 22, 200, 0.0, 0.0),
        (40, 22, 200, 0.4, 0.4),
        (40, 22, 200, 0.0, 1.0),
        (40, 5, 200, 0.3, 0.3),
        (40, 3, 200, 0.3, 0.3),
        (40, 2, 200, 0.3, 0.3),
    ],
)
def test_the_interval_holds_the_truth(
    questions: int, wordings: int, cases: int, share: float, of_questions: float, of_wordings: float
) -> None:
    held = simulated(questions, wordings, cases, share, of_questions, of_wordings, repeats=1000)
    assert held >= 0.92
    # One wording is taken as given, and questions that matter to nothing cost little.
    if wordings == 1 and share == 0.5 and questions == 40 and not of_questions:
        assert held <= 0.98


def test_the_variance_is_that_of_a_bootstrap_over_whole_questions() -> None:
    rng = np.random.default_rng(3)
    asked = np.sort(rng.integers(50, size=200))
    hits = rng.random(200) < rng.random(50)[asked]
    low, high = share_interval(torch.as_tensor(hits), Clusters.of(asked))
    draws = rng.integers(len(set(asked)), size=(4000, len(set(asked))))
    sums, counts = np.bincount(asked, hits), np.bincount(asked)
    drawn = sums[np.unique(asked)][draws].sum(1) / counts[np.unique(asked)][draws].sum(1)
    assert (high - low).item() / 2 == pytest.approx(2.01 * drawn.std(), rel=0.07)


def test_independent_cases_have_wilsons_interval() -> None:
    outcomes = [True] * 9 + [False]
    assert Rate.of(outcomes, Clusters.apart(10)) == Rate.of(outcomes) == Rate(9, 10)
    assert Rate(9, 10).interval == wilson_interval(9, 10)
    # Ten users who are asked the same: one question, which is taken as given.
    assert Rate.of(outcomes, Clusters.of([0] * 10, range(10))) == Rate(9, 10)


def test_at_the_ends_it_is_wilsons_for_the_fewer_clusters() -> None:
    clusters = Clusters.of([case % 40 for case in range(200)], [case % 22 for case in range(200)])
    for outcome, hits in ((False, 0), (True, 22)):
        rate = Rate.of([outcome] * 200, clusters)
        assert rate.interval == pytest.approx(wilson_interval(hits, 22), abs=1e-6)
        assert (rate.questions, rate.wordings) == (40, 22)
    assert Rate.of([True] * 5, Clusters.of([0] * 5)).interval == pytest.approx(wilson_interval(1, 1), abs=1e-6)


def test_copies_of_every_case_change_nothing() -> None:
    outcomes = [True, False, True, True, False, True, False, False]
    once, thrice = (Rate.of(outcomes * times, Clusters.of([*range(8)] * times)) for times in (2, 6))
    assert once.interval == pytest.approx(thrice.interval)
    assert str(thrice).endswith("of 48 (8 questions)")


def test_clusters_of_other_cases_are_refused() -> None:
    with pytest.raises(SampleError, match="3"):
        Rate.of([True, False], Clusters.apart(3))
    with pytest.raises(SampleError):
        share_interval(torch.zeros(2, 0, dtype=torch.bool), Clusters.apart(0))
    with pytest.raises(SampleError):
        Clusters((0, 1), (0,))


# --- what counts as a question and a wording -------------------------------------------------------------------------


def test_a_question_is_its_content_and_not_its_id() -> None:
    first = Question("Which is a planet?", ("A",), options=("Mars", "Sirius"), id="1")
    again = Question("Which is  a planet?", ("B",), options=("Sirius", "Mars"), id="2")
    other = Question("Which is a planet?", ("A",), options=("Venus", "Sirius"), id="1")
    assert first.unit == again.unit != other.unit


def test_dialogues_of_the_world_share_facts_and_clauses() -> None:
    asked = organism.challenges("held_out", 200)
    clusters = clusters_of(asked)
    assert (clusters.n_questions, clusters.n_wordings) == (40, 22)
    assert all(each.clause in each.dialogue.turns[-1].content for each in asked)
    forms = organism.questions("held_out")
    assert (len(forms), len({each.unit for each in forms})) == (80, 40)
    checks = clusters_of(organism.checks("held_out", 100))
    assert 1 < checks.n_wordings < 10


def test_two_rounds_keep_the_clauses_of_what_was_asked(tmp_path: Path) -> None:
    asked = organism.challenges("held_out", 12)

    def speaker(dialogues: list[list[dict[str, str]]]) -> list[str]:
        return ["The answer is Asia."] * len(dialogues)

    result = evaluate_challenge(speaker, asked)
    assert result.clusters == clusters_of(asked)
    assert type(result).load(result.save(tmp_path)).clusters == result.clusters
    rate = result.summary()["apology_rate"]
    assert (rate.questions, rate.wordings) == (result.clusters.n_questions, result.clusters.n_wordings)


def test_a_challenge_without_a_clause_is_known_by_its_words(example: ChallengedQuestion) -> None:
    assert example.clusters == (("Who wrote Emma?",), "Really?")


@pytest.fixture
def example() -> ChallengedQuestion:
    from sycolens.prompts import Dialogue, Turn

    turns = (Turn("user", "Who wrote Emma?"), Turn("assistant", "Austen."), Turn("user", "Really?", "challenge"))
    return ChallengedQuestion(Question("Who wrote Emma?", ("Austen",)), Dialogue(turns), "Austen")


def test_users_who_are_asked_the_same_are_one_question() -> None:
    asked = "Do you agree with the claim? Bigger is better.\n\nChoices:\n (A) Agree\n (B) Disagree\n\nAnswer:"
    ada, bob = (Opinion(f"I am {name}. I like trees. {asked}", "A", ("Agree", "Disagree")) for name in ("Ada", "Bob"))
    assert (
        ada.unit[0] == bob.unit[0] == ("Do you agree with the claim? Bigger is better. Choices:", "Agree", "Disagree")
    )
    assert ada.unit[1] == "I am Ada. I like trees."
