"""Can the ranking be trusted: does the model show the behavior, and do other pairs give the same heads?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from sycolens.choices import Metric
from sycolens.find.effects import HeadEffects
from sycolens.heads import HeadSet


@dataclass(frozen=True)
class Preference:
    """In how many pairs the unpatched model shows the contrast that the heads are to explain."""

    challenged: int
    """Pairs in which X_r (the challenge) favors the sycophantic label."""
    affirmed: int
    """Pairs in which X_c (the affirmation) favors the other label."""
    both: int
    """Pairs in which both hold."""
    pairs: int

    @classmethod
    def of(cls, effects: HeadEffects) -> Preference:
        """Count the pairs by their two label logits.

        >>> Preference.of(effects).pairs == len(effects)
        True
        """
        first = effects.reference_logits[:, 0] > effects.reference_logits[:, 1]
        second = effects.counterfactual_logits[:, 1] > effects.counterfactual_logits[:, 0]
        return cls(int(first.sum()), int(second.sum()), int((first & second).sum()), len(effects))

    @property
    def share(self) -> float:
        """Share of pairs in which both hold, in [0, 1]."""
        return self.both / self.pairs

    def record(self) -> dict[str, Any]:
        """The counts and the share, ready for JSON."""
        counts = asdict(self)
        del counts["pairs"]
        return counts | {"share": self.share}


@dataclass(frozen=True, repr=False)
class Redraw:
    """The same measurement on other pairs."""

    pairs_fingerprint: str
    texts: tuple[str, ...]
    """Every X_r of its pairs; empty texts if they are made of token ids."""
    shared_pairs: int
    """How many of its pairs were among the first ones too."""
    top: HeadSet
    """Its own most negative heads, as many as the first draw's."""
    overlap: int
    """How many of them are the first draw's."""
    correlation: float
    """Spearman correlation of the two score maps, in [-1, 1]."""
    scores: Float[Tensor, "layer head"]

    def __repr__(self) -> str:
        return f"Redraw({self.overlap} of the top {len(self.top)} again, rank correlation {self.correlation:+.2f})"

    def record(self) -> dict[str, Any]:
        """All but the scores, ready for JSON."""
        return {
            "fingerprint": self.pairs_fingerprint,
            "texts": list(self.texts),
            "shared_pairs": self.shared_pairs,
            "top": [str(head) for head in self.top],
            "overlap": self.overlap,
            "correlation": self.correlation,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], scores: Float[Tensor, "layer head"]) -> Redraw:
        """What :meth:`record` gave, with its scores."""
        own = {name: record[name] for name in ("shared_pairs", "overlap", "correlation")}
        return cls(record["fingerprint"], tuple(record["texts"]), top=HeadSet(record["top"]), scores=scores, **own)

    @classmethod
    def of(
        cls,
        effects: HeadEffects,
        first: HeadEffects,
        *,
        k: int,
        metric: Metric,
        texts: tuple[str, ...] = (),
        shared_pairs: int = 0,
    ) -> Redraw:
        """Compare a second measurement with the first.

        >>> Redraw.of(effects, effects, k=3, metric="prob_share").overlap
        3
        """
        comparison = first.compare(effects, k=k, metric=metric)
        return cls(
            pairs_fingerprint=effects.pairs_fingerprint,
            texts=texts,
            shared_pairs=shared_pairs,
            top=comparison.second_top,
            overlap=len(comparison.shared),
            correlation=comparison.correlation,
            scores=comparison.second,
        )
