"""How likely a model finds given continuations of prompts: the sum of their tokens' log-probabilities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from itertools import groupby
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.compute import QUIET, Compute
from sycolens.errors import NotFiniteError, PromptError
from sycolens.model.batches import batches_that_fit, in_batches
from sycolens.model.capture import TokenIds
from sycolens.model.hooked import HookFunction, require_none_knocked_out, steered_from
from sycolens.model.unembedding import read_before_unembedding, unembed
from sycolens.model.weights import shape_of

Hooks = Iterable[tuple[str, HookFunction]]
_AT_ONCE: Final = 32
"""Positions whose logits of the whole vocabulary exist at once."""


def continuation_log_likelihoods(
    model: Any,
    prompts: Sequence[TokenIds],
    continuations: Sequence[Sequence[TokenIds]],
    *,
    hooks_of: Callable[[Sequence[int]], Hooks] | None = None,
    compute: Compute = QUIET,
) -> list[Float[Tensor, " continuation"]]:
    """Log-likelihood of every continuation of every prompt, in nats, summed over its tokens.

    Continuations that differ in their last token alone, such as the letters of options, are read from one pass.
    ``hooks_of`` gives the hooks under which rows of prompts run, the prompts by number. An attached intervention acts
    from the last token of each prompt on.

    Raises:
        PromptError: a continuation is empty, or does not fit behind its prompt.
        HookError: this is inside a block of ``ablate_heads``.
        NotFiniteError: a log-likelihood is NaN or infinite.
    """
    shape = shape_of(model)
    if hasattr(model, "cfg"):
        require_none_knocked_out(model, shape)
    for number, (prompt, several) in enumerate(zip(prompts, continuations, strict=True)):
        for each in several:
            if not each or (shape.n_ctx and len(prompt) + len(each) - 1 > shape.n_ctx):
                raise PromptError(
                    f"A continuation of {len(each)} tokens follows prompt {number} of {len(prompt)}; it needs at least "
                    f"one, and {shape.name} reads {shape.n_ctx} in all. Leave out long questions."
                )
    # Continuations of one prompt that differ in their last token alone share a row.
    shared: dict[tuple[int, TokenIds], list[TokenIds]] = defaultdict(list)
    for i, several in enumerate(continuations):
        for each in dict.fromkeys(map(tuple, several)):
            shared[i, each[:-1]].append(each)
    rows = list(shared)
    tokens = [(*prompts[i], *begun) for i, begun in rows]
    lengths = list(map(len, tokens))
    by_length = sorted(range(len(rows)), key=lengths.__getitem__, reverse=True)

    def measure(batch: list[int]) -> list[Tensor]:
        own = [rows[r][0] for r in batch]
        hooks = nullcontext() if hooks_of is None else model.hooks(fwd_hooks=list(hooks_of(own)))
        with hooks, steered_from(model, [len(prompts[i]) - 1 for i in own]):
            states = read_before_unembedding(model, [tokens[r] for r in batch])
        ends = torch.tensor([lengths[r] for r in batch]).cumsum(0).tolist()
        several = [(each, end) for row, end in zip(batch, ends, strict=True) for each in shared[rows[row]]]
        # Each token is read from the state before it.
        asked = [pair for each, end in several for pair in zip(range(end - len(each), end), each, strict=True)]
        return list(torch.split(_log_probabilities(model, states, asked), [len(each) for each, _ in several]))

    groups = batches_that_fit(model, [by_length], lengths, compute=compute)
    sums: dict[tuple[int, TokenIds], float] = {}
    for batch, found in in_batches(model, groups, lengths, measure, desc="likelihoods", unit="row", compute=compute):
        places = [(rows[row][0], each) for row in batch for each in shared[rows[row]]]
        sums |= {place: each.sum().item() for place, each in zip(places, found, strict=True)}
    scores = [torch.tensor([sums[i, tuple(each)] for each in several]) for i, several in enumerate(continuations)]
    if not all(each.isfinite().all() for each in scores):
        raise NotFiniteError(
            f"{shape.name}: a log-likelihood is NaN or infinite. Check the weights, or load the model in a wider dtype."
        )
    return scores


def _log_probabilities(model: Any, states: Tensor, asked: Sequence[tuple[int, int]]) -> Float[Tensor, " asked"]:
    """Of tokens, each after one of the states, by number."""
    found = torch.empty(len(asked))
    order = sorted(range(len(asked)), key=lambda k: asked[k][0])
    places = [(place, list(group)) for place, group in groupby(order, key=lambda k: asked[k][0])]
    for first in range(0, len(places), _AT_ONCE):
        some = places[first : first + _AT_ONCE]
        logits = unembed(model, states[[place for place, _ in some]])
        log_p = logits.float().log_softmax(-1)
        for row, (_, group) in zip(log_p, some, strict=True):
            found[group] = row[[asked[k][1] for k in group]].cpu()
    return found
