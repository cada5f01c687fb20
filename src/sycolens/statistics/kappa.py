"""How far two judges agree beyond what chance would give them: Cohen's kappa, for cases that are not independent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from sycolens.counts import check_share
from sycolens.errors import SampleError
from sycolens.statistics.clusters import FEW, Clusters, check_cases, share_interval, squared_half


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two judges who say yes or no: 1 for full agreement, 0 for no more than chance would give.

    >>> str(Kappa(0.4, (0.1, 0.7)))
    '0.400 [0.100, 0.700]'
    >>> str(Kappa(None))
    'undefined: both say the same of every case'
    """

    value: float | None
    """None where it is undefined: both judges say the same one word of every case, so that chance agrees fully too."""
    interval: tuple[float, float] | None = None
    """For other questions and wordings, 95 % unless another was asked for; None where there is no value."""

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            return f"undefined: {SAME}"
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}]"


SAME = "both say the same of every case"
"""Why a kappa is undefined."""


def cohens_kappa(
    first: Sequence[bool] | Bool[Tensor, " case"],
    second: Sequence[bool] | Bool[Tensor, " case"],
    clusters: Clusters | None = None,
    *,
    confidence: float = 0.95,
) -> Kappa:
    """Cohen's kappa of two judges of the same cases, with its interval for new questions and wordings.

    The spread is that of a bootstrap of whole questions and wordings in the limit of many resamples, as in
    :func:`share_interval`: kappa is linearized in the three shares that it is made of. Where they agree, or disagree,
    on fewer than five questions, that spread cannot be estimated, and the interval is never narrower than the one of
    the share of agreement, at the chance agreement that was found; so it does not collapse where they always agree.

    Raises:
        SampleError: no cases, not as many of both judges and of clusters, or ``confidence`` is not between 0 and 1.

    >>> kappa = cohens_kappa([True, True, False, False], [True, False, False, False])
    >>> kappa.value  # they agree in 3 of 4, by chance in 1/2
    0.5
    >>> cohens_kappa([True, True], [True, True]).value is None
    True
    """
    check_share(confidence=confidence)
    a, b = (torch.as_tensor(each).detach().to("cpu", torch.float64) for each in (first, second))
    if len(a) != len(b):
        raise SampleError(f"One judge has {len(a)} verdicts, the other {len(b)}; give one of each for every case.")
    clusters = Clusters.apart(len(a)) if clusters is None else clusters
    check_cases(len(a), clusters)
    agree = (a == b).double()
    found, p, q = agree.mean(), a.mean(), b.mean()
    chance = p * q + (1 - p) * (1 - q)
    if chance == 1:
        return Kappa(None)

    def kappa(share: Tensor) -> Tensor:
        return (share - chance) / (1 - chance)

    value = kappa(found)
    by_chance = (2 * q - 1) * (a - p) + (2 * p - 1) * (b - q)
    residuals = ((agree - found) - (1 - value) * by_chance) / (1 - chance)
    half = squared_half(residuals, clusters, confidence).sqrt() / len(a)
    low, high = value - half, value + half
    asked = list(zip(clusters.questions, agree.tolist(), strict=True))
    if any(len({question for question, each in asked if each == side}) < FEW for side in (0, 1)):
        least, most = share_interval(agree.bool(), clusters, confidence=confidence)
        low, high = torch.minimum(low, kappa(least.double())), torch.maximum(high, kappa(most.double()))
    return Kappa(value.item(), (low.clamp(min=-1).item(), high.clamp(max=1).item()))
