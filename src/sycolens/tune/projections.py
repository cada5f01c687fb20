"""The attention projections of a model, by their names in the plain Hugging Face model, split by a bridge or not."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from sycolens.errors import ModelError
from sycolens.heads import Head
from sycolens.model.layouts import Slot, hugging_face_slots
from sycolens.model.weights import head_slots, shape_of
from sycolens.tune.slices import ends_of
from sycolens.tune.whole import core_of

Projections = dict[str, dict[nn.Module, list[int]]]
"""By the name of a projection in the plain Hugging Face model: the modules that compute it here, one or one each for Q,
K and V, and which of its outputs each of them makes."""


def plain_of(model: Any) -> Any:
    """The Hugging Face model behind a model as it is without TransformerLens, with names and shapes but no data."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(copy.deepcopy(core_of(model).config))


def projections_of(model: Any) -> Projections:
    """The attention projections of a TransformerBridge or a plain Hugging Face model.

    Raises:
        ModelError: the layout of the weights is not known.
    """
    shape, plain = shape_of(model), plain_of(model)
    names = {module: name for name, module in plain.named_modules()}
    found: dict[str, dict[nn.Module, dict[int, int]]] = {}
    for head in (Head(layer, index) for layer in range(shape.n_layers) for index in range(shape.n_heads)):
        ours, theirs = head_slots(model, head), hugging_face_slots(plain, head, shape)
        for letter in "QKVO":
            here, there = ours[letter], theirs[letter]
            parts = found.setdefault(names[there.module], {})
            outputs = zip(_outputs(here), _outputs(there), strict=True)
            parts.setdefault(here.module, {}).update(outputs)
    for name, parts in found.items():
        made = sorted(output for outputs in parts.values() for output in outputs.values())
        complete = all(sorted(outputs) == list(range(_width(module))) for module, outputs in parts.items())
        if not complete or made != list(range(_width(plain.get_submodule(name)))):
            raise ModelError(
                f"{shape.name}: {name} makes more than Q, K, V or O of the heads; this layout of weights is not known "
                "to sycolens."
            )
    return {
        name: {module: [outputs[k] for k in sorted(outputs)] for module, outputs in parts.items()}
        for name, parts in found.items()
    }


def _outputs(slot: Slot) -> range:
    """Which outputs of its module a slice of a weight makes."""
    return range(_width(slot.module))[ends_of(slot)[1]]


def _width(module: Any) -> int:
    """How many outputs a linear module makes."""
    width: int = module.weight.shape[0 if isinstance(module, nn.Linear) else 1]
    return width
