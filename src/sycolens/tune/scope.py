"""What a training trains, as a value: heads, an update of every attention projection, or all parameters."""

from __future__ import annotations

from typing import Any, Literal

from sycolens.tune.config import PinpointConfig
from sycolens.tune.lora import Lora, LoraScope
from sycolens.tune.pinpoint import attach
from sycolens.tune.tuned import Tuned
from sycolens.tune.whole import WholeModel

Scope = PinpointConfig | LoraScope | Literal["all"]
"""What is trained: heads, an update of every attention projection, or all parameters."""


def attached(model: Any, scope: Scope, *, seed: int) -> Tuned:
    """Make what a scope names trainable on a model, in place, and freeze all else.

    Raises:
        HeadError, TuningError, ModelError: as :func:`sycolens.tune.attach` or :class:`Lora`.
    """
    if isinstance(scope, PinpointConfig):
        return attach(model, scope, seed=seed)
    return Lora(model, scope, seed=seed) if isinstance(scope, LoraScope) else WholeModel(model)


def words_of(scope: Scope) -> str:
    """A scope as text, different for different scopes."""
    if isinstance(scope, LoraScope):
        return f"PEFT's LoRA of every attention projection, rank {scope.rank}, scale {scope.scale:g}"
    if not isinstance(scope, PinpointConfig):
        return "all parameters"
    rank = "" if scope.rank is None else f", rank {scope.rank}, scale {scope.scale:g}"
    mlps = "".join(f", M{layer}" for layer in scope.mlps)
    return f"{scope.matrices} of {', '.join(map(str, scope.heads))}{mlps}{rank}"
