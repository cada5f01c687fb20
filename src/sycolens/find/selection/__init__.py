"""Other ways to select heads, beside which the exact map of :func:`sycolens.patch_heads` is shown."""

from sycolens.find.selection.agreement import RankAgreement, rank_agreement
from sycolens.find.selection.gradient import attribute_heads
from sycolens.find.selection.probes import probe_heads
from sycolens.find.selection.scores import HeadScores
from sycolens.find.selection.weights import compare_weights

__all__ = ["HeadScores", "RankAgreement", "attribute_heads", "compare_weights", "probe_heads", "rank_agreement"]
