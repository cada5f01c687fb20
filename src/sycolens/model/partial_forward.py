"""Rows through the last tokens of prompts, over keys and values that all rows of a pair share; heads may react here.

Where the replay sets every head's output from outside, these rows let attention run: only their last tokens differ, so
what they attend to before is run once (:mod:`sycolens.model.kv_prefix`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sycolens.errors import ModelError
from sycolens.model.capture import (
    TokenIds,
    input_device,
    padded,
    per_head,
    require_finite,
    require_fired,
    run,
    unembed_only,
)
from sycolens.model.hooked import Geometry, HookedModel, HookFunction, resid_name, z_name
from sycolens.model.kv_prefix import Prefix, run_and_keep
from sycolens.model.replay import byte_budget, numbers_per_row
from sycolens.model.unembedding import logits_of
from sycolens.prompts.pair import common_prefix

Visit = Callable[[Float[Tensor, "block pair token head d_head"]], None]
"""Reads, or changes in place, what a hook shows of all rows; block 0 is the reference."""


@dataclass(frozen=True)
class Suffix:
    """The ends of a batch of prompts, all from the same place on; shorter ones are padded on the right."""

    resid_pre: Float[Tensor, "pair token d_model"]
    """Residual input of layer 0; of the whole prompts where there is no prefix that could be read instead."""
    z: tuple[Float[Tensor, "pair last head d_head"], ...]
    """Head outputs of every layer at the last tokens, the last one last, after attention and before W_O."""
    logits: Float[Tensor, "pair d_vocab"]
    """At the last token."""
    lengths: Int[Tensor, " pair"]
    """How many tokens of each end are its own."""
    n_tokens: Int[Tensor, " pair"]
    """How many last tokens of each are patched: those of which ``z`` speaks."""
    prefix: Prefix | None = None
    """What the rows attend to before themselves; None where there is nothing, there are no rows, or all is run anew."""

    def __getitem__(self, pairs: slice) -> Suffix:
        of_each = self.logits[pairs], self.lengths[pairs], self.n_tokens[pairs]
        prefix = None if self.prefix is None else self.prefix[pairs]
        return Suffix(self.resid_pre[pairs], tuple(z[pairs] for z in self.z), *of_each, prefix)

    def patched(self, device: torch.device) -> Bool[Tensor, "pair token"]:
        """Where in the rows the patched tokens are; in the order of :meth:`values`."""
        places = torch.arange(self.resid_pre.shape[1])
        first = self.lengths - self.n_tokens
        return ((places >= first[:, None]) & (places < self.lengths[:, None])).to(device)

    def values(self, layer: int, like: Tensor) -> Float[Tensor, "patched head d_head"]:
        """Head outputs at the patched tokens of every pair, one pair behind the other."""
        z = self.z[layer]
        own = torch.arange(z.shape[1]) >= z.shape[1] - self.n_tokens[:, None]
        return z[own.to(z.device)].to(like.device, like.dtype)


def capture_suffixes(
    model: HookedModel,
    geometry: Geometry,
    references: Sequence[TokenIds],
    counterfactuals: Sequence[TokenIds],
    n_tokens: Sequence[int],
    *,
    cached: bool = True,
) -> tuple[Suffix, Suffix]:
    """The last ``n_tokens`` of both prompts of each pair; a beginning common to the two is run once.

    Prompts may be of any length: rows begin where the first of the pairs begins to be patched, and longer ones go on
    behind the others' end. Where keys may not be ``cached``, rows run through the whole prompt.

    Raises:
        ModelError: its head outputs do not have the shape it states.
        CacheError: the model does not keep what it has read.
        HookError: a hook did not fire.
        NotFiniteError: an activation or a logit is NaN or infinite.
    """
    if not cached:
        whole = _capture(model, geometry, references, None, n_tokens, start=0)
        return whole, _capture(model, geometry, counterfactuals, None, n_tokens)
    both = zip(references, counterfactuals, n_tokens, strict=True)
    shared = min(min(common_prefix(r, c), len(r) - n, len(c) - n) for r, c, n in both)
    before = min(len(r) - n for r, n in zip(references, n_tokens, strict=True))
    # Both prompts go on from the same token, so that where no head tells them apart their numbers are the same.
    beginnings = [prompt[:shared] for prompt in references]
    cache = run_and_keep(model, geometry, beginnings)
    ends = [prompt[shared:] for prompt in references]
    reference = _capture(model, geometry, ends, cache, n_tokens, start=before - shared)
    seen = Prefix.of(model, cache)
    start = seen.cut(shared).as_cache(model, len(references)) if shared else None
    counterfactual = _capture(model, geometry, [prompt[shared:] for prompt in counterfactuals], start, n_tokens)
    return replace(reference, prefix=seen.cut(before) if before else None), counterfactual


def _capture(
    model: HookedModel,
    geometry: Geometry,
    ends: Sequence[TokenIds],
    cache: Any,
    n_tokens: Sequence[int],
    *,
    start: int = 0,
) -> Suffix:
    """Head outputs at the last ``n_tokens`` of each, and the residual input of all from ``start`` on."""
    tokens, last = padded(model, ends)
    rows, final = torch.arange(len(ends))[:, None], last.cpu()[:, None]
    # Before a prompt's patched tokens, and behind its end, stands something that is not read.
    windows = {"z": (final + torch.arange(1 - max(n_tokens), 1)).clamp(min=0)}
    windows["resid_pre"] = torch.arange(start, tokens.shape[1]).expand(len(ends), -1).minimum(final)
    read: dict[str, Tensor] = {}

    def keep(name: str) -> HookFunction:
        window = windows["resid_pre" if name == resid_name(0) else "z"]

        def hook(value: Tensor, hook: Any) -> None:
            read[name] = value[rows.to(value.device), window.to(value.device)]

        return hook

    # Every layer's entrance, though only the first is kept: rows must be able to join there.
    layers = range(geometry.n_layers)
    names = [*map(resid_name, layers), *map(z_name, layers)]
    with unembed_only(model, last), model.hooks(fwd_hooks=[(name, keep(name)) for name in names]):
        logits = run(model, tokens, cache=cache)[:, 0]
    require_fired([name for name in names if name not in read], geometry)
    width = windows["z"].shape[1]
    z = tuple(_split(per_head(read[z_name(layer)].flatten(0, 1), geometry, layer), width) for layer in layers)
    require_finite(z, logits, geometry)
    return Suffix(read[resid_name(0)], z, logits, last.cpu() + 1 - start, torch.tensor(n_tokens))


def run_rows(
    model: HookedModel,
    geometry: Geometry,
    reference: Suffix,
    joins: Sequence[int],
    visits: Mapping[str, Visit],
    *,
    grow: bool,
    leave: int | None = None,
    tokens: Int[Tensor, " token"] | None = None,
) -> Float[Tensor, "block pair token"]:
    """Logits of these tokens (or all) at the end of the reference and of one block of rows for each of ``joins``.

    A block equals the reference below its layer in ``joins``, which are in order, and enters there; all but the
    reference leave where layer ``leave`` begins. Where the batch cannot ``grow``, all are there throughout.

    Raises:
        HookError: a hook did not fire.
        ModelError: a hook shows something else than a vector for every head.
    """
    n_pairs, width, _ = reference.resid_pre.shape
    n_blocks = 1 + len(joins)
    fired: set[str] = set()

    def blocks_at(layer: int) -> int:
        if not grow:
            return n_blocks
        return 1 if leave is not None and layer >= leave else 1 + sum(join <= layer for join in joins)

    def enter(layer: int) -> HookFunction:
        def hook(value: Tensor, hook: Any) -> Tensor:
            fired.add(resid_name(layer))
            if layer == 0:
                entering = reference.resid_pre.to(value.device, value.dtype)
                return repeat(entering, "pair token d -> (block pair) token d", block=blocks_at(0))
            joining = blocks_at(layer) * n_pairs - len(value)
            if joining <= 0:
                return value[: blocks_at(layer) * n_pairs]
            joined = repeat(value[:n_pairs], "pair token d -> (block pair) token d", block=joining // n_pairs)
            return torch.cat([value, joined])

        return hook

    def show(name: str, visit: Visit) -> HookFunction:
        def hook(value: Tensor, hook: Any) -> Tensor:
            fired.add(name)
            changed = value.clone()
            visit(_split(_by_head(changed, geometry, name), n_pairs))
            return changed

        return hook

    hooks = [(resid_name(layer), enter(layer)) for layer in range(geometry.n_layers)]
    hooks += [(name, show(name, visit)) for name, visit in visits.items()]
    n_start = 1 if grow else n_blocks * n_pairs
    start = torch.zeros(n_start, width, dtype=torch.long, device=input_device(model))
    cache = reference.prefix.as_cache(model, n_start) if reference.prefix is not None else None
    at_the_end = (reference.lengths - 1).repeat(blocks_at(geometry.n_layers - 1))
    with unembed_only(model, at_the_end), logits_of(model, tokens), model.hooks(fwd_hooks=hooks):
        logits = run(model, start, cache=cache)
    require_fired([name for name, _ in hooks if name not in fired], geometry)
    return _split(logits[:, 0], n_pairs)


def rows_over_prefix(model: HookedModel, geometry: Geometry, length: int, n_tokens: int) -> int:
    """How many rows of ``n_tokens`` fit that attend to a prompt of ``length``, in the replay's budget."""
    # A layer's attention holds every row's keys and values (twice where groups share them) and some scores at once.
    attended = length * geometry.n_heads * (4 * geometry.d_head + 3 * n_tokens)
    return max(2, byte_budget(model) // (4 * (numbers_per_row(geometry, n_tokens) + attended)))


def _by_head(value: Tensor, geometry: Geometry, name: str) -> Tensor:
    n_heads = geometry.n_key_value_heads if name.endswith(("hook_k", "hook_v")) else geometry.n_heads
    if value.dim() == 3 and value.shape[2] == n_heads * geometry.d_head:
        value = rearrange(value, "row token (head d_head) -> row token head d_head", head=n_heads)
    if value.dim() != 4 or value.shape[2] != n_heads:
        raise ModelError(
            f"{geometry.name}: {name} has shape {tuple(value.shape)}, which is not {n_heads} heads of "
            f"{geometry.d_head} at every token, so its heads cannot be patched."
        )
    return value


def _split(rows: Tensor, size: int) -> Tensor:
    """A view with the first axis split, the inner part being of that size."""
    return rearrange(rows, "(outer inner) ... -> outer inner ...", inner=size)
