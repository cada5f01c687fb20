"""Find the heads: Algorithm 1, Eq. 2, and how sure we are of the ranking."""

from sycolens.choices import Metric
from sycolens.find.comparison import EffectComparison
from sycolens.find.effects import HeadEffects
from sycolens.find.finding import Finding, find_heads
from sycolens.find.patching import patch_heads

__all__ = ["EffectComparison", "Finding", "HeadEffects", "Metric", "find_heads", "patch_heads"]
