"""How a number read from the label logits changes with every head's last-token output: one pass forward, one back.

The passes are those that patch heads, with no head patched: the one-token replay, in which no later head reacts, and
the last token over the prompt's keys and values, in which all do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sycolens.model.capture import LastToken
from sycolens.model.hooked import Geometry, HookedModel, z_name
from sycolens.model.label_logits import label_logits
from sycolens.model.partial_forward import Suffix, Visit, run_rows
from sycolens.model.replay import Rows, replay_rows, require_same

Score = Callable[[Float[Tensor, "pair label"]], Float[Tensor, " pair"]]
"""A differentiable number of every pair's label logits."""
Slopes = tuple[tuple[Float[Tensor, "pair head d_head"], ...], Float[Tensor, " pair"]]
"""Derivatives of each pair's number by its head outputs, layer by layer, and the number itself."""


def path_slopes(
    model: HookedModel,
    geometry: Geometry,
    reference: LastToken,
    labels: Int[Tensor, "pair side member"],
    score: Score,
    *,
    grow: bool,
) -> Slopes:
    """Derivatives with every other head's output held: through MLPs and norms, through no later attention.

    MLP outputs are held too where ``reference.mlp_out`` was captured.

    Raises:
        ReplayError: the replayed token does not give the logits of the model's own forward pass.
        HookError: a hook did not fire.
    """
    outputs = tuple(z.detach().clone().requires_grad_() for z in reference.z)
    held = replace(reference, z=outputs)
    with torch.enable_grad():
        logits = replay_rows(model, geometry, held, held, Rows((), len(labels), grow))[0]
        require_same(logits.detach(), reference.logits, geometry)
        return _slopes(score(label_logits(logits, labels)), outputs)


def total_slopes(
    model: HookedModel,
    geometry: Geometry,
    reference: Suffix,
    labels: Int[Tensor, "pair side member"],
    score: Score,
    *,
    grow: bool,
) -> Slopes:
    """Derivatives with all later heads and MLPs reacting.

    Raises:
        ReplayError, HookError: as :func:`path_slopes`.
    """
    shifts = tuple(torch.zeros_like(z[:, -1]).requires_grad_() for z in reference.z)

    def add(shift: Tensor) -> Visit:
        def visit(z: Tensor) -> None:
            z[:, reference.patched(z.device)] += shift

        return visit

    with torch.enable_grad():
        visits = {z_name(layer): add(shift) for layer, shift in enumerate(shifts)}
        logits = run_rows(model, geometry, reference, (), visits, grow=grow)[0]
        require_same(logits.detach(), reference.logits, geometry)
        return _slopes(score(label_logits(logits, labels)), shifts)


def _slopes(values: Float[Tensor, " pair"], outputs: Sequence[Tensor]) -> Slopes:
    # Pairs do not meet in a batch, so the derivatives of the sum are those of each pair's own number.
    return torch.autograd.grad(values.sum(), outputs), values.detach()
