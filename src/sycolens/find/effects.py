"""The effect of every head, as measured: label logits, and all that is asked of them afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens import statistics
from sycolens.choices import Metric
from sycolens.counts import check_counts, check_share, is_count
from sycolens.errors import HeadError
from sycolens.find.comparison import EffectComparison
from sycolens.find.metrics import CHANGE_OF, RELATIVE, change, require_metric
from sycolens.heads import Head, HeadSet
from sycolens.shown.words import counted, shortened
from sycolens.storage import SavedResult

if TYPE_CHECKING:
    import anywidget
    import pandas
    import plotly.graph_objects

    from sycolens.prompts import ContrastPairs
    from sycolens.verify import HeadAttention


@dataclass(frozen=True, eq=False, repr=False)
class HeadEffects(SavedResult):
    """Label logits of every pair with each head patched, and without a patch.

    >>> effects.scores("prob_share").shape
    torch.Size([6, 8])
    >>> effects.top(3)
    HeadSet(L1H1, L2H2, L1H0)
    """

    saved_as = "head effects"
    readers: ClassVar = {"heads": HeadSet, "receivers": HeadSet}

    logits: Float[Tensor, "pair layer head label"]
    """With one head patched; label 0 is the sycophantic response. NaN where a head was left out."""
    reference_logits: Float[Tensor, "pair label"]
    """On X_r without a patch."""
    counterfactual_logits: Float[Tensor, "pair label"]
    """On X_c without a patch."""
    heads: HeadSet
    """The heads that were patched, by layer and index."""
    mlps: str
    """``"live"`` (recomputed) or ``"frozen"`` (held at X_r)."""
    model_name: str
    pairs_fingerprint: str
    """Hash of the token ids and labels that were measured."""
    raw_logits: bool = True
    """Whether the logits are those of the original weights; a centered unembedding shifts them, which Eq. 2 feels."""
    single_labels: bool = True
    """Whether either side is one label; Eq. 2 does not mean a group's logit, the log-sum-exp of its members'."""
    effect: str = "path"
    """``"path"`` (no later head reacts but the receivers, if there are any) or ``"total"`` (all do)."""
    receivers: HeadSet = field(default_factory=HeadSet)
    """The later heads that the effect went through; whole groups where they share a key or value. Empty for none."""
    via: str = ""
    """The receivers' input that took it: ``"q"``, ``"k"`` or ``"v"``; empty without receivers."""

    def __len__(self) -> int:
        return len(self.reference_logits)

    def __repr__(self) -> str:
        _, layers, heads, _ = self.logits.shape
        kind = f", {self._kind}" if self._kind else ""
        measured = f"{counted(len(self), 'pair')}, {len(self.heads)} of {layers} x {heads} heads{kind}"
        return f"HeadEffects({measured}, {shortened(self.model_name, 40)})"

    def _repr_html_(self) -> str:
        from sycolens.shown.finding import of_effects

        return of_effects(self)

    def per_pair(self, metric: Metric = "logit_share") -> Float[Tensor, "pair layer head"]:
        """Change of the metric in each pair (Algorithm 1); negative means that the head carries sycophancy.

        A share of the reference value for ``logit_share`` and ``prob_share``, logits for ``logit_diff``.

        Raises:
            MetricError: ``logit_share`` meets groups of labels, or logits that are not positive or shifted by processed
                weights.
        """
        return self._map(self._cells(metric))

    def scores(self, metric: Metric = "logit_share") -> Float[Tensor, "layer head"]:
        """Mean change over the pairs: the paper's importance score, NaN where a head was left out."""
        return self._map(self._cells(metric).mean(0))

    def ranking(self, metric: Metric = "logit_share") -> HeadSet:
        """All patched heads, the most negative score first."""
        scores = self._cells(metric).mean(0)
        return HeadSet(self.heads[int(i)] for i in scores.argsort(stable=True))

    def top(self, k: int, *, metric: Metric = "logit_share") -> HeadSet:
        """The k heads with the most negative scores.

        Raises:
            HeadError: k is below 1 or above the number of patched heads.
        """
        if not is_count(k) or not 1 <= k <= len(self.heads):
            raise HeadError(f"k={k!r}, but {len(self.heads)} heads were patched; choose k from 1 to {len(self.heads)}.")
        return self.ranking(metric)[:k]

    def confidence_interval(
        self, metric: Metric = "logit_share", *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
    ) -> tuple[Float[Tensor, "layer head"], Float[Tensor, "layer head"]]:
        """Bootstrap interval of every score over the pairs: low and high.

        Raises:
            SampleError: there is only one pair, or an option is out of its range.
        """
        options = {"confidence": confidence, "resamples": resamples, "seed": seed}
        low, high = self._once(statistics.bootstrap_interval, metric, options)
        return self._map(low), self._map(high)

    def p_values(
        self,
        metric: Metric = "logit_share",
        *,
        permutations: int | None = None,
        studentized: bool = True,
        seed: int = 0,
    ) -> Float[Tensor, "layer head"]:
        """Two-sided sign-flip p of every score over the pairs, not corrected for their number.

        ``permutations`` defaults to as many as let one head stand out among all at a false-discovery rate of 5 %.
        Effects are skewed, which flips take for evidence: ``studentized`` guards against it
        (:func:`~sycolens.statistics.sign_flip_p`).

        Raises:
            SampleError: there is only one pair, or ``permutations`` is no whole number from 1.
        """
        if permutations is None:
            permutations = max(10_000, statistics.permutations_needed(len(self.heads)))
        options = {"permutations": permutations, "studentized": studentized, "seed": seed}
        return self._map(self._once(statistics.sign_flip_p, metric, options))

    def significant(self, fdr: float = 0.05, *, metric: Metric = "logit_share", seed: int = 0) -> HeadSet:
        """Heads whose effect, of either sign, survives Benjamini-Hochberg at this rate, most negative first.

        Raises:
            SampleError: ``fdr`` is no share between 0 and 1, or there is only one pair.
        """
        check_share(fdr=fdr)
        q = statistics.benjamini_hochberg(self._patched(self.p_values(metric, seed=seed)))
        kept = {head for head, value in zip(self.heads, q.tolist(), strict=True) if value <= fdr}
        return HeadSet(head for head in self.ranking(metric) if head in kept)

    def rank_stability(
        self, k: int, *, metric: Metric = "logit_share", splits: int = 200, seed: int = 0
    ) -> statistics.RankStability:
        """Agreement of the ranking between random halves of the pairs; ``frequency`` is in the order of ``heads``.

        Raises:
            SampleError: there is only one pair, or ``k`` or ``splits`` is out of its range.
        """
        return statistics.rank_stability(self._cells(metric), k=k, splits=splits, seed=seed)

    def compare(self, other: HeadEffects, *, k: int = 8, metric: Metric = "logit_share") -> EffectComparison:
        """Rank correlation with another measurement, and overlap of the two tops of k heads.

        Path against total, seed against seed, before against after tuning: over the heads that both measured.

        Raises:
            HeadError: the maps differ in shape, or k is below 1 or above the number of heads in both.
            SampleError: fewer than two heads are in both.

        >>> effects.compare(effects, k=3).shared
        HeadSet(L1H1, L2H2, L1H0)
        """
        return EffectComparison.of(self, other, k=k, metric=metric)

    def to_frame(self, metric: Metric = "logit_share") -> pandas.DataFrame:
        """One row a head, most negative first: head, layer, index, score, low, high, p, q."""
        import pandas

        low, high = (self._patched(bound) for bound in self.confidence_interval(metric))
        p = self._patched(self.p_values(metric))
        frame = pandas.DataFrame(
            {
                "head": [str(head) for head in self.heads],
                "layer": [head.layer for head in self.heads],
                "index": [head.index for head in self.heads],
                "score": self._patched(self.scores(metric)).tolist(),
                "low": low.tolist(),
                "high": high.tolist(),
                "p": p.tolist(),
                "q": statistics.benjamini_hochberg(p).tolist(),
            }
        )
        order = {str(head): place for place, head in enumerate(self.ranking(metric))}
        return frame.sort_values("head", key=lambda names: names.map(order)).reset_index(drop=True)

    def plot(
        self, metric: Metric = "logit_share", *, marked: int | HeadSet = 8, **options: Any
    ) -> plotly.graph_objects.Figure:
        """The paper's Figure 2(a): score of every head, negative red, the marked heads outlined.

        ``marked`` is how many of the most negative heads to outline, or the heads themselves; ``options`` go to
        :func:`sycolens.plots.heatmap`.

        Raises:
            HeadError: ``marked`` is no number from 0.
        """
        if not isinstance(marked, HeadSet):
            check_counts(HeadError, least=0, marked=marked)
        from sycolens.plots import heatmap

        chosen = marked if isinstance(marked, HeadSet) else self.ranking(metric)[:marked]
        low, high = self.confidence_interval(metric) if len(self) > 1 else (None, None)
        title = f"{CHANGE_OF[metric]}, {self._kind}" if self._kind else CHANGE_OF[metric]
        return heatmap(
            self.scores(metric),
            low=low,
            high=high,
            marked=[(head.layer, head.index) for head in chosen],
            n_pairs=len(self),
            **{"unit": "%" if metric in RELATIVE else "logits", "color_title": title, **options},
        )

    def explore(
        self, pairs: ContrastPairs, *, metric: Metric = "logit_share", attention: HeadAttention | None = None
    ) -> anywidget.AnyWidget:
        """A panel in a notebook: click a head for its numbers, the pairs on which it does most, and where it looks.

        ``pairs`` are those that were patched; ``attention`` is what :func:`sycolens.attend_to` found, on any prompts.
        ``.head`` of the widget is the chosen head. Needs the extra ``notebook``.

        Raises:
            FigureError: anywidget is not installed.
            PairError: these are not the pairs that the effects were measured on.
        """
        from sycolens.report.explorer import explore

        return explore(self, pairs, metric, attention)

    @property
    def _kind(self) -> str:
        """What to call the effect where it is not Algorithm 1's."""
        if not self.receivers:
            return "total effect" if self.effect == "total" else ""
        first, others = self.receivers[0], len(self.receivers) - 1
        return f"through {self.via} of {first}" + (f" and {others} more" if others else "")

    def _cells(self, metric: Metric) -> Float[Tensor, "pair cell"]:
        require_metric(metric, single_labels=self.single_labels, raw_logits=self.raw_logits, model_name=self.model_name)
        layers, indices = coordinates(self.heads)
        return change(self.logits[:, layers, indices], self.reference_logits, metric)

    def _once(self, statistic: Callable[..., Any], metric: Metric, options: Mapping[str, Any]) -> Any:
        """A statistic of the cells; figures and tables of the same effects share it."""
        cells = self._cells(metric)
        asked = statistic.__name__, repr(options), hashlib.sha256(cells.numpy().tobytes()).digest()
        if asked not in self._statistics:
            self._statistics[asked] = statistic(cells, **options)
        return self._statistics[asked]

    @cached_property
    def _statistics(self) -> dict[tuple[str, str, bytes], Any]:
        """Those that were made, by what was asked of which numbers."""
        return {}

    def _patched(self, grid: Float[Tensor, "layer head"]) -> Float[Tensor, " cell"]:
        return grid[coordinates(self.heads)]

    def _map(self, cells: Float[Tensor, "*pair cell"]) -> Float[Tensor, "*pair layer head"]:
        grid = torch.full((*cells.shape[:-1], *self.logits.shape[1:3]), torch.nan)
        layers, indices = coordinates(self.heads)
        grid[..., layers, indices] = cells
        return grid


def coordinates(heads: HeadSet) -> tuple[list[int], list[int]]:
    """Layers and indices, to pick heads from a map."""
    return [head.layer for head in heads], [head.index for head in heads]


def all_heads(n_layers: int, n_heads: int) -> HeadSet:
    """Every head of a model of that shape, by layer and index."""
    return HeadSet(Head(layer, index) for layer in range(n_layers) for index in range(n_heads))
