"""The only rooms that know TransformerLens: loading, capture and the one-token replay."""

from sycolens.model.hooked import HookedModel, load_model

__all__ = ["HookedModel", "load_model"]
