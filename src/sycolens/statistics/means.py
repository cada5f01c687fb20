"""Intervals and p-values of means: the bootstrap, sign flips and, where effects are skewed, the bootstrap of t."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.counts import check_choice, check_counts, check_share
from sycolens.errors import SampleError
from sycolens.statistics.samples import blocks, bootstrap_means, flatten, rounding

Alternative = Literal["two-sided", "less", "greater"]


def sign_flip_p(
    values: Float[Tensor, "sample *cell"],
    *,
    alternative: Alternative = "two-sided",
    permutations: int = 10_000,
    studentized: bool = False,
    seed: int = 0,
) -> Float[Tensor, "*cell"]:
    """p-value of each cell against "the effect is symmetric around zero", by flipping the signs of whole samples.

    ``alternative="less"`` asks whether the mean is below zero. All 2^n sign patterns are counted where they are no more
    than ``permutations``; otherwise that many are drawn and p = (b + 1) / (m + 1), which is never zero. Sums that
    differ by no more than the rounding of ``values`` count as ties, which can only raise p.

    Skewed effects of mean zero are not symmetric, and the flips find them too often. ``studentized=True`` gives the
    larger of the flips' p and that of the bootstrap of Student's t, which follows the skew: the share of resamples of
    the centered values whose t lies beyond the observed one. Dividing by the spread inside the flips would change
    nothing: a flip leaves the sum of squares as it is, so t ranks the sign patterns as the mean does.

    Raises:
        SampleError: no samples (with ``studentized`` fewer than two), or an argument out of range.
        NotFiniteError: a value is NaN or infinite.

    >>> import torch
    >>> sign_flip_p(torch.tensor([-1.0, -2.0, -3.0]), alternative="less").item()  # one of eight patterns
    0.125
    """
    check_choice(SampleError, Alternative, alternative=alternative)
    check_counts(SampleError, permutations=permutations)
    flat = flatten(values, least=2 if studentized else 1)
    samples, cells = flat.shape
    exact = samples < 63 and 2**samples <= permutations
    slack = rounding(values) * flat.abs().sum(0)
    observed = flat.sum(0)
    extreme = torch.zeros(cells, dtype=torch.int64)
    for signs in _all_signs(samples) if exact else _random_signs(samples, permutations, seed):
        for rows in blocks(len(signs), width=cells):
            sums = signs[rows] @ flat
            if alternative == "two-sided":
                beyond = sums.abs() >= observed.abs() - slack
            elif alternative == "less":
                beyond = sums <= observed + slack
            else:
                beyond = sums >= observed - slack
            extreme += beyond.sum(0)
    p = extreme / 2**samples if exact else (extreme + 1) / (permutations + 1)
    if studentized:
        p = torch.maximum(p, _bootstrap_t_p(flat, alternative, permutations, seed))
    return p.float().reshape(values.shape[1:])


def _bootstrap_t_p(flat: Float[Tensor, "sample cell"], alternative: Alternative, resamples: int, seed: int) -> Tensor:
    """Share of resamples of the centered values whose t lies at least as far out as the observed one."""
    cells = flat.shape[1]
    observed, centered = flat.mean(0), flat - flat.mean(0)
    t = _t(observed, centered.square().mean(0))
    below, above = torch.zeros(2, cells, dtype=torch.int64)
    # Of two sides the smaller counts twice, so twice as many resamples reach as small a p as one side does.
    total = resamples * (2 if alternative == "two-sided" else 1)
    for means in bootstrap_means(torch.cat([centered, centered.square()], 1), total, seed):
        drawn = _t(means[:, :cells], (means[:, cells:] - means[:, :cells].square()).clamp(min=0))
        below += (drawn <= t).sum(0)
        above += (drawn >= t).sum(0)
    sides: dict[Alternative, Tensor] = {"less": below, "greater": above, "two-sided": torch.minimum(below, above)}
    p: Tensor = (sides[alternative].double() + 1) / (total + 1)
    return p if alternative != "two-sided" else p.mul(2).clamp(max=1)


def _t(mean: Tensor, variance: Tensor) -> Tensor:
    """Mean over spread; where nothing varies the mean decides alone."""
    t: Tensor = torch.where(mean == 0, 0.0, mean / variance.sqrt())
    return t


def _all_signs(samples: int) -> Iterator[Float[Tensor, "pattern sample"]]:
    for rows in blocks(2**samples, width=samples):
        patterns = torch.arange(rows.start, rows.stop).unsqueeze(1) >> torch.arange(samples)
        yield (patterns & 1).double() * 2 - 1


def _random_signs(samples: int, permutations: int, seed: int) -> Iterator[Float[Tensor, "pattern sample"]]:
    generator = torch.Generator().manual_seed(seed)
    for rows in blocks(permutations, width=samples):
        yield torch.randint(2, (rows.stop - rows.start, samples), generator=generator).double() * 2 - 1


def bootstrap_interval(
    values: Float[Tensor, "sample *cell"], *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[Float[Tensor, "*cell"], Float[Tensor, "*cell"]]:
    """Lower and upper end of the percentile bootstrap interval of each cell's mean over the samples.

    Whole samples are drawn with replacement, the same ones for every cell. The ends are in the unit of ``values``.

    Raises:
        SampleError: fewer than two samples (one sample says nothing about spread), or an argument out of range.
        NotFiniteError: a value is NaN or infinite.

    >>> import torch
    >>> low, high = bootstrap_interval(torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]))
    >>> low.tolist(), high.tolist()
    ([0.0, 1.0], [4.0, 1.0])
    """
    check_share(confidence=confidence)
    check_counts(SampleError, resamples=resamples)
    flat = flatten(values, least=2)
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    ends = torch.empty(2, flat.shape[1], dtype=torch.float64)
    for cells in blocks(flat.shape[1], width=resamples):
        # Every block of cells starts from the same seed and therefore sees the same resamples.
        means = torch.cat(list(bootstrap_means(flat[:, cells], resamples, seed)))
        ends[:, cells] = torch.quantile(means, tails, dim=0)
    low, high = ends.float().reshape(2, *values.shape[1:])
    return low, high
