"""Keys and values of the beginnings of prompts: run once, then read by any number of rows and never copied to keep."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sycolens.errors import ModelError
from sycolens.model.capture import TokenIds, input_device, is_bridge, new_cache, run, unembed_only
from sycolens.model.hooked import Geometry, HookedModel


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
        if is_bridge(model):
            return cls(tuple(x.keys for x in cache.layers), tuple(x.values for x in cache.layers), axis=-2)
        return cls(tuple(x.past_keys for x in cache.entries), tuple(x.past_values for x in cache.entries), axis=1)

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
        return _huggingface_cache(self) if is_bridge(model) else _lens_cache(self, n_rows)


def run_and_keep(model: HookedModel, geometry: Geometry, beginnings: Sequence[TokenIds], *, otherwise: str) -> Any:
    """Run beginnings of one length, which may be none, and give the model's own cache, which can go on growing.

    ``otherwise`` ends the message to those whose model has no such cache.

    Raises:
        ModelError: the model keeps no keys and values.
    """
    cache = new_cache(model, len(beginnings))
    if cache is None:
        raise ModelError(f"{geometry.name} keeps no keys and values; {otherwise}.")
    if length := len(beginnings[0]):
        tokens = torch.tensor([list(beginning) for beginning in beginnings], device=input_device(model))
        with unembed_only(model, torch.full((len(tokens),), length - 1)):
            run(model, tokens, cache=cache)
    return cache


def _joined(before: Tensor, new: Tensor, axis: int) -> Tensor:
    """The new tokens of every row behind the beginning of its pair."""
    blocks = new.view(-1, len(before), *new.shape[1:])
    shared = before.expand(len(blocks), *before.shape)
    return torch.cat([shared, blocks], axis if axis < 0 else axis + 1).flatten(0, 1)


def _huggingface_cache(prefix: Prefix) -> Any:
    made = _huggingface_class()()
    from transformers.cache_utils import DynamicLayer

    for keys, values in zip(prefix.keys, prefix.values, strict=True):
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        made.layers.append(layer)
    return made


@functools.cache
def _huggingface_class() -> Any:
    # Made when first used: transformers takes seconds to import.
    from transformers import DynamicCache

    class SharedCache(DynamicCache):  # type: ignore[misc]
        def update(
            self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **options: Any
        ) -> tuple[Tensor, Tensor]:
            layer = self.layers[layer_idx]
            return _joined(layer.keys, key_states, -2), _joined(layer.values, value_states, -2)

    return SharedCache


def _lens_cache(prefix: Prefix, n_rows: int) -> Any:
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

    entries = [_lens_entry_class()(k, v, n_rows) for k, v in zip(prefix.keys, prefix.values, strict=True)]
    seen = torch.ones(n_rows, len(prefix), dtype=torch.int, device=prefix.keys[0].device)
    return TransformerLensKeyValueCache(entries=entries, previous_attention_mask=seen)


@functools.cache
def _lens_entry_class() -> Any:
    from transformer_lens.cache.key_value_cache_entry import TransformerLensKeyValueCacheEntry

    class SharedEntry(TransformerLensKeyValueCacheEntry):  # type: ignore[misc]
        def __init__(self, keys: Tensor, values: Tensor, n_rows: int) -> None:
            # The model compares the shape of what it sees here with the rows that enter it.
            super().__init__(*(each[:1].expand(n_rows, *each.shape[1:]) for each in (keys, values)))
            self.shared = keys, values

        def append(self, new_keys: Tensor, new_values: Tensor) -> tuple[Tensor, Tensor]:
            keys, values = self.shared
            return _joined(keys, new_keys, 1), _joined(values, new_values, 1)

    return SharedEntry
