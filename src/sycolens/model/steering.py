"""Change the z of some heads from the decision point on, in whatever way a model is run.

The decision point is the last token of the prompt, from which the reply's first token is predicted. What runs a model
knows best where that is, and says so with :func:`~sycolens.model.hooked.steered_from`: prompts are padded on the left
where replies are written, on the right where likelihoods are read, and texts have no prompt at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sycolens.errors import HookError
from sycolens.model.batched_generation import causal_of, keeps_while_generating
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.hooked import (
    Geometry,
    HookedModel,
    known_as_steered,
    pattern_name,
    require_head_outputs,
    require_whole,
    z_name,
)
from sycolens.model.kv_cache import prompt_unknown

Change = Callable[[Float[Tensor, "row token head d_head"]], Float[Tensor, "row token head d_head"]]
"""What becomes of the z of some heads, in float32."""


class Steered:
    """An intervention that is attached to a model."""

    def __init__(self, model: HookedModel, geometry: Geometry, *, kept: bool) -> None:
        self.model = model
        """The model that it lies over."""
        self.first: int | Sequence[int] | None = None
        """The column from which a pass over whole prompts is steered, of all rows or row by row; None: the last."""
        self.layers: set[int] = set()
        """Layers in which it did something so far."""
        self._geometry, self._kept, self._is_on = geometry, kept, True
        self._pass = (0, 0)

    @contextmanager
    def off(self) -> Iterator[None]:
        """The model as its base, for as long as the block lasts."""
        self._is_on = False
        try:
            yield
        finally:
            self._is_on = True

    def look(self, module: nn.Module, args: Any, pattern: Tensor) -> None:
        """What the first layer's attention sees tells a pass over prompts from one over a generated token."""
        self._pass = (pattern.shape[-2], pattern.shape[-1])

    def hook(self, layer: int, heads: Sequence[int], change: Change) -> Callable[..., Tensor | None]:
        """What changes the z of a layer's heads."""
        chosen = list(heads)

        def hook(module: nn.Module, args: Any, value: Tensor) -> Tensor | None:
            if not self._is_on:
                return None
            self.layers.add(layer)
            where = self._where(*value.shape[:2]).to(value.device)[:, :, None, None]
            # Some blocks pass all heads side by side in one vector.
            z = value.reshape(*value.shape[:2], self._geometry.n_heads, -1).clone()
            found = z[:, :, chosen]
            z[:, :, chosen] = torch.where(where, change(found.float()).to(z.dtype), found)
            return z.view(value.shape)

        return hook

    def _where(self, n_rows: int, n_tokens: int) -> Bool[Tensor, "row token"]:
        queries, keys = self._pass
        if queries != n_tokens or (queries not in (1, keys)):
            raise HookError(
                f"{self._geometry.name}: a pass over {n_tokens} tokens sees {keys}, so that prompts run in pieces and "
                "it cannot be told where to steer. Run prompts whole while an intervention is attached."
            )
        if queries == 1 and self.first is None and not self._kept:
            raise prompt_unknown(self._geometry.name)
        if queries == 1 and keys > 1:
            return torch.ones(1, 1, dtype=torch.bool)
        first = torch.tensor(n_tokens - 1 if self.first is None else self.first).reshape(-1, 1)
        if len(first) not in (1, n_rows):
            raise HookError(
                f"{self._geometry.name}: a pass of {n_rows} rows is to be steered from {len(first)} places; give one "
                "place, or one for each row."
            )
        return torch.arange(n_tokens) >= first


@contextmanager
def steer(model: HookedModel, changes: Mapping[int, tuple[Sequence[int], Change]]) -> Iterator[Steered]:
    """Inside the block the z of some heads, by layer, is changed from the decision point on; then nothing is left.

    ``sycolens``' own replies, likelihoods and drift say where that is. A pass of yours over prompts is steered at its
    last column, and one of a single token over cached keys and values as a generated token; ``generate`` of other
    libraries needs its cache (its default).

    Raises:
        NoHeadOutputError: a layer has no ``hook_z``.
        HookError: heads are knocked out or steered already; prompts run in pieces; or nothing was steered before the
            block ended.
        CacheError: the model generates inside by a loop of others, and does not keep what it reads.
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    # Tried before anything is changed, which a trial inside the block would take for a fault of the cache.
    causal = causal_of(model)
    kept = keeps_what_it_reads(model) and (causal is None or keeps_while_generating(causal))
    steered, points = Steered(model, geometry, kept=kept), model.hook_dict
    handles = [points[pattern_name(0)].register_forward_hook(steered.look)]
    for layer, (heads, change) in changes.items():
        handles.append(points[z_name(layer)].register_forward_hook(steered.hook(layer, heads, change)))
    try:
        with known_as_steered(model, steered), known_as_steered(causal, steered) if causal else nullcontext():
            yield steered
    finally:
        for handle in handles:
            handle.remove()
    if missing := sorted(set(changes) - steered.layers):
        raise HookError(
            f"Nothing was steered in layer {', '.join(map(str, missing))} of {geometry.name}: the model did not run "
            "while the intervention was attached. Use it inside the block."
        )
