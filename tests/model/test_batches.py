"""Prompts run together as far as a budget of bytes allows, and find what they find one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from tiny import BACKENDS
from transformers import AutoModelForCausalLM, AutoTokenizer

from sycolens import QUIET, Compute, ContrastPairs, attend_to, patch_heads
from sycolens.distributed import Processes
from sycolens.errors import PromptError
from sycolens.model import replay
from sycolens.model.batched_generation import generate
from sycolens.model.batches import batches_that_fit
from sycolens.model.generation import Conditions, reply_under
from sycolens.model.hooked import Geometry
from sycolens.verify import mean_activations

Load = Callable[..., Any]
LENGTHS = (9, 40, 12, 100, 11)
PROMPTS = tiny.random_prompts(10, lengths=LENGTHS)
PAIRS = ContrastPairs.from_tokens(*PROMPTS, (3, 5))


def bytes_of(n_tokens: int, *, caches: int = 0, eager: bool = True) -> int:
    """A prompt of the tiny Llama, by hand: 32 wide, 48 in the MLP, 3 layers of 4 heads of 8, 97 words."""
    residual, logits = n_tokens * (6 * 48 + 12 * 32), 2 * 97
    kept = caches * 2 * 3 * 4 * 8 * n_tokens
    return 4 * (residual + logits + kept + eager * 3 * 4 * n_tokens**2)


@contextmanager
def sizes(model: Any) -> Iterator[list[tuple[int, int]]]:
    """Rows and tokens of each pass."""
    seen: list[tuple[int, int]] = []
    embedding = getattr(model, "original_model", model)
    embedding = embedding.embed if hasattr(embedding, "cfg") else embedding.get_input_embeddings()
    handle = embedding.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))
    try:
        yield seen
    finally:
        handle.remove()


def test_batches_hold_what_the_budget_holds(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model, lengths, order = tiny_model("llama"), [9, 40, 12, 100, 11], [3, 1, 2, 4, 0]
    for budget, expected in (
        (0, [[3], [1], [2], [4], [0]]),
        (2 * bytes_of(40), [[3], [1, 2], [4, 0]]),
        (2 * bytes_of(40) - 1, [[3], [1], [2, 4, 0]]),
        (3 * bytes_of(100), [[3, 1, 2], [4, 0]]),
        (2**30, [[3, 1, 2], [4, 0]]),
    ):
        monkeypatch.setattr(replay, "CPU_BUDGET", budget)
        assert batches_that_fit(model, [order], lengths, compute=Compute(batch_size=3)) == expected
    assert batches_that_fit(model, [[3, 1], [2], []], lengths, compute=Compute(batch_size=3)) == [[3, 1], [2]]
    kept = 2 * bytes_of(40, caches=2)
    for budget, expected in ((kept, [[1, 1]]), (kept - 1, [[1], [1]])):
        monkeypatch.setattr(replay, "CPU_BUDGET", budget)
        assert batches_that_fit(model, [[1, 1]], lengths, compute=Compute(batch_size=3), caches=2) == expected


def test_attention_that_never_holds_all_scores_leaves_room_for_more(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "CPU_BUDGET", 2 * bytes_of(40, eager=False))
    for attention, expected in (("sdpa", [[0, 0]]), ("eager", [[0], [0]])):
        model = AutoModelForCausalLM.from_pretrained(checkpoint("llama"), attn_implementation=attention)
        assert batches_that_fit(model, [[0, 0]], [40], compute=Compute(batch_size=16)) == expected


def test_all_processes_divide_by_the_least_room(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Processes, "gather", lambda self, part: [part, 2 * bytes_of(40)])
    assert batches_that_fit(tiny_model("llama"), [[0, 0, 0]], [40], compute=Compute(batch_size=16)) == [[0, 0], [0]]


def replies_of(model: Any) -> Any:
    return generate(model, PROMPTS[0], max_new_tokens=4)


def knocked_out(model: Any) -> Any:
    """As knock_out does with one set of heads."""
    heads = torch.zeros(1, 3, 4, dtype=torch.bool)
    heads[0, 1, 2] = True
    conditions = Conditions(heads, torch.zeros(1, 1, 3, 4, Geometry.of(model).d_head), "last")
    spoken = reply_under(model, PROMPTS[0], [((3,), (5,))] * 10, conditions, max_new_tokens=4)
    return spoken.tokens, spoken.label_logits


CALLS: dict[str, Callable[[Any], Any]] = {
    "paths": lambda model: patch_heads(model, PAIRS, compute=QUIET).logits,
    "totals": lambda model: patch_heads(model, PAIRS, effect="total", compute=QUIET).logits,
    "means": lambda model: mean_activations(model, PAIRS, width=3, compute=QUIET).mean,
    "attention": lambda model: attend_to(model, PAIRS, [(0, 4)] * 10, compute=QUIET).rows,
    "replies": replies_of,
    "knockout": knocked_out,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_long_prompts_run_fewer_at_a_time_and_find_the_same(
    tiny_model: Load, monkeypatch: pytest.MonkeyPatch, call: Callable[[Any], Any], backend: str
) -> None:
    model = tiny_model("llama", backend)
    with sizes(model) as before:
        expected = call(model)
    budget = 3 * bytes_of(16, caches=2)
    # Rows over what was run have the same budget, and a test of theirs.
    monkeypatch.setattr("sycolens.find.patching.rows_within_budget", lambda *_: 64)
    monkeypatch.setattr("sycolens.find.patching.rows_over_prefix", lambda *_: 64)
    monkeypatch.setattr("sycolens.model.generation._rows_within_budget", lambda *_: 64)
    monkeypatch.setattr(replay, "CPU_BUDGET", budget)
    with sizes(model) as after:
        found = call(model)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)

    def prompts(seen: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(rows, tokens) for rows, tokens in seen if tokens >= 8]

    assert max(rows for rows, tokens in prompts(before) if tokens >= 39) >= 2
    assert all(rows == 1 or rows * bytes_of(tokens) <= budget for rows, tokens in prompts(after))
    assert max(rows for rows, _ in prompts(after)) >= 2, "short prompts still run together"
    assert len(prompts(after)) > len(prompts(before))


def test_a_plain_models_replies_are_the_same(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint("llama"), attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("llama"))
    expected = generate(model, PROMPTS[0], tokenizer=tokenizer, max_new_tokens=4)
    monkeypatch.setattr(replay, "CPU_BUDGET", 0)
    with sizes(model) as seen:
        assert generate(model, PROMPTS[0], tokenizer=tokenizer, max_new_tokens=4) == expected
    assert {rows for rows, _ in seen} == {1}


def test_means_of_no_prompts_at_a_time_are_refused(tiny_model: Load) -> None:
    with pytest.raises(PromptError, match="batch_size=0"):
        mean_activations(tiny_model("llama"), PAIRS, compute=Compute(batch_size=0))
