"""Slices of a weight that are parameters of their own, while the rest of it stays as it is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle
from transformers.pytorch_utils import Conv1D

from sycolens.model.layouts import Slot
from sycolens.private.modules import nothing_between
from sycolens.tune.sharding import whole


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
        self.hooks: tuple[RemovableHandle, ...] = ()
        self.given: tuple[Tensor, ...] = ()
        """The slices of the pass that the module is in, where their gradients are computed beside it."""
        self.inputs: Tensor | None = None
        """The inputs of that pass."""
        self.off = False
        """Whether the weight is handed out as it is, for a while."""

    def values(self, weight: Tensor) -> tuple[Tensor, ...]:
        """What the sources have for the slices of a weight, in its dtype."""
        pairs = zip(self.slots, self.sources, strict=True)
        return tuple(source(slot.of(weight)).to(weight.dtype) for slot, source in pairs)

    def forward(self, weight: Tensor) -> Tensor:
        if self.off:
            return weight
        fill: Any = _Fill.apply
        filled: Tensor = fill(weight, self.slots, *([value.detach() for value in self.given] or self.values(weight)))
        return filled


class _Fill(torch.autograd.Function):
    # One copy forward and plain views backward, however many slices a weight has: written with in-place copies,
    # autograd would copy the whole gradient once for each of them.

    @staticmethod
    def forward(ctx: Any, weight: Tensor, slots: tuple[Slot, ...], *values: Tensor) -> Tensor:
        ctx.slots = slots
        return _filled(weight, slots, values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(slot.of(gradients[0]) for slot in ctx.slots)


class _Backward(torch.autograd.Function):
    # Gives out what a linear module made of detached inputs, and has the gradients: of its inputs, and for each slice
    # the inputs it reads times the gradient of the outputs it makes. The latter are rows and columns of the weight's
    # gradient, which as a whole is not computed. The filled weight is made anew, not kept from forward to backward:
    # on a large model these copies would be gigabytes. The output comes in a list, lest autograd take it for an input
    # that is passed on; models may clamp projections in place, which it refuses on those.

    @staticmethod
    def forward(
        ctx: Any, made: list[Tensor], inputs: Tensor, weight: Tensor, slots: tuple[Slot, ...], *values: Tensor
    ) -> Tensor:
        ctx.slots = slots
        read = (inputs[..., ends_of(slot)[0]].contiguous() for slot in slots)
        ctx.save_for_backward(weight, *values, *read)
        return made.pop()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, *saved = ctx.saved_tensors
        values, read = saved[: len(ctx.slots)], saved[len(ctx.slots) :]
        rows = gradients[0].reshape(-1, gradients[0].shape[-1])
        products = (
            inputs.reshape(-1, inputs.shape[-1]).T.to(rows) @ rows[:, ends_of(slot)[1]]
            for inputs, slot in zip(read, ctx.slots, strict=True)
        )
        passed = None
        if ctx.needs_input_grad[1]:
            filled = _filled(weight, ctx.slots, values).to(rows)
            passed = rows @ (filled if ctx.slots[0].transposed else filled.T)
            passed = passed.view(*gradients[0].shape[:-1], -1).to(read[0].device)
        return None, passed, None, None, *products


def _filled(weight: Tensor, slots: Iterable[Slot], values: Iterable[Tensor]) -> Tensor:
    filled = _copy(weight)
    for slot, value in zip(slots, values, strict=True):
        slot.of(filled).copy_(value)
    return filled


def _copy(weight: Tensor) -> Tensor:
    """A copy that lies as far from a boundary of 64 bytes: the last bits of some products depend on it."""
    layout, size = torch.empty_like(weight, device="meta"), weight.element_size()
    room = weight.new_empty(weight.numel() + 64 // size)
    start = (weight.data_ptr() - room.data_ptr()) % 64 // size
    return room.as_strided(layout.shape, layout.stride(), start).copy_(weight)


def ends_of(slot: Slot) -> tuple[slice, slice]:
    """Which inputs of a linear module a slice of its weight reads, and which outputs it makes."""
    whole = slice(None)
    rows, columns = (*slot.index, whole, whole)[:2]
    return (columns, rows) if slot.transposed else (rows, columns)  # type: ignore[return-value]


def _alone(module: nn.Module, filled: Filled) -> bool:
    """Whether no other hook comes between these two and the product, and nothing else of the module is trained."""
    before, after = filled.hooks
    alone = nothing_between(module, before, after)
    return alone and not any(parameter.requires_grad for parameter in module.parameters(recurse=False))


def _before(module: Any, args: Any, kwargs: Any, *, name: str) -> Any:
    filled = filling(module, name)
    if filled is None or filled.off or not torch.is_grad_enabled() or not _alone(module, filled):
        return None  # autograd does it all
    filled.given = filled.values(module.parametrizations[name].original)
    filled.inputs = args[0] if args else next(iter(kwargs.values()))
    return (filled.inputs.detach(), *args[1:]), {}


def _after(module: Any, args: Any, kwargs: Any, output: Any, *, name: str) -> Any:
    filled = filling(module, name)
    if filled is None or filled.inputs is None:
        return output
    (inputs, given), filled.inputs, filled.given = (filled.inputs, filled.given), None, ()
    if output is None:  # the pass broke off
        return output
    backward: Any = _Backward.apply
    return backward([output], inputs, module.parametrizations[name].original, filled.slots, *given)


def register(slots: Mapping[str, Slot], sources: Mapping[str, Source]) -> None:
    """Let every weight that has a slot take it from its source."""
    owners: dict[tuple[nn.Module, str], list[str]] = defaultdict(list)
    for name, slot in slots.items():
        owners[slot.module, slot.name].append(name)
    order = {module: tuple(name for name, _ in module.named_parameters(recurse=False)) for module, _ in owners}
    for (module, parameter), names in owners.items():
        filled = Filled(tuple(map(slots.__getitem__, names)), tuple(map(sources.__getitem__, names)), order[module])
        # Elsewhere a weight's own gradient is computed and the slices are cut out of it.
        linear = type(module) in (nn.Linear, Conv1D)
        parametrize.register_parametrization(module, parameter, filled, unsafe=True)
        if linear:
            before, after = partial(_before, name=parameter), partial(_after, name=parameter)
            filled.hooks = (
                module.register_forward_pre_hook(before, with_kwargs=True),
                module.register_forward_hook(after, with_kwargs=True, always_call=True, prepend=True),
            )


def unregister(slots: Mapping[str, Slot]) -> None:
    """Undo :func:`register`, also where it was cut short; modules are as they were, the order of their names too."""
    for module, parameter in {(slot.module, slot.name) for slot in slots.values()}:
        if (filled := filling(module, parameter)) is not None:
            for hook in filled.hooks:
                hook.remove()
            parametrize.remove_parametrizations(module, parameter, leave_parametrized=False)
            parameters = dict(module.named_parameters(recurse=False))  # others may still be filled: not among them
            for name in filter(parameters.__contains__, filled.order):
                delattr(module, name)
                module.register_parameter(name, parameters[name])


@contextmanager
def unfilled(slots: Mapping[str, Slot]) -> Iterator[None]:
    """Let every weight be handed out without its sources inside: the very tensor that the base computes with."""
    found = [filling(module, name) for module, name in {(slot.module, slot.name) for slot in slots.values()}]
    on = [filled for filled in found if filled and not filled.off]
    for filled in on:
        filled.off = True
    try:
        yield
    finally:
        for filled in on:
            filled.off = False


def filling(module: nn.Module, parameter: str) -> Filled | None:
    """What a parameter is filled with, if it is."""
    if not parametrize.is_parametrized(module, parameter):
        return None
    lists: Any = module.parametrizations
    first = lists[parameter][0]
    return first if isinstance(first, Filled) else None


def base_of(slot: Slot) -> Tensor:
    """A slice of the base model, also while it is filled with another or sharded; without gradient."""
    if filling(slot.module, slot.name) is None:
        return slot.view
    lists: Any = slot.module.parametrizations
    return slot.of(whole(lists[slot.name].original.detach()))
