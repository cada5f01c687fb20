"""Prove that the heads matter: knock them out, and see where they look."""

from sycolens.verify.ablation import ablate_heads
from sycolens.verify.attention import HeadAttention, attend_to
from sycolens.verify.comparison import AttentionComparison
from sycolens.verify.means import HeadMeans, mean_activations

__all__ = ["AttentionComparison", "HeadAttention", "HeadMeans", "ablate_heads", "attend_to", "mean_activations"]
