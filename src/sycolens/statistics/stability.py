"""Whether other pairs would rank the heads alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.counts import check_counts
from sycolens.errors import SampleError
from sycolens.statistics.samples import blocks, bootstrap_means, flatten


@dataclass(frozen=True, repr=False)
class RankStability:
    """How far the ranking of the cells would survive other samples of the same kind."""

    correlation: float
    """Mean Spearman correlation of the score maps of two random halves of the samples, in [-1, 1]."""
    overlap: float
    """Mean share of the k most negative cells that two random halves agree on, in [0, 1]."""
    frequency: Float[Tensor, "*cell"]
    """Share of bootstrap resamples in which a cell is among the k most negative, in [0, 1]; sums to k."""
    k: int
    """Size of the top."""
    samples: int
    """Number of samples; each half holds ``samples // 2`` of them."""
    splits: int
    """Number of random halvings, and of bootstrap resamples."""

    def __repr__(self) -> str:
        return (
            f"RankStability(halves of {self.samples} samples: rank correlation {self.correlation:+.2f}, "
            f"{self.overlap:.0%} of the top {self.k} shared)"
        )

    @property
    def chance_overlap(self) -> float:
        """The overlap that two unrelated rankings would have: k over the number of cells."""
        return self.k / self.frequency.numel()


def rank_stability(values: Float[Tensor, "sample *cell"], *, k: int, splits: int = 200, seed: int = 0) -> RankStability:
    """Agreement of the map of means between random halves, and how often each cell is among the k most negative.

    Halves are of equal size (an odd sample sits out) and carry less data than the whole, so correlation and overlap
    err on the low side. Equal cells rank in their order in the map. A half whose cells are all equal ranks nothing and
    counts as correlation 0.

    Raises:
        SampleError: fewer than two samples or cells, or k not between 1 and the number of cells.
        NotFiniteError: a value is NaN or infinite.

    >>> import torch
    >>> stability = rank_stability(torch.tensor([[-3.0, 0.0, 1.0]]).repeat(8, 1), k=1)
    >>> round(stability.correlation, 6), stability.overlap, stability.frequency.tolist()
    (1.0, 1.0, [1.0, 0.0, 0.0])
    """
    check_counts(SampleError, k=k, splits=splits)
    flat = flatten(values, least=2)
    samples, cells = flat.shape
    if cells < 2:
        raise SampleError("values has a single cell, and one cell has no rank; pass at least two.")
    if k > cells:
        raise SampleError(f"k is {k}, but values has {cells} cells; choose k between 1 and {cells}.")
    correlation = overlap = 0.0
    for halves in _random_halves(samples, splits, seed):
        for rows in blocks(len(halves), width=cells):
            first, second = halves[rows].clamp(min=0) @ flat, (-halves[rows]).clamp(min=0) @ flat
            correlation += spearman(first, second).double().sum().item()
            overlap += (_lowest(first, k) & _lowest(second, k)).sum().item() / k
    counts = sum(_lowest(means, k).sum(0) for means in bootstrap_means(flat, splits, seed))
    frequency = (torch.as_tensor(counts) / splits).float().reshape(values.shape[1:])
    return RankStability(correlation / splits, overlap / splits, frequency, k, samples, splits)


def spearman(first: Float[Tensor, "*row cell"], second: Float[Tensor, "*row cell"]) -> Float[Tensor, "*row"]:
    """Spearman rank correlation over the last axis, ties given their average rank; 0 where a row is constant.

    >>> import torch
    >>> spearman(torch.tensor([1.0, 2.0, 3.0, 3.0]), torch.tensor([2.0, 4.0, 9.0, 9.0])).item()
    1.0
    """
    # It takes seconds to import. ``spearmanr`` correlates every column with every other; here row goes with row.
    from scipy.stats import rankdata

    a, b = (
        torch.as_tensor(rankdata(each.detach().to("cpu", torch.float64).numpy(), axis=-1)) for each in (first, second)
    )
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    scale = a.norm(dim=-1) * b.norm(dim=-1)
    return torch.where(scale > 0, (a * b).sum(-1) / scale.clamp(min=1e-300), 0.0).float()


def _random_halves(samples: int, splits: int, seed: int) -> Iterator[Float[Tensor, "split sample"]]:
    generator = torch.Generator().manual_seed(seed)
    half = samples // 2
    for rows in blocks(splits, width=samples):
        order = torch.rand(rows.stop - rows.start, samples, generator=generator).argsort(1)
        # +1 in the first half, -1 in the second, 0 for the odd sample; sums rank as means do.
        side = torch.zeros(samples, dtype=torch.float64)
        side[:half], side[half : 2 * half] = 1, -1
        yield torch.empty(order.shape, dtype=torch.float64).scatter_(1, order, side.expand(order.shape))


def _lowest(scores: Float[Tensor, "row cell"], k: int) -> Tensor:
    chosen = scores.argsort(dim=1, stable=True)[:, :k]
    return torch.zeros(scores.shape, dtype=torch.bool).scatter_(1, chosen, True)
