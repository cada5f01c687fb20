"""The ways to the map of head effects that are compared, each written as a fair user of it would."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from workload import LABELS

from sycolens import QUIET, ContrastPairs, Head, patch_heads
from sycolens.model import replay


def z_name(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_z"


@dataclass(frozen=True)
class Task:
    """One model and one set of pairs, on which every alternative runs."""

    model: Any
    pairs: ContrastPairs
    device: str
    literal_heads: tuple[Head, ...]
    """The heads that are run where each costs a pass over the whole prompt; their time is scaled to all."""
    cached_heads: tuple[Head, ...]
    """The heads that are run where each costs a pass over one token."""

    @property
    def size(self) -> tuple[int, int]:
        return self.model.cfg.n_layers, self.model.cfg.n_heads

    def all_heads(self) -> tuple[Head, ...]:
        n_layers, n_heads = self.size
        return tuple(Head(layer, head) for layer in range(n_layers) for head in range(n_heads))

    def tokens(self) -> tuple[Tensor, Tensor]:
        """Reference and counterfactual prompts, ``[pair, token]``."""
        return (
            torch.tensor(self.pairs.reference, device=self.device),
            torch.tensor(self.pairs.counterfactual, device=self.device),
        )

    def last_z(self, tokens: Tensor, **options: Any) -> list[Tensor]:
        """Every layer's head outputs at the last token, ``[pair, head, d_head]``."""
        read: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Any) -> None:
            read[hook.name] = value[:, -1].clone()

        names = [z_name(layer) for layer in range(self.size[0])]
        self.model.run_with_hooks(tokens, fwd_hooks=[(name, keep) for name in names], **options)
        return list(read.values())

    def held(self, reference: list[Tensor], counterfactual: list[Tensor], patched: Head) -> list[Any]:
        """Hooks that hold every head's last-token output at the reference, and one head's at the counterfactual."""

        def hold(z: Tensor) -> Callable[..., Tensor]:
            def hook(value: Tensor, hook: Any) -> Tensor:
                value[:, -1] = z
                return value

            return hook

        values = list(reference)
        values[patched.layer] = reference[patched.layer].clone()
        values[patched.layer][:, patched.index] = counterfactual[patched.layer][:, patched.index]
        return [(z_name(layer), hold(z)) for layer, z in enumerate(values)]


@dataclass(frozen=True)
class Alternative:
    """One way to the map: what is done once, and what is done for every head."""

    name: str
    needed: Callable[[int, int, int], float]
    """Tokens through all blocks per pair, by hand: of the number of heads, the prompt length, and how many tokens at
    its end the two prompts of a pair do not share."""
    once: Callable[[Task], Any]
    each: Callable[[Task, Any, Sequence[Head]], Tensor] | None = None
    """Label logits ``[pair, head, label]`` of some heads, one forward pass a head."""
    slow: bool = False
    """Whether a head costs a pass over the whole prompt."""
    same: bool = True
    """Whether it computes Algorithm 1."""

    def heads(self, task: Task) -> tuple[Head, ...]:
        """The heads that are run."""
        if self.each is None:
            return task.all_heads()
        return task.literal_heads if self.slow else task.cached_heads


def run_sycolens(task: Task) -> Tensor:
    effects = patch_heads(task.model, task.pairs, compute=QUIET)
    return effects.logits.flatten(1, 2)


def run_whole_vocabulary(task: Task) -> Tensor:
    """The same with all logits of every patched row, as before their labels' alone were made."""
    with patch.object(replay, "tokens_to_read", lambda labels, d_vocab: (None, labels)):
        return run_sycolens(task)


def capture_both(task: Task) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    reference, counterfactual = task.tokens()
    return reference, task.last_z(reference, use_cache=False), task.last_z(counterfactual, use_cache=False)


def literal_heads(task: Task, state: Any, heads: Sequence[Head]) -> Tensor:
    """Algorithm 1 as it is written: a full hooked forward pass for every head, over all pairs at once."""
    tokens, reference, counterfactual = state
    found = []
    for head in heads:
        hooks = task.held(reference, counterfactual, head)
        logits = task.model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False)
        found.append(logits[:, -1, list(LABELS)])
    return torch.stack(found, 1)


def capture_and_cache(task: Task) -> Any:
    from transformers import DynamicCache

    tokens, counterfactual_tokens = task.tokens()
    cache = DynamicCache()
    reference = task.last_z(tokens, past_key_values=cache)
    cache.crop(-1)
    return tokens[:, -1:], cache, reference, task.last_z(counterfactual_tokens, use_cache=False)


def cached_heads(task: Task, state: Any, heads: Sequence[Head]) -> Tensor:
    """Algorithm 1 over the last token only, with the prompt's keys and values cached: one pass for every head."""
    token, cache, reference, counterfactual = state
    found = []
    for head in heads:
        hooks = task.held(reference, counterfactual, head)
        logits = task.model.run_with_hooks(token, fwd_hooks=hooks, past_key_values=cache)
        cache.crop(-1)
        found.append(logits[:, -1, list(LABELS)])
    return torch.stack(found, 1)


def cache_for_sweep(task: Task) -> Any:
    reference, counterfactual = task.tokens()
    _, cache = task.model.run_with_cache(counterfactual, names_filter=lambda name: name.endswith("attn.hook_z"))
    return reference, cache


def sweep_heads(task: Task, state: Any, heads: Sequence[Head]) -> Tensor:
    """TransformerLens' patching of z at the last position. Later heads react, so it is another quantity."""
    import pandas
    from transformer_lens import patching

    tokens, cache = state
    last = tokens.shape[1] - 1
    rows = pandas.DataFrame([(head.layer, last, head.index) for head in heads], columns=["layer", "pos", "head"])
    found = []

    def metric(logits: Tensor) -> Tensor:
        found.append(logits[:, -1, list(LABELS)])
        return logits[:, -1, LABELS[0]].mean()

    with redirect_stderr(io.StringIO()):
        patching.generic_activation_patch(
            task.model, tokens, cache, metric, patching.layer_pos_head_vector_patch_setter, "z", index_df=rows
        )
    return torch.stack(found, 1)


def two_forwards(task: Task, **options: Any) -> None:
    for tokens in task.tokens():
        task.model(tokens, use_cache=False, **options)


SYCOLENS = Alternative(
    "sycolens `patch_heads`", lambda heads, length, changed: length + changed + heads / 2, run_sycolens
)
FLOOR = Alternative("floor: two plain forwards", lambda heads, length, changed: 2 * length, two_forwards, same=False)
FLOOR_LAST = Alternative(
    "floor, logits at the last token only",
    lambda heads, length, changed: 2 * length,
    lambda task: two_forwards(task, logits_to_keep=1),
    same=False,
)
ALTERNATIVES = (
    SYCOLENS,
    Alternative(
        "(a) literal loop, batched over pairs",
        lambda heads, length, changed: heads * length,
        capture_both,
        literal_heads,
        slow=True,
    ),
    Alternative(
        "(b) one head at a time, keys and values cached",
        lambda heads, length, changed: 2 * length + heads,
        capture_and_cache,
        cached_heads,
    ),
    Alternative(
        "(c) TransformerLens' per-head sweep",
        lambda heads, length, changed: heads * length,
        cache_for_sweep,
        sweep_heads,
        slow=True,
        same=False,
    ),
    FLOOR,
    FLOOR_LAST,
    Alternative("sycolens, the whole vocabulary a row", SYCOLENS.needed, run_whole_vocabulary),
)
