"""Caches in the form that each kind of model takes: empty ones, and our own stores of keys and values.

What is used here of other libraries is public, but their caches change often: verified with transformers 5.9 to 5.23
and TransformerLens 3.9 to 4.3. :func:`require_grown` and :mod:`sycolens.model.cache_trial` check it wherever it is
used.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from sycolens.errors import CacheError
from sycolens.model.hooked import Geometry
from sycolens.model.versions import versions


class Store(ABC):
    """Keys and values of one layer that a model reads and adds to, as a cache of its own kind."""

    length: int
    """How many tokens the model has been shown, those of the latest pass included."""

    @abstractmethod
    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """Take in those of further tokens, and give those of all."""

    @abstractmethod
    def shown(self) -> tuple[Tensor, ...]:
        """What the model finds before it adds to it, one row for each of its own."""


def is_bridge(model: Any) -> bool:
    """Whether a model is a TransformerBridge, which runs the Hugging Face forward, and not a HookedTransformer."""
    return hasattr(model, "original_model")


def takes(model: Any, argument: str) -> bool:
    """Whether a bridge's Hugging Face forward has a place for an argument."""
    parameters = inspect.signature(model.original_model.forward).parameters
    return argument in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def empty_cache(model: Any, n_rows: int, device: Any) -> Any:
    """An empty key-value cache of the kind the model takes, or None where it takes none."""
    if is_bridge(model):
        from transformers import DynamicCache

        return DynamicCache() if takes(model, "past_key_values") else None
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

    return TransformerLensKeyValueCache.init_cache(model.cfg, device, n_rows)


def cache_of(model: Any, stores: Sequence[Store], mask: Tensor | None) -> Any:
    """A store for each layer as the cache that the model takes; ``mask`` is for a HookedTransformer, row by token."""
    if is_bridge(model):
        from transformers import Cache

        return Cache(layers=[_huggingface_layer()(store) for store in stores])
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

    return TransformerLensKeyValueCache([_lens_entry()(store) for store in stores], mask)


def keys_and_values(model: Any, cache: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], int]:
    """What an :func:`empty_cache` has been filled with: every layer's keys, its values, and the axis of tokens."""
    if is_bridge(model):
        return tuple(x.keys for x in cache.layers), tuple(x.values for x in cache.layers), -2
    return tuple(x.past_keys for x in cache.entries), tuple(x.past_values for x in cache.entries), 1


def lengths(model: Any, cache: Any) -> list[int]:
    """How many tokens each layer of a cache holds; no layers where a bridge's cache has seen nothing yet."""
    if is_bridge(model):
        return [layer.get_seq_length() for layer in cache.layers]
    return [entry.store.length if hasattr(entry, "store") else entry.past_keys.shape[1] for entry in cache.entries]


def require_grown(model: Any, before: Sequence[int], after: Sequence[int], n_tokens: int) -> None:
    """Refuse a pass after which some layer's cache has not grown by the tokens that were run.

    Raises:
        CacheError: so it is; what was run after it would not have seen the tokens before it.
    """
    n_layers: int = model.cfg.n_layers
    for layer in range(n_layers):
        due = (before[layer] if layer < len(before) else 0) + n_tokens
        held = after[layer] if layer < len(after) else 0
        if held != due:
            raise _lost(f"{Geometry.of(model).name}: after a pass over {n_tokens} tokens", layer, held, due)


def require_generated(name: str, made: Any) -> None:
    """Refuse what Hugging Face's own loop wrote where its cache does not hold all tokens that were run.

    Raises:
        CacheError: so it is.
    """
    from transformers.cache_utils import DynamicLayer

    cache = getattr(made, "past_key_values", None) or getattr(made, "cache", None)  # the latter from 5.24 on
    ran = made.sequences.shape[1] - 1
    for layer, each in enumerate(getattr(cache, "layers", ())):
        if isinstance(each, DynamicLayer) and (held := each.get_seq_length()) != ran:
            raise _lost(f"{name}: after generating", layer, held, ran)


def prompt_unknown(name: str) -> CacheError:
    """Why nothing may generate inside ``ablate_heads`` where every pass runs the whole prompt."""
    return CacheError(
        f"{name} keeps no keys and values with {versions()}, so that inside ablate_heads a generated token cannot be "
        "told from a prompt. Run whole prompts of at least two tokens there, or use knock_out, which generates without "
        "them."
    )


def _lost(when: str, layer: int, held: int, due: int) -> CacheError:
    return CacheError(
        f"{when} the key-value cache of layer {layer} holds {held} tokens instead of {due}, so the model does not keep "
        f"what it has read. {versions()} do not fit together here; install versions that sycolens admits."
    )


@functools.cache
def _huggingface_layer() -> Any:
    # Made when first used: transformers takes seconds to import.
    from transformers.cache_utils import DynamicLayer

    class StoredLayer(DynamicLayer):  # type: ignore[misc]
        def __init__(self, store: Store) -> None:
            super().__init__()
            self.is_initialized = True
            self.store = store

        def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, ...]:
            return self.store.append(key_states, value_states)

        def get_seq_length(self) -> int:
            return self.store.length

    return StoredLayer


@functools.cache
def _lens_entry() -> Any:
    from transformer_lens.cache.key_value_cache_entry import TransformerLensKeyValueCacheEntry

    class StoredEntry(TransformerLensKeyValueCacheEntry):  # type: ignore[misc]
        past_keys = property(lambda entry: entry.store.shown()[0])
        past_values = property(lambda entry: entry.store.shown()[1])

        def __init__(self, store: Store) -> None:
            self.store = store

        def append(self, new_keys: Tensor, new_values: Tensor) -> tuple[Tensor, ...]:
            return self.store.append(new_keys, new_values)

    return StoredEntry
