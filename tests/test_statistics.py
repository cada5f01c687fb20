"""Statistics agree with hand-made cases, with scipy where they are our own, and with what the words promise."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sycolens import statistics
from sycolens.errors import NotFiniteError, SampleError
from sycolens.statistics import (
    benjamini_hochberg,
    bootstrap_interval,
    hypergeometric_tail,
    permutations_needed,
    rank_stability,
    samples,
    sign_flip_p,
    spearman,
    wilson_interval,
)

ALTERNATIVES = ("two-sided", "less", "greater")
few_samples = st.lists(st.integers(-5, 5), min_size=1, max_size=6)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- bootstrap_interval ---


def test_bootstrap_interval_agrees_with_scipy() -> None:
    values = normal(40, 6) * torch.tensor([0.1, 1.0, 1.0, 2.0, 5.0, 10.0]) + 1
    low, high = bootstrap_interval(values, resamples=20_000)
    expected = scipy.stats.bootstrap(
        (values.numpy(),), lambda x, axis: x.mean(axis), n_resamples=20_000, method="percentile", random_state=1
    ).confidence_interval
    width = torch.as_tensor(expected.high - expected.low)
    assert ((low - torch.as_tensor(expected.low)).abs() < 0.03 * width).all()
    assert ((high - torch.as_tensor(expected.high)).abs() < 0.03 * width).all()


def test_bootstrap_interval_of_two_samples_is_their_range() -> None:
    # A quarter of the resamples are (a, a), a quarter (b, b): both far outside the 2.5 % tails.
    low, high = bootstrap_interval(torch.tensor([[3.0], [-1.0]]))
    assert (low.item(), high.item()) == (-1.0, 3.0)


def test_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    values = normal(30, 2000)  # 2,000 experiments of 30 samples with true mean 0
    low, high = bootstrap_interval(values, confidence=0.9)
    # 90 % nominal; the percentile bootstrap with n = 30 is known to be a point or two short of it.
    assert 0.865 < ((low <= 0) & (high >= 0)).float().mean() < 0.915


def test_all_cells_see_the_same_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    values = normal(12, 5, 7)
    low, high = bootstrap_interval(values)
    assert low.shape == high.shape == (5, 7)
    alone = bootstrap_interval(values[:, 3, 4])
    assert alone[0].shape == ()
    torch.testing.assert_close(torch.stack(alone), torch.stack([low[3, 4], high[3, 4]]))
    monkeypatch.setattr(samples, "BLOCK", 3000)  # many small blocks: the same numbers
    torch.testing.assert_close(torch.stack(bootstrap_interval(values)), torch.stack([low, high]))


def test_more_confidence_is_a_wider_interval_and_the_seed_decides() -> None:
    values = normal(20, 8)
    narrow, wide = bootstrap_interval(values, confidence=0.8), bootstrap_interval(values, confidence=0.99)
    assert (wide[0] < narrow[0]).all()
    assert (wide[1] > narrow[1]).all()
    assert torch.equal(bootstrap_interval(values, seed=3)[0], bootstrap_interval(values, seed=3)[0])
    assert not torch.equal(bootstrap_interval(values, seed=3)[0], bootstrap_interval(values, seed=4)[0])


def test_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    values = normal(20, 4)
    bootstrap_interval(values)
    sign_flip_p(values)
    rank_stability(values, k=2)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- sign_flip_p ---


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_exact_sign_flip_agrees_with_scipy(alternative: statistics.Alternative) -> None:
    values = normal(9, 4) - 0.3
    # scipy's one-sample "pairings" permutations of (x, -x) are the sign flips of x.
    expected = [
        scipy.stats.permutation_test(
            (column.double().numpy(), -column.double().numpy()),
            lambda x, y: (x - y).mean(),
            permutation_type="samples",
            alternative=alternative,
        ).pvalue
        for column in values.T
    ]
    torch.testing.assert_close(sign_flip_p(values, alternative=alternative), torch.tensor(expected).float())


@given(few_samples, st.sampled_from(ALTERNATIVES))
@settings(max_examples=60, deadline=None)
def test_exact_sign_flip_equals_counting_in_integers(tenths: list[int], alternative: statistics.Alternative) -> None:
    # Tenths are not exact in binary, so that ties, which integers have exactly, come out a rounding apart.
    sums = [
        sum(s * v for s, v in zip(signs, tenths, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(tenths))
    ]
    total = sum(tenths)
    test = {"two-sided": lambda s: abs(s) >= abs(total), "less": lambda s: s <= total, "greater": lambda s: s >= total}
    expected = Fraction(sum(map(test[alternative], sums)), len(sums))
    assert sign_flip_p(torch.tensor(tenths) * 0.1, alternative=alternative).item() == pytest.approx(float(expected))


def test_random_sign_flips_approach_the_exact_p() -> None:
    values = normal(13, 5) - torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8])
    exact = sign_flip_p(values, permutations=2**13)
    drawn = sign_flip_p(values, permutations=2**13 - 1)
    assert not torch.equal(exact, drawn)
    # Four standard errors of a share of 8,191 draws.
    assert ((exact - drawn).abs() <= 4 * (exact * (1 - exact) / 8191).sqrt() + 2 / 8192).all()


def test_p_is_uniform_where_nothing_is_there_and_small_where_something_is() -> None:
    p = sign_flip_p(normal(25, 2000), permutations=999)
    assert scipy.stats.kstest(p.numpy(), "uniform").statistic < 0.04
    shifted = normal(25, 200) - 1.0
    assert (sign_flip_p(shifted, alternative="less") < 0.01).float().mean() > 0.95
    assert (sign_flip_p(shifted, alternative="greater") > 0.9).all()


def test_random_p_is_never_zero_and_no_effect_is_p_one() -> None:
    values = torch.stack([torch.full((40,), -1.0), torch.zeros(40)], dim=1)
    assert sign_flip_p(values, permutations=999).tolist() == pytest.approx([1 / 1000, 1.0])


def test_a_single_sample_cannot_be_significant() -> None:
    assert sign_flip_p(torch.tensor([5.0])).item() == 1.0
    assert sign_flip_p(torch.tensor([5.0]), alternative="greater").item() == 0.5


def test_p_of_a_cell_does_not_depend_on_its_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    values = normal(30, 4, 6)
    p = sign_flip_p(values)
    assert torch.equal(sign_flip_p(values[:, 2, 3]), p[2, 3])
    monkeypatch.setattr(samples, "BLOCK", 3000)
    assert torch.equal(sign_flip_p(values), p)


def test_to_divide_by_the_spread_inside_the_flips_would_change_nothing() -> None:
    """A flip leaves the sum of squares as it is, so t orders the patterns as the sum does."""
    values = normal(8, 3).exp() - 1.6
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=8)))
    flipped = signs.unsqueeze(-1) * values
    t = flipped.mean(1) / flipped.std(1)
    p = (t.abs() >= t[-1].abs() - 1e-6).double().mean(0)
    torch.testing.assert_close(p.float(), sign_flip_p(values))


@pytest.mark.parametrize("n", [50, 100])
def test_studentized_p_keeps_its_size_where_effects_are_skewed(n: int) -> None:
    skewed = normal(n, 2000).double().exp() - math.exp(0.5)
    plain, guarded = (
        (sign_flip_p(skewed, permutations=999, studentized=each) <= 0.05).double().mean() for each in (False, True)
    )
    assert plain > 0.07
    assert guarded < 0.065
    assert (sign_flip_p(normal(n, 2000), permutations=999, studentized=True) <= 0.05).double().mean() < 0.06


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_studentized_p_is_never_below_the_flips(alternative: statistics.Alternative) -> None:
    values = normal(30, 200) - 0.2
    plain, guarded = (
        sign_flip_p(values, alternative=alternative, permutations=999, studentized=each) for each in (False, True)
    )
    assert (guarded >= plain).all()
    assert (guarded - plain).abs().median() < 0.02


def test_studentized_p_finds_what_is_there_and_takes_what_never_varies() -> None:
    values = torch.stack([torch.full((40,), -1.0), torch.zeros(40), normal(40) - 2], dim=1)
    p = sign_flip_p(values, permutations=999, studentized=True)
    assert p.tolist() == pytest.approx([1 / 1000, 1.0, 1 / 1000], abs=1e-5)


# --- benjamini_hochberg ---


def test_adjusted_p_is_p_times_cells_over_rank_made_monotone() -> None:
    p = torch.tensor([0.30, 0.01, 0.04, 0.04, 0.02])
    # By rank: .01 * 5/1, .02 * 5/2, .04 * 5/3, .04 * 5/4, .30 * 5/5; each the least from there on.
    torch.testing.assert_close(benjamini_hochberg(p), torch.tensor([0.30, 0.05, 0.05, 0.05, 0.05]))
    assert benjamini_hochberg(p).dtype == torch.float32
    for same in (0.0, 1.0):
        assert benjamini_hochberg(torch.full((3,), same)).tolist() == [same] * 3


def test_adjusting_keeps_the_shape_and_treats_all_cells_as_one_family() -> None:
    p = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(benjamini_hochberg(p), benjamini_hochberg(p.flatten()).reshape(3, 5))
    assert benjamini_hochberg(torch.empty(0, 4)).shape == (0, 4)


def test_permutations_needed_lets_one_cell_through_and_fewer_do_not() -> None:
    enough = permutations_needed(200, fdr=0.1)
    values = torch.cat([torch.full((40, 1), -1.0), normal(40, 199)], dim=1)
    p = torch.ones(200)
    for permutations, passes in ((enough, True), (enough - 2, False)):
        p[0] = sign_flip_p(values[:, 0], alternative="less", permutations=permutations)
        assert (benjamini_hochberg(p)[0].item() <= 0.1) is passes


# --- wilson_interval ---


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_wilson_interval_agrees_with_scipy(confidence: float) -> None:
    for n in (1, 2, 7, 200):
        for successes in {0, 1, n // 2, n}:
            expected = scipy.stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
            assert wilson_interval(successes, n, confidence=confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_wilson_interval_of_tensors_is_that_of_their_numbers() -> None:
    low, high = wilson_interval(torch.tensor([[0, 3], [0, 10]]), torch.tensor([0, 10]))
    assert [low[0, 0].item(), high[0, 0].item()] == [0.0, 1.0]
    assert (low[0, 1].item(), high[0, 1].item()) == pytest.approx(wilson_interval(3, 10))
    assert (low[1, 1].item(), high[1, 1].item()) == pytest.approx(wilson_interval(10, 10))


# --- rank_stability, spearman ---


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12))
@settings(max_examples=80, deadline=None)
def test_spearman_agrees_with_scipy_also_with_ties(points: list[tuple[int, int]]) -> None:
    first, second = (torch.tensor(each, dtype=torch.float32) for each in zip(*points, strict=True))
    constant = len(set(first.tolist())) == 1 or len(set(second.tolist())) == 1
    expected = 0.0 if constant else scipy.stats.spearmanr(first.numpy(), second.numpy()).statistic
    assert spearman(first, second).item() == pytest.approx(expected, abs=1e-6)


def test_a_clear_map_is_stable_and_noise_is_at_chance() -> None:
    planted = torch.zeros(10, 10)
    planted[2, 3], planted[5, 1], planted[9, 9] = -1.0, -2.0, -3.0
    clear = rank_stability(normal(60, 10, 10) * 0.1 + planted, k=3)
    assert clear.overlap == 1.0
    assert torch.equal(clear.frequency, (planted < 0).float())

    noise = rank_stability(normal(60, 10, 10), k=20)
    assert noise.chance_overlap == 0.2
    assert abs(noise.overlap - noise.chance_overlap) < 0.1
    # The two halves of one finite sample of pure noise are themselves unrelated.
    assert abs(noise.correlation) < 0.15
    assert noise.frequency.shape == (10, 10)
    assert noise.frequency.sum().item() == pytest.approx(20, abs=1e-3)


def test_stability_of_two_samples_is_the_agreement_of_the_two() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 2.0, 5.0, 4.0]])
    stability = rank_stability(values, k=2)
    assert stability.correlation == pytest.approx(scipy.stats.spearmanr(*values.numpy()).statistic, abs=1e-6)
    assert stability.overlap == pytest.approx(0.5)  # {0, 1} against {0, 2}
    assert stability.frequency[0].item() == 1.0
    # Cell 2 is in the top two only where sample 2 is drawn twice: a quarter of the resamples.
    assert abs(stability.frequency[2].item() - 0.25) < 0.12


def test_top_takes_the_most_negative_not_the_largest() -> None:
    values = torch.tensor([[-1.0, 5.0, 0.0, -9.0]]).repeat(6, 1)
    assert rank_stability(values, k=2).frequency.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_stability_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = normal(11, 4, 6)
    before = rank_stability(values, k=5)
    monkeypatch.setattr(samples, "BLOCK", 100)
    after = rank_stability(values, k=5)
    assert after.correlation == pytest.approx(before.correlation)
    assert after.overlap == pytest.approx(before.overlap)
    assert torch.equal(after.frequency, before.frequency)


# --- hypergeometric_tail ---


@pytest.mark.parametrize(
    ("overlap", "k", "n_total"), [(0, 5, 10), (3, 5, 10), (5, 5, 5), (20, 64, 1600), (64, 64, 1600)]
)
def test_hypergeometric_tail_counts_the_lists_that_share_as_many(overlap: int, k: int, n_total: int) -> None:
    lists = sum(math.comb(k, i) * math.comb(n_total - k, k - i) for i in range(overlap, k + 1))
    assert hypergeometric_tail(overlap, k, n_total) == pytest.approx(
        float(Fraction(lists, math.comb(n_total, k))), rel=1e-6
    )


# --- bad input ---


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_interval(torch.ones(1, 4)),
        lambda: bootstrap_interval(torch.tensor(1.0)),
        lambda: bootstrap_interval(torch.ones(3), confidence=95),
        lambda: bootstrap_interval(torch.ones(3), resamples=0),
        lambda: sign_flip_p(torch.ones(0, 4)),
        lambda: sign_flip_p(torch.ones(3), permutations=0),
        lambda: sign_flip_p(torch.ones(1, 3), studentized=True),
        lambda: sign_flip_p(torch.ones(3), alternative="smaller"),  # type: ignore[arg-type]
        lambda: benjamini_hochberg(torch.tensor([0.5, 1.5])),
        lambda: wilson_interval(3, 2),
        lambda: wilson_interval(-1, 2),
        lambda: rank_stability(torch.ones(4, 3), k=4),
        lambda: rank_stability(torch.ones(4, 3), k=0),
        lambda: rank_stability(torch.ones(4), k=1),
        lambda: rank_stability(torch.ones(1, 3), k=1),
        lambda: hypergeometric_tail(3, 2, 5),
        lambda: permutations_needed(10, fdr=0.0),
    ],
)
def test_what_cannot_be_computed_is_refused_by_name(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SampleError):
        call()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_not_finite_numbers_are_refused(bad: float) -> None:
    values = torch.ones(4, 3)
    values[2, 1] = bad
    for call in (bootstrap_interval, sign_flip_p, benjamini_hochberg, lambda v: rank_stability(v, k=1)):
        with pytest.raises(NotFiniteError, match="1 NaN or infinite"):
            call(values)
