"""Knock heads out of a model for as long as a ``with`` block lasts, whatever is done with the model inside."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sycolens.choices import Ablation, Positions
from sycolens.counts import check_choice
from sycolens.errors import HookError
from sycolens.heads import Head, HeadSet
from sycolens.model.batched_generation import causal_of, keeps_while_generating
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.capture import TokenIds
from sycolens.model.hooked import (
    Geometry,
    HookedModel,
    known_as_knocked_out,
    pattern_name,
    require_head_outputs,
    z_name,
)
from sycolens.model.interventions import set_heads
from sycolens.model.kv_cache import prompt_unknown
from sycolens.verify.means import HeadMeans


def head_mask(heads: Iterable[Head], geometry: Geometry) -> Bool[Tensor, "layer head"]:
    """True at every head of the set."""
    mask = torch.zeros(geometry.n_layers, geometry.n_heads, dtype=torch.bool)
    for head in heads:
        mask[head.layer, head.index] = True
    return mask


def draw_sample(prompt: TokenIds, samples: int, *, seed: int = 0, padding: int | None = None) -> int:
    """Which of so many samples stands in on a prompt under ``method="resample"``.

    Drawn by the prompt's own tokens, each counted where it first occurs, and the seed: prompts differ in their draws,
    and neither their order, nor what they are batched with, nor padding in front changes one.

    >>> [draw_sample(prompt, 32) for prompt in ([5, 6, 7], [5, 5, 5, 6, 7], [5, 6, 8])]
    [30, 30, 3]
    """
    tokens = [token for token in dict.fromkeys(prompt) if token != padding]
    return random.Random(f"{seed} {tokens}").randrange(samples)


def stand_ins(
    model: HookedModel, method: Ablation, means: HeadMeans | None, prompts: Sequence[TokenIds], *, seed: int
) -> Float[Tensor, "prompt position layer head d_head"]:
    """What heads are overwritten with, at the end of each prompt; a single one stands for all.

    Raises:
        HookError: an unknown method, or one that needs means and got none.
        ModelError: the means are those of another model.
    """
    check_choice(HookError, Ablation, method=method)
    geometry = Geometry.of(model)
    if method == "zero":
        return torch.zeros(1, 1, geometry.n_layers, geometry.n_heads, geometry.d_head)
    if means is None:
        raise HookError(
            f"method={method!r} needs means=mean_activations(model, pairs); only method='zero' goes without."
        )
    means.require_for(geometry)
    if method == "mean":
        return means.mean.unsqueeze(0)
    padding = getattr(getattr(model, "tokenizer", None), "pad_token_id", None)
    drawn = [draw_sample(prompt, len(means.samples), seed=seed, padding=padding) for prompt in prompts]
    return means.samples[torch.tensor(drawn, dtype=torch.long)].unsqueeze(1)


@contextmanager
def ablate_heads(
    model: HookedModel,
    heads: HeadSet | Iterable[Head | str | tuple[int, int]],
    *,
    method: Ablation = "mean",
    means: HeadMeans | None = None,
    positions: Positions = "last",
    lengths: Sequence[int] | None = None,
    seed: int = 0,
) -> Iterator[None]:
    """Inside the block, the heads' ``hook_z`` is overwritten in every use of the model (the paper's knockout).

    A forward pass, ``run_with_cache`` and ``generate`` all see it, and blocks may be nested; the inner one wins where
    both name a head. ``positions`` says where: at the last token of the prompt (as many tokens as the means are wide),
    at that and every generated token, or everywhere. The last token is the last column of a batch, or that of each
    prompt where ``lengths`` gives the prompts' lengths in a batch padded on the right. With ``method="resample"`` a
    prompt gets the same draw alone and in any batch.

    Inside, run the model itself or ``measure.replies``; what measures heads is refused there.

    A pass of one token over cached keys and values counts as a generated token. So ``generate`` needs its cache (its
    default): without it each pass looks like a new prompt, and the end of each would be overwritten.

    Raises:
        HeadError: no heads, or one that the model does not have.
        HookError: means are missing, an unknown method or place, or nothing was overwritten before the block ended;
            resampling where the model is given no token ids, or loses rows of a batch between two tokens of a reply.
        ModelError: the means are those of another model.
        CacheError: the model generates inside, and does not keep what it reads with the installed versions.

    >>> means = mean_activations(model, pairs, compute=QUIET)
    >>> prompt = torch.tensor([pairs.reference[0]])
    >>> with ablate_heads(model, effects.top(4), means=means):
    ...     reply = model.tokenizer.decode(model(prompt)[0, -1].argmax())
    >>> reply
    'Yes'
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    check_choice(HookError, Positions, positions=positions)
    mask = head_mask(HeadSet(heads).check(geometry.n_layers, geometry.n_heads), geometry)

    fixed = stand_ins(model, method, means, [], seed=seed)  # refuses missing means before the block is entered
    last = None if lengths is None else torch.tensor(list(lengths)) - 1
    # Tried before anything is knocked out, which a trial inside the block would take for a fault of the cache.
    causal = causal_of(model)
    kept = keeps_what_it_reads(model) and (causal is None or keeps_while_generating(causal))
    passes = _Passes(geometry.name, kept=kept)

    def drawn(rows: int) -> Tensor:
        if method != "resample":
            return fixed
        prompts = passes.prompts if lengths is None else [p[:n] for p, n in zip(passes.prompts, lengths, strict=False)]
        if len(prompts) != rows:
            raise HookError(
                f"Resampling draws by a prompt's tokens, but the model was given those of {len(prompts)} prompts and "
                f"computes {rows} rows. Give token ids, and one prompt at a time where replies of a batch end apart."
            )
        return stand_ins(model, method, means, prompts, seed=seed)

    overwrote: set[int] = set()

    def overwrite(layer: int) -> Any:
        def hook(module: nn.Module, args: Any, value: Tensor) -> Tensor:
            if passes.generated and positions == "last":
                return value
            overwrote.add(layer)
            z = drawn(len(value))[:, :, layer]
            everywhere = passes.generated or positions == "all"
            return set_heads(value, mask[None, layer], z, "everywhere" if everywhere else "end", last=last)

        return hook

    # Hooks of torch itself on the hook points: TransformerLens removes its own kind in run_with_hooks and reset_hooks.
    points = model.hook_dict
    layers = mask.any(1).nonzero().flatten().tolist()
    handles = [points[pattern_name(0)].register_forward_hook(passes.look)]
    if method == "resample":
        handles.append(cast(Any, model).embed.register_forward_pre_hook(passes.read))
    handles += [points[z_name(layer)].register_forward_hook(overwrite(layer)) for layer in layers]
    try:
        with known_as_knocked_out(model):
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
        self.prompts: list[list[int]] = []
        """Tokens of the last pass over prompts, where they were read."""
        self._read: list[list[int]] = []

    def read(self, module: nn.Module, args: Any) -> None:
        self._read = args[0].tolist()

    def look(self, module: nn.Module, args: Any, pattern: Tensor) -> None:
        queries, keys = pattern.shape[-2:]
        if queries == 1 and not self._kept:
            raise prompt_unknown(self._name)
        self.generated = queries == 1 and keys > 1
        if not self.generated:
            self.prompts = self._read
        self._read = []
