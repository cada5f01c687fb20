"""HookedTransformers of the block kinds that TransformerLens cannot load from a local directory."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import tiny
import torch

_SHAPE = {
    "n_layers": 3,
    "d_model": 32,
    "n_heads": 4,
    "d_head": 8,
    "d_mlp": 48,
    "n_ctx": 128,
    "d_vocab": tiny.VOCABULARY,
}
_ROTARY = {"positional_embedding_type": "rotary"}

HAND_MADE: dict[str, dict[str, Any]] = {
    "gpt2": {"act_fn": "gelu_new", "normalization_type": "LN"},
    "gemma2": {
        **_ROTARY,
        "act_fn": "gelu_pytorch_tanh",
        "normalization_type": "RMS",
        "gated_mlp": True,
        "n_key_value_heads": 2,
        "use_normalization_before_and_after": True,
        "attn_scores_soft_cap": 50.0,
        "output_logits_soft_cap": 30.0,
        "use_local_attn": True,
        "window_size": 6,
        "attn_types": ["global", "local", "global"],
        "final_rms": True,
    },
    "phi": {**_ROTARY, "rotary_dim": 4, "act_fn": "gelu", "normalization_type": "LN", "parallel_attn_mlp": True},
}


def hand_made(kind: str) -> Any:
    """A random HookedTransformer built from TransformerLens' own configuration."""
    lens = import_module("transformer_lens")
    model = lens.HookedTransformer(lens.HookedTransformerConfig(**_SHAPE, **HAND_MADE[kind], seed=0, device="cpu"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise * (0.3 if parameter.dim() > 1 else 0.1))
    return model.eval()
