"""The literal algorithms, one hooked forward pass at a time, written so plainly that they need no test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sycolens.prompts.labels import TokenGroups


def read(logits: torch.Tensor, labels: TokenGroups) -> torch.Tensor:
    """The log of the sum of the exponentials of either side's logits, one by one."""
    return torch.stack([torch.stack([logits[token].exp() for token in group]).sum().log() for group in labels])


def literal_path_patch(
    model: Any, reference: list[int], counterfactual: list[int], labels: TokenGroups, *, frozen_mlps: bool = False
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
                result[layer, head] = read(logits[0, -1], labels)
    return result


def hold_last(held: Tensor) -> Any:
    """A hook that sets the last position."""

    def hook(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        value[:, -1] = held.view(value[:, -1].shape)
        return value

    return hook


def literal_reply(
    model: Any, prompt: list[int], heads: list[tuple[int, int]], z: Tensor, positions: str, n_tokens: int
) -> tuple[list[int], Tensor]:
    """A greedy reply of a model some of whose heads are overwritten: a whole uncached forward pass for every token.

    ``z`` is [position, layer, head, d_head] for the last tokens of the prompt. Also the logits before the first token.
    """
    text, first = list(prompt), None
    with torch.no_grad():
        while len(text) < len(prompt) + n_tokens:
            hooks = [
                (f"blocks.{layer}.attn.hook_z", overwrite_head(head, z[:, layer, head], len(prompt), positions))
                for layer, head in heads
            ]
            logits = model.run_with_hooks(torch.tensor([text]), fwd_hooks=hooks)[0, -1]
            first = logits if first is None else first
            text.append(int(logits.argmax()))
    assert first is not None
    return text[len(prompt) :], first


def overwrite_head(head: int, z: Tensor, prompt: int, positions: str) -> Any:
    """A hook that sets one head: at the end of the prompt, there and behind it, or at all tokens."""

    def hook(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        per_head = value.view(*value.shape[:2], -1, z.shape[-1])
        for place, vector in enumerate(z):
            per_head[:, prompt - len(z) + place, head] = vector
        if positions in ("generated", "all"):
            per_head[:, prompt:, head] = z[-1]
        if positions == "all":
            per_head[:, :, head] = z[-1]
        return value

    return hook


def literal_total_effect(model: Any, reference: list[int], counterfactual: list[int], labels: TokenGroups) -> Tensor:
    """Activation patching of the last token for one pair: label logits [layer, head, label]."""
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    with torch.no_grad():
        _, counterfactual_cache = model.run_with_cache(torch.tensor([counterfactual]))
        result = torch.empty(n_layers, n_heads, 2)
        for layer in range(n_layers):
            name = f"blocks.{layer}.attn.hook_z"
            for head in range(n_heads):
                patch = set_heads([head], counterfactual_cache[name][:, -1:])
                logits = model.run_with_hooks(torch.tensor([reference]), fwd_hooks=[(name, patch)])
                result[layer, head] = read(logits[0, -1], labels)
    return result


def literal_path_to_receivers(
    model: Any,
    reference: list[int],
    counterfactual: list[int],
    labels: TokenGroups,
    receivers: list[tuple[int, int]],
    via: str,
    n_tokens: int,
) -> Tensor:
    """Path patching head -> receivers for one pair, in four passes a head: label logits [layer, head, label].

    ``receivers`` are (layer, place in hook_q, hook_k or hook_v); only the last ``n_tokens`` tokens are patched.
    """
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    result = torch.empty(n_layers, n_heads, 2)
    with torch.no_grad():
        _, reference_cache = model.run_with_cache(torch.tensor([reference]))
        _, counterfactual_cache = model.run_with_cache(torch.tensor([counterfactual]))
        for layer in range(n_layers):
            for head in range(n_heads):
                held = []
                for other in range(n_layers):
                    name = f"blocks.{other}.attn.hook_z"
                    held.append((name, set_heads(list(range(n_heads)), reference_cache[name][:, -n_tokens:])))
                    if other == layer:
                        held.append((name, set_heads([head], counterfactual_cache[name][:, -n_tokens:])))
                heard: dict[int, Tensor] = {}
                listen = [
                    (f"blocks.{receiver}.attn.hook_{via}", keep_last(heard, receiver, n_tokens))
                    for receiver, _ in receivers
                ]
                model.run_with_hooks(torch.tensor([reference]), fwd_hooks=held + listen)
                told = [
                    (f"blocks.{receiver}.attn.hook_{via}", set_heads([place], heard[receiver]))
                    for receiver, place in receivers
                ]
                logits = model.run_with_hooks(torch.tensor([reference]), fwd_hooks=told)
                result[layer, head] = read(logits[0, -1], labels)
    return result


def set_heads(heads: list[int], source: Tensor) -> Any:
    """A hook that sets some heads at as many last positions as the source has."""
    source = source.clone()

    def hook(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        for head in heads:
            value[:, -source.shape[1] :, head] = source[:, :, head]
        return value

    return hook


def keep_last(read: dict[int, Tensor], key: int, n_tokens: int) -> Any:
    """A hook that keeps the last positions."""

    def hook(value: Tensor, hook: Any) -> None:
        read[key] = value[:, -n_tokens:].clone()

    return hook
