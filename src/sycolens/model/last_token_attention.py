"""Where a prompt's last token looks: one row of every attention pattern, and never a pattern of the whole prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import HookError, ModelError, NotFiniteError
from sycolens.model.capture import TokenIds, padded, require_fired, run, unembed_only
from sycolens.model.hooked import Geometry, HookedModel, HookFunction, pattern_name


def capture_attention(
    model: HookedModel, geometry: Geometry, prompts: Sequence[TokenIds]
) -> Float[Tensor, "prompt layer head token"]:
    """Attention probabilities of the last token of prompts of any lengths, zero behind each prompt's end.

    Shorter prompts are padded on the right, as in :func:`~sycolens.model.capture.capture_last_token`. What a layer's
    hook shows is gone before the next layer runs, but for the row that is kept.

    Raises:
        HookError: a hook did not fire, or shows something else than probabilities over the prompt's own tokens.
        NotFiniteError: an attention probability is NaN or infinite.
        ModelError: a pattern does not have the shape that the model's configuration states.
    """
    tokens, ends = padded(model, prompts)
    last, longest = ends.cpu(), tokens.shape[1]
    own = torch.arange(longest) <= last[:, None]
    rows = torch.zeros(len(prompts), geometry.n_layers, geometry.n_heads, longest)
    names = {pattern_name(layer): layer for layer in range(geometry.n_layers)}
    fired: set[str] = set()

    def keep_row(name: str) -> HookFunction:
        def hook(value: Tensor, hook: Any) -> None:
            rows[:, names[name]] = _last_row(value, last, own, geometry, names[name])
            fired.add(name)

        return hook

    known = model.hook_dict
    hooks = [(name, keep_row(name)) for name in names if name in known]
    with unembed_only(model, last), model.hooks(fwd_hooks=hooks):
        run(model, tokens)
    require_fired([name for name in names if name not in fired], geometry)
    return rows


def _last_row(
    pattern: Tensor, last: Tensor, own: Tensor, geometry: Geometry, layer: int
) -> Float[Tensor, "prompt head token"]:
    expected = (len(last), geometry.n_heads, own.shape[1], own.shape[1])
    if tuple(pattern.shape) != expected:
        raise ModelError(
            f"{geometry.name}: hook_pattern of layer {layer} has shape {tuple(pattern.shape)}, not {expected} "
            "(prompt, head, query, key); models whose layers differ in heads or keys are not supported."
        )
    picked = pattern[torch.arange(len(last), device=pattern.device), :, last.to(pattern.device)]
    row = picked.float().cpu()
    if not torch.isfinite(row).all():
        raise NotFiniteError(
            f"{geometry.name}: attention of layer {layer} is NaN or infinite. Check the weights, or load the model in "
            "a wider dtype (float32 or bfloat16)."
        )
    row = row * own[:, None]
    sums = row.sum(-1)
    # A probability of a 16-bit model is rounded by half its eps, and so is their sum at most.
    off = (sums - 1).abs().max().item() > max(1e-4, torch.finfo(pattern.dtype).eps)
    if off or row.min() < 0:
        raise HookError(
            f"{geometry.name}: hook_pattern of layer {layer} gives the prompt's own tokens {sums.min():.4g} to "
            f"{sums.max():.4g} in all, not 1, so it shows no attention probabilities (but scores, or heads that also "
            "look at something besides the prompt). This architecture is not supported here."
        )
    return row
