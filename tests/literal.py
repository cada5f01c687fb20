"""The literal algorithms, one hooked forward pass at a time, written so plainly that they need no test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def literal_path_patch(
    model: Any, reference: list[int], counterfactual: list[int], labels: tuple[int, int], *, frozen_mlps: bool = False
) -> Tensor:
    """Algorithm 1 for one pair: label logits [layer, head, label], one full forward pass for every head."""
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    with torch.no_grad():
        _, reference_cache = model.run_with_cache(torch.tensor([reference]))
        _, counterfactual_cache = model.run_with_cache(torch.tensor([counterfactual]))
        result = torch.empty(n_layers, n_heads, 2)
        for layer in range(n_layers):
            for head in range(n_heads):
                hooks = []
                for other in range(n_layers):
                    name = f"blocks.{other}.attn.hook_z"
                    held = reference_cache[name][:, -1].clone()
                    if other == layer:
                        per_head = held.view(1, n_heads, -1)
                        per_head[:, head] = counterfactual_cache[name][:, -1].reshape(1, n_heads, -1)[:, head]
                    hooks.append((name, hold_last(held)))
                    if frozen_mlps:
                        name = f"blocks.{other}.hook_mlp_out"
                        hooks.append((name, hold_last(reference_cache[name][:, -1].clone())))
                logits = model.run_with_hooks(torch.tensor([reference]), fwd_hooks=hooks)
                result[layer, head] = logits[0, -1, list(labels)]
    return result


def hold_last(held: Tensor) -> Any:
    """A hook that sets the last position."""

    def hook(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        value[:, -1] = held.view(value[:, -1].shape)
        return value

    return hook
