"""What later heads make of a patched head: the total effect, and the path into chosen receivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from sycolens.heads import Head
from sycolens.model.hooked import Geometry, HookedModel, input_name, z_name
from sycolens.model.partial_forward import Suffix, Visit, run_rows
from sycolens.model.replay import in_chunks, require_same

Via = Literal["q", "k", "v"]
"""The input of a receiver: what it asks with, what it is found by, what it passes on."""


def later_effects(
    model: HookedModel,
    geometry: Geometry,
    reference: Suffix,
    counterfactual: Suffix,
    labels: Int[Tensor, "pair side member"],
    heads: Sequence[Head],
    *,
    receivers: Sequence[Head],
    via: Via | None,
    max_rows: int,
    grow: bool,
) -> tuple[Float[Tensor, "pair head label"], Float[Tensor, "pair label"]]:
    """Label logits with each head patched at the captured tokens, and without a patch.

    Without receivers (and ``via``) everything later reacts. With them the patch is seen by their queries, keys or
    values alone, and what follows them reacts; heads of the receivers' last layer and above must then not be among
    ``heads``, as nothing leads from them to a receiver.

    Raises:
        ReplayError: the unpatched row does not give the logits of the model's own forward pass.
        HookError: a hook did not fire.
    """

    def total(reference: Suffix, counterfactual: Suffix, senders: tuple[Head, ...], tokens: Tensor | None) -> Tensor:
        layers = [head.layer for head in senders]
        visits = {z_name(layer): _patch(senders, reference, counterfactual, layer) for layer in sorted(set(layers))}
        return run_rows(model, geometry, reference, layers, visits, grow=grow, tokens=tokens)

    if via is None:
        return in_chunks(total, geometry, reference, counterfactual, labels, heads, max_rows=max_rows)
    first, last = min(head.layer for head in receivers), max(head.layer for head in receivers)
    # A group's heads find the key and the value that they share in one place.
    size = 1 if via == "q" else geometry.n_heads // geometry.n_key_value_heads
    places = {
        input_name(via, layer): sorted({head.index // size for head in receivers if head.layer == layer})
        for layer in sorted({head.layer for head in receivers})
    }

    def through(reference: Suffix, counterfactual: Suffix, senders: tuple[Head, ...], tokens: Tensor | None) -> Tensor:
        layers = [head.layer for head in senders]
        sent: dict[str, Tensor] = {}
        listening = {z_name(layer): _hold(senders, reference, counterfactual, layer) for layer in range(last)}
        listening |= {name: _listen(sent, name, where) for name, where in places.items()}
        logits = run_rows(model, geometry, reference, layers, listening, grow=grow, leave=last + 1, tokens=tokens)
        require_same(logits[0], reference.logits, geometry, tokens)
        delivering = {name: _deliver(sent, name, where) for name, where in places.items()}
        return run_rows(model, geometry, reference, [first] * len(senders), delivering, grow=grow, tokens=tokens)

    return in_chunks(through, geometry, reference, counterfactual, labels, heads, max_rows=max_rows)


def _patch(senders: Sequence[Head], reference: Suffix, counterfactual: Suffix, layer: int) -> Visit:
    """Every sender of the layer at its counterfactual value, in its own block."""
    patched = [(block, head.index) for block, head in enumerate(senders, 1) if head.layer == layer]

    def visit(z: Tensor) -> None:
        values, places = counterfactual.values(layer, z), reference.patched(z.device)
        for block, index in patched:
            z[block, ..., index, :][places] = values[:, index]

    return visit


def _hold(senders: Sequence[Head], reference: Suffix, counterfactual: Suffix, layer: int) -> Visit:
    """Every head of the layer at its reference value, but for the senders."""
    patch = _patch(senders, reference, counterfactual, layer)

    def visit(z: Tensor) -> None:
        z[:, reference.patched(z.device)] = reference.values(layer, z)
        patch(z)

    return visit


def _listen(sent: dict[str, Tensor], name: str, places: Sequence[int]) -> Visit:
    def visit(inputs: Tensor) -> None:
        sent[name] = inputs[..., places, :]

    return visit


def _deliver(sent: dict[str, Tensor], name: str, places: Sequence[int]) -> Visit:
    def visit(inputs: Tensor) -> None:
        # Blocks that had not joined when the receivers' inputs were read have none: their sender is above the receiver.
        values = sent[name][1:]
        inputs[1 : 1 + len(values), ..., places, :] = values

    return visit
