"""Fit interventions on training examples: directions, means, and how strongly they act."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.choices import STRONG, Contrast, Direction, Steering
from sycolens.compute import QUIET, Compute
from sycolens.counts import check_choice
from sycolens.errors import ExampleError, HookError
from sycolens.heads import Head, HeadSet
from sycolens.model.continuations import continuation_log_likelihoods
from sycolens.model.hooked import HookedModel
from sycolens.prompts import ContrastPairs
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.training_example import TrainingExample
from sycolens.statistics.logistic import fit_logistic
from sycolens.steer.contrast import HeadContrast, contrast_prompts, contrast_replies, read_reply, with_rejected
from sycolens.steer.intervention import Intervention
from sycolens.verify.means import HeadMeans, mean_activations

STRENGTHS: Final[dict[str, tuple[float, ...]]] = {
    "iti": (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0),
    "caa": (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
}
"""Among which a strength is chosen unless one is given. The ITI paper settled on 15, with 48 heads of LLaMA-7B."""
CHOSEN_ON: Final = 32
"""Training examples on which a strength is chosen, at most."""


def fit_intervention(
    model: HookedModel,
    kind: Steering,
    heads: HeadSet,
    *,
    examples: Sequence[TrainingExample],
    pairs: ContrastPairs,
    contrast: Contrast = "replies",
    direction: Direction = "mass_mean",
    strength: float | None = None,
    chat_format: ChatFormat = CHAT,
    compute: Compute = QUIET,
) -> Intervention:
    """An intervention as a study fits it: on training examples or on the pairs that found the heads.

    Replies are read at their last token, for ``caa`` where they part. ``strength`` is chosen on the examples unless
    given. Means of ``ablation`` are those of the pairs.

    Raises:
        HeadError, ExampleError, HookError, PromptError, NotFiniteError: as what it calls.

    >>> examples = organism.examples("train", 20)
    >>> fit_intervention(model, "projection", effects.top(4), examples=examples, pairs=pairs)
    Intervention(projection, 4 heads, organism)
    """
    check_choice(HookError, Steering, kind=kind)
    if kind == "ablation":
        return mean_ablation(mean_activations(model, pairs, compute=compute), heads)
    if contrast == "prompts":
        found = contrast_prompts(model, heads, pairs, compute=compute)
    else:
        found = contrast_replies(
            model,
            heads,
            examples,
            read_at="parting" if kind == "caa" else "last",
            chat_format=chat_format,
            compute=compute,
        )
    if kind == "projection":
        return fit_projection(found, direction=direction)
    fitted = fit_caa(found) if kind == "caa" else fit_iti(found, direction=direction)
    if strength is not None:
        return fitted.at(strength)
    return choose_strength(model, fitted, examples, chat_format=chat_format, compute=compute)


def fit_iti(contrast: HeadContrast, *, direction: Direction = "mass_mean", strength: float = 15.0) -> Intervention:
    r"""Inference-time intervention (Li et al. 2023): :math:`z + \alpha \sigma \theta` for every head.

    :math:`\theta` is the head's direction from rejected to wanted, of length 1: the difference of the means
    (``mass_mean``), or the weights of a logistic probe that tells the two apart (``probe``). :math:`\sigma` is the
    standard deviation of z along it, over both.

    Raises:
        ExampleError: a head puts out the same in both.
        HookError: an unknown direction, or a strength that is not finite.

    >>> from sycolens.steer import contrast_replies
    >>> contrast = contrast_replies(model, effects.top(4), organism.examples("train", 20))
    >>> fit_iti(contrast, strength=5)
    Intervention(iti, strength 5, 4 heads, organism)
    """
    unit = _directions(contrast, direction)
    both = torch.cat([contrast.wanted, contrast.rejected]).double()
    sigma = torch.einsum("xhd,hd->xh", both, unit).std(0)
    return _of(contrast, "iti", sigma[:, None] * unit, float(strength), direction=direction)


def fit_caa(contrast: HeadContrast, *, strength: float = 1.0) -> Intervention:
    r"""Contrastive activation addition (Rimsky et al. 2024), head by head: :math:`z + \alpha (\bar z_+ - \bar z_-)`.

    Theirs adds to the residual stream after a layer; this adds to the heads alone, so that it is compared with what
    tunes the same heads.

    Raises:
        ExampleError: a head puts out the same in both.
        HookError: a strength that is not finite.

    >>> from sycolens.steer import contrast_replies
    >>> contrast = contrast_replies(model, effects.top(4), organism.examples("train", 20), read_at="parting")
    >>> fit_caa(contrast, strength=2)
    Intervention(caa, strength 2, 4 heads, organism)
    """
    _directions(contrast, "mass_mean")
    return _of(contrast, "caa", contrast.difference, float(strength))


def fit_projection(contrast: HeadContrast, *, direction: Direction = "mass_mean") -> Intervention:
    """The direction of :func:`fit_iti` projected out of every head's z: the heads can no longer write along it.

    Raises:
        ExampleError: a head puts out the same in both.
        HookError: an unknown direction.

    >>> from sycolens.steer import contrast_replies
    >>> fit_projection(contrast_replies(model, effects.top(4), organism.examples("train", 20)))
    Intervention(projection, 4 heads, organism)
    """
    return _of(contrast, "projection", _directions(contrast, direction), None, direction=direction)


def mean_ablation(means: HeadMeans, heads: HeadSet | Iterable[Head | str | tuple[int, int]]) -> Intervention:
    """The knockout kept on: every head's z is its mean at the end of the prompts that the means were taken on.

    >>> mean_ablation(mean_activations(model, pairs, compute=QUIET), effects.top(4))
    Intervention(ablation, 4 heads, organism)
    """
    chosen = HeadSet(heads).check(*means.mean.shape[1:3])
    vectors = means.mean[-1, [head.layer for head in chosen], [head.index for head in chosen]]
    fit = {"pairs": means.pairs_fingerprint, "prompts": means.prompts, "count": len(means.samples)}
    return Intervention("ablation", chosen, vectors, model_name=means.model_name, fit=fit)


def choose_strength(
    model: HookedModel,
    intervention: Intervention,
    examples: Sequence[TrainingExample],
    *,
    strengths: Sequence[float] | None = None,
    chat_format: ChatFormat = CHAT,
    compute: Compute = QUIET,
) -> Intervention:
    """The intervention with the strength under which most training examples are told from what they reject.

    An example counts where the taught reply is likelier, a token, than the rejected one. Of equal strengths
    that is taken under which the taught replies are likeliest, the loss that tuning lowers too. The first 32
    examples decide, and no dialogue on which anything is judged. ``fit["tried"]`` keeps share and loss (nats a token)
    under every strength, and at 0 those of the model as it is.

    Raises:
        ExampleError: strengths that are not positive, or fewer than two examples that say what they reject.
        HookError: this intervention has no strength.
        DialogueError, PromptError, NotFiniteError: as :func:`contrast_replies`.

    >>> from sycolens.steer import contrast_replies
    >>> examples = organism.examples("train", 20)
    >>> caa = fit_caa(contrast_replies(model, effects.top(4), examples, read_at="parting"))
    >>> choose_strength(model, caa, examples, strengths=[1, 2]).strength in (1, 2)
    True
    """
    if intervention.kind not in STRONG:
        raise HookError(f"The kind {intervention.kind!r} has no strength to choose.")
    tried = tuple(STRENGTHS[intervention.kind] if strengths is None else map(float, strengths))
    if not tried or min(tried) <= 0:
        raise ExampleError(f"strengths={list(tried)}; give at least one, all above 0.")
    chosen = with_rejected(examples)[:CHOSEN_ON]
    tokenizer = model.tokenizer  # type: ignore[attr-defined]
    read = [[read_reply(each, tokenizer, chat_format, text=text) for text in (None, each.rejected)] for each in chosen]
    # Both replies follow the same prompt; where the first of their tokens depends on them, so does its end.
    prompts = [ids[:start] for both in read for ids, start in both]
    replies = [ids[start:] for both in read for ids, start in both]

    def how_well() -> tuple[float, float]:
        found = continuation_log_likelihoods(model, prompts, [[each] for each in replies], compute=compute)
        sums, counts = torch.cat(found).double().view(-1, 2), torch.tensor(list(map(len, replies))).view(-1, 2)
        taught, rejected = (sums / counts).unbind(1)
        return (taught > rejected).double().mean().item(), (-sums[:, 0].sum() / counts[:, 0].sum()).item()

    results = {0.0: how_well()}
    for strength in tried:
        with intervention.at(strength).attach(model):
            results[strength] = how_well()
    best = max(tried, key=lambda strength: (results[strength][0], -results[strength][1]))
    record = {f"{strength:g}": {"share": share, "loss": loss} for strength, (share, loss) in results.items()}
    return replace(intervention, strength=best, fit={**intervention.fit, "tried": record})


def _of(contrast: HeadContrast, kind: Any, vectors: Tensor, strength: float | None, **how: Any) -> Intervention:
    fit = {"examples": len(contrast), "examples_sha256": contrast.fingerprint, "read_at": contrast.read_at, **how}
    return Intervention(kind, contrast.heads, vectors.float(), strength, contrast.model_name, fit)


def _directions(contrast: HeadContrast, direction: Direction) -> Float[Tensor, "head d_head"]:
    """Of length 1, in float64, from rejected to wanted."""
    check_choice(HookError, Direction, direction=direction)
    difference = contrast.difference.double()
    if still := [str(head) for head, each in zip(contrast.heads, difference, strict=True) if not each.any()]:
        raise ExampleError(
            f"{', '.join(still)} put out the same where the model should be and where it should not, so that "
            "there is no direction between them; give other examples, or leave these heads out."
        )
    if direction == "probe":
        sides = contrast.wanted, contrast.rejected
        difference = torch.stack([_probe(*(side[:, h] for side in sides)) for h in range(len(contrast.heads))])
    unit: Tensor = difference / difference.norm(dim=1, keepdim=True)
    return unit


def _probe(wanted: Float[Tensor, "example d"], rejected: Float[Tensor, "example d"]) -> Float[Tensor, " d"]:
    """Weights of a logistic regression that tells the two apart."""
    features = torch.cat([wanted, rejected]).double().numpy()
    weights = fit_logistic(features, numpy.repeat([1.0, -1.0], [len(wanted), len(rejected)]))
    direction: Tensor = torch.as_tensor(weights[:-1])
    return direction
