"""Replies under many ablations at once equal whole uncached forward passes, token by token, one condition at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from literal import literal_reply

from sycolens import Compute
from sycolens.errors import NotFiniteError, PromptError
from sycolens.model import batched_generation, generation
from sycolens.model.batched_generation import generate
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.generation import Conditions, reply_under

Load = Callable[..., Any]
LABELS = (3, 5)
GROUPS = ((LABELS[0],), (LABELS[1],))
SETS = [[], [(0, 1)], [(1, 3), (2, 0)], [(layer, head) for layer in range(3) for head in range(4)]]
NEW_TOKENS = 4


def conditions_for(model: Any, positions: str, *, width: int = 1, prompts: int = 1) -> Conditions:
    masks = torch.zeros(len(SETS), 3, 4, dtype=torch.bool)
    for mask, heads in zip(masks, SETS, strict=True):
        for head in heads:
            mask[head] = True
    shape = (prompts, width, 3, 4, model.cfg.d_head)
    return Conditions(masks, torch.randn(shape, generator=torch.Generator().manual_seed(1)), positions)  # type: ignore[arg-type]


def assert_equals_literal(model: Any, positions: str, **options: Any) -> None:
    prompts = tiny.random_prompts(4, lengths=(9, 12, 9))[0]
    conditions, ends = conditions_for(model, positions, **options), generation.end_tokens(model)
    spoken = reply_under(model, prompts, [GROUPS] * 4, conditions, max_new_tokens=NEW_TOKENS)
    for i, prompt in enumerate(prompts):
        z = conditions.z[i if len(conditions.z) > 1 else 0]
        for c, heads in enumerate(SETS):
            tokens, logits = literal_reply(model, prompt, heads, z, positions, NEW_TOKENS)
            ended = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
            assert list(spoken.tokens[i][c]) == tokens[:ended]
            expected = logits[list(LABELS)].float()
            torch.testing.assert_close(spoken.label_logits[i, c], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("positions", ["last", "generated", "all"])
@pytest.mark.parametrize("kind", [*tiny.CONFIGS, *tiny.MORE_CONFIGS])
def test_replies_equal_uncached_forward_passes(tiny_model: Load, kind: str, positions: str) -> None:
    assert_equals_literal(tiny_model(kind), positions)


if "hooked" in tiny.BACKENDS:

    @pytest.mark.parametrize("positions", ["last", "generated", "all"])
    @pytest.mark.parametrize("kind", ["llama", "llama-gqa", "mistral", "qwen2", "qwen3", "gpt-neox", "opt", "bloom"])
    def test_replies_of_a_hooked_transformer(tiny_model: Load, kind: str, positions: str) -> None:
        assert_equals_literal(tiny_model(kind, "hooked"), positions)

    @pytest.mark.parametrize("kind", [*HAND_MADE])
    def test_replies_of_a_hand_made_hooked_transformer(kind: str) -> None:
        assert_equals_literal(hand_made(kind), "generated")


@pytest.mark.parametrize("kind", ["llama", "mistral", "gpt2"])
def test_each_prompt_may_have_values_of_its_own_at_several_places(tiny_model: Load, kind: str) -> None:
    assert_equals_literal(tiny_model(kind), "last", width=3, prompts=4)
    assert_equals_literal(tiny_model(kind), "generated", width=9, prompts=4)


@pytest.mark.parametrize("max_rows", [1, 3, 5])
def test_the_size_of_a_batch_changes_nothing(tiny_model: Load, max_rows: int) -> None:
    model = tiny_model("llama-gqa")
    prompts = tiny.random_prompts(5, lengths=(9, 9, 8))[0]
    conditions = conditions_for(model, "last", prompts=5)
    whole, parts = (
        reply_under(
            model, prompts, [GROUPS] * 5, conditions, max_new_tokens=6, compute=Compute(max_rows=rows, progress=False)
        )
        for rows in (None, max_rows)
    )
    assert whole.tokens == parts.tokens
    torch.testing.assert_close(whole.label_logits, parts.label_logits, atol=1e-5, rtol=1e-5)


def test_a_reply_ends_before_its_end_token(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """With half of the vocabulary as end tokens rows end at different times, each where its own text does."""
    model = tiny_model("llama")
    prompts = tiny.random_prompts(6, lengths=(9,))[0]
    ends = frozenset(range(0, tiny.VOCABULARY, 2))
    whole = [literal_reply(model, prompt, [], torch.zeros(1, 3, 4, 8), "last", 5)[0] for prompt in prompts]
    expected = [tuple(reply[: next((i for i, t in enumerate(reply) if t in ends), 5)]) for reply in whole]
    assert len({len(reply) for reply in expected}) > 2
    monkeypatch.setattr(batched_generation, "end_tokens", lambda *_: ends)
    assert generate(model, prompts, max_new_tokens=5) == expected


def test_a_reply_may_end_by_the_tokenizer_or_by_the_generation_settings(checkpoint: Load) -> None:
    from sycolens import load_model

    model = load_model(checkpoint("llama"))
    model.original_model.generation_config.eos_token_id = [7, 9]
    assert generation.end_tokens(model) == {1, 7, 9}  # the tiny tokenizer's own is w1
    model.original_model.generation_config.eos_token_id = 2
    assert generation.end_tokens(model) == {1, 2}


def test_the_common_part_of_a_prompt_is_run_once(tiny_model: Load) -> None:
    model = tiny_model("llama")
    prompts = tiny.random_prompts(2, lengths=(20,))[0]
    seen: list[int] = []

    def count(value: torch.Tensor, hook: Any) -> None:
        seen.append(value.shape[0] * value.shape[1])

    keeps_what_it_reads(model)  # tried once, before
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", count)]):
        reply_under(model, prompts, [GROUPS] * 2, conditions_for(model, "last"), max_new_tokens=1)
    assert seen == [2 * 19, 2 * len(SETS)]


def test_a_reply_stops_where_the_context_ends(tiny_model: Load) -> None:
    model = tiny_model("gpt2")
    (prompt,) = tiny.random_prompts(1, lengths=(126,))[0]
    assert len(generate(model, [prompt], max_new_tokens=50)[0]) == 2


def test_bad_input_is_refused_by_name(tiny_model: Load, checkpoint: Load) -> None:
    from sycolens import load_model

    model = tiny_model("llama")
    with pytest.raises(PromptError, match="fills the 128 tokens"):
        generate(model, [[4] * 128])
    with pytest.raises(PromptError, match="Prompt 1 is empty"):
        generate(model, [[4], []])
    with pytest.raises(PromptError, match="max_new_tokens=0"):
        generate(model, [[4]], max_new_tokens=0)
    with pytest.raises(PromptError, match="Prompt 0 has 2 tokens, but the last 3 are to be ablated"):
        reply_under(model, [[4, 5]], [GROUPS], conditions_for(model, "last", width=3), max_new_tokens=1)
    broken = load_model(checkpoint("llama"))
    with torch.no_grad():
        broken.blocks[1].attn.W_O[0, 0, 0] = torch.nan
    with pytest.raises(NotFiniteError, match="logits are NaN"):
        generate(broken, [[4, 5, 6]])
