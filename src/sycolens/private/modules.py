"""Modules and models: what has no public question."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle


def nothing_between(module: nn.Module, before: RemovableHandle, after: RemovableHandle) -> bool:
    """Whether one hook runs last before a module's forward pass and the other first after it (torch 2.9 to 2.13)."""
    last, first = next(reversed(module._forward_pre_hooks)), next(iter(module._forward_hooks))
    return bool(last == before.id and first == after.id)


def bridge_is_processed(model: Any) -> bool:
    """Whether a bridge has marked its weights as folded or centered (TransformerLens 3.9 to 4.3)."""
    return bool(getattr(model, "_weights_processed", False))


def attention_is_eager(config: Any) -> bool:
    """Whether a Hugging Face model holds all attention scores at once (transformers 5.9 to 5.23)."""
    return bool(getattr(config, "_attn_implementation", "eager") == "eager")


def grouped_name(attention: Any, name: str) -> str:
    """The name of a parameter of HookedTransformer's attention, another where groups share it (TransformerLens 3.9)."""
    return f"_{name}" if hasattr(attention, f"_{name}") else name
