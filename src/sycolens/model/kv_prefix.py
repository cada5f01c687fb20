"""Keys and values of prompts' beginnings, run once: read by any number of rows, or continued row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import repeat
from jaxtyping import Int
from torch import Tensor

from sycolens.errors import CacheError
from sycolens.model.capture import LastToken, TokenIds, capture_last_token, input_device, run, unembed_only
from sycolens.model.hooked import Geometry, HookedModel
from sycolens.model.kv_cache import Store, cache_of, empty_cache, is_bridge, keys_and_values
from sycolens.model.versions import versions
from sycolens.prompts.pair import common_prefix

SHORTEST_SHARED_PREFIX = 16
"""A common prefix below this many tokens costs more in calls than it saves in tokens."""


@dataclass(frozen=True)
class Prefix:
    """Keys and values of every layer for beginnings of one length, laid out as in the model's own cache."""

    keys: tuple[Tensor, ...]
    """``[pair, ...]`` with positions along :attr:`axis`; as are ``values``."""
    values: tuple[Tensor, ...]
    axis: int

    @classmethod
    def of(cls, model: HookedModel, cache: Any) -> Prefix:
        """What the model's own cache holds."""
        return cls(*keys_and_values(model, cache))

    def __len__(self) -> int:
        return self.keys[0].shape[self.axis]

    def __getitem__(self, pairs: slice) -> Prefix:
        """The beginnings of some pairs; nothing is copied."""
        return Prefix(tuple(k[pairs] for k in self.keys), tuple(v[pairs] for v in self.values), self.axis)

    def cut(self, length: int) -> Prefix:
        """The first tokens only; nothing is copied."""

        def start(layers: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(layer.narrow(self.axis, 0, length) for layer in layers)

        return Prefix(start(self.keys), start(self.values), self.axis)

    def as_cache(self, model: HookedModel, n_rows: int) -> Any:
        """A cache for a forward pass that begins with ``n_rows`` rows and may go on with more.

        Whatever multiple of the pairs enters a layer, block by block, finds its pair's keys and values before its own;
        none of that is kept.
        """
        stores = [_SharedLayer(k, v, self.axis, n_rows) for k, v in zip(self.keys, self.values, strict=True)]
        mask = None
        if not is_bridge(model):
            mask = torch.ones(n_rows, len(self), dtype=torch.int, device=self.keys[0].device)
        return cache_of(model, stores, mask)


def run_and_keep(model: HookedModel, geometry: Geometry, beginnings: Sequence[TokenIds]) -> Any:
    """Run beginnings of one length, which may be none, and give the model's own cache, which can go on growing.

    Raises:
        CacheError: the model keeps no keys and values.
    """
    cache = empty_cache(model, len(beginnings), input_device(model))
    if cache is None:
        raise CacheError(f"{geometry.name} takes no cache of keys and values from {versions()}.")
    if length := len(beginnings[0]):
        tokens = torch.tensor([list(beginning) for beginning in beginnings], device=input_device(model))
        with unembed_only(model, torch.full((len(tokens),), length - 1)):
            run(model, tokens, cache=cache)
    return cache


def capture_pairs(
    model: HookedModel,
    geometry: Geometry,
    references: Sequence[TokenIds],
    counterfactuals: Sequence[TokenIds],
    *,
    cached: bool = True,
    mlp_outputs: bool = False,
) -> tuple[LastToken, LastToken]:
    """Last tokens of both prompts of each pair; a prefix common to the two is run once where keys may be ``cached``.

    Raises:
        HookError, NotFiniteError, ModelError: as :func:`capture_last_token`.
        CacheError: as :func:`run`.
    """
    shared = min(map(shared_prefix, references, counterfactuals))
    if not cached or shared < SHORTEST_SHARED_PREFIX:
        reference = capture_last_token(model, geometry, references, mlp_outputs=mlp_outputs)
        return reference, capture_last_token(model, geometry, counterfactuals)
    beginnings = [prompt[:shared] for prompt in references]
    prefix = Prefix.of(model, run_and_keep(model, geometry, beginnings))

    def rest(prompts: Sequence[TokenIds], *, mlp_outputs: bool) -> LastToken:
        ends, cache = [prompt[shared:] for prompt in prompts], prefix.as_cache(model, len(prompts))
        return capture_last_token(model, geometry, ends, mlp_outputs=mlp_outputs, cache=cache)

    return rest(references, mlp_outputs=mlp_outputs), rest(counterfactuals, mlp_outputs=False)


def shared_prefix(reference: TokenIds, counterfactual: TokenIds) -> int:
    """How many tokens two prompts have in common at the start, leaving each at least its last one."""
    return min(common_prefix(reference, counterfactual), len(reference) - 1, len(counterfactual) - 1)


class _SharedLayer(Store):
    """The beginnings of pairs, read by whatever multiple of them comes."""

    def __init__(self, keys: Tensor, values: Tensor, axis: int, n_rows: int) -> None:
        self._before, self._axis, self._n_rows = (keys, values), axis, n_rows
        self.length = keys.shape[axis]

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        self.length += keys.shape[self._axis]
        return tuple(map(self._joined, self._before, (keys, values)))

    def shown(self) -> tuple[Tensor, ...]:
        # A HookedTransformer compares the shape of what it sees here with the rows that enter it.
        return tuple(each[:1].expand(self._n_rows, *each.shape[1:]) for each in self._before)

    def _joined(self, before: Tensor, new: Tensor) -> Tensor:
        """The new tokens of every row behind the beginning of its pair."""
        copies = len(new) // len(before)
        return torch.cat([repeat(before, "pair ... -> (copy pair) ...", copy=copies), new], self._axis)


class GrowingRows:
    """Memory for the keys and values of at most ``n_rows`` rows of ``n_tokens``, for one batch after another.

    The model's own caches copy all that they hold for every further token, and take new memory for it.
    """

    def __init__(self, model: HookedModel, geometry: Geometry, *, n_rows: int, n_tokens: int) -> None:
        self._model = model
        self._layers = [_GrowingLayer(n_rows, n_tokens) for _ in range(geometry.n_layers)]

    def begin(self, beginnings: Any, copies: int) -> Any:
        """A cache for the model that goes on from so many copies of each row of its own cache; ends the last batch."""
        begun = Prefix.of(self._model, beginnings)
        for layer in self._layers:
            layer.clear(begun.axis)
        # A bridge's cache that has seen nothing has no layers yet.
        for layer, keys, values in zip(self._layers, begun.keys, begun.values, strict=bool(begun.keys)):
            layer.append(keys, values, copies=copies)
        hooked = not is_bridge(self._model)
        seen = beginnings.previous_attention_mask.repeat_interleave(copies, 0) if hooked else None
        return cache_of(self._model, self._layers, seen)

    def keep(self, cache: Any, rows: Int[Tensor, " kept"]) -> None:
        """Drop all other rows of the batch."""
        for layer in self._layers:
            layer.keep(rows)
        if not is_bridge(self._model):
            cache.previous_attention_mask = cache.previous_attention_mask[rows]


class _GrowingLayer(Store):
    """One layer's keys and values, with their tokens along an axis."""

    def __init__(self, n_rows: int, n_tokens: int) -> None:
        self._size = n_rows, n_tokens
        self._whole: list[Tensor] = []
        self.clear(-2)

    def clear(self, axis: int) -> None:
        self._axis, self._n_rows, self.length = axis, 0, 0

    def append(self, keys: Tensor, values: Tensor, copies: int = 1) -> tuple[Tensor, ...]:
        new = keys, values
        if not self._whole:
            self._whole = [self._space_like(each) for each in new]
        n_rows, n_new = len(keys), keys.shape[self._axis]
        self._n_rows = n_rows * copies
        for whole, each in zip(self._whole, new, strict=True):
            place = whole[: self._n_rows].narrow(self._axis, self.length, n_new)
            place.view(n_rows, copies, *place.shape[1:]).copy_(each.unsqueeze(1))
        self.length += n_new
        return self.shown()

    def shown(self) -> tuple[Tensor, ...]:
        return tuple(whole[: self._n_rows].narrow(self._axis, 0, self.length) for whole in self._whole)

    def keep(self, rows: Tensor) -> None:
        before, self._n_rows = self.shown(), len(rows)
        for place, each in zip(self.shown(), before, strict=True):
            place.copy_(each[rows.to(each.device)])

    def _space_like(self, first: Tensor) -> Tensor:
        shape = list(first.shape)
        shape[0], shape[self._axis] = self._size
        return first.new_empty(shape)
