"""The total effect: equal to one hooked forward pass a head on every block kind, over a prefix that is run once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from literal import literal_total_effect
from tiny import BACKENDS
from torch import Tensor

from sycolens import ContrastPairs, patch_heads
from sycolens.errors import HookError, ModelError, ReplayError
from sycolens.model import capture, prefix, replay, suffix
from sycolens.model.hooked import Geometry

LABELS = (3, 5)
LENGTHS = (9, 12, 5, 9, 1)
Load = Callable[..., Any]


def mixed_pairs() -> ContrastPairs:
    """Unrelated prompts of four lengths, one of a single token, and pairs that share a long prefix."""
    unrelated = tiny.random_prompts(5, lengths=LENGTHS)
    related = tiny.random_prompts(2, lengths=(30, 26), shared=20, seed=1)
    longer = ([list(range(10, 30))], [list(range(10, 27)) + [4, 6, 8, 9, 7, 5]])
    return ContrastPairs.from_tokens(*(a + b + c for a, b, c in zip(unrelated, related, longer, strict=True)), LABELS)


def literally(model: Any, pairs: ContrastPairs) -> Tensor:
    return torch.stack(
        [literal_total_effect(model, list(pair.reference), list(pair.counterfactual), pair.labels) for pair in pairs]
    )


def require_literal(model: Any) -> None:
    pairs = mixed_pairs()
    effects = patch_heads(model, pairs, effect="total", progress=False)
    assert effects.effect == "total"
    expected = literally(model, pairs)
    apart = patch_heads(model, pairs, progress=False).logits - expected
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
    whole = patch_heads(model, pairs, effect="total", progress=False)
    parts = patch_heads(model, pairs, effect="total", progress=False, **options)
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parts.counterfactual_logits, whole.counterfactual_logits, atol=1e-5, rtol=1e-5)
