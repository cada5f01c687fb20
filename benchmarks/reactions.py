"""The ways to the other kinds of effect, in which later heads react: the total effect, and paths to one receiver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from alternatives import Alternative, Task, cache_for_sweep, sweep_heads, z_name
from torch import Tensor
from workload import CHANGED_TAIL, LABELS

from sycolens import QUIET, Head, patch_heads

Via = Literal["q", "v"]
SPANS: dict[Via, int] = {"q": 1, "v": CHANGED_TAIL}
"""How many last tokens are patched: queries are read at the last token, values over the turn that changed."""


def receiver(task: Task) -> Head:
    """A head of the last layer: every head below it is a sender."""
    n_layers, n_heads = task.size
    return Head(n_layers - 1, n_heads // 2)


def last_tokens(task: Task, tokens: Tensor, span: int, **options: Any) -> list[Tensor]:
    """Every layer's head outputs at the last tokens, ``[pair, token, head, d_head]``."""
    read: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> None:
        read[hook.name] = value[:, -span:].clone()

    names = [z_name(layer) for layer in range(task.size[0])]
    task.model.run_with_hooks(tokens, fwd_hooks=[(name, keep) for name in names], **options)
    return list(read.values())


def set_last(source: Tensor, head: int | None = None) -> Callable[..., Tensor]:
    """A hook that sets one head, or all, at as many last tokens as the source has."""

    def hook(value: Tensor, hook: Any) -> Tensor:
        which = slice(None) if head is None else slice(head, head + 1)
        value[:, -source.shape[1] :, which] = source[:, :, which]
        return value

    return hook


def capture(task: Task, *, span: int, cached: bool) -> tuple[Tensor, Any, list[Tensor], list[Tensor]]:
    """The tokens that every run takes, the cache of those before them if there is one, and both prompts' z."""
    from transformers import DynamicCache

    reference, counterfactual = task.tokens()
    after = last_tokens(task, counterfactual, span, use_cache=False)
    if not cached:
        return reference, None, last_tokens(task, reference, span, use_cache=False), after
    cache = DynamicCache()
    before = last_tokens(task, reference, span, past_key_values=cache)
    cache.crop(-span)
    return reference[:, -span:], cache, before, after


def run(task: Task, tokens: Tensor, cache: Any, hooks: list[Any]) -> Tensor:
    """Label logits at the last token, ``[pair, label]``."""
    options = {"use_cache": False} if cache is None else {"past_key_values": cache}
    logits = task.model.run_with_hooks(tokens, fwd_hooks=hooks, **options)
    if cache is not None:
        cache.crop(-tokens.shape[1])
    return logits[:, -1, list(LABELS)]


def total_heads(task: Task, state: Any, heads: Sequence[Head]) -> Tensor:
    """One pass a head, in which nothing but that head is set."""
    tokens, cache, _, after = state
    found = [
        run(task, tokens, cache, [(z_name(head.layer), set_last(after[head.layer], head.index))]) for head in heads
    ]
    return torch.stack(found, 1)


def receiving_heads(task: Task, state: Any, heads: Sequence[Head], *, via: Via) -> Tensor:
    """Two passes a head: what the receiver reads while all other heads are held, and what it makes of that."""
    tokens, cache, before, after = state
    to = receiver(task)
    name, span = f"blocks.{to.layer}.attn.hook_{via}", SPANS[via]
    found = []
    for head in heads:
        heard: list[Tensor] = []
        hooks = [(z_name(layer), set_last(z)) for layer, z in enumerate(before)]
        hooks.append((z_name(head.layer), set_last(after[head.layer], head.index)))
        hooks.append((name, lambda value, hook, heard=heard: heard.append(value[:, -span:].clone())))
        run(task, tokens, cache, hooks)
        found.append(run(task, tokens, cache, [(name, set_last(heard[0], to.index))]))
    return torch.stack(found, 1)


def run_total(task: Task) -> Tensor:
    return patch_heads(task.model, task.pairs, effect="total", compute=QUIET).logits.flatten(1, 2)


def run_receiver(task: Task, *, via: Via) -> Tensor:
    span = None if via == "q" else SPANS[via]
    effects = patch_heads(task.model, task.pairs, receivers=[receiver(task)], via=via, span=span, compute=QUIET)
    return effects.logits.flatten(1, 2)


TOTAL = (
    Alternative(
        "sycolens `patch_heads(effect='total')`",
        lambda heads, length, changed: length + changed + heads / 2,
        run_total,
    ),
    Alternative(
        "(a) hooked forward a head, batched over pairs",
        lambda heads, length, changed: heads * length,
        partial(capture, span=1, cached=False),
        total_heads,
        slow=True,
    ),
    Alternative(
        "(b) one head at a time, keys and values cached",
        lambda heads, length, changed: 2 * length + heads,
        partial(capture, span=1, cached=True),
        total_heads,
    ),
    Alternative(
        "(c) TransformerLens' per-head sweep",
        lambda heads, length, changed: heads * length,
        cache_for_sweep,
        sweep_heads,
        slow=True,
    ),
)


def to_receiver(via: Via) -> tuple[Alternative, ...]:
    """The ways to the effect of every head through one input of one head of the last layer."""
    span = SPANS[via]
    return (
        Alternative(
            f"sycolens `patch_heads(receivers=..., via='{via}')`",
            lambda heads, length, changed: length + changed + span * heads / 2,
            partial(run_receiver, via=via),
        ),
        Alternative(
            "(a) two hooked forwards a head, batched over pairs",
            lambda heads, length, changed: 2 * heads * length,
            partial(capture, span=span, cached=False),
            partial(receiving_heads, via=via),
            slow=True,
        ),
        Alternative(
            "(b) one head at a time, keys and values cached",
            lambda heads, length, changed: 2 * length + 2 * span * heads,
            partial(capture, span=span, cached=True),
            partial(receiving_heads, via=via),
        ),
    )


REACTIONS = {
    "the total effect": TOTAL,
    "through the query of one head of the last layer": to_receiver("q"),
    f"through the values of one head of the last layer, over {CHANGED_TAIL} tokens": to_receiver("v"),
}
