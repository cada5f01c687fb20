"""What heads put out on the counterfactual prompts: the values that stand in for them when they are knocked out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.compute import Compute
from sycolens.counts import check_choice, is_count
from sycolens.errors import ModelError, PairError
from sycolens.model.batches import batches_that_fit, in_batches, tokens_at_once
from sycolens.model.capture import capture_z
from sycolens.model.hooked import Geometry, HookedModel, require_head_outputs, require_readable, require_whole
from sycolens.model.threads import enough_threads
from sycolens.model.weights import written
from sycolens.prompts import ContrastPairs
from sycolens.shown.words import shortened
from sycolens.storage import SavedResult


@dataclass(frozen=True, eq=False, repr=False)
class HeadMeans(SavedResult):
    """Head outputs (``hook_z``) at the end of prompts: their mean, and each prompt's own.

    >>> means = mean_activations(model, pairs, compute=QUIET)
    >>> means.mean.shape, means.samples.shape
    (torch.Size([1, 6, 8, 16]), torch.Size([32, 6, 8, 16]))
    """

    saved_as = "head means"

    mean: Float[Tensor, "position layer head d_head"]
    """Mean over the prompts at each of their last tokens, the last one last."""
    samples: Float[Tensor, "prompt layer head d_head"]
    """At the last token of each prompt."""
    write_norm: Float[Tensor, "layer head"]
    """Mean length of what a head writes to the residual stream (z W_O) at the last token."""
    prompts: Literal["counterfactual", "reference"]
    last_tokens: tuple[int, ...]
    """Ids of the tokens with which the prompts end: where the means were taken."""
    model_name: str
    pairs_fingerprint: str

    def __repr__(self) -> str:
        width, layers, heads, _ = self.mean.shape
        where = f"the last {width} tokens" if width > 1 else "the last token"
        which = f"{len(self.samples)} {self.prompts} prompts"
        return f"HeadMeans({layers} x {heads} heads at {where} of {which}, {shortened(self.model_name, 40)})"

    def require_for(self, geometry: Geometry) -> None:
        """Refuse a model of another shape.

        Raises:
            ModelError: these are the means of a model with other layers or heads.
        """
        if self.mean.shape[1:] != (geometry.n_layers, geometry.n_heads, geometry.d_head):
            layers, heads, width = self.mean.shape[1:]
            raise ModelError(
                f"The means are those of {self.model_name} ({layers} layers, {heads} heads of {width}), but "
                f"{geometry.name} has {geometry.n_layers} layers and {geometry.n_heads} heads of {geometry.d_head}; "
                "take them anew with mean_activations."
            )

    def require_at(self, prompts: Sequence[Sequence[int]]) -> None:
        """Refuse prompts that end elsewhere than those of the means: heads do other things at another token.

        Raises:
            PairError: a prompt ends with a token with which no prompt of the means ends.
        """
        for number, prompt in enumerate(prompts):
            if prompt[-1] not in self.last_tokens:
                raise PairError(
                    f"Prompt {number} ends with token {prompt[-1]}, but the means were taken after "
                    f"{', '.join(map(str, self.last_tokens))}. Pairs and questions must lead to the same place: give "
                    "both the same behavior (its opening), template and options."
                )


def mean_activations(
    model: HookedModel,
    pairs: ContrastPairs,
    *,
    prompts: Literal["counterfactual", "reference"] = "counterfactual",
    width: int | Literal["challenge"] = 1,
    compute: Compute = Compute(),
) -> HeadMeans:
    """Mean output of every head over the counterfactual prompts, for the knockout of the paper's Figure 2(b).

    Taken at the last token; with ``width`` at so many last tokens, each with a mean of its own, counted from the right
    since the two prompts of a pair are aligned there only. ``"challenge"`` is as far back as the shortest last user
    turn reaches in every prompt.

    Raises:
        NoHeadOutputError: a layer has no ``hook_z``.
        PairError: ``width`` is below 1 or longer than a prompt, or a pair does not say where its challenge is.
        PromptError, NotFiniteError, HookError: as :func:`patch_heads`.

    >>> mean_activations(model, pairs, compute=QUIET)
    HeadMeans(6 x 8 heads at the last token of 32 counterfactual prompts, organism)
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    check_choice(PairError, Literal["counterfactual", "reference"], prompts=prompts)
    chosen = getattr(pairs, prompts)
    require_readable(chosen, geometry)
    wide = _challenge_width(pairs) if width == "challenge" else width
    shortest = min(map(len, chosen))
    if not is_count(wide) or not 1 <= wide <= shortest:
        raise PairError(f"width={wide!r}, but the shortest prompt has {shortest} tokens; choose width from 1 to that.")
    total = torch.zeros(wide, geometry.n_layers, geometry.n_heads, geometry.d_head, dtype=torch.float64)
    samples = torch.empty(len(chosen), *total.shape[1:])
    order = sorted(range(len(chosen)), key=lambda i: len(chosen[i]))
    lengths = [len(prompt) for prompt in chosen]
    batches = batches_that_fit(model, [order], lengths, compute=compute)

    def take(batch: list[int]) -> tuple[Tensor, Tensor]:
        z = capture_z(model, geometry, [chosen[i] for i in batch], width=wide)
        return z.double().sum(0), z[:, -1].clone()

    for batch, (summed, last) in in_batches(model, batches, lengths, take, desc="taking means", compute=compute):
        total += summed
        samples[batch] = last
    with enough_threads(model, tokens_at_once(batches, lengths)):
        norms = [_write_norm(model, samples[:, layer], layer) for layer in range(geometry.n_layers)]
    return HeadMeans(
        mean=(total / len(chosen)).float(),
        samples=samples,
        write_norm=torch.stack(norms),
        prompts=prompts,
        last_tokens=tuple(sorted({prompt[-1] for prompt in chosen})),
        model_name=geometry.name,
        pairs_fingerprint=pairs.fingerprint,
    )


def _write_norm(model: Any, z: Float[Tensor, "prompt head d_head"], layer: int) -> Float[Tensor, "head"]:
    lengths: Tensor = torch.linalg.vector_norm(written(model, layer, z), dim=-1)
    return lengths.mean(0)


def _challenge_width(pairs: ContrastPairs) -> int:
    lengths = []
    for number, (prompt, spans) in enumerate(zip(pairs.reference, pairs.spans, strict=True)):
        if "challenge" not in spans:
            raise PairError(
                f"Pair {number} does not say where its challenge is (it was made of tokens or text); give width as a "
                "number of tokens."
            )
        lengths.append(len(prompt) - spans["challenge"][0])
    return min(*lengths, *map(len, pairs.counterfactual))
