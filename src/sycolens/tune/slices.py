"""Slices of a weight that are parameters of their own, while the rest of it stays as it is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sycolens.model.weights import Slot


class Whole(nn.Module):
    """A slice trained as it is."""

    def __init__(self, base: Float[Tensor, "d_in d_out"], dtype: torch.dtype) -> None:
        super().__init__()
        self.value = nn.Parameter(base.detach().to(dtype, copy=True, memory_format=torch.contiguous_format))

    def forward(self, base: Float[Tensor, "d_in d_out"]) -> Float[Tensor, "d_in d_out"]:
        return self.value


class LowRank(nn.Module):
    """A slice plus a trained update of low rank, scale * A B; nothing at first, since B is zero."""

    def __init__(
        self,
        base: Float[Tensor, "d_in d_out"],
        dtype: torch.dtype,
        rank: int,
        scale: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        d_in, d_out = base.shape
        # Drawn on the CPU in float32, so that a seed means the same on every device and in every dtype.
        drawn = torch.empty(d_in, rank).uniform_(-1 / math.sqrt(d_in), 1 / math.sqrt(d_in), generator=generator)
        self.A = nn.Parameter(drawn.to(base.device, dtype))
        self.B = nn.Parameter(torch.zeros(rank, d_out, device=base.device, dtype=dtype))
        self.scale = scale

    def forward(self, base: Float[Tensor, "d_in d_out"]) -> Float[Tensor, "d_in d_out"]:
        return base.to(self.A.dtype) + self.scale * (self.A @ self.B)


Source = Whole | LowRank


class Filled(nn.Module):
    """A weight with some slices taken from sources of their own; to be registered as a parametrization of it."""

    def __init__(self, slots: tuple[Slot, ...], sources: tuple[Source, ...], order: tuple[str, ...]) -> None:
        super().__init__()
        self.slots = slots
        self.order = order
        """The names of all parameters of the weight's module, which their removal and return would change."""
        self.sources = nn.ModuleList(sources)

    def forward(self, weight: Tensor) -> Tensor:
        values = [source(slot.of(weight)) for slot, source in zip(self.slots, self.sources, strict=True)]
        fill: Any = _Fill.apply
        filled: Tensor = fill(weight, self.slots, *(value.to(weight.dtype) for value in values))
        return filled


class _Fill(torch.autograd.Function):
    # One copy forward and plain views backward, however many slices a weight has: written with in-place copies,
    # autograd would copy the whole gradient once for each of them.

    @staticmethod
    def forward(ctx: Any, weight: Tensor, slots: tuple[Slot, ...], *values: Tensor) -> Tensor:
        ctx.slots = slots
        filled = weight.clone()
        for slot, value in zip(slots, values, strict=True):
            slot.of(filled).copy_(value)
        return filled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(slot.of(gradients[0]) for slot in ctx.slots)


def register(slots: Mapping[str, Slot], sources: Mapping[str, Source]) -> None:
    """Let every weight that has a slot take it from its source."""
    owners: dict[tuple[nn.Module, str], list[str]] = defaultdict(list)
    for name, slot in slots.items():
        owners[slot.module, slot.name].append(name)
    order = {module: tuple(module._parameters) for module, _ in owners}
    for (module, parameter), names in owners.items():
        filled = Filled(tuple(map(slots.__getitem__, names)), tuple(map(sources.__getitem__, names)), order[module])
        parametrize.register_parametrization(module, parameter, filled, unsafe=True)


def unregister(slots: Mapping[str, Slot]) -> None:
    """Undo :func:`register`, also where it was cut short; modules are as they were, the order of their names too."""
    for module, parameter in {(slot.module, slot.name) for slot in slots.values()}:
        if (filled := filling(module, parameter)) is not None:
            parametrize.remove_parametrizations(module, parameter, leave_parametrized=False)
            for name in filled.order:
                if name in module._parameters:
                    module._parameters[name] = module._parameters.pop(name)


def filling(module: nn.Module, parameter: str) -> Filled | None:
    """What a parameter is filled with, if it is."""
    if not parametrize.is_parametrized(module, parameter):
        return None
    lists: Any = module.parametrizations
    first = lists[parameter][0]
    return first if isinstance(first, Filled) else None


def base_of(slot: Slot) -> Tensor:
    """A slice of the base model, also while it is filled with another; without gradient."""
    if filling(slot.module, slot.name) is None:
        return slot.view
    lists: Any = slot.module.parametrizations
    original: Tensor = lists[slot.name].original
    return slot.of(original.detach())
