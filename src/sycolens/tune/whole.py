"""All parameters of a model, trained in place: the paper's SFT, where pinpoint tuning trains a few heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from sycolens.errors import TuningError
from sycolens.tune.pinpoint import Pinpoint


class WholeModel(Pinpoint):
    """A model of which every parameter is trained (the paper's SFT). No copy of the base is kept.

    So it can neither be merged nor switched off: that raises a :class:`~sycolens.errors.TuningError`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.slots, self.merged = {}, False
        self._own = dict(core_of(model).named_parameters())
        self._required = {name: parameter.requires_grad for name, parameter in self._own.items()}
        for parameter in self._own.values():
            parameter.requires_grad_(True)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters by the names that the model gives them."""
        return self._own

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Set the trained parameters, e.g. to a :meth:`state` taken before training.

        Raises:
            TuningError: the names are others.
        """
        if odd := sorted(set(state) ^ set(self._own)):
            raise TuningError(
                f"The parameters are not those of this tuning: {', '.join(odd[:4])} can be found on one side only."
            )
        with torch.no_grad():
            for name, parameter in self._own.items():
                parameter.copy_(state[name])

    def detach(self) -> None:
        """Let parameters require gradients as they did when found. They stay as trained: no copy of them was kept."""
        for name, requires_grad in self._required.items():
            self._own[name].requires_grad_(requires_grad)

    def base(self) -> dict[str, Tensor]:
        self._refuse("no copy of the base was kept")

    def merge(self) -> None:
        self._refuse("there is nothing to merge")

    def unmerge(self) -> None:
        self._refuse("nothing was merged")

    @contextmanager
    def off(self) -> Iterator[None]:
        self._refuse("no copy of the base was kept to switch to; load the base once more")
        yield

    def _refuse(self, why: str) -> NoReturn:
        raise TuningError(f"All parameters of this model are trained in its own weights: {why}.")


def core_of(model: Any) -> Any:
    """What computes: a bridge's own forward is that of the Hugging Face model it holds, which can do more."""
    return getattr(model, "original_model", model)
