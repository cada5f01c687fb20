"""The only package that knows TransformerLens: loading, capture and the one-token replay."""

from sycolens.model.hooked import HookedModel
from sycolens.model.loading import load_model

__all__ = ["HookedModel", "load_model"]
