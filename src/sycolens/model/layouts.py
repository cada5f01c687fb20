"""Layouts of attention and MLP weights in Hugging Face models: by the names and shapes of their modules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from sycolens.errors import ModelError
from sycolens.heads import Head
from sycolens.model.hooked import Geometry

# Names of the projections in the Hugging Face models, in the order Q, K, V, O (or the fused Q, K, V and O).
_SEPARATE = (
    ("q_proj", "k_proj", "v_proj", "o_proj"),
    ("q_proj", "k_proj", "v_proj", "out_proj"),
    ("q_proj", "k_proj", "v_proj", "dense"),
)
_FUSED: Mapping[tuple[str, str], Literal["blocks", "heads"]] = {
    ("c_attn", "c_proj"): "blocks",  # all queries, then all keys, then all values
    ("qkv_proj", "o_proj"): "blocks",
    ("query_key_value", "dense"): "heads",  # query, key and value of the first head, then of the next
}
_MLPS = (
    ("up_proj", "gate_proj", "down_proj"),
    ("up_proj", None, "down_proj"),
    ("c_fc", None, "c_proj"),
    ("fc1", None, "fc2"),
    ("fc_in", None, "fc_out"),
    ("dense_h_to_4h", None, "dense_4h_to_h"),
)
_FUSED_MLP = ("gate_up_proj", "down_proj")


@dataclass(frozen=True, eq=False)
class Slot:
    """A place for a matrix or a bias within a parameter, which may hold many of them."""

    module: nn.Module
    name: str
    """The parameter's name in the module."""
    index: tuple[int | slice, ...]
    """The rows, columns or head."""
    transposed: bool
    """Whether the parameter has outputs first, as ``nn.Linear`` does; matrices here have inputs first."""

    def of(self, weight: Tensor) -> Tensor:
        """The view of this place in a tensor shaped like the parameter."""
        view = weight[self.index]
        return view.T if self.transposed else view

    @property
    def view(self) -> Tensor:
        """The matrix or bias that the model computes with, without gradient."""
        weight: Tensor = getattr(self.module, self.name)
        return self.of(weight.detach())


def hugging_face_slots(model: nn.Module, head: Head, shape: Geometry) -> dict[str, Slot]:
    """Where a Hugging Face model has a head's matrices and biases.

    Raises:
        ModelError: the names or shapes are not known.
    """
    _, attention = _attention(model, head.layer, shape)
    for names in _SEPARATE:
        if _has(attention, names):
            return separate_slots((getattr(attention, name) for name in names), head, shape)
    (fused, out), order = next((names, order) for names, order in _FUSED.items() if _has(attention, names))
    module: Any = getattr(attention, fused)
    group = group_of(head, shape)
    if order == "heads":
        starts = {name: 3 * head.index + place for place, name in enumerate("QKV")}
        width = 3 * shape.n_heads
    else:
        starts = {"Q": head.index, "K": shape.n_heads + group, "V": shape.n_heads + shape.n_key_value_heads + group}
        width = shape.n_heads + 2 * shape.n_key_value_heads
    conv, found = _is_conv(module), module.weight.shape
    # Falcon and BigCode use the same names for other orders, which show in the width or in the kind of module.
    if found[1 if conv else 0] != width * shape.d_head or conv != (fused == "c_attn"):
        raise _unknown(shape, head.layer)
    slots: dict[str, Slot] = {}
    for name, start in starts.items():
        slots |= _outputs(module, name, slice(start * shape.d_head, (start + 1) * shape.d_head))
    return slots | {"O": _inputs(getattr(attention, out), head.index, shape.d_head)}


def separate_slots(parts: Iterable[Any], head: Head, shape: Geometry) -> dict[str, Slot]:
    """Where a head's matrices and biases are in four modules for Q, K, V and O.

    Raises:
        ModelError: the modules have not the width that the shape gives.
    """
    query, key, value, out = parts
    group = group_of(head, shape)
    slots: dict[str, Slot] = {}
    for name, module, place, n in (
        ("Q", query, head.index, shape.n_heads),
        ("K", key, group, shape.n_key_value_heads),
        ("V", value, group, shape.n_key_value_heads),
    ):
        weight = getattr(module, "weight", None)
        if weight is None or weight.dim() != 2 or weight.shape[1 if _is_conv(module) else 0] != n * shape.d_head:
            raise _unknown(shape, head.layer)
        slots |= _outputs(module, name, slice(place * shape.d_head, (place + 1) * shape.d_head))
    return slots | {"O": _inputs(out, head.index, shape.d_head)}


def group_of(head: Head, shape: Geometry) -> int:
    """Which keys and values a head reads: its own, or those of its group."""
    return head.index // (shape.n_heads // shape.n_key_value_heads)


def _outputs(module: nn.Module, name: str, chosen: slice) -> dict[str, Slot]:
    """The part of a projection that makes some of its outputs, with its bias if it has one."""
    index = (slice(None), chosen) if _is_conv(module) else (chosen,)
    slots = {name: Slot(module, "weight", index, not _is_conv(module))}
    if getattr(module, "bias", None) is not None:
        slots[f"b_{name}"] = Slot(module, "bias", (chosen,), False)
    return slots


def _inputs(module: nn.Module, place: int, d_head: int) -> Slot:
    """The part of a projection that reads one head."""
    chosen = slice(place * d_head, (place + 1) * d_head)
    return Slot(module, "weight", (chosen,) if _is_conv(module) else (slice(None), chosen), not _is_conv(module))


def matrix_slot(module: nn.Module) -> Slot:
    """The whole weight of a projection."""
    return Slot(module, "weight", (), not _is_conv(module))


def _attention(model: nn.Module, layer: int, shape: Geometry) -> tuple[nn.Module, nn.Module]:
    """A layer of a Hugging Face model, and the module in it that holds the attention's projections."""
    found = []
    for path, module in model.named_modules():
        numbered = re.match(r"(.*?\.(\d+))\.", f"{path}.")
        if numbered and int(numbered[2]) == layer and any(_has(module, names) for names in (*_SEPARATE, *_FUSED)):
            found.append((model.get_submodule(numbered[1]), module))
    if len(found) != 1:
        raise _unknown(shape, layer)
    return found[0]


def hugging_face_mlp(model: nn.Module, layer: int, shape: Geometry) -> dict[str, Slot]:
    """Where a layer's MLP has its matrices; empty where it is none of a kind that is known.

    Raises:
        ModelError: the layer is found by its attention, which is in a layout that is not known.
    """
    block, _ = _attention(model, layer, shape)
    for holder in (*(module for module in block.children() if not _is_attention(module)), block):
        for names in _MLPS:
            if _has(holder, [name for name in names if name]):
                parts = dict(zip(("in", "gate", "out"), names, strict=True))
                return {part: matrix_slot(getattr(holder, name)) for part, name in parts.items() if name}
        if _has(holder, _FUSED_MLP):
            module: Any = getattr(holder, _FUSED_MLP[0])
            half = module.weight.shape[0] // 2
            gate, up = (Slot(module, "weight", (slice(start, start + half),), True) for start in (0, half))
            return {"in": up, "gate": gate, "out": matrix_slot(getattr(holder, _FUSED_MLP[1]))}
    return {}


def _is_attention(module: nn.Module) -> bool:
    return any(_has(module, names) for names in (*_SEPARATE, *_FUSED))


def _has(module: nn.Module, names: Any) -> bool:
    return all(isinstance(getattr(getattr(module, name, None), "weight", None), Tensor) for name in names)


def _is_conv(module: nn.Module) -> bool:
    return any(kind.__name__ == "Conv1D" for kind in type(module).__mro__)


def _unknown(shape: Geometry, layer: int) -> ModelError:
    return ModelError(
        f"{shape.name}: the attention of layer {layer} keeps Q, K, V and O in a layout that is not known to sycolens. "
        "Wrap the model with TransformerBridge.boot_transformers(name, hf_model=...), which knows more of them."
    )
