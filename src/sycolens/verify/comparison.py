"""A group of heads against all others: does it attend more to a span, and would any group of that size?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens import statistics
from sycolens.counts import check_counts
from sycolens.errors import HeadError, SampleError
from sycolens.heads import HeadSet
from sycolens.shown.words import counted
from sycolens.verify.spans import span_name

if TYPE_CHECKING:
    import plotly.graph_objects

_BLOCK = 4_000_000
"""Random numbers held at once."""


@dataclass(frozen=True, eq=False, repr=False)
class AttentionComparison:
    """Mean attention mass of a group of heads and of all other heads, in [0, 1], with two p-values.

    The two answer different questions. ``p`` asks whether these heads are special: in how many groups of as many heads
    the difference to the others is at least as large. ``p_dialogues`` takes the heads as given and asks whether their
    difference would show in other dialogues; any steady difference, however small, makes it tiny.

    >>> from sycolens import attend_to
    >>> attend_to(model, pairs, compute=QUIET).compare(["L1H1", "L2H2"]).others.shape
    torch.Size([32])
    """

    heads: HeadSet
    span: str
    """Name of the part that is attended to; "custom" for spans of one's own."""
    group: Float[Tensor, " dialogue"]
    """Mean mass of the group's heads."""
    others: Float[Tensor, " dialogue"]
    """Mean mass of all other heads."""
    group_interval: tuple[float, float]
    others_interval: tuple[float, float]
    interval: tuple[float, float]
    """Bootstrap intervals over the dialogues; this one is of the difference."""
    p: float
    """Permutation p over heads, one-sided: the group attends more than a random group."""
    p_dialogues: float
    """Sign-flip permutation p over dialogues, one-sided: the group attends more than the others."""
    random_difference: float
    """Mean difference of the random groups to their others."""
    random_range: tuple[float, float]
    """Middle share (``confidence``) of the random groups' differences."""
    groups: int
    """How many groups of this size were counted: all there are, or as many as were drawn and the observed one."""
    confidence: float
    n_heads: int
    """Heads of the model."""
    model_name: str

    @property
    def group_mean(self) -> float:
        """Mean over the group's heads, then over the dialogues."""
        return self.group.double().mean().item()

    @property
    def others_mean(self) -> float:
        """Mean over all other heads, then over the dialogues."""
        return self.others.double().mean().item()

    @property
    def difference(self) -> float:
        """Group minus others."""
        return self.group_mean - self.others_mean

    def __repr__(self) -> str:
        return (
            f"AttentionComparison({len(self.heads)} of {self.n_heads} heads to {span_name(self.span)}: "
            f"{self.group_mean:.3f} against {self.others_mean:.3f}, p {self.p:.2g} over heads; "
            f"{counted(len(self.group), 'dialogue')})"
        )

    def _repr_html_(self) -> str:
        from sycolens.shown.verifying import of_comparison

        return of_comparison(self)

    def plot(self, **options: Any) -> plotly.graph_objects.Figure:
        """The paper's Figure 2(c): mean mass of the group and of the others, with their intervals.

        ``options`` go to :func:`sycolens.plots.attention_bars`.
        """
        from sycolens.plots import attention_bars

        ends = torch.tensor([self.group_interval, self.others_interval])
        size = len(self.heads)
        return attention_bars(
            [f"{size} chosen head{'s' if size > 1 else ''}", f"{self.n_heads - size} others"],
            torch.tensor([self.group_mean, self.others_mean]),
            low=ends[:, 0],
            high=ends[:, 1],
            confidence=self.confidence,
            n_dialogues=len(self.group),
            **{
                "mass_title": f"Attention to {span_name(self.span)}",
                "note": f"Against random groups of {size}: p\u00a0=\u00a0{self.p:.2g}.",
                **options,
            },
        )


def compare_groups(
    mass: Float[Tensor, "dialogue layer head"],
    heads: HeadSet,
    *,
    span: str,
    model_name: str,
    groups: int,
    seed: int,
    confidence: float,
) -> AttentionComparison:
    """Mean mass of ``heads`` against all others and against random groups of as many heads.

    Raises:
        HeadError: no heads, ones that do not exist, or all of them.
        SampleError: fewer than two dialogues, or a number out of range.
    """
    _, layers, width = mass.shape
    heads.check(layers, width)
    if len(heads) == layers * width:
        raise HeadError(f"All {len(heads)} heads were given, so there are no others to compare with; name fewer.")
    check_counts(SampleError, groups=groups)
    cells = mass.double().flatten(1)
    chosen = torch.zeros(layers * width, dtype=torch.bool)
    chosen[[head.layer * width + head.index for head in heads]] = True
    group, others = cells[:, chosen].mean(1), cells[:, ~chosen].mean(1)
    each = torch.stack([group, others, group - others], dim=1)
    low, high = statistics.bootstrap_interval(each, confidence=confidence, seed=seed)
    intervals = list(zip(low.tolist(), high.tolist(), strict=True))
    means = cells.mean(0)
    differences = torch.cat(list(_differences(means, len(heads), groups, seed)))
    observed = means[chosen].mean() - means[~chosen].mean()
    # Sums taken in another order round differently; a tie counts against the group.
    reached = int((differences >= observed - 1e-9 * means.abs().max()).sum())
    exact = comb(len(means), len(heads)) <= groups
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    lowest, highest = torch.quantile(differences, tails).tolist()
    return AttentionComparison(
        heads=heads,
        span=span,
        group=group.float(),
        others=others.float(),
        group_interval=intervals[0],
        others_interval=intervals[1],
        interval=intervals[2],
        p=reached / len(differences) if exact else (reached + 1) / (len(differences) + 1),
        p_dialogues=statistics.sign_flip_p(group - others, alternative="greater", seed=seed).item(),
        random_difference=differences.mean().item(),
        random_range=(lowest, highest),
        groups=len(differences) + (not exact),
        confidence=confidence,
        n_heads=len(means),
        model_name=model_name,
    )


def _differences(means: Tensor, size: int, groups: int, seed: int) -> Iterator[Float[Tensor, " group"]]:
    """Group minus others: of every group of this size where they are few, of random ones otherwise."""
    count, total = len(means), means.sum()

    def difference(members: Tensor) -> Tensor:
        inside = means[members].sum(1)
        return inside / size - (total - inside) / (count - size)

    if comb(count, size) <= groups:
        yield difference(torch.tensor(list(combinations(range(count), size))))
        return
    generator = torch.Generator().manual_seed(seed)
    block = max(1, _BLOCK // count)
    for start in range(0, groups, block):
        draws = torch.rand(min(block, groups - start), count, generator=generator, dtype=torch.float64)
        yield difference(draws.topk(size, dim=1).indices)
