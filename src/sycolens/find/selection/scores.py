"""A score of every head by another way than its effect, and the ranking that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens import statistics
from sycolens.choices import Selection
from sycolens.counts import check_counts, is_count
from sycolens.errors import HeadError, NotFiniteError
from sycolens.find.effects import all_heads, coordinates
from sycolens.find.metrics import CHANGE_OF, RELATIVE
from sycolens.heads import Head, HeadSet
from sycolens.shown.words import counted, shortened
from sycolens.storage import SavedResult

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

LOWEST_FIRST: Final[Mapping[Selection, bool]] = {"gradient": True, "probes": False, "weights": False}
"""Effects are the more sycophantic the more negative they are; accuracies and distances matter when they are large."""
CHANCE: Final = 0.5
"""Accuracy of a probe that knows nothing."""
OF: Final[Mapping[Selection, str]] = {"gradient": "pair", "probes": "question", "weights": "sample"}


@dataclass(frozen=True, eq=False, repr=False)
class HeadScores(SavedResult):
    """One number a head, by gradient, by probes or by weights; comparable in rank with the effects, not in size.

    >>> attributed = attribute_heads(model, pairs, metric="prob_share", compute=QUIET)
    >>> attributed
    HeadScores(by gradient, 32 pairs, 48 heads, organism)
    >>> attributed.ranking()[:2]
    HeadSet(L5H3, L1H0)
    """

    saved_as = "head scores"

    scores: Float[Tensor, "layer head"]
    """By gradient: estimated change of the metric, negative for sycophancy. By probes: accuracy on questions that the
    probe was not fitted on. By weights: distance from the other checkpoint."""
    per_sample: Float[Tensor, "sample layer head"]
    """The same for every pair (gradient) or question (probes), of which ``scores`` are means; none of weights."""
    ties: Float[Tensor, "layer head"]
    """What ranks heads of equal score, highest first: of probes the held-out log-likelihood; otherwise zeros."""
    selection: Selection
    model_name: str
    samples_fingerprint: str = ""
    """Hash of the pairs or dialogues; empty for weights."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What was asked for, such as metric and effect, or the checkpoint that weights were compared with."""

    readers: ClassVar = {"options": dict}

    @classmethod
    def of_samples(
        cls,
        per_sample: Float[Tensor, "sample layer head"],
        *,
        scores: Float[Tensor, "layer head"] | None = None,
        ties: Float[Tensor, "layer head"] | None = None,
        **fields: Any,
    ) -> HeadScores:
        """Scores that are means over samples, unless they are given.

        Raises:
            NotFiniteError: a score is NaN or infinite.
        """
        mean = per_sample.double().mean(0).float() if scores is None else scores
        found = cls(mean, per_sample, torch.zeros_like(mean) if ties is None else ties, **fields)
        if bad := int((~torch.isfinite(mean)).sum()):
            raise NotFiniteError(
                f"{found.model_name}: {bad} of {mean.numel()} heads have no finite score {found.by}; check the "
                "weights, or load the model in a wider dtype (float32)."
            )
        return found

    def __len__(self) -> int:
        return len(self.per_sample)

    def __repr__(self) -> str:
        samples = f"{counted(len(self), OF[self.selection])}, " if len(self) else ""
        heads = counted(self.scores.numel(), "head")
        return f"HeadScores({self.by}, {samples}{heads}, {shortened(self.model_name, 40)})"

    def _repr_html_(self) -> str:
        from sycolens.shown.selecting import of_scores

        return of_scores(self)

    @property
    def by(self) -> str:
        """The way in words, as in names of methods: "by gradient"."""
        return f"by {self.selection}"

    @property
    def heads(self) -> HeadSet:
        """Every head, by layer and index."""
        return all_heads(*self.scores.shape)

    def ranking(self) -> HeadSet:
        """All heads, the most important first: the most negative estimate, the best probe, the largest distance.

        Equal scores rank by ``ties``, then by layer and index.
        """
        ranked = list(self.heads)
        ranked.sort(key=self._key)
        return HeadSet(ranked)

    def top(self, k: int) -> HeadSet:
        """The first k of the ranking.

        Raises:
            HeadError: k is below 1 or above the number of heads.
        """
        count = self.scores.numel()
        if not is_count(k) or not 1 <= k <= count:
            raise HeadError(f"k={k!r}, but {self.model_name} has {count} heads; choose k from 1 to {count}.")
        return self.ranking()[:k]

    @property
    def importance(self) -> Float[Tensor, "layer head"]:
        """Ranks as numbers, so that the most important head has the largest; heads that tie in all share one."""
        keys = {head: self._key(head) for head in self.heads}
        place = {key: float(-number) for number, key in enumerate(sorted(set(keys.values())))}
        return torch.tensor([place[keys[head]] for head in self.heads]).view(self.scores.shape)

    def confidence_interval(
        self, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
    ) -> tuple[Float[Tensor, "layer head"], Float[Tensor, "layer head"]]:
        """Bootstrap interval of every score over the samples: low and high.

        Of probes over questions, with the probes as they were fitted.

        Raises:
            SampleError: there are fewer than two samples (of weights there is none), or an option is out of range.
        """
        return statistics.bootstrap_interval(self.per_sample, confidence=confidence, resamples=resamples, seed=seed)

    def to_frame(self) -> pandas.DataFrame:
        """One row a head, the most important first: head, layer, index, score; low, high where there are samples."""
        import pandas

        ranked = self.ranking()
        where = coordinates(ranked)
        columns: dict[str, Any] = {
            "head": [str(head) for head in ranked],
            "layer": where[0],
            "index": where[1],
            "score": self.scores[where].tolist(),
        }
        if len(self) > 1:
            low, high = self.confidence_interval()
            columns |= {"low": low[where].tolist(), "high": high[where].tolist()}
        return pandas.DataFrame(columns)

    def plot(self, *, marked: int | HeadSet = 8, **options: Any) -> plotly.graph_objects.Figure:
        """Score of every head as a map, the first of the ranking outlined; of probes what is above chance.

        ``marked`` is how many heads to outline, or the heads themselves; ``options`` go to
        :func:`sycolens.plots.heatmap`.

        Raises:
            HeadError: ``marked`` is no number from 0.
        """
        if not isinstance(marked, HeadSet):
            check_counts(HeadError, least=0, marked=marked)
        from sycolens.plots import heatmap

        chosen = marked if isinstance(marked, HeadSet) else self.ranking()[:marked]
        low, high = self.confidence_interval() if len(self) > 1 else (None, None)
        shift = self.neutral
        return heatmap(
            self.scores - shift,
            low=None if low is None else low - shift,
            high=None if high is None else high - shift,
            marked=[(head.layer, head.index) for head in chosen],
            **{
                "unit": self.unit,
                "color_title": self.title,
                "marked_as": "most negative" if LOWEST_FIRST[self.selection] else "highest",
                "n_pairs": len(self) if self.selection == "gradient" else None,
                **options,
            },
        )

    @property
    def neutral(self) -> float:
        """The score of a head that has nothing to do with it."""
        return CHANCE if self.selection == "probes" else 0.0

    @property
    def unit(self) -> str:
        """Of the scores: "%", "logits", or none."""
        if self.selection == "weights":
            return "%" if self.options.get("distance") == "change" else ""
        return "%" if self.selection == "probes" or self.options.get("metric") in RELATIVE else "logits"

    @property
    def title(self) -> str:
        """What the scores are called on a figure."""
        if self.selection == "gradient":
            changed = CHANGE_OF[self.options["metric"]]
            return f"{changed}, estimated" + (", total" if self.options["effect"] == "total" else "")
        return "Probe's accuracy above chance" if self.selection == "probes" else "Distance of the weights"

    def _key(self, head: Head) -> tuple[float, float]:
        cell = head.layer, head.index
        sign = 1 if LOWEST_FIRST[self.selection] else -1
        return sign * self.scores[cell].item(), -self.ties[cell].item()
