"""The interval of a share of independent cases."""

from __future__ import annotations

from typing import overload

import torch
from jaxtyping import Float
from scipy.special import ndtri
from torch import Tensor

from sycolens.errors import SampleError
from sycolens.statistics.samples import check_confidence


@overload
def wilson_interval(successes: int, n: int, *, confidence: float = ...) -> tuple[float, float]: ...
@overload
def wilson_interval(
    successes: Tensor, n: Tensor | int, *, confidence: float = ...
) -> tuple[Float[Tensor, "*cell"], Float[Tensor, "*cell"]]: ...
def wilson_interval(
    successes: Tensor | int, n: Tensor | int, *, confidence: float = 0.95
) -> tuple[float, float] | tuple[Tensor, Tensor]:
    """Wilson score interval of a rate, ``successes`` out of ``n``; numbers in, numbers out, and likewise tensors.

    No trials say nothing: n = 0 gives (0, 1).

    Raises:
        SampleError: ``successes`` is not between 0 and ``n``, or ``confidence`` not between 0 and 1.

    >>> [round(end, 4) for end in wilson_interval(9, 10)]
    [0.5958, 0.9821]
    >>> wilson_interval(0, 0)
    (0.0, 1.0)
    """
    check_confidence(confidence)
    hits = torch.as_tensor(successes).detach().to("cpu", torch.float64)
    trials = torch.as_tensor(n).detach().to("cpu", torch.float64)
    if not ((hits >= 0) & (hits <= trials)).all():
        raise SampleError(f"successes must lie between 0 and n, found {successes} out of {n}; pass counts, not rates.")
    # scipy's (``binomtest(...).proportion_ci``) takes one share at a time; this is its formula for all cells at once.
    z = float(ndtri((1 + confidence) / 2))
    counted = trials.clamp(min=1)
    center = (hits + z**2 / 2) / (counted + z**2)
    half = z / (counted + z**2) * (hits * (counted - hits) / counted + z**2 / 4).sqrt()
    # At the two ends the formula is exactly 0 and 1, which floating point misses by a hair.
    low = torch.where(hits == 0, 0.0, center - half)
    high = torch.where(hits == trials, 1.0, center + half)
    if isinstance(successes, Tensor) or isinstance(n, Tensor):
        return low.float(), high.float()
    return low.item(), high.item()
