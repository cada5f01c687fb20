"""Where a head's matrices lie: separate or fused, Linear or Conv1D, in TransformerLens and Hugging Face models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sycolens.errors import HeadError, ModelError
from sycolens.heads import Head
from sycolens.model.capture import input_device
from sycolens.model.hooked import Geometry, gives_raw_logits
from sycolens.model.layouts import (
    Slot,
    group_of,
    hugging_face_mlp,
    hugging_face_slots,
    matrix_slot,
    separate_slots,
)
from sycolens.model.names import plain_name
from sycolens.private.modules import bridge_is_processed, grouped_name


def head_weights(model: Any, head: Head | str | tuple[int, int]) -> dict[str, Tensor]:
    """A head's maps: ``Q``, ``K``, ``V`` [d_model, d_head], ``O`` [d_head, d_model], biases ``b_Q``, ``b_K``, ``b_V``.

    The tensors are views of the storage that the model computes with, so that writing into them changes the model.
    Where query heads share keys and values, K and V are those of the head's group. Biases are there where the model
    has them; a HookedTransformer always has, as zeros if need be. ``model`` is a TransformerBridge, a
    HookedTransformer or a plain Hugging Face causal model.

    Raises:
        HeadError: the head does not exist.
        ModelError: the layout of the weights is not known.

    >>> weights = head_weights(model, "L1H0")
    >>> weights["Q"].shape, weights["O"].shape
    (torch.Size([128, 16]), torch.Size([16, 128]))
    """
    return {name: slot.view for name, slot in head_slots(model, head).items()}


def head_slots(model: Any, head: Head | str | tuple[int, int]) -> dict[str, Slot]:
    """Where :func:`head_weights` finds what it gives.

    Raises:
        HeadError, ModelError: as there.
    """
    head, shape = Head.of(head), shape_of(model)
    if head.layer >= shape.n_layers or head.index >= shape.n_heads:
        raise HeadError(
            f"{head} does not exist: the model has layers 0 to {shape.n_layers - 1} and heads 0 to {shape.n_heads - 1}."
        )
    if not hasattr(model, "cfg"):
        slots = hugging_face_slots(model, head, shape)
    elif hasattr(model, "original_model"):
        slots = _bridge_slots(model, head, shape)
    else:
        slots = _hooked_slots(model, head, shape)
    _require_shapes(slots, head, shape)
    return slots


def mlp_slots(model: Any, layer: int) -> dict[str, Slot]:
    """Where a layer's MLP has its matrices: ``in``, ``gate`` (if any) [d_model, d_mlp] and ``out`` [d_mlp, d_model].

    Raises:
        ModelError: the layer does not exist, or its MLP is none of this kind, e.g. a mixture of experts.
    """
    shape = shape_of(model)
    if not 0 <= layer < shape.n_layers:
        raise ModelError(f"There is no MLP in layer {layer}: {shape.name} has layers 0 to {shape.n_layers - 1}.")
    slots: dict[str, Slot] = {}
    if not hasattr(model, "cfg"):
        slots = hugging_face_mlp(model, layer, shape)
    elif (mlp := getattr(model.blocks[layer], "mlp", None)) is not None:
        if hasattr(model, "original_model"):
            parts = {name: _innermost(part) for name in ("in", "gate", "out") if (part := getattr(mlp, name, None))}
            if {"in", "out"} <= set(parts):
                slots = {name: matrix_slot(part) for name, part in parts.items()}
        elif hasattr(mlp, "W_in") and mlp.W_in.dim() == 2:
            slots = {
                name: Slot(mlp, f"W_{name}", (), False) for name in ("in", "gate", "out") if hasattr(mlp, f"W_{name}")
            }
    if not slots:
        raise ModelError(
            f"{shape.name}: the MLP of layer {layer} is not made of one matrix in and one out (and a gate), as in a "
            "mixture of experts; leave it out of mlps."
        )
    return slots


def shape_of(model: Any) -> Geometry:
    """The shape of a TransformerLens or Hugging Face model, or of a Hugging Face configuration.

    Raises:
        ModelError: it is none of these.

    >>> shape_of(model).n_heads
    8
    """
    if hasattr(model, "cfg"):
        return Geometry.of(model)
    config = getattr(model, "config", model)
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    try:
        n_heads, d_model = config.num_attention_heads, config.hidden_size
        return Geometry(
            name=plain_name(getattr(config, "name_or_path", ""), getattr(config, "model_type", "")),
            n_layers=config.num_hidden_layers,
            n_heads=n_heads,
            n_key_value_heads=getattr(config, "num_key_value_heads", None) or n_heads,
            d_model=d_model,
            d_head=getattr(config, "head_dim", None) or d_model // n_heads,
            d_mlp=getattr(config, "intermediate_size", None) or 4 * d_model,
            n_ctx=getattr(config, "max_position_embeddings", None) or 0,
            d_vocab=config.vocab_size,
        )
    except AttributeError as error:
        raise ModelError(
            f"{type(model).__name__} is neither a TransformerLens model nor a Hugging Face causal model with attention "
            "heads; load one with sycolens.load_model or AutoModelForCausalLM.from_pretrained."
        ) from error


def require_raw_weights(model: Any) -> None:
    """Refuse a model whose weights TransformerLens has processed: they mean something else than the checkpoint's.

    Raises:
        ModelError: LayerNorm is folded in, or weights are centered.
    """
    cfg = getattr(model, "cfg", None)
    if cfg is None:
        return
    folded = str(getattr(cfg, "normalization_type", "")).endswith("Pre") or bridge_is_processed(model)
    if folded or not gives_raw_logits(model) or _writing_is_centered(model):
        raise ModelError(
            f"{Geometry.of(model).name}: its weights were processed by TransformerLens (LayerNorm folded in, or "
            "centered), so that what is tuned could not go back into the checkpoint. Load it with sycolens.load_model, "
            "which leaves them raw."
        )


def written(model: Any, layer: int, z: Float[Tensor, "prompt head d_head"]) -> Float[Tensor, "prompt head d_model"]:
    """What heads with these outputs add to the residual stream, each on its own; float32 on the CPU.

    Weights that accelerate keeps on disk are read in first. Where there is no matrix to be read, as of a quantized
    model, the model's own projection is run.

    >>> written(model, 0, torch.zeros(2, 8, 16)).shape
    torch.Size([2, 8, 128])
    """
    from accelerate.utils import align_module_device

    attention = model.blocks[layer].attn
    projection: Any = _innermost(getattr(attention, "o", attention))
    with align_module_device(projection), torch.no_grad():
        matrix = _output_matrix(attention)
        if matrix is not None:
            return torch.einsum("phd,hdm->phm", z, matrix.float().cpu())
        apart = z.unsqueeze(2) * torch.eye(z.shape[1])[:, :, None]
        rows = torch.cat([apart.flatten(0, 1).flatten(1), torch.zeros(1, z[0].numel())])
        made: Tensor = projection(rows.to(input_device(model), model.cfg.dtype)).float().cpu()
    return (made[:-1] - made[-1]).view(*z.shape[:2], made.shape[-1])


def _output_matrix(attention: Any) -> Float[Tensor, "head d_head d_model"] | None:
    try:
        matrix: Tensor = attention.W_O.detach()
    except NotImplementedError:  # TransformerLens, of packed weights
        return None
    return matrix if matrix.is_floating_point() and matrix.dim() == 3 else None


def _writing_is_centered(model: Any) -> bool:
    if hasattr(model, "original_model"):
        return False  # a bridge marks what it has processed
    written: Tensor = model.blocks[0].attn.W_O.detach().float()
    return bool(written.mean(-1).abs().amax() <= 1e-5 * written.std())


def _require_shapes(slots: Mapping[str, Slot], head: Head, shape: Geometry) -> None:
    due: dict[str, tuple[int, ...]] = {"O": (shape.d_head, shape.d_model)}
    due |= dict.fromkeys("QKV", (shape.d_model, shape.d_head)) | dict.fromkeys(("b_Q", "b_K", "b_V"), (shape.d_head,))
    for name, slot in slots.items():
        if (found := tuple(slot.view.shape)) != due[name]:
            raise ModelError(
                f"{shape.name}: {name} of {head} has shape {found} where the configuration gives {due[name]}; this "
                "layout of weights is not known to sycolens."
            )


def _hooked_slots(model: Any, head: Head, shape: Geometry) -> dict[str, Slot]:
    attention, group = model.blocks[head.layer].attn, group_of(head, shape)
    slots = {}
    for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V"):
        # Shared keys and values are kept once a group under another name; the usual one repeats them for each head.
        own = grouped_name(attention, name)
        index = head.index if own == name else group
        slots[name.removeprefix("W_")] = Slot(attention, own, (index,), False)
    return slots


def _bridge_slots(model: Any, head: Head, shape: Geometry) -> dict[str, Slot]:
    attention = model.blocks[head.layer].attn
    parts: list[Any] = [getattr(attention, name, None) for name in "qkvo"]
    if any(part is None for part in parts):
        raise ModelError(
            f"{shape.name}: TransformerBridge does not tell Q, K, V and O of layer {head.layer} apart; this layout of "
            "weights is not known to sycolens."
        )
    return separate_slots(map(_innermost, parts), head, shape)


def _innermost(module: nn.Module) -> nn.Module:
    while isinstance(inner := getattr(module, "original_component", None), nn.Module):
        module = inner
    return module
