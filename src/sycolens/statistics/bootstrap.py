"""The bootstrap interval of a mean: whole samples are drawn with replacement."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.statistics.samples import blocks, bootstrap_means, check_at_least, check_confidence, flatten


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
    check_confidence(confidence)
    check_at_least(resamples, 1, "resamples")
    flat = flatten(values, least=2)
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    ends = torch.empty(2, flat.shape[1], dtype=torch.float64)
    for cells in blocks(flat.shape[1], width=resamples):
        # Every block of cells starts from the same seed and therefore sees the same resamples.
        means = torch.cat(list(bootstrap_means(flat[:, cells], resamples, seed)))
        ends[:, cells] = torch.quantile(means, tails, dim=0)
    low, high = ends.float().reshape(2, *values.shape[1:])
    return low, high
