"""Find the heads: the paper's Algorithm 1 for all heads at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from tqdm.auto import tqdm

from sycolens.errors import HookError, LabelError, PairError
from sycolens.find.effects import HeadEffects, all_heads
from sycolens.heads import Head, HeadSet
from sycolens.model.capture import LastToken, capture_pairs, shared_prefix
from sycolens.model.hooked import (
    Geometry,
    HookedModel,
    as_found,
    gives_raw_logits,
    require_head_outputs,
    require_mlp_outputs,
    require_readable,
)
from sycolens.model.replay import can_grow, replay, rows_within_budget
from sycolens.prompts import ContrastPairs


def patch_heads(
    model: HookedModel,
    pairs: ContrastPairs,
    *,
    heads: HeadSet | Iterable[Head | str | tuple[int, int]] | None = None,
    mlps: Literal["live", "frozen"] = "live",
    batch_size: int = 16,
    max_rows: int | None = None,
    progress: bool = True,
) -> HeadEffects:
    """Effect of each head's last-token output on the label logits (Algorithm 1).

    Head (l, h) receives its ``hook_z`` from the counterfactual prompt at the last token; every other head keeps its
    own from the reference prompt, so later heads do not react. MLPs and norms are recomputed (``mlps="live"``, as in
    the paper), or MLP outputs are held at the reference too (``"frozen"``, the head's direct path to the logits).

    All heads are rows of one batch that starts at the last token, so the cost is about two forward passes a pair.
    ``batch_size`` is how many pairs run at once over the prompts, ``max_rows`` how many patched rows run at once over
    the last token (by default as many as fit in a memory budget); neither changes the result.

    Raises:
        NoHeadOutputError: a layer has no ``hook_z``, e.g. a state-space block.
        HeadError: ``heads`` names a head that the model does not have, or none.
        PromptError: a prompt is longer than the model's context or holds unknown token ids.
        LabelError: a label id is outside the model's vocabulary.
        NotFiniteError: the model gives NaN or infinity.
        HookError: a hook did not fire, or a pair's counterfactual leaves every head as it was.
        ReplayError: the architecture passes on something besides the residual stream and ``hook_z``.

    >>> effects = patch_heads(model, pairs)
    >>> effects.scores("prob_share").shape
    torch.Size([6, 8])
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    if mlps == "frozen":
        require_mlp_outputs(model, geometry)
    elif mlps != "live":
        raise HookError(f"mlps={mlps!r} is unknown; choose 'live' (Algorithm 1) or 'frozen'.")
    if heads is None:
        chosen = all_heads(geometry.n_layers, geometry.n_heads)
    else:
        chosen = HeadSet(sorted(HeadSet(heads))).check(geometry.n_layers, geometry.n_heads)
    _check(pairs, geometry, batch_size, max_rows)

    labels = torch.tensor(pairs.labels)
    logits = torch.full((len(pairs), geometry.n_layers, geometry.n_heads, 2), torch.nan)
    reference_logits, counterfactual_logits = torch.empty(len(pairs), 2), torch.empty(len(pairs), 2)
    layers, indices = [head.layer for head in chosen], [head.index for head in chosen]
    with as_found(model), tqdm(total=len(pairs), desc="patching heads", unit="pair", disable=not progress) as bar:
        rows = max_rows or rows_within_budget(model, geometry)
        grow = can_grow(model)
        for batch in _batches(pairs, batch_size):
            reference, counterfactual = capture_pairs(
                model,
                geometry,
                [pairs.reference[i] for i in batch],
                [pairs.counterfactual[i] for i in batch],
                mlp_outputs=mlps == "frozen",
            )
            _require_difference(reference, counterfactual, batch)
            patched, unpatched = replay(
                model, geometry, reference, counterfactual, labels[batch], chosen, max_rows=rows, grow=grow
            )
            cells = torch.full((len(batch), geometry.n_layers, geometry.n_heads, 2), torch.nan)
            cells[:, layers, indices] = patched
            logits[batch] = cells
            reference_logits[batch] = unpatched
            picked = counterfactual.logits.gather(-1, labels[batch].to(counterfactual.logits.device))
            counterfactual_logits[batch] = picked.float().cpu()
            bar.update(len(batch))
    return HeadEffects(
        logits=logits,
        reference_logits=reference_logits,
        counterfactual_logits=counterfactual_logits,
        heads=chosen,
        mlps=mlps,
        model_name=geometry.name,
        pairs_fingerprint=pairs.fingerprint,
        raw_logits=gives_raw_logits(model),
    )


def _batches(pairs: ContrastPairs, batch_size: int) -> Iterator[list[int]]:
    # Pairs of like length pad little; pairs of like prefix share the most of it.
    def extent(i: int) -> tuple[int, int]:
        reference, counterfactual = pairs.reference[i], pairs.counterfactual[i]
        return shared_prefix(reference, counterfactual), max(len(reference), len(counterfactual))

    order = sorted(range(len(pairs)), key=extent)
    for first in range(0, len(order), batch_size):
        yield order[first : first + batch_size]


def _check(pairs: ContrastPairs, geometry: Geometry, batch_size: int, max_rows: int | None) -> None:
    if len(pairs) == 0:
        raise PairError("There are no pairs to patch; build some with ContrastPairs.from_questions.")
    if batch_size < 1:
        raise PairError(f"batch_size={batch_size}; at least one pair must run at a time.")
    if max_rows is not None and max_rows < 2:
        raise PairError(f"max_rows={max_rows}; a replay needs at least two rows, the reference and one patched head.")
    require_readable(pairs.reference, geometry)
    require_readable(pairs.counterfactual, geometry)
    for number, pair in enumerate(pairs.labels):
        for label in pair:
            if not 0 <= label < geometry.d_vocab:
                raise LabelError(
                    f"Pair {number} has label id {label}, but the vocabulary of {geometry.name} ends at "
                    f"{geometry.d_vocab - 1}; the pairs were made with another model's tokenizer."
                )


def _require_difference(reference: LastToken, counterfactual: LastToken, batch: list[int]) -> None:
    moved = torch.zeros(len(batch), dtype=torch.bool)
    for before, after in zip(reference.z, counterfactual.z, strict=True):
        moved |= (before != after).flatten(1).any(1).cpu()
    if not moved.all():
        same = [number for number, changed in zip(batch, moved.tolist(), strict=True) if not changed]
        raise HookError(
            f"In pair {same[0]} the counterfactual prompt leaves every head's last-token output exactly as it was, so "
            "patching would change nothing. The two prompts must differ where the last token can see it."
        )
