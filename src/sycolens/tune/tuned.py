"""What a training leaves on a model, whatever it trains: heads, LoRA layers or all parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from sycolens.errors import TuningError
from sycolens.model.hooked import all_modules
from sycolens.tune.sharding import like, whole


class Tuned(ABC):
    """A model of which something is trained in place: a :class:`Pinpoint`, a :class:`Lora` or a :class:`WholeModel`.

    >>> with pinpoint(model, PinpointConfig(HeadSet(["L1H0"]))) as tuned:
    ...     found = tuned.state()
    ...     tuned.load_state({name: 2 * value for name, value in found.items()})
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        # By name, since FSDP puts others in their place and the whole ones must not be kept.
        self._as_found = [(*place, parameter.requires_grad) for place, parameter in parameters_of(model)]

    @property
    @abstractmethod
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name."""

    def state(self) -> dict[str, Tensor]:
        """A copy of the trained parameters."""
        return {name: whole(parameter.detach()).clone() for name, parameter in self.parameters.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Set the trained parameters, e.g. to a :meth:`state` taken before training.

        Raises:
            TuningError: names or shapes are not those of :meth:`state`, or what lies over the model was detached.
        """
        self._require_attached()
        parameters = self.parameters
        if odd := sorted(set(state) ^ set(parameters)):
            raise TuningError(
                f"The parameters are not those of this tuning: {', '.join(odd[:4])} can be found on one side only."
            )
        for name, parameter in parameters.items():
            if state[name].shape != parameter.shape:
                raise TuningError(f"{name} has shape {tuple(state[name].shape)}, but {tuple(parameter.shape)} is due.")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(like(parameter, state[name]))

    @abstractmethod
    def off(self) -> AbstractContextManager[None]:
        """Let the model compute as its base inside, bit for bit.

        Raises:
            TuningError: its base is not known: what lay over it was detached, or nothing does.
        """

    def detach(self) -> None:
        """Take away what lies over the model, and let its parameters require gradients as they did when found."""
        for module, name, requires_grad in self._as_found:
            getattr(module, name).requires_grad_(requires_grad)

    def _require_attached(self) -> None:
        if not self._as_found:
            raise TuningError("The trained parameters were detached from the model; attach them again.")


def parameters_of(model: Any) -> list[tuple[tuple[nn.Module, str], nn.Parameter]]:
    """Every parameter once, and where it is."""
    own = (
        ((module, name), parameter)
        for module in all_modules(model)
        for name, parameter in module.named_parameters(recurse=False)
    )
    return list({id(parameter): (place, parameter) for place, parameter in own}.values())
