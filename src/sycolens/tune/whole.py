"""All parameters of a model, trained in place: the paper's SFT, where pinpoint tuning trains a few heads."""

from __future__ import annotations

from typing import Any, NoReturn

from torch import nn

from sycolens.errors import TuningError
from sycolens.tune.tuned import Tuned


class WholeModel(Tuned):
    """A model of which every parameter is trained (the paper's SFT).

    No copy of the base is kept: the parameters stay as trained after :meth:`detach`, and cannot be :meth:`off`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._own = dict(core_of(model).named_parameters())
        for parameter in self._own.values():
            parameter.requires_grad_(True)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters by the names that the model gives them."""
        return self._own

    def off(self) -> NoReturn:
        """Refused, since there is no base to switch to.

        Raises:
            TuningError: always.
        """
        raise TuningError(
            "All parameters of this model are trained in its own weights: no copy of the base was kept to switch to; "
            "load the base once more."
        )


def core_of(model: Any) -> Any:
    """What computes: a bridge's own forward is that of the Hugging Face model it holds, which can do more."""
    return getattr(model, "original_model", model)
