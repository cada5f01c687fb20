"""An intervention: what is done to the z of heads while a model runs, as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.choices import STRONG, Steering
from sycolens.counts import check_choice
from sycolens.errors import HookError, ModelError
from sycolens.heads import HeadSet
from sycolens.model.hooked import Geometry, HookedModel
from sycolens.model.steering import Change, Steered, steer
from sycolens.shown.words import shortened
from sycolens.storage import SavedResult


@dataclass(frozen=True, eq=False, repr=False)
class Intervention(SavedResult):
    r"""What is done to the z of some heads from the decision point on: the prompt's last token and all generated ones.

    With a head's vector :math:`v`, its z becomes

    - ``iti``, ``caa``: :math:`z + \alpha v`, where :math:`\alpha` is the strength;
    - ``projection``: :math:`z - (z \cdot v) v`, where v has length 1;
    - ``ablation``: :math:`v`.

    All other heads, and all tokens before, are left alone. In what has no decision point, such as the texts on which
    drift is measured, every token is changed.

    Raises:
        HeadError: a head is named twice, or none is.
        HookError: an unknown kind; vectors of another shape, or not finite; a strength where there is none, none where
            there is one, or one that is not finite; a vector of length 0 to project out.

    >>> from sycolens.measure import replies
    >>> zeros = Intervention("ablation", HeadSet(["L1H0"]), torch.zeros(1, 16), model_name="organism")
    >>> with zeros.attach(model):
    ...     reply = replies(model, organism.challenges("held_out", 1))
    """

    saved_as: ClassVar[str] = "intervention"
    readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"heads": HeadSet, "fit": dict}

    kind: Steering
    heads: HeadSet
    vectors: Float[Tensor, "head d_head"]
    """One for each head, in float32."""
    strength: float | None = None
    model_name: str = ""
    fit: Mapping[str, Any] = field(default_factory=dict)
    """What it was fitted on, and how; ready for JSON."""

    def __post_init__(self) -> None:
        check_choice(HookError, Steering, kind=self.kind)
        object.__setattr__(self, "heads", HeadSet(self.heads))
        vectors = self.vectors.float().cpu()
        if not len(self.heads) or vectors.dim() != 2 or len(vectors) != len(self.heads):
            raise HookError(
                f"An intervention on {len(self.heads)} heads has vectors of shape {tuple(vectors.shape)}; give at "
                "least one head, and one row for each."
            )
        if not vectors.isfinite().all() or (self.kind == "projection" and not vectors.norm(dim=1).all()):
            raise HookError("A vector of the intervention is NaN, infinite, or of no direction to project out.")
        if (self.strength is not None) != (self.kind in STRONG):
            raise HookError(f"strength={self.strength!r} with kind={self.kind!r}; {' and '.join(STRONG)} have one.")
        if self.strength is not None and not math.isfinite(self.strength):
            raise HookError(f"strength={self.strength!r}; give a finite number.")
        if self.kind == "projection":
            lengths = vectors.norm(dim=1, keepdim=True)
            # What has length 1 keeps its bits, so that it is the same once it was saved.
            vectors = torch.where((lengths - 1).abs() < 1e-6, vectors, vectors / lengths)
        object.__setattr__(self, "vectors", vectors)

    def __repr__(self) -> str:
        strength = "" if self.strength is None else f", strength {self.strength:g}"
        return f"Intervention({self.kind}{strength}, {len(self.heads)} heads, {shortened(self.model_name, 40)})"

    @property
    def parameters(self) -> int:
        """How many numbers it adds to the model."""
        return self.vectors.numel()

    def at(self, strength: float) -> Intervention:
        """The same with another strength.

        Raises:
            HookError: it has none, or that one is not finite.
        """
        return replace(self, strength=float(strength))

    @contextmanager
    def attach(self, model: HookedModel) -> Iterator[Steered]:
        """Inside the block the model is steered in replies, likelihoods, drift and ability; then it is as before.

        What is given has ``off()``, as :func:`~sycolens.measure.kl_drift` needs it of a base.

        Raises:
            HeadError: the model has no such head.
            ModelError: its heads are of another width.
            HookError: heads are knocked out or steered already; prompts run in pieces; or nothing ran in the block.
            NoHeadOutputError: a layer has no ``hook_z``.
            CacheError: another library generates inside, over a cache that does not keep what it reads.
        """
        geometry = Geometry.of(model)
        self.heads.check(geometry.n_layers, geometry.n_heads)
        if geometry.d_head != self.vectors.shape[1]:
            raise ModelError(
                f"The intervention was fitted on heads of {self.vectors.shape[1]} numbers ({self.model_name}), but "
                f"those of {geometry.name} have {geometry.d_head}; fit it anew."
            )
        with steer(model, {layer: self._in(layer) for layer in sorted({head.layer for head in self.heads})}) as steered:
            yield steered

    def _in(self, layer: int) -> tuple[list[int], Change]:
        """Its heads in a layer, and what becomes of them."""
        places = [place for place, head in enumerate(self.heads) if head.layer == layer]
        vectors = self.vectors[places]
        return [self.heads[place].index for place in places], lambda z: self._changed(z, vectors.to(z.device))

    def _changed(self, z: Tensor, vectors: Tensor) -> Tensor:
        if self.kind == "ablation":
            return vectors.expand_as(z)
        if self.kind == "projection":
            return z - (z * vectors).sum(-1, keepdim=True) * vectors
        assert self.strength is not None
        return z + self.strength * vectors
