"""What a prompt's last token leaves: residual input, head outputs, logits, attention; never a whole-sequence cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from sycolens.errors import HookError, ModelError, NotFiniteError
from sycolens.model.hooked import Geometry, HookedModel, HookFunction, mlp_name, pattern_name, resid_name, z_name
from sycolens.model.kv_cache import is_bridge, lengths, require_grown, takes

TokenIds = Sequence[int]


@dataclass(frozen=True)
class LastToken:
    """The last token of a batch of prompts; tensors stay on the device of the layer they were read from."""

    resid_pre: Float[Tensor, "prompt d_model"]
    """Residual input of layer 0."""
    z: tuple[Float[Tensor, "prompt head d_head"], ...]
    """Head outputs of every layer, after attention and before W_O."""
    mlp_out: tuple[Float[Tensor, "prompt d_model"], ...]
    """MLP outputs of every layer; empty unless asked for."""
    logits: Float[Tensor, "prompt d_vocab"]

    def __getitem__(self, rows: slice) -> LastToken:
        return LastToken(
            self.resid_pre[rows],
            tuple(z[rows] for z in self.z),
            tuple(out[rows] for out in self.mlp_out),
            self.logits[rows],
        )


def capture_last_token(
    model: HookedModel, geometry: Geometry, prompts: Sequence[TokenIds], *, mlp_outputs: bool = False, cache: Any = None
) -> LastToken:
    """Run prompts of any lengths in one batch and keep their last token.

    Shorter prompts are padded on the right, where a causal model cannot see: no mask and no shifted positions are
    needed, so that batched equals one by one on every architecture. With ``cache`` the prompts continue the cached
    prefix, which must be as long in every row.

    Raises:
        HookError: a hook did not fire.
        NotFiniteError: an activation or a logit is NaN or infinite.
        ModelError: the head outputs do not have the shape that the model's configuration states.
    """
    tokens, last = padded(model, prompts)
    read: dict[str, Tensor] = {}

    def keep_last(name: str) -> HookFunction:
        def hook(value: Tensor, hook: Any) -> None:
            read[name] = _at(value, last)

        return hook

    layers = range(geometry.n_layers)
    names = [resid_name(0), *map(z_name, layers), *(map(mlp_name, layers) if mlp_outputs else ())]
    with (
        unembed_only(model, last),
        model.hooks(fwd_hooks=[(name, keep_last(name)) for name in names]),
    ):
        logits = run(model, tokens, cache=cache)
    require_fired([name for name in names if name not in read], geometry)
    captured = LastToken(
        read[resid_name(0)],
        tuple(per_head(read[z_name(layer)], geometry, layer) for layer in layers),
        tuple(read[mlp_name(layer)] for layer in layers) if mlp_outputs else (),
        logits[:, 0],
    )
    require_finite(captured.z, captured.logits, geometry)
    return captured


def capture_z(
    model: HookedModel, geometry: Geometry, prompts: Sequence[TokenIds], *, width: int
) -> Float[Tensor, "prompt position layer head d_head"]:
    """Head outputs at the last ``width`` tokens of prompts of any lengths, the last one last; float32 on the CPU.

    Raises:
        HookError, NotFiniteError, ModelError: as :func:`capture_last_token`.
    """
    tokens, last = padded(model, prompts)
    rows = torch.arange(len(prompts))[:, None]
    positions = last.cpu()[:, None] + torch.arange(1 - width, 1)
    read: dict[int, Tensor] = {}

    def keep(layer: int) -> HookFunction:
        def hook(value: Tensor, hook: Any) -> None:
            ends = value[rows.to(value.device), positions.to(value.device)].flatten(0, 1)
            read[layer] = per_head(ends, geometry, layer).float().cpu()

        return hook

    layers = range(geometry.n_layers)
    with unembed_only(model, last), model.hooks(fwd_hooks=[(z_name(layer), keep(layer)) for layer in layers]):
        logits = run(model, tokens)
    require_fired([z_name(layer) for layer in layers if layer not in read], geometry)
    require_finite([read[layer] for layer in layers], logits, geometry)
    return torch.stack([read[layer] for layer in layers], 1).view(len(prompts), width, len(layers), *read[0].shape[1:])


def run(model: HookedModel, tokens: Tensor, *, cache: Any = None) -> Tensor:
    """The model's logits; keys and values are kept only where a cache is given, which then grows.

    Raises:
        CacheError: the cache did not grow by the tokens that were run.
    """
    options: dict[str, Any]
    before = None if cache is None else lengths(model, cache)
    if not is_bridge(model):
        # HookedTransformer would otherwise guess a mask from tokens that look like padding.
        options = {"attention_mask": torch.ones_like(tokens), "past_kv_cache": cache}
    elif cache is not None:
        options = {"past_key_values": cache}
    else:
        options = {"use_cache": False} if takes(model, "use_cache") else {}
    logits: Tensor = model(tokens, **options)
    if before is not None:
        require_grown(model, before, lengths(model, cache), tokens.shape[1])
    return logits


def input_device(model: Any) -> torch.device:
    """Where token ids must lie: the device of the embedding, also for models over several devices."""
    embedding = model.embed if hasattr(model, "cfg") else model.get_input_embeddings()
    weight: Tensor | None = next(iter(embedding.parameters()), None)
    if weight is None or weight.device.type == "meta":
        return torch.device(getattr(model, "cfg", model).device)
    return weight.device


@contextmanager
def unembed_only(model: Any, positions: Tensor) -> Iterator[None]:
    """Full-vocabulary logits at one position of each row instead of at all."""

    def gather(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (_at(args[0], positions).unsqueeze(1), *args[1:])

    handle = model.unembed.register_forward_pre_hook(gather)
    try:
        yield
    finally:
        handle.remove()


def padded(
    model: HookedModel, prompts: Sequence[TokenIds]
) -> tuple[Int[Tensor, "prompt token"], Int[Tensor, " prompt"]]:
    """Token ids filled up on the right, where a causal model cannot see, and the place of each prompt's last token."""
    lengths = [len(prompt) for prompt in prompts]
    longest = max(lengths)
    device = input_device(model)
    tokens = torch.tensor([[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in prompts], device=device)
    return tokens, torch.tensor(lengths, device=device) - 1


def require_fired(missing: Sequence[str], geometry: Geometry) -> None:
    """Refuse to go on where hooks stayed silent."""
    if missing:
        raise HookError(
            f"{geometry.name}: {', '.join(missing)} did not fire in a forward pass, so nothing was measured there. "
            "This architecture is not (fully) hooked by the installed TransformerLens."
        )


def _at(value: Tensor, positions: Tensor) -> Tensor:
    """A copy of each row's own position."""
    rows = torch.arange(len(positions), device=value.device)
    return value[rows, positions.to(value.device)]


def per_head(z: Tensor, geometry: Geometry, layer: int) -> Tensor:
    """``hook_z`` of some tokens with an axis for heads, once its shape is known to be what the model states."""
    if z.dim() == 2 and z.shape[1] == geometry.n_heads * geometry.d_head:
        z = rearrange(z, "row (head d_head) -> row head d_head", head=geometry.n_heads)
    if z.dim() != 3 or z.shape[1] != geometry.n_heads:
        raise ModelError(
            f"{geometry.name}: hook_z of layer {layer} has shape {tuple(z.shape[1:])}, which is not "
            f"{geometry.n_heads} heads of {geometry.d_head}; models whose layers differ in heads are not supported."
        )
    return z


def require_finite(z: Sequence[Tensor], logits: Tensor, geometry: Geometry) -> None:
    """Refuse head outputs, layer by layer, and logits that hold NaN or infinity."""
    for layer, outputs in enumerate(z):
        if not torch.isfinite(outputs).all():
            raise NotFiniteError(
                f"{geometry.name}: head outputs of layer {layer} are NaN or infinite. Check the weights, or load the "
                "model in a wider dtype (float32 or bfloat16)."
            )
    if not torch.isfinite(logits).all():
        raise NotFiniteError(f"{geometry.name}: logits are NaN or infinite. Load the model in a wider dtype.")


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
