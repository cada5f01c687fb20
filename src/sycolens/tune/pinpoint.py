"""Make the found heads, and nothing else, trainable: supervised pinpoint tuning (Algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sycolens.errors import ModelError, TuningError
from sycolens.model.hooked import Geometry, all_modules
from sycolens.model.layouts import Slot
from sycolens.model.weights import head_slots, mlp_slots, require_raw_weights, shape_of
from sycolens.tune.config import PinpointConfig, map_name
from sycolens.tune.sharding import is_sharded, whole
from sycolens.tune.slices import Filled, LowRank, Source, Whole, base_of, register, unfilled, unregister
from sycolens.tune.tuned import Tuned, parameters_of


class Pinpoint(Tuned):
    """A model whose chosen slices are parameters of their own, all else frozen; made by :func:`attach`."""

    def __init__(self, model: Any, config: PinpointConfig, slots: Mapping[str, Slot], seed: int) -> None:
        super().__init__(model)
        self.config = config
        self.slots = dict(slots)
        """Where each trained matrix belongs: "L1H0.Q", "L1G0.K" if keys are shared (group 0), "M3.in" of an MLP."""
        self.merged = False
        """Whether the slices are written into the base and run without parametrization."""
        generator = torch.Generator().manual_seed(seed)
        self._sources = {name: self._source(slot, generator) for name, slot in self.slots.items()}
        self._written: dict[str, Tensor] = {}
        self._off = False

    def _source(self, slot: Slot, generator: torch.Generator) -> Source:
        base, config = slot.view, self.config
        dtype = config.dtype or base.dtype
        if torch.promote_types(dtype, base.dtype) != dtype:
            raise TuningError(
                f"dtype={dtype} cannot hold the model's {base.dtype} exactly; choose {base.dtype} or a wider type."
            )
        if config.rank is None:
            return Whole(base, dtype)
        return LowRank(base, dtype, config.rank, config.scale, generator)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters: "L1H0.Q" [d_model, d_head], or "L1H0.Q.A" and ".B" with a rank."""
        return {
            name if part == "value" else f"{name}.{part}": parameter
            for name, source in self._sources.items()
            for part, parameter in source.named_parameters()
        }

    def base(self) -> dict[str, Tensor]:
        """A copy of the chosen slices as the base model has them."""
        return {name: self._written.get(name, base_of(slot)).clone() for name, slot in self.slots.items()}

    def tuned(self) -> dict[str, Tensor]:
        """A copy of the chosen slices as they are trained, in the type of the parameters.

        Raises:
            TuningError: the slices are merged.
        """
        self._require(merged=False)
        with torch.no_grad():
            return {name: self._tuned(name, source).clone() for name, source in self._sources.items()}

    def _tuned(self, name: str, source: Source) -> Tensor:
        own = {part: whole(parameter) for part, parameter in source.named_parameters()}
        filled: Tensor = functional_call(source, own, base_of(self.slots[name]))
        return filled

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Set the trained parameters.

        Raises:
            TuningError: as :meth:`Tuned.load_state`, or the slices are merged.
        """
        self._require(merged=False)
        super().load_state(state)

    def merge(self) -> None:
        """Write the slices into the base's own storage, so that it runs at its usual speed with nothing attached.

        Raises:
            TuningError: they are merged already, detached, or off.
        """
        self._require_on()
        self._require(merged=False)
        self._require_here()
        tuned = {name: slot.view.clone() for name, slot in self.slots.items()}
        unregister(self.slots)
        self._written = {name: slot.view.clone() for name, slot in self.slots.items()}
        self._write(tuned)
        self.merged = True

    def unmerge(self) -> None:
        """Give the base its bits back and attach the slices again.

        Raises:
            TuningError: they are not merged, or off.
        """
        self._require_on()
        self._require(merged=True)
        self._write(self._written)
        self._written, self.merged = {}, False
        register(self.slots, self._sources)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Let the model compute as its base inside, bit for bit; after it, as before, also on an exception.

        The slices may be attached or merged, and keep what was trained. To merge or unmerge them, leave the block.

        Raises:
            TuningError: they are detached, so that it is not known what the model computes.

        >>> with pinpoint(model, PinpointConfig(HeadSet(["L1H0"]))) as tuned:
        ...     with tuned.off():
        ...         logits = model(torch.tensor([pairs.reference[0]]))
        """
        self._require(merged=self.merged)
        self._require_here()
        was_off, self._off = self._off, True
        merged = {name: slot.view.clone() for name, slot in self.slots.items()} if self.merged else {}
        try:
            with unfilled(self.slots):
                self._write(self._written)
                yield
        finally:
            self._off = was_off
            if self.merged:  # detached inside, the model keeps the base
                self._write(merged)

    def detach(self) -> None:
        """Leave the model as it was found, bit for bit; the trained parameters stay here."""
        if self.merged:
            self._write(self._written)
            self._written, self.merged = {}, False
        self._require_here()
        unregister(self.slots)
        super().detach()
        self._as_found = []

    def _attach(self) -> None:
        for module, name, _ in self._as_found:
            getattr(module, name).requires_grad_(False)
        register(self.slots, self._sources)

    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.slots[name].view.copy_(value)

    def _require_on(self) -> None:
        if self._off:
            raise TuningError("The heads are off at this moment; leave the block of off() first.")

    def _require_here(self) -> None:
        if any(map(is_sharded, self.parameters.values())):
            raise TuningError(
                "The model's weights are sharded over processes (FSDP), so its heads can be neither merged nor taken "
                "out; save HeadAdapter.of(...) of them and apply it to the model loaded anew."
            )

    def _require(self, *, merged: bool) -> None:
        self._require_attached()
        if self.merged != merged:
            raise TuningError("The heads are merged already." if self.merged else "The heads are not merged.")


def attach(model: Any, config: PinpointConfig, *, seed: int = 0) -> Pinpoint:
    """Make the chosen slices of a model parameters of their own, in place, and freeze everything else.

    The model computes what it did, bit for bit, until they are changed: the base's weights are shared and stay, and
    the slices are laid over them in each pass. Optimizers see the slices alone, so that weight decay moves nothing else
    and no state is paid for. Biases stay frozen, as do the maps of other heads in the same matrix. ``model`` is a
    TransformerBridge, a HookedTransformer or a plain Hugging Face causal model; ``seed`` draws the A of updates of low
    rank.

    Raises:
        HeadError: a head does not exist.
        TuningError: something is attached already, or the configuration does not fit the model.
        ModelError: the weights are processed, quantized, without data, or in a layout that is not known.

    >>> tuned = attach(model, PinpointConfig(HeadSet(["L1H0"])))
    >>> sorted(tuned.parameters)
    ['L1H0.K', 'L1H0.O', 'L1H0.Q', 'L1H0.V']
    >>> tuned.detach()
    """
    require_raw_weights(model)
    shape = shape_of(model)
    config.check(shape)
    require_trainable(model, shape)
    slots: dict[str, Slot] = {}
    for head in config.heads:
        own = head_slots(model, head)
        slots |= {map_name(head, letter, shape): own[letter] for letter in config.letters(shape)}
    for layer in config.mlps:
        slots |= {f"M{layer}.{name}": slot for name, slot in mlp_slots(model, layer).items()}
    for name, slot in slots.items():
        if slot.name not in slot.module._parameters:
            raise ModelError(
                f"{shape.name}: the weight that holds {name} is no parameter of its own, as where another adapter or "
                "normalization wraps it; merge or remove that first."
            )
    tuned = Pinpoint(model, config, slots, seed)
    try:
        tuned._attach()
    except BaseException:
        tuned.detach()
        raise
    return tuned


@contextmanager
def pinpoint(model: Any, config: PinpointConfig, *, seed: int = 0) -> Iterator[Pinpoint]:
    """:func:`attach` for the length of a ``with`` block; the model is as before after it, also on an exception.

    >>> config = PinpointConfig(HeadSet(["L1H0", "L2H2"]))
    >>> with pinpoint(model, config) as tuned:
    ...     optimizer = torch.optim.AdamW(tuned.parameters.values(), lr=1e-3)
    ...     sum(parameter.numel() for parameter in tuned.parameters.values())
    16384
    """
    tuned = attach(model, config, seed=seed)
    try:
        yield tuned
    finally:
        tuned.detach()


def require_trainable(model: Any, shape: Geometry) -> None:
    """Refuse a model that something is attached to already, or whose weights cannot be trained beside.

    Raises:
        TuningError: heads are attached.
        ModelError: weights are quantized, or without data.
    """
    if any(isinstance(module, Filled) for module in all_modules(model)):
        raise TuningError(f"{shape.name} has tuned heads attached already; detach those first, or merge them.")
    for _, parameter in parameters_of(model):
        if not parameter.is_floating_point() or parameter.dtype.itemsize < 2:
            raise ModelError(
                f"{shape.name} is quantized ({parameter.dtype}), so its slices cannot be trained; load it in float32 "
                "or bfloat16."
            )
        if parameter.device.type == "meta":
            raise ModelError(f"{shape.name} holds weights without data (meta device); load them before tuning.")
