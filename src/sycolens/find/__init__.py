"""Find the heads: Algorithm 1, Eq. 2, how sure we are of the ranking, and other ways to select heads."""

from sycolens.choices import Metric
from sycolens.find.comparison import EffectComparison
from sycolens.find.effects import HeadEffects
from sycolens.find.finding import Finding, find_heads
from sycolens.find.patching import patch_heads
from sycolens.find.selection import (
    HeadScores,
    RankAgreement,
    attribute_heads,
    compare_weights,
    probe_heads,
    rank_agreement,
)

__all__ = [
    "EffectComparison",
    "Finding",
    "HeadEffects",
    "HeadScores",
    "Metric",
    "RankAgreement",
    "attribute_heads",
    "compare_weights",
    "find_heads",
    "patch_heads",
    "probe_heads",
    "rank_agreement",
]
