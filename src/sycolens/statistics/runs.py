"""Several runs over the same cases: runs are a sample, and so are the questions that all of them meet.

Runs are few. Their part of the spread has the t quantile of their number, and for skewed runs, of which most lie on one
side, it is taken a little larger: (R + 1) / R times what is unbiased. The two parts' half-widths add in squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.counts import check_share
from sycolens.errors import SampleError
from sycolens.statistics.clusters import (
    Clusters,
    check_cases,
    floor,
    quantile,
    score_interval,
    share_interval,
    squared_half,
)
from sycolens.statistics.samples import flatten


def pooled_share_interval(
    hits: Tensor, clusters: Clusters, *, counted: Tensor | None = None, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval of a share over ``hits`` [run, case], for new runs, questions and wordings.

    Only cases that are ``counted`` in a run are part of the share. A single run gives :func:`share_interval`. As there,
    the interval stays in [0, 1] and does not collapse where all runs agree.

    Raises:
        SampleError: no runs or cases, clusters of others, a run or a case that is never counted, or ``confidence`` is
            not between 0 and 1.

    >>> low, high = pooled_share_interval(torch.tensor([[True, True], [True, False]]), Clusters.apart(2))
    >>> low < 0.75 < high
    True
    """
    check_share(confidence=confidence)
    runs, cases = hits.shape
    check_cases(cases, clusters)
    among = torch.ones(hits.shape, dtype=torch.bool) if counted is None else counted.bool()
    if not runs or not among.any(0).all() or not among.any(1).all():
        raise SampleError("A run or a case is never counted; leave it out.")
    if runs == 1:
        low, high = share_interval(hits[0], clusters, confidence=confidence)
        return low.item(), high.item()
    weights = among.double()
    values = hits.double() * weights
    total = weights.sum()
    share = values.sum() / total
    residuals = values - share * weights
    half = _of_runs(residuals, confidence) + squared_half(residuals.sum(0), clusters, confidence)
    least = floor(values.sum(0), (weights - values).sum(0), clusters, confidence)
    low, high = score_interval(share, half / total**2, least)
    return low.item(), high.item()


def ratio_interval(sums: Float[Tensor, " sample"], counts: Tensor, *, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of ``sums.sum() / counts.sum()``, a mean over the parts of samples of many sizes.

    Student's t on the ratio and, as sums that cannot be negative are skewed, on its logarithm: from the lower of the
    two lower ends to the higher of the two upper ones. Where all sums are zero or more, so is the lower end.

    Raises:
        SampleError: fewer than two samples, a count that is not positive, or ``confidence`` is not between 0 and 1.
        NotFiniteError: a number is NaN or infinite.

    >>> low, high = ratio_interval(torch.tensor([1.0, 20.0, 4.0, 6.0]), torch.tensor([1, 10, 5, 4]))
    >>> low < 31 / 20 < high
    True
    """
    return pooled_ratio_interval(sums.unsqueeze(0), counts.unsqueeze(0), confidence=confidence)


def pooled_ratio_interval(
    sums: Float[Tensor, "run sample"], counts: Tensor, *, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval of a ratio over several runs on the same samples, for new runs and new samples.

    As :func:`ratio_interval`; on the logarithm the runs' mean is that of log-normal runs (Cox's method).

    Raises:
        SampleError, NotFiniteError: as :func:`ratio_interval`.
    """
    check_share(confidence=confidence)
    # One row a sample, since samples come first everywhere.
    both = flatten(torch.stack([sums.double().T, counts.to(sums.device, torch.float64).T], 1), least=2)
    runs = len(sums)
    values, weights = both[:, :runs].T, both[:, runs:].T
    if not (weights > 0).all():
        raise SampleError("counts holds a number that is not positive; leave such samples out.")
    total = weights.sum()
    ratio = values.sum() / total
    residuals = values - ratio * weights
    of_samples = squared_half(residuals.sum(0), Clusters.apart(len(both)), confidence) / total**2
    half = of_samples + _of_runs(residuals, confidence) / total**2
    low, high = ratio - half.sqrt(), ratio + half.sqrt()
    by_run = values.sum(1) / weights.sum(1)
    if (values >= 0).all():
        low = low.clamp(min=0)
    if (by_run > 0).all():
        center, width = ratio.log(), of_samples / ratio**2
        if runs > 1:
            logs = by_run.log()
            spread = logs.var() * (runs + 1) / runs
            center = logs.mean() + logs.var() / 2
            width = width + quantile(confidence, runs - 1) ** 2 * (spread / runs + spread**2 / (2 * (runs - 1)))
        low = torch.minimum(low, (center - width.sqrt()).exp())
        high = torch.maximum(high, (center + width.sqrt()).exp())
    return low.item(), high.item()


def _of_runs(residuals: Float[Tensor, "run case"], confidence: float) -> Tensor:
    """The runs' part of the squared half-width of the sum of everything; nothing of a single run."""
    runs = len(residuals)
    if runs == 1:
        return torch.zeros((), dtype=torch.float64)
    return quantile(confidence, runs - 1) ** 2 * residuals.sum(1).square().sum() * (runs + 1) / (runs - 1)


@dataclass(frozen=True)
class Pooled:
    """A mean over runs and items, its 95 % interval, and the least and the most of the runs."""

    mean: float
    low: float
    high: float
    least: float
    most: float
    runs: int
    items: int
    questions: int
    """How many different questions (or texts) the items are about."""
    wordings: int

    @classmethod
    def of_outcomes(
        cls,
        outcomes: Sequence[Sequence[bool]],
        clusters: Clusters | None = None,
        *,
        counted: Sequence[Sequence[bool]] | None = None,
    ) -> Pooled:
        """Of a share: ``outcomes`` [run, item], true or false.

        The interval is for other runs, questions and wordings (:func:`~sycolens.statistics.pooled_share_interval`);
        ``clusters`` say which items share a question or a wording, by default none does. It counts what is
        ``counted``, by default everything; a run or an item that never is says nothing, and is left out.

        Raises:
            SampleError: there is nothing, or the runs differ in length.

        >>> Pooled.of_outcomes([[True, False, True, True], [True, True, True, True]]).mean
        0.875
        """
        hits = _matrix(outcomes) > 0
        among = torch.ones_like(hits) if counted is None else _matrix(counted) > 0
        clusters = Clusters.apart(hits.shape[1]) if clusters is None else clusters
        runs, items = among.any(1), among.any(0)
        if not runs.any():
            raise SampleError("No item of any run is counted; count at least one.")
        hits, among = hits[runs][:, items], among[runs][:, items]
        clusters = clusters.select(items.nonzero().flatten().tolist())
        ends = pooled_share_interval(hits, clusters, counted=among)
        kept = (hits & among).double()
        return cls._of(kept, among.double(), ends, clusters)

    @classmethod
    def of_ratio(cls, sums: Sequence[Tensor], counts: Sequence[Tensor]) -> Pooled:
        """Of a sum over a count, such as nats over tokens: both [run][item], each item independent.

        The interval is for other runs and items (:func:`~sycolens.statistics.pooled_ratio_interval`).

        Raises:
            SampleError: there is nothing, the runs differ in length, or there is a single item.

        >>> Pooled.of_ratio([torch.tensor([1.0, 2.0])], [torch.tensor([10, 20])]).mean
        0.1
        """
        above, below = _matrix(sums), _matrix(counts)
        return cls._of(above, below, pooled_ratio_interval(above, below), Clusters.apart(above.shape[1]))

    @classmethod
    def _of(cls, sums: Tensor, counts: Tensor, ends: tuple[float, float], clusters: Clusters) -> Pooled:
        by_run = sums.sum(1) / counts.sum(1)
        mean, least, most = float(sums.sum() / counts.sum()), float(by_run.min()), float(by_run.max())
        runs, items = sums.shape
        return cls(mean, *ends, least, most, runs, items, clusters.n_questions, clusters.n_wordings)


def _matrix(rows: Sequence[Sequence[bool]] | Sequence[Tensor]) -> Tensor:
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise SampleError(f"Runs over {sorted(lengths)} items cannot be pooled; give runs over the same items.")
    return torch.stack([torch.as_tensor(row, dtype=torch.float64) for row in rows])
