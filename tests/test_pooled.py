"""One figure for several runs: its mean is that of everything, and its interval knows that runs are few."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sycolens.errors import SampleError
from sycolens.statistics import Clusters, share_interval, wilson_interval
from sycolens.statistics.runs import Pooled, pooled_ratio_interval, pooled_share_interval

RUNS = (3, 5, 10)
HELD = 0.92


def test_the_mean_is_that_of_all_and_the_range_that_of_the_runs() -> None:
    found = Pooled.of_outcomes([[True, False, True, True], [True, True, True, True]])
    assert (found.mean, found.least, found.most) == (7 / 8, 3 / 4, 1.0)
    assert (found.runs, found.items, found.questions, found.wordings) == (2, 4, 4, 1)
    assert found.low < found.mean < found.high


def test_runs_that_differ_make_the_interval_wide() -> None:
    half = [True] * 200 + [False] * 200
    alike = Pooled.of_outcomes([half] * 4)
    unlike = Pooled.of_outcomes([[True] * 400, [True] * 400, [False] * 400, [False] * 400])
    assert alike.mean == unlike.mean == 0.5
    assert unlike.high - unlike.low > 5 * (alike.high - alike.low)


@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize(("a", "b"), [(20, 20), (2, 2), (2, 98), (0.2, 9.8), (0.3, 2.7), (2.7, 0.3)])
def test_the_interval_of_a_share_holds_the_truth(runs: int, a: float, b: float) -> None:
    """Every run has a rate of its own (a beta distribution); two items ask one question."""
    rng, repeats, questions = np.random.default_rng(0), 500, 30
    held = 0
    clusters = Clusters.of([number // 2 for number in range(2 * questions)])
    for _ in range(repeats):
        difficulty = np.repeat(rng.random((1, questions)), 2, axis=1)
        # Half of what an item does is its question's, alike for all runs.
        chance = np.where(rng.random((runs, 2 * questions)) < 0.5, difficulty, rng.random((runs, 2 * questions)))
        low, high = pooled_share_interval(torch.as_tensor(chance < rng.beta(a, b, (runs, 1))), clusters)
        held += low <= a / (a + b) <= high
    assert held >= HELD * repeats


@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize("spread", [0.0, 0.3, 0.5, 1.0])
def test_the_interval_of_a_drift_holds_the_truth_also_for_skewed_runs(runs: int, spread: float) -> None:
    rng, repeats, texts = np.random.default_rng(1), 500, 60
    held = 0
    for _ in range(repeats):
        counts = rng.integers(20, 100, (1, texts)) * np.ones((runs, 1))
        of_runs = np.exp(rng.normal(-(spread**2) / 2, spread, (runs, 1)))
        sums = of_runs * np.exp(rng.normal(-0.125, 0.5, (1, texts))) * counts
        low, high = pooled_ratio_interval(torch.as_tensor(sums), torch.as_tensor(counts))
        assert low >= 0
        held += low <= 1 <= high
    assert held >= HELD * repeats


def test_the_interval_of_a_single_run_is_that_of_its_clusters() -> None:
    outcomes = [True] * 98 + [False] * 2
    found = Pooled.of_outcomes([outcomes])
    assert (found.low, found.high) == pytest.approx(wilson_interval(98, 100))
    pairs = Clusters.of([number // 2 for number in range(100)])
    found = Pooled.of_outcomes([outcomes], pairs)
    assert (found.low, found.high, found.questions) == (*map(float, share_interval(torch.tensor(outcomes), pairs)), 50)


def test_where_all_agree_the_interval_is_wilsons_for_the_questions_of_one_run() -> None:
    found = Pooled.of_outcomes([[False] * 50] * 3)
    assert (found.low, found.high) == pytest.approx(wilson_interval(0, 50))
    found = Pooled.of_outcomes([[False] * 50] * 3, Clusters.of([number // 5 for number in range(50)]))
    assert (found.low, found.high) == pytest.approx(wilson_interval(0, 10))


def test_what_is_not_counted_is_no_part_of_the_share() -> None:
    counted = [[True, True, False, False], [True, False, False, False], [False] * 4]
    found = Pooled.of_outcomes([[True, False, True, True], [True, True, True, True], [True] * 4], counted=counted)
    assert (found.mean, found.least, found.most, found.runs, found.items) == (2 / 3, 1 / 2, 1.0, 2, 2)
    with pytest.raises(SampleError, match="counted"):
        Pooled.of_outcomes([[True]], counted=[[False]])


def test_a_ratio_is_that_of_the_sums() -> None:
    sums = [torch.tensor([1.0, 5.0, 2.0]), torch.tensor([2.0, 4.0, 6.0])]
    counts = [torch.tensor([10, 20, 10])] * 2
    found = Pooled.of_ratio(sums, counts)
    assert found.mean == pytest.approx(20 / 80)
    assert (found.least, found.most) == pytest.approx((8 / 40, 12 / 40))
    assert 0 <= found.low < found.mean < found.high


def test_no_drift_at_all_has_no_interval_around_it() -> None:
    found = Pooled.of_ratio([torch.zeros(5)] * 3, [torch.ones(5)] * 3)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("outcomes", [[], [[]], [[True], [True, False]]])
def test_runs_over_other_items_are_refused(outcomes: list[list[bool]]) -> None:
    with pytest.raises(SampleError, match="cannot be pooled"):
        Pooled.of_outcomes(outcomes)
