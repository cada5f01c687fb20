"""Prove that the heads matter: knock them out, and see where they look."""

from sycolens.verify.ablation import ablate_heads
from sycolens.verify.means import HeadMeans, mean_activations

__all__ = ["HeadMeans", "ablate_heads", "mean_activations"]
