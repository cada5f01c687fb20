"""Find the heads: the paper's Algorithm 1 for all heads at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sycolens.choices import Mlps
from sycolens.compute import Compute
from sycolens.counts import check_counts
from sycolens.errors import HookError, LabelError, PairError
from sycolens.find.effects import HeadEffects, all_heads, coordinates
from sycolens.find.kinds import Effect, Kind
from sycolens.heads import Head, HeadSet
from sycolens.model.batches import batches_that_fit, in_batches, tokens_at_once
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.hooked import (
    Geometry,
    HookedModel,
    as_found,
    gives_raw_logits,
    require_head_inputs,
    require_head_outputs,
    require_mlp_outputs,
    require_readable,
    require_whole,
)
from sycolens.model.kv_prefix import capture_pairs, shared_prefix
from sycolens.model.label_logits import label_logits, label_tensor
from sycolens.model.later_heads import Via, later_effects
from sycolens.model.partial_forward import capture_suffixes, rows_over_prefix
from sycolens.model.replay import can_grow, replay, rows_within_budget
from sycolens.model.threads import enough_threads
from sycolens.prompts import ContrastPairs

CACHES = 2
"""How often the keys and values of a beginning are kept: each prompt of the pair goes on from its own."""
MOST_RUN = 1.5
"""How many times the tokens that are patched may run in rows, so that pairs of unlike length run at once."""


def patch_heads(
    model: HookedModel,
    pairs: ContrastPairs,
    *,
    heads: HeadSet | Iterable[Head | str | tuple[int, int]] | None = None,
    effect: Effect = "path",
    receivers: HeadSet | Iterable[Head | str | tuple[int, int]] | None = None,
    via: Via | None = None,
    span: str | int | None = None,
    mlps: Mlps = "live",
    compute: Compute = Compute(),
) -> HeadEffects:
    """Effect of each head's last-token output on the label logits: on its own path (Algorithm 1) or another.

    Head (l, h) receives its ``hook_z`` from the counterfactual prompt at the last token. What may react:

    - ``effect="path"``, Algorithm 1 (head -> logits in the IOI paper): every other head keeps its own from the
      reference prompt, so later heads do not react. MLPs and norms are recomputed (``mlps="live"``, as in the paper),
      or MLP outputs are held at the reference too (``"frozen"``, the head's direct path to the logits).
    - ``effect="total"``, activation patching: all later heads and MLPs react.
    - ``receivers`` and ``via``, head -> head in the IOI paper: the effect through the receivers' queries (``"q"``),
      keys or values alone. The patched head reaches them through MLPs, but through no other head; whatever follows them
      reacts. Keys and values are read where they lie, so there heads are patched, and receive, at a ``span`` of tokens:
      from a part of the prompt (by default ``"challenge"``) to its end, or a number of last tokens; the two prompts
      are aligned at the end. With grouped-query attention a key or value belongs to a group, and ``receivers`` of the
      result holds all its heads. Heads below no receiver get the reference logits.

    All heads are rows of one batch that starts at the last token (or the span), so a path costs about two forward
    passes a pair.

    Raises:
        NoHeadOutputError: a layer has no ``hook_z``, e.g. a state-space block.
        ModelError: a receiver's layer has no hook for this input, or tokens see what comes after them.
        CacheError: a key-value cache that was found to work no longer does.
        HeadError: ``heads`` or ``receivers`` name a head that the model does not have, or none; or no head lies below
            a receiver.
        PairError: a pair has no such ``span``.
        PromptError: a prompt is longer than the model's context or holds unknown token ids.
        LabelError: a label id is outside the model's vocabulary.
        NotFiniteError: the model gives NaN or infinity.
        HookError: an option is unknown or goes with no other, a hook did not fire, or a pair's counterfactual leaves
            every head as it was.
        ReplayError: the architecture passes on something besides the residual stream and ``hook_z``.

    >>> effects = patch_heads(model, pairs)
    >>> effects.scores("prob_share").shape
    torch.Size([6, 8])
    >>> patch_heads(model, pairs[:4], receivers=effects.top(1), via="v").receivers
    HeadSet(L1H1)
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    kind = Kind.of(geometry, effect=effect, receivers=receivers, via=via, span=span, mlps=mlps)
    if mlps == "frozen":
        require_mlp_outputs(model, geometry)
    if kind.via:
        require_head_inputs(model, geometry, kind.via, (head.layer for head in kind.receivers))
    if heads is None:
        chosen = all_heads(geometry.n_layers, geometry.n_heads)
    else:
        chosen = HeadSet(sorted(HeadSet(heads))).check(geometry.n_layers, geometry.n_heads)
    senders = kind.senders(chosen)
    check_pairs(pairs, geometry, compute)
    n_tokens = kind.n_tokens(pairs)

    labels = label_tensor(pairs.labels)
    logits = torch.full((len(pairs), geometry.n_layers, geometry.n_heads, 2), torch.nan)
    reference_logits, counterfactual_logits = torch.empty(len(pairs), 2), torch.empty(len(pairs), 2)
    everywhere, sent = coordinates(chosen), coordinates(senders)
    lengths = [max(len(pair.reference), len(pair.counterfactual)) for pair in pairs]
    groups = alike(pairs, n_tokens, reacts=kind.reacts)
    batches = batches_that_fit(model, groups, lengths, compute=compute, caches=CACHES)
    with as_found(model), enough_threads(model, tokens_at_once(batches, lengths)):
        how: dict[str, Any] = {"grow": can_grow(model), "cached": keeps_what_it_reads(model)}

    def measure(numbers: list[int]) -> _Measured:
        batch = _Batch(numbers, pairs.select(numbers), labels[numbers], [n_tokens[i] for i in numbers])
        return _measure(model, geometry, batch, senders, kind=kind, mlps=mlps, max_rows=compute.max_rows, **how)

    shown: dict[str, Any] = {"desc": "patching heads", "unit": "pair"}
    for numbers, measured in in_batches(model, batches, lengths, measure, compute=compute, **shown):
        cells = torch.full((len(numbers), geometry.n_layers, geometry.n_heads, 2), torch.nan)
        cells[:, *everywhere] = measured.unpatched[:, None]
        cells[:, *sent] = measured.patched
        logits[numbers] = cells
        reference_logits[numbers], counterfactual_logits[numbers] = measured.unpatched, measured.counterfactual
    return HeadEffects(
        logits=logits,
        reference_logits=reference_logits,
        counterfactual_logits=counterfactual_logits,
        heads=chosen,
        mlps=mlps,
        model_name=geometry.name,
        pairs_fingerprint=pairs.fingerprint,
        raw_logits=gives_raw_logits(model),
        single_labels=pairs.single_labels,
        effect=kind.effect,
        receivers=kind.receivers,
        via=kind.via or "",
    )


class _Batch(NamedTuple):
    numbers: list[int]
    pairs: ContrastPairs
    labels: Int[Tensor, "pair side member"]
    n_tokens: list[int]
    """How many last tokens of each pair are patched."""


class _Measured(NamedTuple):
    """Label logits."""

    patched: Float[Tensor, "pair head label"]
    unpatched: Float[Tensor, "pair label"]
    counterfactual: Float[Tensor, "pair label"]


def _measure(
    model: HookedModel,
    geometry: Geometry,
    batch: _Batch,
    heads: HeadSet,
    *,
    kind: Kind,
    mlps: Mlps,
    max_rows: int | None,
    grow: bool,
    cached: bool,
) -> _Measured:
    prompts = batch.pairs.reference, batch.pairs.counterfactual
    reference: Any
    counterfactual: Any
    if kind.reacts:
        reference, counterfactual = capture_suffixes(model, geometry, *prompts, batch.n_tokens, cached=cached)
        effects: Any = partial(later_effects, receivers=kind.receivers, via=kind.via)
        fitting = rows_over_prefix(model, geometry, max(map(len, prompts[0])), reference.resid_pre.shape[1])
    else:
        frozen = mlps == "frozen"
        reference, counterfactual = capture_pairs(model, geometry, *prompts, cached=cached, mlp_outputs=frozen)
        effects, fitting = replay, rows_within_budget(model, geometry)
    require_difference(reference.z, counterfactual.z, batch.numbers)
    patched, unpatched = effects(
        model, geometry, reference, counterfactual, batch.labels, heads, max_rows=max_rows or fitting, grow=grow
    )
    logits: Tensor = counterfactual.logits
    return _Measured(patched, unpatched, label_logits(logits, batch.labels))


def alike(pairs: ContrastPairs, n_tokens: Sequence[int], *, reacts: bool) -> Iterable[list[int]]:
    """Groups of pairs, by number, that may run together, similar ones next to each other.

    ``n_tokens`` are patched at the end of each pair's prompts, and later heads may react.
    """
    return _of_like_ends(pairs, n_tokens) if reacts else [_in_order(pairs)]


def _in_order(pairs: ContrastPairs) -> list[int]:
    """Pairs of like length pad little; pairs of like prefix share the most of it."""

    def extent(i: int) -> tuple[int, int]:
        reference, counterfactual = pairs.reference[i], pairs.counterfactual[i]
        return shared_prefix(reference, counterfactual), max(len(reference), len(counterfactual))

    return sorted(range(len(pairs)), key=extent)


def _of_like_ends(pairs: ContrastPairs, n_tokens: Sequence[int]) -> Iterator[list[int]]:
    """Pairs whose rows can run at once: each runs from the first token that is patched in any to the longest's end."""
    lengths = [len(reference) for reference in pairs.reference]
    place = {number: i for i, number in enumerate(_in_order(pairs))}
    order = sorted(place, key=lambda i: (lengths[i] - n_tokens[i], lengths[i], place[i]))
    group: list[int] = []
    for i in order:
        grown = [*group, i]
        width = max(lengths[j] for j in grown) - (lengths[grown[0]] - n_tokens[grown[0]])
        if group and len(grown) * width > MOST_RUN * sum(n_tokens[j] for j in grown):
            yield group
            grown = [i]
        group = grown
    yield group


def check_pairs(pairs: ContrastPairs, geometry: Geometry, compute: Compute) -> None:
    """Refuse pairs that the model cannot read.

    Raises:
        PairError, PromptError, LabelError: as :func:`patch_heads`.
    """
    if len(pairs) == 0:
        raise PairError("There are no pairs to patch; build some with ContrastPairs.from_questions.")
    if compute.max_rows is not None:  # the reference and one patched head are two
        check_counts(PairError, least=2, max_rows=compute.max_rows)
    require_readable(pairs.reference, geometry)
    require_readable(pairs.counterfactual, geometry)
    for number, pair in enumerate(pairs.labels):
        for label in pair[0] + pair[1]:
            if not 0 <= label < geometry.d_vocab:
                raise LabelError(
                    f"Pair {number} has label id {label}, but the vocabulary of {geometry.name} ends at "
                    f"{geometry.d_vocab - 1}; the pairs were made with another model's tokenizer."
                )


def require_difference(reference: Sequence[Tensor], counterfactual: Sequence[Tensor], batch: list[int]) -> None:
    """Refuse pairs of which no head output differs.

    Raises:
        HookError: such pairs exist; the first is named.
    """
    moved = torch.zeros(len(batch), dtype=torch.bool)
    for before, after in zip(reference, counterfactual, strict=True):
        moved |= (before != after).flatten(1).any(1).cpu()
    if not moved.all():
        same = [number for number, changed in zip(batch, moved.tolist(), strict=True) if not changed]
        raise HookError(
            f"In pair {same[0]} the counterfactual prompt leaves every head's last-token output exactly as it was, so "
            "patching would change nothing. The two prompts must differ where the last token can see it."
        )
