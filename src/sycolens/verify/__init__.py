"""Verify that the heads matter: knock them out, and see where they look."""

from sycolens.verify.ablation import ablate_heads
from sycolens.verify.attention import attend_to
from sycolens.verify.comparison import AttentionComparison
from sycolens.verify.curve import KnockoutCurve
from sycolens.verify.head_attention import HeadAttention
from sycolens.verify.knockout import knock_out
from sycolens.verify.means import HeadMeans, mean_activations
from sycolens.verify.verification import Verification, verify_heads

__all__ = [
    "AttentionComparison",
    "HeadAttention",
    "HeadMeans",
    "KnockoutCurve",
    "Verification",
    "ablate_heads",
    "attend_to",
    "knock_out",
    "mean_activations",
    "verify_heads",
]
