"""What is tuned: which matrices of which heads, and how (the paper's section 3.3)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sycolens.counts import check_counts, is_count
from sycolens.errors import TuningError
from sycolens.heads import Head, HeadSet
from sycolens.model.hooked import Geometry
from sycolens.model.layouts import group_of
from sycolens.model.weights import mlp_slots, shape_of


@dataclass(frozen=True, init=False)
class PinpointConfig:
    """Which matrices of which heads are trained, and how.

    Raises:
        HeadError: a head is named twice, or something is no head.
        TuningError: there is nothing to tune, or an option does not fit the others.

    >>> PinpointConfig(HeadSet(["L1H0", "L2H2"]), matrices="QO").count_parameters(model)
    8192
    """

    heads: HeadSet
    matrices: str
    """Letters among Q, K, V and O. ``auto`` is the paper's choice: all four, or Q and O where query heads share keys
    and values. Asking for K or V there trains those of the head's group, once for all its chosen heads."""
    rank: int | None
    """Train an update of this rank to each chosen matrix instead of the matrix (the paper's SPT + LoRA)."""
    alpha: float | None
    """The update is scaled by alpha / rank; by default by 1."""
    dtype: torch.dtype | None
    """Of the trained parameters; by default the model's own. Must be able to hold the model's values exactly."""
    mlps: tuple[int, ...]
    """Layers whose MLP is trained as a whole (Table 3)."""

    def __init__(
        self,
        heads: Iterable[Head | str | tuple[int, int]],
        matrices: str = "auto",
        rank: int | None = None,
        alpha: float | None = None,
        dtype: torch.dtype | None = None,
        mlps: Iterable[int] = (),
    ) -> None:
        own = {"heads": HeadSet(heads), "matrices": matrices, "rank": rank, "alpha": alpha, "dtype": dtype}
        for name, value in {**own, "mlps": tuple(mlps)}.items():
            object.__setattr__(self, name, value)
        self._check_options()

    def _check_options(self) -> None:
        if not self.heads and not self.mlps:
            raise TuningError("There is nothing to tune: name at least one head, or an MLP.")
        letters = self.matrices
        if letters != "auto" and (not letters or set(letters) - set("QKVO") or len(set(letters)) != len(letters)):
            raise TuningError(f"matrices={letters!r} is unknown; write 'auto', or letters among Q, K, V, O as in 'QO'.")
        if self.rank is not None:
            check_counts(TuningError, rank=self.rank)
        if self.alpha is not None and (self.rank is None or not (self.alpha > 0 and math.isfinite(self.alpha))):
            raise TuningError(f"alpha={self.alpha!r} scales an update of low rank; give a positive number, and a rank.")
        if self.rank is not None and self.mlps:
            raise TuningError("mlps are trained whole, which a rank contradicts; give one or the other.")
        if self.dtype is not None and not self.dtype.is_floating_point:
            raise TuningError(f"dtype={self.dtype} cannot be trained; choose a floating-point type.")
        for layer in self.mlps:
            if not is_count(layer) or layer < 0 or self.mlps.count(layer) > 1:
                raise TuningError(f"mlps={self.mlps!r} are no layers; give whole numbers from 0, each once.")

    @property
    def scale(self) -> float:
        """What an update of low rank is multiplied with."""
        return 1.0 if self.rank is None or self.alpha is None else self.alpha / self.rank

    def letters(self, shape: Geometry) -> str:
        """The matrices that are trained in a model of some shape."""
        if self.matrices != "auto":
            return self.matrices
        return "QKVO" if shape.n_key_value_heads == shape.n_heads else "QO"

    def count_parameters(self, model_config: Any) -> int:
        """How many numbers are trained in a model, given it, its Hugging Face configuration or its shape.

        The paper's table: heads * 4 (or 2, with shared keys and values) * d_model * d_head. MLPs cannot be counted
        from a shape alone.

        Raises:
            HeadError: a head does not exist in this model.
            TuningError: a rank or an MLP does not fit it.

        >>> PinpointConfig(HeadSet(["L0H0", "L1H3"])).count_parameters(model)
        16384
        """
        shape = model_config if isinstance(model_config, Geometry) else shape_of(model_config)
        self.check(shape)
        maps = {map_name(head, letter, shape) for head in self.heads for letter in self.letters(shape)}
        size = shape.d_model * shape.d_head
        of_heads = len(maps) * (size if self.rank is None else self.rank * (shape.d_model + shape.d_head))
        return of_heads + sum(_mlp_size(model_config, layer) for layer in self.mlps)

    def check(self, shape: Geometry) -> None:
        """Refuse a model of a shape that this does not fit.

        Raises:
            HeadError, TuningError: as :meth:`count_parameters`.
        """
        if self.heads:
            self.heads.check(shape.n_layers, shape.n_heads)
        if self.rank is not None and self.rank > min(shape.d_model, shape.d_head):
            raise TuningError(
                f"rank={self.rank} is more than a head of {shape.name} has: its maps have rank {shape.d_head} at most. "
                "Choose less, or none to train whole slices."
            )
        if missing := [layer for layer in self.mlps if layer >= shape.n_layers]:
            raise TuningError(
                f"There is no MLP in layer {missing[0]}: {shape.name} has layers 0 to {shape.n_layers - 1}."
            )


def map_name(head: Head, letter: str, shape: Geometry) -> str:
    """What a trained matrix is called: "L1H0.Q", or "L1G0.K" where a group of heads shares it."""
    shared = letter in "KV" and shape.n_key_value_heads < shape.n_heads
    return f"L{head.layer}G{group_of(head, shape)}.{letter}" if shared else f"{head}.{letter}"


def _mlp_size(model_config: Any, layer: int) -> int:
    if isinstance(model_config, Geometry):
        raise TuningError("A shape does not tell how MLPs are made; count with the model or its configuration.")
    model = model_config
    if not isinstance(model, nn.Module):
        from transformers import AutoModelForCausalLM

        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(copy.deepcopy(model_config))
    return sum(slot.view.numel() for slot in mlp_slots(model, layer).values())
