"""Prompts in batches: no more at once than asked for, and no more than fit the memory budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from sycolens.compute import Compute
from sycolens.model.hooked import Geometry, as_found
from sycolens.model.replay import byte_budget, numbers_per_row
from sycolens.model.threads import enough_threads
from sycolens.model.weights import shape_of
from sycolens.private.modules import attention_is_eager

logger = logging.getLogger(__name__)

R = TypeVar("R")


def batches_that_fit(
    model: Any,
    groups: Iterable[Sequence[int]],
    lengths: Sequence[int],
    *,
    compute: Compute,
    caches: int = 0,
) -> list[list[int]]:
    """Prompts by number, in their order, no more in a batch than ``compute`` and the replay's budget allow.

    Every batch has one prompt at least, and prompts of one group only. ``lengths`` are those of all prompts in tokens,
    ``caches`` how many times the pass keeps keys and values. All processes get the same batches.
    """
    shape = shape_of(model)
    # Hugging Face's other kinds of attention never hold all scores; a hooked model always does.
    eager = hasattr(model, "cfg") or attention_is_eager(model.config)
    budget = min(compute.processes.gather(byte_budget(model)))
    batches: list[list[int]] = []
    for group in groups:
        longest, batch = 0, list[int]()
        for i in group:
            longest = max(longest, lengths[i])
            each = 4 * _numbers_per_prompt(shape, longest, caches=caches, eager=eager)
            if not batch or len(batch) == compute.batch_size or (len(batch) + 1) * each > budget:
                longest, batch = lengths[i], []
                batches.append(batch)
            batch.append(i)
    logger.debug(
        "%d prompts of at most %d tokens in %d batches, within %.1f GB",
        sum(map(len, batches)),
        max((lengths[i] for batch in batches for i in batch), default=0),
        len(batches),
        budget / 1e9,
    )
    return batches


def in_batches(
    model: Any,
    batches: Sequence[list[int]],
    lengths: Sequence[int],
    work: Callable[[list[int]], R],
    *,
    desc: str,
    unit: str = "prompt",
    compute: Compute,
) -> list[tuple[list[int], R]]:
    """Every batch with what ``work`` makes of it, in all processes, behind a progress bar.

    Inside, the model is in evaluation mode and without gradients, and torch has as many threads as are worth it.
    """
    own = sum(map(len, compute.processes.in_turn(batches)))
    with (
        as_found(model),
        enough_threads(model, tokens_at_once(batches, lengths)),
        compute.bar(own, desc, unit) as bar,
    ):

        def counted(batch: list[int]) -> R:
            made = work(batch)
            bar.update(len(batch))
            return made

        return list(zip(batches, compute.processes.each(batches, counted), strict=True))


def tokens_at_once(batches: Iterable[Sequence[int]], lengths: Sequence[int]) -> int:
    """Tokens of the largest batch, its padding included."""
    return max((len(batch) * max(lengths[i] for i in batch) for batch in batches), default=0)


def _numbers_per_prompt(shape: Geometry, n_tokens: int, *, caches: int, eager: bool) -> int:
    """How many numbers a pass over a prompt holds at once."""
    kept = caches * 2 * shape.n_layers * shape.n_key_value_heads * shape.d_head * n_tokens
    # Of one layer at a time: scores, scores with a mask, probabilities.
    scores = 3 * shape.n_heads * n_tokens**2 if eager else 0
    return numbers_per_row(shape, n_tokens) + kept + scores
