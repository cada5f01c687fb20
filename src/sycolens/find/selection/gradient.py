"""Heads by gradient: attribution patching, the first-order estimate of what exchanging a head's output would do."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.choices import Metric, Mlps
from sycolens.compute import Compute
from sycolens.counts import check_choice
from sycolens.errors import HookError, MetricError
from sycolens.find.kinds import Effect
from sycolens.find.metrics import RELATIVE, measure, require_metric
from sycolens.find.patching import CACHES, alike, check_pairs, require_difference
from sycolens.find.selection.scores import HeadScores
from sycolens.model.batches import batches_that_fit, in_batches, tokens_at_once
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.gradients import path_slopes, total_slopes
from sycolens.model.hooked import (
    Geometry,
    HookedModel,
    as_found,
    gives_raw_logits,
    require_head_outputs,
    require_mlp_outputs,
    require_whole,
)
from sycolens.model.kv_prefix import capture_pairs
from sycolens.model.label_logits import label_tensor
from sycolens.model.partial_forward import capture_suffixes
from sycolens.model.replay import can_grow
from sycolens.model.threads import enough_threads
from sycolens.prompts import ContrastPairs


def attribute_heads(
    model: HookedModel,
    pairs: ContrastPairs,
    *,
    metric: Metric = "logit_share",
    effect: Effect = "path",
    mlps: Mlps = "live",
    compute: Compute = Compute(),
) -> HeadScores:
    """First-order estimate of every head's effect: attribution patching (Nanda; as node scores in EAP, Syed et al.).

    The score of head (l, h) on a pair is (z_c - z_r) · dF/dz, with z the head's output at the last token
    (``hook_z``), z_r and z_c its values on the two prompts, and the derivative taken at X_r; for ``logit_share`` and
    ``prob_share`` it is divided by F on X_r, as Algorithm 1 does. Which dF/dz, says ``effect``, in the same words as
    in :func:`~sycolens.patch_heads`, of whose scores these are the estimates:

    - ``"path"``: every other head's output at the last token is a constant. The derivative passes the MLPs and norms
      after the head (norms only with ``mlps="frozen"``), and no later head.
    - ``"total"``: the derivative of the model at the last token, through later heads' queries, keys and values there
      too. Earlier tokens are as on X_r and take no part.

    Both need the two captures of ``patch_heads``, and then one token forward and one back instead of a row a head.

    Raises:
        MetricError: as :meth:`HeadEffects.scores`, before any compute where the model or the labels tell.
        HookError: an option is unknown, or two do not go together; or as :func:`~sycolens.patch_heads`.
        PairError, PromptError, LabelError, ModelError, NotFiniteError, ReplayError: as :func:`~sycolens.patch_heads`.

    >>> attribute_heads(model, pairs, compute=QUIET).top(4)
    HeadSet(L5H3, L1H0, L2H2, L1H1)
    """
    check_choice(MetricError, Metric, metric=metric)
    check_choice(HookError, Effect, effect=effect)
    check_choice(HookError, Mlps, mlps=mlps)
    if mlps == "frozen" and effect == "total":
        raise HookError("mlps='frozen' belongs to effect='path'; in a total effect MLPs react: mlps='live'.")
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    if mlps == "frozen":
        require_mlp_outputs(model, geometry)
    check_pairs(pairs, geometry, compute)
    raw = gives_raw_logits(model)
    require_metric(metric, single_labels=pairs.single_labels, raw_logits=raw, model_name=geometry.name)

    labels, n_tokens = label_tensor(pairs.labels), [1] * len(pairs)
    lengths = [max(len(pair.reference), len(pair.counterfactual)) for pair in pairs]
    total = effect == "total"
    batches = batches_that_fit(model, alike(pairs, n_tokens, reacts=total), lengths, compute=compute, caches=CACHES)
    with as_found(model), enough_threads(model, tokens_at_once(batches, lengths)):
        grow, cached = can_grow(model), keeps_what_it_reads(model)

    def score(logits: Float[Tensor, "pair label"]) -> Float[Tensor, " pair"]:
        return measure(logits.double(), metric)

    def estimate(numbers: list[int]) -> Float[Tensor, "pair layer head"]:
        chosen, own = pairs.select(numbers), labels[numbers]
        prompts = chosen.reference, chosen.counterfactual
        reference: Any
        if total:
            reference, counterfactual = capture_suffixes(model, geometry, *prompts, [1] * len(numbers), cached=cached)
            by_layer, values = total_slopes(model, geometry, reference, own, score, grow=grow)
            before, after = ([z[:, -1] for z in each.z] for each in (reference, counterfactual))
        else:
            frozen = mlps == "frozen"
            reference, other = capture_pairs(model, geometry, *prompts, cached=cached, mlp_outputs=frozen)
            by_layer, values = path_slopes(model, geometry, reference, own, score, grow=grow)
            before, after = list(reference.z), list(other.z)
        require_difference(before, after, numbers)
        moved = [
            ((c.double() - r.double()) * slope.double()).sum(-1).cpu()
            for r, c, slope in zip(before, after, by_layer, strict=True)
        ]
        changed = torch.stack(moved, 1)
        return (changed / values[:, None, None] if metric in RELATIVE else changed).float()

    per_pair = torch.empty(len(pairs), geometry.n_layers, geometry.n_heads)
    for numbers, found in in_batches(
        model, batches, lengths, estimate, compute=compute, desc="attributing to heads", unit="pair"
    ):
        per_pair[numbers] = found
    return HeadScores.of_samples(
        per_pair,
        selection="gradient",
        model_name=geometry.name,
        samples_fingerprint=pairs.fingerprint,
        options={"metric": metric, "effect": effect, "mlps": mlps},
    )
