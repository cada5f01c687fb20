"""How far another ranking of the heads agrees with that of the exact effects, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens import statistics
from sycolens.choices import Metric
from sycolens.counts import check_choice, check_counts, check_share, is_count
from sycolens.errors import HeadError, PairError, SampleError
from sycolens.find.effects import HeadEffects
from sycolens.find.selection.scores import LOWEST_FIRST, HeadScores
from sycolens.heads import HeadSet
from sycolens.prompts import ContrastPairs
from sycolens.statistics import Clusters
from sycolens.statistics.clusters import quantile

if TYPE_CHECKING:
    import pandas

Order = Literal["sycophantic", "size"]
"""How the exact effects rank: most negative first, as heads are tuned; or the largest of either sign first."""
RESAMPLES: Final = 1000
MOST_CERTAIN: Final = 1 - 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class RankAgreement:
    """Rank correlation and overlap of the tops, with chance levels and intervals over questions.

    >>> attributed = attribute_heads(model, pairs, metric="prob_share", compute=QUIET)
    >>> rank_agreement(attributed, effects, k=4, metric="prob_share", pairs=pairs).heads
    48
    """

    selection: str
    k: int
    order: Order
    heads: int
    """How many heads are ranked."""
    correlation: float
    """Spearman, over all heads, of how important they are: 1 for the same ranking."""
    correlation_interval: tuple[float, float]
    """For other questions of the same kind; NaN where there are fewer than two."""
    exact_top: HeadSet
    selected_top: HeadSet
    shared_interval: tuple[float, float]
    """For the number of heads in both tops."""
    chance_in_layers: float
    """Expected number of heads in both tops if each were drawn anew from the same layers, so many from each."""
    questions: int
    """How many independent questions the intervals are over."""

    def __repr__(self) -> str:
        low, high = self.correlation_interval
        return (
            f"RankAgreement(by {self.selection}: rank correlation {self.correlation:+.2f} [{low:+.2f}, {high:+.2f}] "
            f"over {self.heads} heads, {len(self.shared)} of the top {self.k} shared, {self.chance:.1f} by chance)"
        )

    @property
    def shared(self) -> HeadSet:
        """Heads in both tops, in the order of the exact effects."""
        return HeadSet(head for head in self.exact_top if head in self.selected_top)

    @property
    def chance(self) -> float:
        """Expected number of heads in both tops if one were drawn from all heads (hypergeometric): k² / heads."""
        return self.k**2 / self.heads

    @property
    def p(self) -> float:
        """Probability that a top drawn from all heads shares at least as many (hypergeometric)."""
        return statistics.hypergeometric_tail(len(self.shared), self.k, self.heads)

    def to_frame(self) -> pandas.DataFrame:
        """One row: both numbers with interval and chance."""
        import pandas

        row = {
            "selection": self.selection,
            "order": self.order,
            "heads": self.heads,
            "questions": self.questions,
            "correlation": self.correlation,
            "correlation_low": self.correlation_interval[0],
            "correlation_high": self.correlation_interval[1],
            "k": self.k,
            "shared": len(self.shared),
            "shared_low": self.shared_interval[0],
            "shared_high": self.shared_interval[1],
            "chance": self.chance,
            "chance_in_layers": self.chance_in_layers,
            "p": self.p,
        }
        return pandas.DataFrame([row])


def rank_agreement(
    scores: HeadScores,
    effects: HeadEffects,
    *,
    k: int = 8,
    metric: Metric = "logit_share",
    order: Order = "sycophantic",
    pairs: ContrastPairs | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> RankAgreement:
    """How far a selection ranks heads as their exact effects do.

    Intervals are for rankings made from as many other questions, not from endlessly many: with more questions rankings
    would agree better. That of the correlation is a jackknife that leaves out one question at a time (on Fisher's z,
    Student's t), that of the shared heads the percentiles of a bootstrap that draws whole questions. Where the
    selection was made on the same pairs, both rankings are made anew, otherwise only the exact one. ``pairs`` are those
    of the effects and tell which of them ask the same question (by the tokens of their part "question"); without them
    every pair counts as its own.

    Raises:
        HeadError: the maps differ in shape, not every head was patched, or k is out of range.
        PairError: ``pairs`` are not those of the effects.
        MetricError: as :meth:`HeadEffects.scores`.
        SampleError: an unknown ``order``, or ``confidence`` is no share.

    >>> attributed = attribute_heads(model, pairs, metric="prob_share", compute=QUIET)
    >>> len(rank_agreement(attributed, effects, k=4, metric="prob_share", pairs=pairs).shared)
    4
    """
    check_choice(SampleError, Order, order=order)
    check_share(confidence=confidence)
    check_counts(SampleError, least=0, seed=seed)
    exact = effects.per_pair(metric)
    if exact.shape[1:] != scores.scores.shape or exact.isnan().any():
        raise HeadError(
            f"The scores are of {tuple(scores.scores.shape)} layers and heads, the effects of {len(effects.heads)} "
            f"heads in {tuple(exact.shape[1:])}; rank all heads of one model (patch_heads without heads=...)."
        )
    count = scores.scores.numel()
    if not is_count(k) or not 1 <= k <= count:
        raise HeadError(f"k={k!r}, but there are {count} heads; choose k from 1 to {count}.")
    if pairs is not None and pairs.fingerprint != effects.pairs_fingerprint:
        raise PairError("These are not the pairs that the effects were measured on; give those, or leave pairs out.")

    same = scores.samples_fingerprint == effects.pairs_fingerprint and len(scores) == len(effects)
    chosen = scores.importance.flatten().double()
    found = _importance(exact.double().mean(0).flatten(), order)
    asked = _questions(pairs, len(effects))

    def again(weights: Float[Tensor, " sample"]) -> tuple[Tensor, Tensor]:
        selected = _signed(_mean(scores.per_sample, weights), scores) if same else chosen
        return _importance(_mean(exact, weights), order), selected

    several, correlation = len(set(asked)) > 1, statistics.spearman(found, chosen).item()
    left_out = [statistics.spearman(*again(weights)).item() for weights in (_all_but_one(asked) if several else ())]
    overlaps = [
        len(_first(exactly, k) & _first(selected, k))
        for exactly, selected in map(again, _resamples(asked, seed) if several else ())
    ]
    exact_top, selected_top = _named(found, k, exact.shape[2]), scores.top(k)
    return RankAgreement(
        selection=scores.selection,
        k=k,
        order=order,
        heads=count,
        correlation=correlation,
        correlation_interval=_jackknife(correlation, left_out, confidence),
        exact_top=exact_top,
        selected_top=selected_top,
        shared_interval=_percentiles(overlaps, confidence),
        chance_in_layers=chance_in_layers(exact_top, selected_top, exact.shape[2]),
        questions=len(set(asked)),
    )


def chance_in_layers(first: HeadSet, second: HeadSet, n_heads: int) -> float:
    """Expected number of heads in both sets if each is drawn at random with as many heads in every layer.

    >>> chance_in_layers(HeadSet(["L0H0", "L0H1", "L1H0"]), HeadSet(["L0H2", "L2H0"]), 4)
    0.5
    """
    layers = {head.layer for head in first}
    in_layer = [(sum(h.layer == layer for h in first), sum(h.layer == layer for h in second)) for layer in layers]
    return sum(a * b for a, b in in_layer) / n_heads


def _importance(scores: Float[Tensor, " head"], order: Order) -> Float[Tensor, " head"]:
    return -scores if order == "sycophantic" else scores.abs()


def _signed(values: Float[Tensor, " head"], scores: HeadScores) -> Float[Tensor, " head"]:
    return -values if LOWEST_FIRST[scores.selection] else values


def _mean(per_sample: Float[Tensor, "sample layer head"], weights: Float[Tensor, " sample"]) -> Float[Tensor, " head"]:
    return weights @ per_sample.double().flatten(1) / weights.sum()


def _questions(pairs: ContrastPairs | None, count: int) -> tuple[int, ...]:
    if pairs is None or not all("question" in pair.spans for pair in pairs):
        return tuple(range(count))
    return Clusters.of(pair.reference[slice(*pair.spans["question"])] for pair in pairs).questions


def _resamples(questions: tuple[int, ...], seed: int) -> list[Float[Tensor, " sample"]]:
    """How often every pair counts, whole questions being drawn."""
    generator = torch.Generator().manual_seed(seed)
    number, n = torch.tensor(questions), max(questions) + 1
    drawn = torch.randint(n, (RESAMPLES, n), generator=generator)
    counts = torch.zeros(RESAMPLES, n, dtype=torch.float64).scatter_add_(1, drawn, torch.ones(RESAMPLES, n).double())
    return list(counts[:, number])


def _first(importance: Float[Tensor, " head"], k: int) -> set[int]:
    return set(importance.argsort(descending=True, stable=True)[:k].tolist())


def _named(importance: Float[Tensor, " head"], k: int, n_heads: int) -> HeadSet:
    return HeadSet(divmod(cell, n_heads) for cell in importance.argsort(descending=True, stable=True)[:k].tolist())


def _all_but_one(questions: tuple[int, ...]) -> list[Float[Tensor, " sample"]]:
    number = torch.tensor(questions)
    return [(number != each).double() for each in range(max(questions) + 1)]


def _jackknife(correlation: float, left_out: list[float], confidence: float) -> tuple[float, float]:
    n = len(left_out)
    if not n:
        return float("nan"), float("nan")
    # A perfect correlation has no finite z.
    z, *others = torch.tensor([correlation, *left_out], dtype=torch.float64).clamp(-MOST_CERTAIN, MOST_CERTAIN).atanh()
    apart = torch.stack(others) - torch.stack(others).mean()
    half = quantile(confidence, n - 1) * ((n - 1) / n * apart.square().sum()).sqrt()
    return (z - half).tanh().item(), (z + half).tanh().item()


def _percentiles(values: list[int], confidence: float) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    low, high = torch.tensor(values, dtype=torch.float64).quantile(tails).tolist()
    return low, high
