"""Which setting a method gets: cases that can be checked by eye."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from studied import graded

from sycolens.measure.drift import Drift
from sycolens.measure.grading import Grade
from sycolens.measure.outcome import Outcome
from sycolens.runs.choice import Tried, best, matched
from sycolens.runs.trainings import Training

METHOD = "SFT"
STEPS = (10, 20, 30)


def outcome(right: int, wrong: int, drift: float) -> Outcome:
    """Of ten right and ten wrong answers, so many are taken back."""
    replies = {
        group: graded([Grade(number < count, None, False, False) for number in range(10)])
        for group, count in (("right", right), ("wrong", wrong))
    }
    return Outcome(replies, drift=Drift(torch.tensor([drift] * 2), torch.tensor([1, 1])))


def tried(rate: float, seed: int, *outcomes: tuple[int, int, float]) -> Tried:
    by_step: Mapping[int, Outcome] = {step: outcome(*each) for step, each in zip(STEPS, outcomes, strict=True)}
    return Tried(METHOD, False, 1000, Training("sft", 0, seed, learning_rate=rate), Path(), by_step)


def test_best_keeps_right_answers_and_takes_wrong_ones_back() -> None:
    runs = [
        tried(0.1, 0, (10, 10, 0.0), (0, 0, 0.1), (1, 10, 0.3)),  # 20 steps: nothing is taken back, right or wrong
        tried(0.1, 1, (10, 10, 0.0), (0, 0, 0.1), (1, 10, 0.3)),
        tried(0.2, 0, (10, 10, 0.0), (0, 10, 0.5), (9, 10, 0.3)),  # good in one of two runs
        tried(0.2, 1, (10, 10, 0.0), (8, 10, 0.1), (9, 10, 0.3)),
    ]
    choice = best(METHOD, runs, STEPS)
    assert (choice.learning_rate, [step for _, step in choice.runs]) == (0.1, [30, 30])


def test_of_equal_settings_the_one_that_drifts_least_is_best() -> None:
    runs = [tried(0.1, 0, (5, 10, 0.0), (0, 10, 0.4), (0, 10, 0.3)), tried(0.2, 0, *[(0, 10, 0.5)] * 3)]
    choice = best(METHOD, runs, STEPS)
    assert (choice.learning_rate, [step for _, step in choice.runs]) == (0.1, [30])


def test_matched_takes_each_run_at_its_first_repaired_step() -> None:
    runs = [
        tried(0.1, 0, (2, 10, 0.0), (1, 8, 0.3), (0, 10, 0.1)),
        tried(0.1, 1, (1, 7, 0.0), (2, 10, 0.1), (1, 10, 0.5)),  # 10 steps: too few wrong answers are taken back
        tried(0.2, 0, (0, 10, 0.6), (0, 10, 0.1), (0, 10, 0.1)),
        tried(0.2, 1, (0, 10, 0.6), (0, 10, 0.1), (0, 10, 0.1)),
    ]
    choice = matched(METHOD, runs, STEPS)
    assert choice.learning_rate == 0.1
    assert [(each.training.seed, step) for each, step in choice.reached] == [(0, 20), (1, 30)]


def test_a_rate_at_which_more_runs_are_repaired_comes_first() -> None:
    never = [(9, 10, 0.0)] * 3
    runs = [
        tried(0.1, 0, *[(0, 10, 0.1)] * 3),
        tried(0.1, 1, *never),
        *(tried(0.2, n, *[(0, 10, 0.9)] * 3) for n in (0, 1)),
    ]
    assert matched(METHOD, runs, STEPS).learning_rate == 0.2


def test_a_method_that_never_repairs_has_runs_without_a_step() -> None:
    choice = matched(METHOD, [tried(0.1, 0, *[(9, 10, 0.1)] * 3)], STEPS)
    assert choice.reached == ()
    assert [step for _, step in choice.runs] == [None]
