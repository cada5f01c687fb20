"""Keys and values of rows that grow token by token: room is taken once, and all passes of all batches write into it."""

from __future__ import annotations

from typing import Any

from jaxtyping import Int
from torch import Tensor

from sycolens.model.hooked import Geometry, HookedModel
from sycolens.model.kv_cache import Store, cache_of, is_bridge
from sycolens.model.kv_prefix import Prefix


class Room:
    """Room for the keys and values of at most ``n_rows`` rows of ``n_tokens``, for one batch after another.

    The model's own caches copy all that they hold for every further token, and take new memory for it.
    """

    def __init__(self, model: HookedModel, geometry: Geometry, *, n_rows: int, n_tokens: int) -> None:
        self._model = model
        self._layers = [_Layer(n_rows, n_tokens) for _ in range(geometry.n_layers)]

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


class _Layer(Store):
    """One layer's keys and values, with their tokens along an axis."""

    def __init__(self, n_rows: int, n_tokens: int) -> None:
        self._room = n_rows, n_tokens
        self._whole: list[Tensor] = []
        self.clear(-2)

    def clear(self, axis: int) -> None:
        self._axis, self._n_rows, self.length = axis, 0, 0

    def append(self, keys: Tensor, values: Tensor, copies: int = 1) -> tuple[Tensor, ...]:
        new = keys, values
        if not self._whole:
            self._whole = [self._room_like(each) for each in new]
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

    def _room_like(self, first: Tensor) -> Tensor:
        shape = list(first.shape)
        shape[0], shape[self._axis] = self._room
        return first.new_empty(shape)
