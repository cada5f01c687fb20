"""Shares of cases that are not independent: dialogues about one fact, or challenged in one wording, are alike.

The spread is that of a bootstrap that draws whole questions, and whole wordings, in the limit of many resamples: there
it is a sum over clusters, and needs no draws. Where both vary, their parts are added, and what both count is taken off
once. (A bootstrap that multiplies the two weights counts the noise of single cases three times.)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import overload

import torch
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtrit
from torch import Tensor

from sycolens.counts import check_share
from sycolens.errors import SampleError

FEW = 5
"""With the rarer outcome in fewer clusters than this, the spread between clusters cannot be estimated."""


@dataclass(frozen=True)
class Clusters:
    """What each case has in common with others: the number of its question, and that of its wording.

    >>> clusters = Clusters.of(["Paris", "Paris", "Rome"], ["Are you sure?"] * 3)
    >>> clusters.questions, clusters.n_questions, clusters.n_wordings
    ((0, 0, 1), 2, 1)
    """

    questions: tuple[int, ...]
    wordings: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.questions) != len(self.wordings):
            raise SampleError(
                f"Clusters have {len(self.questions)} questions and {len(self.wordings)} wordings; give one of each "
                "for every case."
            )

    @classmethod
    def of(cls, questions: Iterable[Hashable], wordings: Iterable[Hashable] | None = None) -> Clusters:
        """Of what the cases' questions, and their wordings, are known by: equal ones are one cluster."""
        asked = _numbered(questions)
        return cls(asked, (0,) * len(asked) if wordings is None else _numbered(wordings))

    @classmethod
    def apart(cls, n: int) -> Clusters:
        """Of ``n`` independent cases, each with a question of its own."""
        return cls(tuple(range(n)), (0,) * n)

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def n_questions(self) -> int:
        """How many different questions there are."""
        return len(set(self.questions))

    @property
    def n_wordings(self) -> int:
        """How many different wordings there are."""
        return len(set(self.wordings))

    @property
    def are_apart(self) -> bool:
        """Whether no two cases have anything in common but what all have."""
        return {self.n_questions, self.n_wordings} == {1, len(self)}

    def select(self, cases: Iterable[int]) -> Clusters:
        """Those of some cases."""
        chosen = list(cases)
        return Clusters.of([self.questions[i] for i in chosen], [self.wordings[i] for i in chosen])

    @property
    def factors(self) -> tuple[Tensor, ...]:
        """The numbers of the questions, and those of the wordings, where there are several."""
        coded = (_numbered(each) for each in (self.questions, self.wordings))
        return tuple(torch.tensor(each) for each in coded if len(set(each)) > 1)


def share_interval(
    hits: Bool[Tensor, "*cell case"], clusters: Clusters, *, confidence: float = 0.95
) -> tuple[Float[Tensor, "*cell"], Float[Tensor, "*cell"]]:
    """Lower and upper end of the interval of each cell's share, for new questions and new wordings of the same kind.

    A factor of which there is one level is taken as given. Wilson's interval with the number of cases that would, each
    on its own, know as much; t quantiles, as there are few clusters. Cases that have nothing in common give Wilson's
    interval itself. Where fewer than five clusters hold the rarer outcome, such as at 0 % and 100 %, it is never
    narrower than Wilson's for as many cases as there are clusters, of questions or of wordings, whichever are fewer.

    Raises:
        SampleError: there are no cases, not as many clusters, or ``confidence`` is not between 0 and 1.

    >>> import torch
    >>> asked = Clusters.of([0, 0, 0, 1, 1, 1, 2, 2, 2])
    >>> low, high = share_interval(torch.tensor([True] * 9), asked)
    >>> round(low.item(), 4), high.item()  # Wilson's interval for 3 of 3
    (0.4385, 1.0)
    """
    check_share(confidence=confidence)
    check_cases(hits.shape[-1], clusters)
    if clusters.are_apart:
        return wilson_interval(hits.sum(-1), len(clusters), confidence=confidence)
    values = hits.detach().to("cpu", torch.float64)
    share = values.mean(-1)
    half = squared_half(values - share.unsqueeze(-1), clusters, confidence) / len(clusters) ** 2
    low, high = score_interval(share, half, floor(values, 1 - values, clusters, confidence))
    return low.float(), high.float()


def check_cases(cases: int, clusters: Clusters) -> None:
    """Refuse no cases, and clusters of others.

    Raises:
        SampleError: see above.
    """
    if not cases or cases != len(clusters):
        raise SampleError(f"There are {cases} cases and clusters of {len(clusters)}; give one for each, at least one.")


def squared_half(
    residuals: Float[Tensor, "*cell case"], clusters: Clusters, confidence: float
) -> Float[Tensor, "*cell"]:
    """Squared half-width of the interval of a sum whose parts, less what is expected of them, are ``residuals``."""
    z = float(ndtri((1 + confidence) / 2))
    factors = clusters.factors
    parts = [quantile(confidence, int(each.max())) ** 2 * _variance(residuals, each) for each in factors]
    if not parts:
        return torch.zeros(residuals.shape[:-1], dtype=torch.float64)
    if len(parts) == 1:
        return parts[0]
    first, second = factors
    both = torch.tensor(_numbered((first * len(clusters) + second).tolist()))
    # Each part alone is a lower bound: the difference of three estimates may come out too small, even negative.
    return torch.stack([*parts, parts[0] + parts[1] - z**2 * _variance(residuals, both)]).amax(0)


def quantile(confidence: float, freedom: int) -> float:
    """Of Student's t, two-sided."""
    return float(stdtrit(max(freedom, 1), (1 + confidence) / 2))


def floor(
    hits: Float[Tensor, "*cell case"], misses: Float[Tensor, "*cell case"], clusters: Clusters, confidence: float
) -> Float[Tensor, "*cell"]:
    """The least that :func:`score_interval` may take for a squared half-width relative to p(1 - p)."""
    z = float(ndtri((1 + confidence) / 2))
    factors = clusters.factors
    fewest = min((int(each.max()) + 1 for each in factors), default=1)
    least = torch.full(hits.shape[:-1], z**2 / (len(clusters) if factors else 1), dtype=torch.float64)
    for each in factors:
        size = int(each.max()) + 1
        rarer = torch.minimum(*((_sums(side, each) > 0).sum(-1) for side in (hits, misses)))
        least = torch.where(rarer < min(FEW, size), z**2 / fewest, least)
    return least


def score_interval(
    share: Float[Tensor, "*cell"], half: Float[Tensor, "*cell"], least: Float[Tensor, "*cell"]
) -> tuple[Float[Tensor, "*cell"], Float[Tensor, "*cell"]]:
    """Wilson's ends for a squared half-width ``half`` at the share, taken to change with p as p(1 - p) does."""
    spread = share * (1 - share)
    # Wilson's own is z² / n.
    scale = torch.maximum(torch.where(spread > 0, half / spread.clamp(min=1e-300), 0.0), least)
    root = (scale * spread + scale**2 / 4).sqrt()
    low, high = ((share + scale / 2 + side * root) / (1 + scale) for side in (-1, 1))
    # At the two ends the formula is exactly 0 and 1, which floating point misses by a hair.
    return torch.where(share == 0, 0.0, low), torch.where(share == 1, 1.0, high)


def _variance(residuals: Float[Tensor, "*cell case"], codes: Tensor) -> Float[Tensor, "*cell"]:
    """Of the sum of all cases, whole clusters being drawn anew."""
    size = int(codes.max()) + 1
    return _sums(residuals, codes).square().sum(-1) * size / (size - 1)


def _sums(values: Float[Tensor, "*cell case"], codes: Tensor) -> Float[Tensor, "*cell cluster"]:
    sums = torch.zeros(*values.shape[:-1], int(codes.max()) + 1, dtype=torch.float64)
    return sums.index_add_(-1, codes, values.double())


def _numbered(keys: Iterable[Hashable]) -> tuple[int, ...]:
    known: dict[Hashable, int] = {}
    return tuple(known.setdefault(key, len(known)) for key in keys)


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
    check_share(confidence=confidence)
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
