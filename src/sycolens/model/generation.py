"""Greedy replies under ablations: all ablations of a prompt share one run of its prefix, and one batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sycolens.choices import Positions
from sycolens.compute import QUIET, Compute
from sycolens.errors import NotFiniteError, PromptError
from sycolens.model.batches import batches_that_fit, tokens_at_once
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.capture import TokenIds, input_device, run, unembed_only
from sycolens.model.hooked import (
    Geometry,
    HookedModel,
    as_found,
    require_head_outputs,
    require_readable,
    steered_from,
)
from sycolens.model.interventions import Overwrite
from sycolens.model.kv_prefix import GrowingRows, run_and_keep
from sycolens.model.label_logits import label_logits, label_tensor
from sycolens.model.replay import byte_budget
from sycolens.model.threads import enough_threads
from sycolens.prompts.labels import TokenGroups

Reply = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Conditions:
    """Sets of heads to overwrite, and with what."""

    heads: Bool[Tensor, "condition layer head"]
    z: Float[Tensor, "prompt position layer head d_head"]
    """As in :class:`Overwrite`; a single prompt stands for all."""
    positions: Positions

    def of(self, prompts: Sequence[int], conditions: slice) -> Overwrite:
        """The edits of some conditions on some prompts, the conditions of a prompt together."""
        heads = self.heads[conditions]
        z = (
            self.z
            if len(self.z) == 1
            else repeat(self.z[list(prompts)], "prompt ... -> (prompt condition) ...", condition=len(heads))
        )
        return Overwrite(repeat(heads, "condition ... -> (prompt condition) ...", prompt=len(prompts)), z)


@dataclass(frozen=True, eq=False)
class Replies:
    """Replies of every prompt under every condition."""

    tokens: list[list[Reply]]
    """By prompt, then condition."""
    label_logits: Float[Tensor, "prompt condition side"]
    """At the end of the prompt, under the condition."""


def reply_under(
    model: HookedModel,
    prompts: Sequence[TokenIds],
    labels: Sequence[TokenGroups],
    conditions: Conditions,
    *,
    max_new_tokens: int,
    compute: Compute = QUIET,
    advance: Callable[[int], object] = lambda replies: None,
) -> Replies:
    """Greedy replies to every prompt under every condition, and the label logits before the first token.

    Where the conditions leave the prompt but its end alone, the rest of it is run once for all of them. A batch loses
    each reply as it ends. ``advance`` gets the number of replies that this process has just written.

    Raises:
        PromptError: a prompt is unreadable, fills the context, or is shorter than what is to be overwritten.
        NotFiniteError: the model gives NaN or infinity.
        ModelError: tokens see what comes after them.
        CacheError: a key-value cache that was found to work no longer does.
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_readable(prompts, geometry)
    require_room(prompts, geometry, max_new_tokens, width=conditions.z.shape[1])
    count = len(conditions.heads)
    tokens: list[list[Reply]] = [[] for _ in prompts]
    leaning_of = torch.empty(len(prompts), count, 2)
    with as_found(model):
        ends = torch.tensor(sorted(end_tokens(model)), device=input_device(model))
        cached = keeps_what_it_reads(model)
        groups = list(_of_one_length(prompts))
        n_tokens = min(max(map(len, prompts), default=0) + max_new_tokens, geometry.n_ctx or sys.maxsize)
        # The least that any process has room for, so that all make the same batches.
        rows = compute.max_rows or min(compute.processes.gather(_rows_within_budget(model, geometry, n_tokens)))
        n_rows = min(rows, count * max(map(len, groups), default=0))
        store = GrowingRows(model, geometry, n_rows=n_rows, n_tokens=n_tokens)

        def reply_to(batch: list[int]) -> Replies:
            length = len(prompts[batch[0]])
            limit = min(max_new_tokens, geometry.n_ctx - length) if geometry.n_ctx else max_new_tokens
            some = [prompts[i] for i in batch]
            common = 0 if conditions.positions == "all" else length - conditions.z.shape[1]
            cache = run_and_keep(model, geometry, [prompt[:common] for prompt in some]) if cached else None
            rest = torch.tensor([list(prompt[common if cached else 0 :]) for prompt in some], device=ends.device)
            replies: list[list[Reply]] = [[] for _ in batch]
            leaning = []
            for columns in _slices(count, rows):
                overwrite = conditions.of(batch, columns)
                written = (
                    _CachedRows(model, store, cache, rest, overwrite, conditions.positions)
                    if cached
                    else _WholeRows(model, rest, overwrite, conditions.positions)
                )
                with steered_from(model, length - 1):
                    found, logits = _decode(written, len(overwrite.heads), ends, limit, geometry)
                width = len(found) // len(batch)
                asked = label_tensor([labels[i] for i in batch])
                picked = label_logits(logits, repeat(asked, "prompt ... -> (prompt condition) ...", condition=width))
                leaning.append(rearrange(picked, "(prompt condition) side -> prompt condition side", condition=width))
                for place, own in enumerate(replies):
                    own += found[place * width : (place + 1) * width]
                advance(len(found))
            return Replies(replies, torch.cat(leaning, 1))

        lengths, together = [len(prompt) for prompt in prompts], max(1, rows // count)
        batches = batches_that_fit(model, groups, lengths, compute=replace(compute, batch_size=together), caches=1)
        with enough_threads(model, tokens_at_once(batches, lengths)):
            answered = compute.processes.each(batches, reply_to)
        for batch, replies in zip(batches, answered, strict=True):
            leaning_of[batch] = replies.label_logits
            for i, own in zip(batch, replies.tokens, strict=True):
                tokens[i] = own
    return Replies(tokens, leaning_of)


def end_tokens(model: Any, tokenizer: Any = None) -> frozenset[int]:
    """Ids of the tokens that end a reply, by the tokenizer (by default the model's own) and generation settings."""
    settings = getattr(getattr(model, "original_model", model), "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    reader = tokenizer or getattr(model, "tokenizer", None)
    ids = [getattr(reader, "eos_token_id", None), *(named if isinstance(named, list) else [named])]
    return frozenset(token for token in ids if token is not None)


class _CachedRows:
    """Prompts of one length under their conditions, continued token by token over keys and values that are kept."""

    def __init__(
        self,
        model: HookedModel,
        store: GrowingRows,
        cache: Any,
        rest: Tensor,
        overwrite: Overwrite,
        positions: Positions,
    ) -> None:
        self._model, self._store, self._overwrite, self._positions = model, store, overwrite, positions
        copies = len(overwrite.heads) // len(rest)
        self._cache = store.begin(cache, copies)
        self._rest = repeat(rest, "prompt token -> (prompt condition) token", condition=copies)
        """What is still to run of the prompts, one row a condition."""

    def first(self) -> Float[Tensor, "row d_vocab"]:
        """Logits at the end of the prompts."""
        place: Literal["everywhere", "end"] = "everywhere" if self._positions == "all" else "end"
        ends = torch.full((len(self._rest),), self._rest.shape[1] - 1)
        with unembed_only(self._model, ends), self._model.hooks(fwd_hooks=list(self._overwrite.at(place))):
            return run(self._model, self._rest, cache=self._cache)[:, -1]

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Drop all other rows."""
        self._overwrite = self._overwrite.rows(rows)
        self._store.keep(self._cache, rows)

    def then(self, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row d_vocab"]:
        """Logits after one more token of each row."""
        again = [] if self._positions == "last" else list(self._overwrite.at("everywhere"))
        with self._model.hooks(fwd_hooks=again):
            return run(self._model, tokens[:, None], cache=self._cache)[:, -1]


class _WholeRows:
    """The same where the model keeps nothing: every token runs the whole prompt and reply again."""

    def __init__(self, model: HookedModel, prompts: Tensor, overwrite: Overwrite, positions: Positions) -> None:
        self._model, self._overwrite, self._positions = model, overwrite, positions
        copies = len(overwrite.heads) // len(prompts)
        self._tokens = repeat(prompts, "prompt token -> (prompt condition) token", condition=copies)
        self._length = prompts.shape[1]

    def first(self) -> Float[Tensor, "row d_vocab"]:
        lengths = torch.full((len(self._tokens),), self._length)
        hooks = list(self._overwrite.in_whole(lengths, self._positions))
        ends = torch.full((len(self._tokens),), self._tokens.shape[1] - 1)
        with unembed_only(self._model, ends), self._model.hooks(fwd_hooks=hooks):
            return run(self._model, self._tokens)[:, -1]

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        self._overwrite, self._tokens = self._overwrite.rows(rows), self._tokens[rows.to(self._tokens.device)]

    def then(self, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row d_vocab"]:
        self._tokens = torch.cat([self._tokens, tokens[:, None]], 1)
        return self.first()


def _decode(
    rows: _CachedRows | _WholeRows, n_rows: int, ends: Int[Tensor, " end"], limit: int, geometry: Geometry
) -> tuple[list[Reply], Float[Tensor, "row d_vocab"]]:
    """Replies of all rows, and the logits at the end of their prompts."""
    first = rows.first()
    if not torch.isfinite(first).all():
        raise NotFiniteError(f"{geometry.name}: logits are NaN or infinite. Load the model in a wider dtype.")
    replies: list[list[int]] = [[] for _ in range(n_rows)]
    alive, logits = torch.arange(n_rows, device=ends.device), first
    while True:
        token = logits.argmax(-1).to(ends.device)
        goes_on = ~torch.isin(token, ends)
        if not goes_on.all():
            kept = goes_on.nonzero().flatten()
            alive, token = alive[kept], token[kept]
            rows.keep(kept)
        for row, chosen in zip(alive.tolist(), token.tolist(), strict=True):
            replies[row].append(chosen)
        if not len(alive) or len(replies[alive[0]]) == limit:
            return [tuple(reply) for reply in replies], first
        logits = rows.then(token)


def _of_one_length(prompts: Sequence[TokenIds]) -> Iterator[list[int]]:
    def length(i: int) -> int:
        return len(prompts[i])

    for _, group in groupby(sorted(range(len(prompts)), key=length), key=length):
        yield list(group)


def _slices(conditions: int, rows: int) -> Iterator[slice]:
    """Conditions that run together on a batch."""
    for first in range(0, conditions, rows):
        yield slice(first, min(first + rows, conditions))


def require_room(prompts: Sequence[TokenIds], geometry: Geometry, max_new_tokens: int, *, width: int = 1) -> None:
    """Refuse prompts after which no reply fits, or that are shorter than the tokens to overwrite.

    Raises:
        PromptError: such a prompt, or ``max_new_tokens`` below 1.
    """
    if max_new_tokens < 1:
        raise PromptError(f"max_new_tokens={max_new_tokens}; a reply has at least one token.")
    for number, prompt in enumerate(prompts):
        if len(prompt) < width:
            raise PromptError(f"Prompt {number} has {len(prompt)} tokens, but the last {width} are to be ablated.")
        if geometry.n_ctx and len(prompt) == geometry.n_ctx:
            raise PromptError(
                f"Prompt {number} fills the {geometry.n_ctx} tokens that {geometry.name} reads, so no reply fits; "
                "leave out long questions."
            )


def _rows_within_budget(model: HookedModel, geometry: Geometry, length: int) -> int:
    kept = 2 * geometry.n_layers * geometry.n_key_value_heads * geometry.d_head * length
    # One layer's attention may copy the keys and values it reads, for each head of a group. Four bytes a number, also
    # for 16-bit models' logits.
    copied = 4 * geometry.n_heads * geometry.d_head * length
    return max(8, byte_budget(model) // (4 * (kept + copied + 2 * geometry.d_vocab + 6 * geometry.d_mlp)))
