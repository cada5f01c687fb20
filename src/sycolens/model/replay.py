"""The one-token replay: every head patched in its own row, one forward call of the model's own blocks.

Algorithm 1 patches and reads the last token only and holds every other head at its reference value, so no attention
needs to run over the prompt again. A patched run is one token whose layer-0 residual and whose every ``hook_z`` are
set from outside; norms, MLPs, gates and soft-caps are the model's own. A row that patches layer l equals the reference
below l, so it joins the batch only at layer l.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from sycolens.errors import HookError, ReplayError
from sycolens.heads import Head
from sycolens.memory import ran_out_of_memory
from sycolens.model.capture import LastToken, input_device, run
from sycolens.model.hooked import Geometry, HookedModel, HookFunction, mlp_name, resid_name, z_name
from sycolens.model.label_logits import label_logits, tokens_to_read
from sycolens.model.unembedding import logits_of

logger = logging.getLogger(__name__)

CPU_BUDGET = 2**30
"""Bytes that the rows of one replay may take on a CPU."""


@dataclass(frozen=True)
class Rows:
    """The rows of one replay: block 0 is the reference, block i + 1 patches head i; each has one row a pair."""

    heads: tuple[Head, ...]
    """In order of layer."""
    n_pairs: int
    grow: bool
    """Whether blocks join at their layer, or are all there from the start."""

    def patched_at(self, layer: int) -> list[int]:
        """The blocks that patch a head of this layer."""
        return [block for block, head in enumerate(self.heads, 1) if head.layer == layer]

    def present_at(self, layer: int) -> int:
        """How many blocks there are once this layer has been entered."""
        return 1 + (sum(head.layer <= layer for head in self.heads) if self.grow else len(self.heads))


def replay(
    model: HookedModel,
    geometry: Geometry,
    reference: LastToken,
    counterfactual: LastToken,
    labels: Int[Tensor, "pair side member"],
    heads: Sequence[Head],
    *,
    max_rows: int,
    grow: bool,
) -> tuple[Float[Tensor, "pair head side"], Float[Tensor, "pair side"]]:
    """Label logits with each head patched, and without a patch; at most ``max_rows`` rows at a time.

    MLP outputs are held at the reference where ``reference.mlp_out`` was captured.

    Raises:
        ReplayError: the unpatched row does not give the logits of the model's own forward pass.
        HookError: a hook did not fire.
    """

    def run_rows(
        reference: LastToken, counterfactual: LastToken, heads: tuple[Head, ...], tokens: Tensor | None
    ) -> Tensor:
        rows = Rows(heads, len(reference.logits), grow)
        return replay_rows(model, geometry, reference, counterfactual, rows, tokens)

    return in_chunks(run_rows, geometry, reference, counterfactual, labels, heads, max_rows=max_rows)


class Captured(Protocol):
    """What was captured of a batch of prompts; a slice of it is what was captured of some of them."""

    @property
    def logits(self) -> Float[Tensor, "prompt d_vocab"]: ...
    def __getitem__(self, rows: slice, /) -> Self: ...


Kept = TypeVar("Kept", bound=Captured)


def in_chunks(
    run_rows: Callable[[Kept, Kept, tuple[Head, ...], Tensor | None], Float[Tensor, "block pair token"]],
    geometry: Geometry,
    reference: Kept,
    counterfactual: Kept,
    labels: Int[Tensor, "pair side member"],
    heads: Sequence[Head],
    *,
    max_rows: int,
) -> tuple[Float[Tensor, "pair head side"], Float[Tensor, "pair side"]]:
    """Label logits with each head patched, and without a patch, from logits of at most ``max_rows`` rows at a time.

    ``run_rows`` gets heads in order of layer and the tokens whose logits are asked for (None for the vocabulary), and
    gives the unpatched row before theirs. Where logits of few tokens are not the model's own, all are made.

    Raises:
        ReplayError: the unpatched row does not give the logits of the model's own forward pass.
    """
    order = sorted(heads)
    patched = torch.empty(len(labels), len(order), 2)
    unpatched = torch.empty(len(labels), 2)
    for pairs, columns in _chunks(len(labels), len(order), max_rows):
        due, chunk = reference.logits[pairs], (reference[pairs], counterfactual[pairs], tuple(order[columns]))
        tokens, places = tokens_to_read(labels[pairs], due.shape[-1])
        try:
            logits = run_rows(*chunk, tokens)
            require_same(logits[0], due, geometry, tokens)
        except Exception as error:  # whatever it is, the plain way remains
            if ran_out_of_memory(error):
                raise
            logger.info("The whole vocabulary is unembedded: %s", error)
            logits, places = run_rows(*chunk, None), labels[pairs]
            require_same(logits[0], due, geometry)
        picked = label_logits(logits, places)
        unpatched[pairs] = picked[0]
        patched[pairs, columns] = picked[1:].transpose(0, 1)
    place = {head: column for column, head in enumerate(order)}
    return patched[:, [place[head] for head in heads]], unpatched


def _chunks(n_pairs: int, n_heads: int, max_rows: int) -> Iterator[tuple[slice, slice]]:
    pairs = max(1, min(n_pairs, max_rows // (1 + n_heads)))
    width = max(1, max_rows // pairs - 1)
    for first in range(0, n_pairs, pairs):
        for column in range(0, n_heads, width):
            yield slice(first, first + pairs), slice(column, column + width)


def replay_rows(
    model: HookedModel,
    geometry: Geometry,
    reference: LastToken,
    counterfactual: LastToken,
    rows: Rows,
    tokens: Int[Tensor, " token"] | None = None,
) -> Float[Tensor, "block pair token"]:
    """Logits of one forward call of some rows, of these tokens or all; differentiable in the head outputs that are set.

    Raises:
        HookError: a hook did not fire.
        ModelError: tokens are asked for, and the unembedding is no matrix that could be read.
    """
    fired: set[str] = set()

    def enter(layer: int) -> HookFunction:
        def hook(value: Tensor, hook: Any) -> Tensor | None:
            fired.add(resid_name(layer))
            if layer == 0:
                start = reference.resid_pre.to(value.device, value.dtype).unsqueeze(1)
                return repeat(start, "pair token d -> (block pair) token d", block=rows.present_at(0))
            joining = rows.present_at(layer) - rows.present_at(layer - 1)
            if not joining:
                return None
            joined = repeat(value[: rows.n_pairs], "pair token d -> (block pair) token d", block=joining)
            return torch.cat([value, joined])

        return hook

    def set_heads(layer: int) -> HookFunction:
        blocks = rows.patched_at(layer)
        indices = [rows.heads[block - 1].index for block in blocks]

        def hook(value: Tensor, hook: Any) -> Tensor:
            fired.add(z_name(layer))
            z = reference.z[layer].to(value.device, value.dtype).repeat(rows.present_at(layer), 1, 1, 1)
            if blocks:
                patch = counterfactual.z[layer].to(value.device, value.dtype)
                z[blocks, :, indices] = patch[:, indices].transpose(0, 1)
            return z.reshape(-1, *value.shape[1:])

        return hook

    def set_mlp(layer: int) -> HookFunction:
        def hook(value: Tensor, hook: Any) -> Tensor:
            fired.add(mlp_name(layer))
            held = reference.mlp_out[layer].to(value.device, value.dtype)
            return held.repeat(rows.present_at(layer), 1).reshape(-1, *value.shape[1:])

        return hook

    layers = range(geometry.n_layers)
    hooks = [(resid_name(layer), enter(layer)) for layer in layers] + [
        (z_name(layer), set_heads(layer)) for layer in layers
    ]
    if reference.mlp_out:
        hooks += [(mlp_name(layer), set_mlp(layer)) for layer in layers]
    n_blocks = 1 + len(rows.heads)
    start = torch.zeros(1 if rows.grow else n_blocks * rows.n_pairs, 1, dtype=torch.long, device=input_device(model))
    with logits_of(model, tokens), model.hooks(fwd_hooks=hooks):
        logits = run(model, start)
    if missing := [name for name, _ in hooks if name not in fired]:
        raise HookError(f"{geometry.name}: {', '.join(missing)} did not fire in the replay; no effect was measured.")
    return rearrange(logits[:, -1], "(block pair) token -> block pair token", block=n_blocks)


def require_same(
    replayed: Float[Tensor, "pair token"],
    forward: Float[Tensor, "pair d_vocab"],
    geometry: Geometry,
    tokens: Int[Tensor, " token"] | None = None,
) -> None:
    """Refuse a model whose unpatched row does not end in the logits of its own forward pass, at these tokens or all.

    Raises:
        ReplayError: so it is.
    """
    due = forward if tokens is None else forward[:, tokens.to(forward.device)]
    # The floor of 0.1 is for 16-bit types, where two batch shapes already differ by a few percent.
    tolerance = min(1e3 * torch.finfo(forward.dtype).eps, 0.1)
    scale = forward.abs().amax().clamp_min(1e-6)
    error = ((replayed.to(due.device) - due).abs().amax() / scale).item()
    if not error <= tolerance:
        raise ReplayError(
            f"{geometry.name}: replaying the unpatched last token gives logits that differ from the model's own by "
            f"{error:.1%} of their size (allowed: {tolerance:.2%}). Its blocks pass on something besides the residual "
            "stream and hook_z, so these effects would be wrong; this architecture is not supported."
        )


def can_grow(model: HookedModel) -> bool:
    """Whether the batch may grow inside a forward pass; not so where a mask or bias fixes it up front (ALiBi)."""

    def double(value: Tensor, hook: Any) -> Tensor:
        return value.repeat(2, 1, 1)

    try:
        with model.hooks(fwd_hooks=[(resid_name(0), double)]):
            logits = run(model, torch.zeros(1, 1, dtype=torch.long, device=input_device(model)))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return False
    return len(logits) == 2


def rows_within_budget(model: HookedModel, geometry: Geometry) -> int:
    """How many replay rows fit: one gibibyte on a CPU, a quarter of what is free on a GPU."""
    return max(64, byte_budget(model) // (4 * numbers_per_row(geometry)))


def byte_budget(model: HookedModel) -> int:
    """Bytes that rows may take."""
    device = input_device(model)
    return int(torch.cuda.mem_get_info(device)[0]) // 4 if device.type == "cuda" else CPU_BUDGET


def numbers_per_row(geometry: Geometry, n_tokens: int = 1) -> int:
    """How many numbers a row of that many tokens holds at once, logits at its last token included."""
    return 2 * geometry.d_vocab + n_tokens * (6 * geometry.d_mlp + 12 * geometry.d_model)
