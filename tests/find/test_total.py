"""The total effect: equal to one hooked forward pass a head on every block kind, over a prefix that is run once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from literal import literal_total_effect
from tiny import BACKENDS
from torch import Tensor

from sycolens import QUIET, Compute, ContrastPairs, patch_heads
from sycolens.errors import HookError, ReplayError
from sycolens.model import capture, kv_prefix, partial_forward, replay
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.hooked import Geometry

LABELS = (3, 5)
LENGTHS = (9, 12, 5, 9, 1)
Load = Callable[..., Any]


def mixed_pairs() -> ContrastPairs:
    """Unrelated prompts of four lengths, one of a single token, and pairs that share a long prefix."""
    unrelated = tiny.random_prompts(5, lengths=LENGTHS)
    related = tiny.random_prompts(2, lengths=(30, 26), shared=20, seed=1)
    longer = ([list(range(10, 30))], [[*range(10, 27), 4, 6, 8, 9, 7, 5]])
    return ContrastPairs.from_tokens(*(a + b + c for a, b, c in zip(unrelated, related, longer, strict=True)), LABELS)


def literally(model: Any, pairs: ContrastPairs) -> Tensor:
    return torch.stack(
        [literal_total_effect(model, list(pair.reference), list(pair.counterfactual), pair.labels) for pair in pairs]
    )


def require_literal(model: Any) -> None:
    pairs = mixed_pairs()
    effects = patch_heads(model, pairs, effect="total", compute=QUIET)
    assert effects.effect == "total"
    expected = literally(model, pairs)
    apart = patch_heads(model, pairs, compute=QUIET).logits - expected
    assert apart[:, -1].abs().amax() < 1e-4, "after the last layer's heads no head can react"
    assert apart[:, 0].abs().amax() > 1e-3, "no later head reacted, so equality would mean nothing"
    torch.testing.assert_close(effects.logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [*tiny.CONFIGS, *tiny.MORE_CONFIGS])
def test_total_effect_equals_a_hooked_forward_pass(tiny_model: Load, kind: str) -> None:
    require_literal(tiny_model(kind))


if "hooked" in BACKENDS:
    LOADED = ["llama", "llama-gqa", "mistral", "qwen2", "qwen3", "gpt-neox"]

    @pytest.mark.parametrize("kind", [*LOADED, *HAND_MADE])
    def test_total_effect_equals_a_hooked_forward_pass_on_hooked_transformers(tiny_model: Load, kind: str) -> None:
        require_literal(tiny_model(kind, "hooked") if kind in LOADED else hand_made(kind))


@pytest.mark.parametrize("kind", ["llama-gqa", "gemma2", "bloom"])
@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 2}, {"max_rows": 2}, {"max_rows": 9}])
def test_batching_does_not_change_the_total_effect(tiny_model: Load, kind: str, options: dict[str, int]) -> None:
    model, pairs = tiny_model(kind), mixed_pairs()
    whole = patch_heads(model, pairs, effect="total", compute=QUIET)
    parts = patch_heads(model, pairs, effect="total", compute=Compute(progress=False, **options))
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parts.counterfactual_logits, whole.counterfactual_logits, atol=1e-5, rtol=1e-5)


def test_the_prefix_is_run_once_for_both_prompts_and_all_rows(tiny_model: Load) -> None:
    model = tiny_model("llama")
    reference, counterfactual = tiny.random_prompts(2, lengths=(30,), shared=20)
    counterfactual[1] += [4, 7, 9]
    pairs = ContrastPairs.from_tokens(reference, counterfactual, LABELS)
    tokens: list[list[int]] = [[], [], []]

    def count(layer: int) -> Callable[..., None]:
        return lambda value, hook: tokens[layer].append(value.shape[0] * value.shape[1])

    keeps_what_it_reads(model)  # tried once, before
    with model.hooks(fwd_hooks=[(f"blocks.{layer}.hook_mlp_out", count(layer)) for layer in range(3)]):
        patch_heads(model, pairs, effect="total", compute=QUIET)
    # May the batch grow? Then what the two prompts share, the rest of X_r, the rest of X_c (padded), and the rows: the
    # reference and four heads a layer, each from its layer on.
    assert [len(each) for each in tokens] == [5, 5, 5]
    for layer, ran in enumerate(tokens):
        assert ran == [2, 2 * 20, 2 * 10, 2 * 13, 2 * (1 + 4 * (layer + 1))]


@pytest.mark.parametrize("backend", BACKENDS)
@torch.no_grad()
def test_rows_read_a_prefix_without_keeping_it(tiny_model: Load, backend: str) -> None:
    model = tiny_model("llama-gqa", backend)
    prompts = tiny.random_prompts(2, lengths=(12,))[0]
    cache = kv_prefix.run_and_keep(model, Geometry.of(model), prompts)
    shared = kv_prefix.Prefix.of(model, cache)
    assert len(shared) == 12
    part = shared.cut(7)[1:]
    assert len(part) == 7
    for whole, some in zip(shared.keys + shared.values, part.keys + part.values, strict=True):
        assert some.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
    before = [keys.clone() for keys in shared.keys]
    cache = shared.as_cache(model, 6)
    ends = torch.arange(12).view(6, 2) + 5
    logits = capture.run(model, ends, cache=cache)
    for layer, keys, first in zip(
        cache.layers if backend == "bridge" else cache.entries, shared.keys, before, strict=True
    ):
        kept = layer.store.shown()[0]
        assert kept.untyped_storage().data_ptr() == keys.untyped_storage().data_ptr()
        assert torch.equal(keys, first)
    for row, end in enumerate(ends.tolist()):
        alone = capture.run(model, torch.tensor([[*prompts[row % 2], *end]]))[0, -1]
        torch.testing.assert_close(logits[row, -1], alone, atol=1e-5, rtol=1e-5)


def test_more_prompt_leaves_room_for_fewer_rows(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys and values that a layer's attention joins for every row must fit beside the rows."""
    model = tiny_model("llama")
    geometry = Geometry.of(model)
    monkeypatch.setattr(replay, "CPU_BUDGET", 2**24)
    short, long, longer = (
        partial_forward.rows_over_prefix(model, geometry, length, 1) for length in (10, 1_000, 100_000)
    )
    assert short > long > longer == 2
    joined = 4 * 2 * 1_000 * geometry.n_heads * geometry.d_head
    assert long * joined <= 2**24
    assert partial_forward.rows_over_prefix(model, geometry, 1_000, 20) < long


def test_an_unpatched_row_unlike_the_model_is_an_error(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if something else than what was captured entered the rows."""
    real = partial_forward.Suffix.__getitem__

    def off(self: partial_forward.Suffix, pairs: slice) -> partial_forward.Suffix:
        some = real(self, pairs)
        return replace(some, resid_pre=some.resid_pre * 1.05)

    monkeypatch.setattr(partial_forward.Suffix, "__getitem__", off)
    with pytest.raises(ReplayError, match="differ from the model's own"):
        patch_heads(tiny_model("llama"), mixed_pairs(), effect="total", compute=QUIET)


def test_prompts_that_no_head_can_tell_apart_are_an_error(tiny_model: Load) -> None:
    unseen = ContrastPairs.from_tokens([[2, *range(10, 35)]], [[3, *range(10, 35)]], LABELS)
    with pytest.raises(HookError, match="In pair 0 the counterfactual prompt leaves every head"):
        patch_heads(tiny_model("mistral"), unseen, effect="total", compute=QUIET)
