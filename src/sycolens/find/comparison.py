"""Two maps of head effects side by side: path against total, seed against seed, before against after tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from sycolens import statistics
from sycolens.choices import Metric
from sycolens.counts import is_count
from sycolens.errors import HeadError, SampleError
from sycolens.find.metrics import CHANGE_OF, RELATIVE
from sycolens.heads import HeadSet

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

    from sycolens.find.effects import HeadEffects


@dataclass(frozen=True, eq=False, repr=False)
class EffectComparison:
    """How far two measurements of the same heads agree, in their ranks and in their tops.

    >>> again = patch_heads(model, organism.pairs("train", 32, seed=1), compute=QUIET)
    >>> comparison = effects.compare(again, k=4, metric="prob_share")
    >>> comparison
    EffectComparison(rank correlation +0.88 over 48 heads, 4 of the top 4 shared, p = 5.1e-06)
    >>> comparison.shared
    HeadSet(L1H1, L2H2, L5H3, L1H0)
    """

    first: Float[Tensor, "layer head"]
    """Scores of the first measurement, NaN where it left a head out."""
    second: Float[Tensor, "layer head"]
    """Scores of the second."""
    heads: HeadSet
    """The heads that both measured; everything below is about them."""
    first_top: HeadSet
    """The k heads with the most negative scores in the first."""
    second_top: HeadSet
    """And in the second."""
    correlation: float
    """Spearman rank correlation of the scores, in [-1, 1]."""
    metric: Metric
    """What the scores are means of."""
    measurements: tuple[HeadEffects, HeadEffects]
    """What is compared."""

    @classmethod
    def of(cls, first: HeadEffects, second: HeadEffects, *, k: int, metric: Metric) -> EffectComparison:
        """Compare two measurements; as :meth:`HeadEffects.compare` does.

        Raises:
            HeadError: the maps differ in shape, or k is below 1 or above the number of heads in both.
            SampleError: fewer than two heads are in both.
        """
        scores = first.scores(metric), second.scores(metric)
        if scores[0].shape != scores[1].shape:
            shapes = " and ".join(f"{layers} layers of {heads} heads" for layers, heads in (s.shape for s in scores))
            raise HeadError(f"The two maps are of {shapes}; compare effects on models of one shape.")
        in_second = set(second.heads)
        common = HeadSet(head for head in first.heads if head in in_second)
        if len(common) < 2:
            raise SampleError(
                f"{len(common)} of {len(first.heads)} and {len(second.heads)} heads were measured in both; ranks need "
                "at least two, so patch the same heads."
            )
        if not is_count(k) or not 1 <= k <= len(common):
            raise HeadError(
                f"k={k!r}, but {len(common)} heads were measured in both; choose k from 1 to {len(common)}."
            )
        kept = set(common)
        ranked = [HeadSet(head for head in each.ranking(metric) if head in kept) for each in (first, second)]
        cells = [head.layer for head in common], [head.index for head in common]
        correlation = statistics.spearman(scores[0][cells], scores[1][cells]).item()
        return cls(
            first=scores[0],
            second=scores[1],
            heads=common,
            first_top=ranked[0][:k],
            second_top=ranked[1][:k],
            correlation=correlation,
            metric=metric,
            measurements=(first, second),
        )

    def __repr__(self) -> str:
        return (
            f"EffectComparison(rank correlation {self.correlation:+.2f} over {len(self.heads)} heads, "
            f"{len(self.shared)} of the top {self.k} shared, p = {self.p:.2g})"
        )

    def _repr_html_(self) -> str:
        from sycolens.shown.finding import of_comparison

        return of_comparison(self)

    @property
    def k(self) -> int:
        """Size of the two tops."""
        return len(self.first_top)

    @property
    def shared(self) -> HeadSet:
        """Heads in both tops, in the order of the first."""
        return HeadSet(head for head in self.first_top if head in self.second_top)

    @property
    def p(self) -> float:
        """Probability that two unrelated tops of this size share at least as many heads (hypergeometric)."""
        return statistics.hypergeometric_tail(len(self.shared), self.k, len(self.heads))

    def to_frame(self) -> pandas.DataFrame:
        """One row a head measured in both, most negative in the first map first: head, first, second."""
        import pandas

        rows = [
            (str(head), self.first[head.layer, head.index].item(), self.second[head.layer, head.index].item())
            for head in self.heads
        ]
        frame = pandas.DataFrame(rows, columns=["head", "first", "second"])
        return frame.sort_values("first", kind="stable").reset_index(drop=True)

    def plot(
        self, *, first_title: str = "First effect", second_title: str = "Second effect", **options: Any
    ) -> plotly.graph_objects.Figure:
        """Effect against effect, the heads of either top marked.

        ``options`` go to :func:`sycolens.plots.head_scatter`.
        """
        from sycolens.plots import head_scatter

        either = [*self.first_top, *(head for head in self.second_top if head not in self.first_top)]
        p = f"=\u00a0{self.p:.2g}" if self.p >= 0.001 else "<\u00a00.001"
        note = (
            f"Diamonds: the top {self.k} of either, {len(self.shared)} of them in both (p\u00a0{p} by chance). "
            f"Rank correlation {self.correlation:.2f}."
        )
        return head_scatter(
            self.first,
            self.second,
            first_title=first_title,
            second_title=second_title,
            marked=[(head.layer, head.index) for head in either],
            **{"unit": "%" if self.metric in RELATIVE else "logits", "note": note.replace("-", "−"), **options},
        )

    def plot_maps(
        self,
        *,
        first_title: str = "first effect",
        second_title: str = "second effect",
        marked: HeadSet | None = None,
        **options: Any,
    ) -> plotly.graph_objects.Figure:
        """The paper's Figure 7(b): both maps on one color scale, the same heads outlined in both.

        ``marked`` are the heads to outline, such as those that were tuned; by default the top of the first.
        ``options`` go to :func:`sycolens.plots.before_after`.

        >>> comparison = effects.compare(effects, k=4, metric="prob_share")
        >>> figure = comparison.plot_maps(first_title="before tuning", second_title="after tuning")
        >>> figure.layout.annotations[1].text
        'before tuning'
        """
        from sycolens.plots import before_after

        first, second = self.measurements
        n_first, n_second = len(first), len(second)
        confidence = options.get("confidence", 0.95)
        intervals = (
            (
                first.confidence_interval(self.metric, confidence=confidence),
                second.confidence_interval(self.metric, confidence=confidence),
            )
            if min(n_first, n_second) > 1
            else None
        )
        notes = [
            f"{n_first:,} pairs {first_title}, {n_second:,} {second_title}." if n_first != n_second else "",
            f"Most negative: {first_title}." if marked is None else "",
        ]
        return before_after(
            self.first,
            self.second,
            intervals=intervals,
            names=(first_title, second_title),
            marked=[(head.layer, head.index) for head in (self.first_top if marked is None else marked)],
            **{
                "unit": "%" if self.metric in RELATIVE else "logits",
                "color_title": CHANGE_OF[self.metric],
                "n_pairs": n_first if n_first == n_second else None,
                "note": " ".join(filter(None, notes)),
                "marked_as": "most negative" if marked is None else "chosen",
                **options,
            },
        )
