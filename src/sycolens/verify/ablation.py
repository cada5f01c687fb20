"""Knock heads out of a model for as long as a ``with`` block lasts, whatever is done with the model inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sycolens.errors import CacheError, HookError
from sycolens.heads import Head, HeadSet
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.hooked import KNOCKOUT, Geometry, HookedModel, pattern_name, require_head_outputs, z_name
from sycolens.model.overwriting import Positions, check_positions, set_heads
from sycolens.model.speaking import causal_of, keeps_while_generating
from sycolens.model.versions import versions
from sycolens.verify.means import HeadMeans

Method = Literal["mean", "zero", "resample"]
"""What a knocked-out head puts out: its mean over the counterfactual prompts (the paper), nothing, or what it put out
on one counterfactual prompt drawn at random for every dialogue, the same for all heads."""


def check_method(method: str) -> None:
    """Refuse anything that is no :data:`Method`.

    Raises:
        HookError: the word is unknown.
    """
    if method not in get_args(Method):
        raise HookError(f"method={method!r} is unknown; choose one of {', '.join(map(repr, get_args(Method)))}.")


def head_mask(heads: Iterable[Head], geometry: Geometry) -> Bool[Tensor, "layer head"]:
    """True at every head of the set."""
    mask = torch.zeros(geometry.n_layers, geometry.n_heads, dtype=torch.bool)
    for head in heads:
        mask[head.layer, head.index] = True
    return mask


def stand_ins(
    geometry: Geometry, method: Method, means: HeadMeans | None, *, prompts: int, seed: int
) -> Float[Tensor, "prompt position layer head d_head"]:
    """What heads are overwritten with, at the end of each of so many prompts; a single one stands for all.

    Raises:
        HookError: an unknown method, or one that needs means and got none.
        ModelError: the means are those of another model.
    """
    check_method(method)
    if method == "zero":
        return torch.zeros(1, 1, geometry.n_layers, geometry.n_heads, geometry.d_head)
    if means is None:
        raise HookError(
            f"method={method!r} needs means=mean_activations(model, pairs); only method='zero' goes without."
        )
    means.require_for(geometry)
    if method == "mean":
        return means.mean.unsqueeze(0)
    drawn = torch.randint(len(means.samples), (prompts,), generator=torch.Generator().manual_seed(seed))
    return means.samples[drawn].unsqueeze(1)


@contextmanager
def ablate_heads(
    model: HookedModel,
    heads: HeadSet | Iterable[Head | str | tuple[int, int]],
    *,
    method: Method = "mean",
    means: HeadMeans | None = None,
    positions: Positions = "last",
    lengths: Sequence[int] | None = None,
    seed: int = 0,
) -> Iterator[None]:
    """Inside the block, the heads' ``hook_z`` is overwritten in every use of the model (the paper's knockout).

    A forward pass, ``run_with_cache`` and ``generate`` all see it, and blocks may be nested; the inner one wins where
    both name a head. ``positions`` says where: at the last token of the prompt (as many tokens as the means are wide),
    at that and every generated token, or everywhere. The last token is the last column of a batch, or that of each
    prompt where ``lengths`` tells how long the prompts of a batch padded on the right are.

    Inside, run the model itself or ``measure.replies``; what measures heads is refused there.

    A pass of one token over cached keys and values counts as a generated token. So ``generate`` needs its cache (its
    default): without it each pass looks like a new prompt, and the end of each would be overwritten.

    Raises:
        HeadError: no heads, or one that the model does not have.
        HookError: means are missing, an unknown method or place, or nothing was overwritten before the block ended.
        ModelError: the means are those of another model.
        CacheError: the model generates inside, and does not keep what it reads with the installed versions.

    >>> means = mean_activations(model, pairs, progress=False)
    >>> prompt = torch.tensor([pairs.reference[0]])
    >>> with ablate_heads(model, effects.top(4), means=means):
    ...     reply = model.tokenizer.decode(model(prompt)[0, -1].argmax())
    >>> reply
    'Yes'
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    check_positions(positions)
    mask = head_mask(HeadSet(heads).check(geometry.n_layers, geometry.n_heads), geometry)

    @cache
    def values(rows: int) -> Tensor:
        return stand_ins(geometry, method, means, prompts=rows, seed=seed)

    values(1)  # what is missing is told before the block is entered
    last = None if lengths is None else torch.tensor(list(lengths)) - 1
    # Tried before anything is knocked out, which a trial inside the block would take for a fault of the cache.
    causal = causal_of(model)
    kept = keeps_what_it_reads(model) and (causal is None or keeps_while_generating(causal))
    passes = _Passes(geometry.name, kept=kept)
    overwrote: set[int] = set()

    def overwrite(layer: int) -> Any:
        def hook(module: nn.Module, args: Any, value: Tensor) -> Tensor:
            if passes.generated and positions == "last":
                return value
            overwrote.add(layer)
            z = values(len(value))[:, :, layer]
            everywhere = passes.generated or positions == "all"
            return set_heads(value, mask[None, layer], z, "everywhere" if everywhere else "end", last=last)

        setattr(hook, KNOCKOUT, True)
        return hook

    # Hooks of torch itself on the hook points: TransformerLens removes its own kind in run_with_hooks and reset_hooks.
    points = model.hook_dict
    layers = mask.any(1).nonzero().flatten().tolist()
    handles = [points[pattern_name(0)].register_forward_hook(passes.look)]
    handles += [points[z_name(layer)].register_forward_hook(overwrite(layer)) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if len(overwrote) < len(layers):
        raise HookError(
            "Nothing was knocked out: inside ablate_heads the model read no prompt. Run it inside the block, on a "
            "prompt and not on generated tokens alone."
        )


class _Passes:
    """Tells a pass over a prompt from one over a generated token, by what the first layer's attention can see."""

    def __init__(self, name: str, *, kept: bool) -> None:
        self._name, self._kept = name, kept
        self.generated = False

    def look(self, module: nn.Module, args: Any, pattern: Tensor) -> None:
        queries, keys = pattern.shape[-2:]
        if queries == 1 and not self._kept:
            raise CacheError(
                f"{self._name} keeps no keys and values with {versions()}, so that inside ablate_heads a generated "
                "token cannot be told from a prompt. Run whole prompts of at least two tokens there, or use knock_out, "
                "which generates without them."
            )
        self.generated = queries == 1 and keys > 1
