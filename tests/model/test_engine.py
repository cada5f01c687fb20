"""The engine's own promises: prefixes run once, memory flat in prompt length, hooks that must fire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from sycolens import QUIET, ContrastPairs, patch_heads
from sycolens.errors import HookError, NotFiniteError, ReplayError
from sycolens.model import capture, kv_prefix, replay
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.capture import LastToken, capture_last_token
from sycolens.model.hooked import Geometry
from sycolens.model.kv_prefix import capture_pairs, shared_prefix

Load = Callable[..., Any]


def test_shared_prefix_leaves_each_prompt_a_token() -> None:
    assert shared_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert shared_prefix([1, 2], [1, 2, 3]) == 1
    assert shared_prefix([1, 2, 3], [4, 2, 3]) == 0
    assert shared_prefix([5], [5]) == 0


def tokens_run(model: Any, call: Callable[[], object]) -> int:
    """How many tokens enter layer 0 during a call."""
    seen = []

    def count(value: Tensor, hook: Any) -> None:
        seen.append(value.shape[0] * value.shape[1])

    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", count)]):
        call()
    return sum(seen)


@torch.no_grad()
def test_a_shared_prefix_is_run_once(tiny_model: Load) -> None:
    model = tiny_model("llama")
    geometry = Geometry.of(model)
    reference, counterfactual = tiny.random_prompts(3, lengths=(40,), shared=36)
    ran = tokens_run(model, lambda: capture_pairs(model, geometry, reference, counterfactual))
    assert ran == 3 * (36 + 4 + 4)
    reference, counterfactual = tiny.random_prompts(3, lengths=(40,))
    assert tokens_run(model, lambda: capture_pairs(model, geometry, reference, counterfactual)) == 3 * (40 + 40)


@torch.no_grad()
@pytest.mark.parametrize("kind", [*tiny.CONFIGS, *tiny.MORE_CONFIGS])
def test_a_cached_prefix_gives_the_same_last_token(tiny_model: Load, kind: str) -> None:
    model = tiny_model(kind)
    geometry = Geometry.of(model)
    reference, counterfactual = tiny.random_prompts(3, lengths=(40, 33), shared=30)
    for prompts, shared in zip(
        (reference, counterfactual), capture_pairs(model, geometry, reference, counterfactual), strict=True
    ):
        for i, prompt in enumerate(prompts):
            alone = capture_last_token(model, geometry, [prompt])
            for a, b in zip(shared[i : i + 1].z, alone.z, strict=True):
                torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(shared.logits[i : i + 1], alone.logits, atol=1e-5, rtol=1e-4)


def test_the_replay_costs_half_a_token_per_head_and_layer(tiny_model: Load) -> None:
    """A row that patches layer l runs through layers l and above only."""
    model = tiny_model("llama")
    rows = []

    def count(value: Tensor, hook: Any) -> None:
        rows.append(value.shape[0] if value.shape[1] == 1 else 0)

    reference, counterfactual = tiny.random_prompts(1, lengths=(9,))
    keeps_what_it_reads(model)  # tried once, before
    with model.hooks(fwd_hooks=[(f"blocks.{layer}.hook_mlp_out", count) for layer in range(3)]):
        patch_heads(model, ContrastPairs.from_tokens(reference, counterfactual, (3, 5)), compute=QUIET)
    # The reference row and 4 heads a layer; two more rows in every layer look whether the batch may grow.
    assert sum(rows) == (1 + 4) + (1 + 8) + (1 + 12) + 3 * 2


def test_what_is_kept_does_not_grow_with_the_prompt(tiny_model: Load) -> None:
    model = tiny_model("llama")
    geometry = Geometry.of(model)

    def size(length: int) -> int:
        with torch.no_grad():
            captured = capture_last_token(model, geometry, tiny.random_prompts(2, lengths=(length,))[0])
        tensors = [captured.resid_pre, *captured.z, captured.logits]
        return sum(t.untyped_storage().nbytes() for t in tensors)

    assert size(10) == size(100)


def test_a_silent_hook_is_an_error(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(1), (3, 5))
    real = type(model).hooks

    def deaf(self: Any, fwd_hooks: list[tuple[str, Any]], **options: Any) -> Any:
        return real(self, fwd_hooks=[h for h in fwd_hooks if h[0] != "blocks.1.attn.hook_z"], **options)

    monkeypatch.setattr(type(model), "hooks", deaf)
    with pytest.raises(HookError, match=r"blocks\.1\.attn\.hook_z did not fire in a forward pass"):
        patch_heads(model, pairs, compute=QUIET)


def test_a_replay_that_cannot_reproduce_the_model_is_an_error(
    tiny_model: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if blocks passed on something besides the residual stream: the captured head outputs are a little off."""
    model = tiny_model("llama")
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(1), (3, 5))
    real = capture.capture_last_token

    def off(*args: Any, **options: Any) -> LastToken:
        captured = real(*args, **options)
        return LastToken(captured.resid_pre * 1.05, captured.z, captured.mlp_out, captured.logits)

    monkeypatch.setattr(kv_prefix, "capture_last_token", off)
    with pytest.raises(ReplayError, match="differ from the model's own"):
        patch_heads(model, pairs, compute=QUIET)


def test_nan_is_named_with_its_layer(checkpoint: Load) -> None:
    from sycolens import load_model

    model = load_model(checkpoint("llama"))
    with torch.no_grad():
        model.blocks[1].attn.W_V[0, 0, 0] = torch.nan
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(1), (3, 5))
    with pytest.raises(NotFiniteError, match="head outputs of layer 1 are NaN"):
        patch_heads(model, pairs, compute=QUIET)


def test_alibi_cannot_grow_and_rotary_can(tiny_model: Load) -> None:
    with torch.no_grad():
        assert replay.can_grow(tiny_model("llama"))
        assert not replay.can_grow(tiny_model("bloom"))


def test_chunks_cover_every_pair_and_head_once() -> None:
    for n_pairs, n_heads, max_rows in [(4, 12, 2), (4, 12, 7), (4, 12, 13), (4, 12, 30), (4, 12, 500), (1, 1, 2)]:
        seen = [
            (pair, head)
            for pairs, heads in replay._chunks(n_pairs, n_heads, max_rows)
            for pair in range(n_pairs)[pairs]
            for head in range(n_heads)[heads]
        ]
        assert sorted(seen) == [(pair, head) for pair in range(n_pairs) for head in range(n_heads)]
        for pairs, heads in replay._chunks(n_pairs, n_heads, max_rows):
            assert len(range(n_pairs)[pairs]) * (1 + len(range(n_heads)[heads])) <= max_rows
