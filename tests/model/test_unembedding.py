"""Logits of few tokens are those of the whole vocabulary at their places, on every block kind, or all are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from literal import literal_path_patch, literal_total_effect
from tiny import BACKENDS
from torch import Tensor, nn

from sycolens import QUIET, ContrastPairs, load_model, patch_heads
from sycolens.model import replay
from sycolens.model.capture import input_device, run
from sycolens.model.label_logits import label_tensor, tokens_to_read
from sycolens.model.unembedding import logits_of

TOKENS = torch.tensor([0, 3, 5, 44, 96])
Load = Callable[..., Any]


@torch.no_grad()
def require_the_same(model: Any) -> None:
    prompts = torch.tensor([[7, 8, 9], [10, 11, 12]], device=input_device(model))
    whole = run(model, prompts)
    with logits_of(model, TOKENS):
        few = run(model, prompts)
    assert few.shape == (2, 3, 5)
    torch.testing.assert_close(few, whole[..., TOKENS], atol=1e-5, rtol=1e-5)
    assert run(model, prompts).shape == whole.shape


@pytest.mark.parametrize("kind", [*tiny.CONFIGS, *tiny.MORE_CONFIGS])
def test_logits_of_few_tokens_are_the_models_own(tiny_model: Load, kind: str) -> None:
    require_the_same(tiny_model(kind))


if "hooked" in BACKENDS:

    @pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt-neox", *HAND_MADE])
    def test_logits_of_few_tokens_are_the_models_own_on_hooked_transformers(tiny_model: Load, kind: str) -> None:
        require_the_same(hand_made(kind) if kind in HAND_MADE else tiny_model(kind, "hooked"))


def test_every_label_is_read_and_found_again() -> None:
    labels = label_tensor([((3,), (900, 5)), ((5,), (3,))])
    tokens, places = tokens_to_read(labels, 1_000)
    assert len(tokens) == len(set(tokens.tolist())) <= 3 + 64
    assert torch.equal(torch.where(places < 0, -1, tokens[places]), labels)
    assert tokens_to_read(labels, 901)[0].max() == 900


def rows_unembedded(model: Any, call: Callable[[], object]) -> list[int]:
    """How many rows go through the model's own unembedding, pass by pass."""
    seen: list[int] = []
    handle = model.unembed.original_component.register_forward_pre_hook(
        lambda module, args: seen.append(args[0].shape[0] * args[0].shape[1])
    )
    try:
        call()
    finally:
        handle.remove()
    return seen


@pytest.mark.parametrize("options", [{}, {"effect": "total"}, {"receivers": ["L2H0"], "via": "q"}])
def test_patched_rows_are_not_unembedded_over_the_vocabulary(tiny_model: Load, options: dict[str, Any]) -> None:
    model = tiny_model("llama")
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(3), (3, 5))
    patch_heads(model, pairs, compute=QUIET)  # whatever is tried once is tried now
    rows = rows_unembedded(model, lambda: patch_heads(model, pairs, compute=QUIET, **options))
    assert max(rows) == 3, "the three prompts, not the 12 heads of each"


def pairs_and_expected(model: Any) -> tuple[ContrastPairs, Tensor]:
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(2), (3, 5))
    expected = [literal_path_patch(model, list(p.reference), list(p.counterfactual), p.labels) for p in pairs]
    return pairs, torch.stack(expected)


def refuse(*args: Any) -> None:
    raise IndexError("no such column")


@pytest.mark.parametrize("how", ["by place", "by name", "unreadable", "packed"])
def test_where_few_logits_are_not_the_models_own_all_are_made(
    checkpoint: Load, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Logits changed by their place in the vocabulary; a matrix that the model does not compute with, or none."""
    model = load_model(checkpoint("llama"))
    shift = torch.arange(tiny.VOCABULARY) * 0.05

    def after(module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        n = output.logits.shape[-1]
        if how == "by place":
            output.logits = output.logits + shift[:n]
        elif how == "by name":
            output.logits[..., 90] -= 1.0  # no such place among few
        return output

    model.original_model.register_forward_hook(after, with_kwargs=True)
    kind = type(model.unembed)
    if how == "unreadable":
        monkeypatch.setattr(kind, "b_U", property(refuse))
    elif how == "packed":
        monkeypatch.setattr(kind, "W_U", property(lambda self: torch.zeros(1, 3104, dtype=torch.uint8)))
    pairs, expected = pairs_and_expected(model)
    torch.testing.assert_close(patch_heads(model, pairs, compute=QUIET).logits, expected, atol=1e-5, rtol=1e-5)
    total = torch.stack(
        [literal_total_effect(model, list(p.reference), list(p.counterfactual), p.labels) for p in pairs]
    )
    found = patch_heads(model, pairs, effect="total", compute=QUIET).logits
    torch.testing.assert_close(found, total, atol=1e-5, rtol=1e-5)


def test_columns_of_other_tokens_are_noticed(checkpoint: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the matrix had another order than the vocabulary: the witnesses differ, and the plain way gives the map."""
    model = load_model(checkpoint("llama"))
    kind = type(model.unembed)
    real: Any = kind.W_U
    monkeypatch.setattr(kind, "W_U", property(lambda self: real.fget(self).flip(1)))
    pairs, expected = pairs_and_expected(model)
    torch.testing.assert_close(patch_heads(model, pairs, compute=QUIET).logits, expected, atol=1e-5, rtol=1e-5)


def test_running_out_of_memory_is_not_taken_for_another_way(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(replay, "replay_rows", full)
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(1), (3, 5))
    with pytest.raises(RuntimeError, match="allocate memory"):
        patch_heads(tiny_model("llama"), pairs, compute=QUIET)


def test_labels_of_a_16_bit_model_are_not_rounded_to_16_bits(checkpoint: Load) -> None:
    """Of the same 16-bit states, the logits are the products in float32."""
    model = load_model(checkpoint("llama"), dtype="bfloat16")
    head: nn.Linear = model.unembed.original_component
    states: list[Tensor] = []
    handle = model.unembed.register_forward_pre_hook(lambda module, args: states.append(args[0]))
    with torch.no_grad():
        try:
            with logits_of(model, TOKENS):
                few = run(model, torch.tensor([[7, 8, 9]]))
        finally:
            handle.remove()
        due = states[0].float() @ head.weight[TOKENS].float().T
    torch.testing.assert_close(few, due)
    assert few.dtype == torch.float32
    assert not torch.equal(few, few.bfloat16().float())
