"""Prompts of any lengths, in batches, get the replies that Hugging Face gives to each alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from literal import literal_reply
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from sycolens import Compute, HeadSet, PinpointConfig, load_model, pinpoint
from sycolens.errors import ModelError, NotFiniteError, PromptError
from sycolens.model import batched_generation
from sycolens.model.batched_generation import generate, keeps_while_generating
from sycolens.model.generation import end_tokens

Load = Callable[..., Any]
NEW_TOKENS = 6
FOURS = Compute(batch_size=4, progress=False)
PROMPTS = tiny.random_prompts(7, lengths=(5, 9, 14, 21, 11, 17, 9))[0]


def plain(checkpoint: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoint).eval()


def one_by_one(model: Any, prompts: Sequence[list[int]], ends: Collection[int], n: int = NEW_TOKENS) -> list[Any]:
    """Greedy replies by Hugging Face's own decoding, a prompt at a time, up to the first end token."""
    replies = []
    for prompt in prompts:
        tokens = torch.tensor([prompt])
        with torch.no_grad():
            made = model.generate(
                tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=n, eos_token_id=None
            )
        reply = made[0, len(prompt) :].tolist()
        replies.append(tuple(reply[: next((k for k, token in enumerate(reply) if token in ends), n)]))
    return replies


def literally(model: Any, prompts: Sequence[list[int]], n: int = NEW_TOKENS) -> list[Any]:
    """Greedy replies by whole forward passes without a cache, a prompt at a time."""
    replies, ends = [], end_tokens(model)
    for prompt in prompts:
        reply, _ = literal_reply(model, prompt, [], torch.zeros(1, model.cfg.n_layers, 1, 1), "last", n)
        replies.append(tuple(reply[: next((k for k, token in enumerate(reply) if token in ends), n)]))
    return replies


@contextmanager
def widths(model: Any) -> Iterator[list[tuple[int, int]]]:
    """How many rows and tokens each pass has."""
    seen: list[tuple[int, int]] = []
    embedding = batched_generation.causal_of(model).get_input_embeddings()
    handle = embedding.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))
    try:
        yield seen
    finally:
        handle.remove()


@pytest.mark.parametrize("kind", [*tiny.CONFIGS, *tiny.MORE_CONFIGS, "lfm2"])
def test_a_hugging_face_model_replies_as_to_each_prompt_alone(checkpoint: Load, kind: str) -> None:
    model, tokenizer = plain(checkpoint(kind)), AutoTokenizer.from_pretrained(checkpoint(kind))
    # What each would say at another place ends a reply, so that replies of one batch end at different places.
    ends = {1, *(reply[k % NEW_TOKENS] for k, reply in enumerate(one_by_one(model, PROMPTS, ())))}
    expected = one_by_one(model, PROMPTS, ends)
    assert len({len(reply) for reply in expected}) > 1
    model.generation_config.eos_token_id = sorted(ends)
    with widths(model) as seen:
        assert generate(model, PROMPTS, tokenizer=tokenizer, max_new_tokens=NEW_TOKENS, compute=FOURS) == expected
    assert max(rows for rows, _ in seen) == 4, "prompts of different lengths share a batch"


@pytest.mark.parametrize("kind", [*tiny.CONFIGS, *tiny.MORE_CONFIGS])
def test_a_bridge_replies_as_whole_passes_over_each_prompt_alone(tiny_model: Load, kind: str) -> None:
    model = tiny_model(kind)
    with widths(model) as seen:
        assert generate(model, PROMPTS, max_new_tokens=NEW_TOKENS, compute=FOURS) == literally(model, PROMPTS)
    assert max(rows for rows, _ in seen) == 4


if "hooked" in tiny.BACKENDS:

    @pytest.mark.parametrize("kind", ["llama", "llama-gqa", "mistral", "qwen2", "qwen3", "gpt-neox", "opt", "bloom"])
    def test_a_hooked_transformer_replies_as_to_each_prompt_alone(tiny_model: Load, kind: str) -> None:
        model = tiny_model(kind, "hooked")
        assert generate(model, PROMPTS, max_new_tokens=NEW_TOKENS, compute=FOURS) == literally(model, PROMPTS)

    @pytest.mark.parametrize("kind", [*HAND_MADE])
    def test_a_hand_made_hooked_transformer_replies_as_to_each_prompt_alone(kind: str) -> None:
        model = hand_made(kind)
        assert generate(model, PROMPTS, max_new_tokens=NEW_TOKENS, compute=FOURS) == literally(model, PROMPTS)


def long_rope() -> Any:
    """A model whose rotary embedding depends on the longest row of a batch."""
    family, settings = tiny.MORE_CONFIGS["phi3"]
    factors = {"short_factor": [1.0] * 4, "long_factor": [9.0, 7.0, 5.0, 3.0]}
    config = AutoConfig.for_model(
        family,
        **settings,
        original_max_position_embeddings=16,
        rope_scaling={"rope_type": "longrope", "rope_theta": 10000.0, **factors},
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def test_where_padding_would_change_replies_only_prompts_of_one_length_share_a_batch() -> None:
    model = long_rope()
    assert keeps_while_generating(model)  # tried once, before
    with widths(model) as seen:
        replies = generate(model, PROMPTS, max_new_tokens=3)
    assert replies == one_by_one(model, PROMPTS, [], 3)
    tried, (first, *_) = seen[:4], seen[4:]
    assert tried == [(1, 5), (1, 1), (2, 21), (2, 1)]
    assert first == (1, 5)
    assert (2, 9) in seen
    assert max(rows for rows, _ in seen[4:]) == 2


def test_a_model_that_sees_its_padding_is_found_out(checkpoint: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = plain(checkpoint("llama"))
    forward = model.forward

    def blind(*args: Any, attention_mask: Any = None, **options: Any) -> Any:
        return forward(*args, **options)

    tokenizer = AutoTokenizer.from_pretrained(checkpoint("llama"))
    expected = one_by_one(model, PROMPTS, end_tokens(model, tokenizer))
    monkeypatch.setattr(model, "forward", blind)
    assert generate(model, PROMPTS, tokenizer=tokenizer, max_new_tokens=NEW_TOKENS) == expected
    monkeypatch.setattr(batched_generation, "_padding_changes_nothing", lambda *_: True)
    assert generate(model, PROMPTS, tokenizer=tokenizer, max_new_tokens=NEW_TOKENS) != expected


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_replies_stop_where_the_context_ends_whatever_they_share_a_batch_with(tiny_model: Load, kind: str) -> None:
    model = tiny_model(kind)
    prompts = tiny.random_prompts(6, lengths=(126, 30, 124, 122, 50, 127))[0]
    replies = generate(model, prompts, max_new_tokens=5)
    assert replies == [literally(model, [p], min(5, 128 - len(p)))[0] for p in prompts]
    assert max(map(len, replies)) == 5


NOTES = {"_current_batch_size"}
"""What TransformerLens keeps on a module from one pass to the next."""
SETTINGS: dict[str, Any] = {
    "do_sample": True,
    "temperature": 9.0,
    "top_k": 3,
    "repetition_penalty": 4.0,
    "no_repeat_ngram_size": 1,
    "min_new_tokens": 5,
    "suppress_tokens": list(range(10, 90)),
    "num_beams": 2,
    "max_new_tokens": 1,
    "forced_eos_token_id": 9,
}


@pytest.mark.parametrize("of", ["plain", "bridge"])
def test_settings_of_the_checkpoint_neither_draw_nor_forbid_nor_change(checkpoint: Load, of: str) -> None:
    model = plain(checkpoint("llama")) if of == "plain" else load_model(checkpoint("llama"))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("llama"))
    expected = generate(model, PROMPTS, tokenizer=tokenizer, max_new_tokens=NEW_TOKENS)
    causal = batched_generation.causal_of(model)
    ends = causal.generation_config.eos_token_id
    settings = causal.generation_config = GenerationConfig(**SETTINGS, eos_token_id=ends)
    before = settings.to_dict()
    assert generate(model, PROMPTS, tokenizer=tokenizer, max_new_tokens=NEW_TOKENS) == expected
    assert causal.generation_config is settings
    assert settings.to_dict() == before


@pytest.mark.parametrize("of", ["plain", "bridge"])
def test_the_model_is_left_as_found(checkpoint: Load, of: str) -> None:
    model = plain(checkpoint("gpt2")) if of == "plain" else load_model(checkpoint("gpt2"))
    model.train()  # dropout would change replies
    model.blocks[1].eval() if of == "bridge" else model.transformer.h[1].eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("gpt2"))
    causal = batched_generation.causal_of(model)

    def state() -> Any:
        everything = [*model.modules(), *causal.modules()]
        return (
            [
                (sorted(vars(m).keys() - NOTES), m.training, len(m._forward_hooks), len(m._forward_pre_hooks))
                for m in everything
            ],
            [(p.clone(), p.requires_grad) for p in causal.parameters()],
            id(causal.generation_config),
            causal.config.to_dict(),
        )

    with torch.no_grad():
        model(torch.tensor([[3, 4]]))  # at its first pass TransformerLens notes things of its own
    before = state()
    expected = one_by_one(plain(checkpoint("gpt2")), PROMPTS, end_tokens(model, tokenizer))
    assert generate(model, PROMPTS, tokenizer=tokenizer, max_new_tokens=NEW_TOKENS) == expected
    after_it = state()

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    handle = causal.get_input_embeddings().register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        generate(model, PROMPTS, tokenizer=tokenizer)
    handle.remove()
    for after in (after_it, state()):
        assert after[0] == before[0]
        assert all(torch.equal(p, q) and a == b for (p, a), (q, b) in zip(after[1], before[1], strict=True))
        assert after[2:] == before[2:]


@pytest.mark.parametrize("of", ["plain", "bridge"])
def test_tuned_heads_speak_too(checkpoint: Load, of: str) -> None:
    model = plain(checkpoint("llama-gqa")) if of == "plain" else load_model(checkpoint("llama-gqa"))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("llama-gqa"))
    settings: dict[str, Any] = {"tokenizer": tokenizer, "max_new_tokens": NEW_TOKENS}
    base = generate(model, PROMPTS, **settings)
    with pinpoint(model, PinpointConfig(HeadSet(["L0H1", "L1H2", "L2H0"]))) as tuned:
        with torch.no_grad():
            for parameter in tuned.parameters.values():
                parameter.mul_(-3)
        attached = generate(model, PROMPTS, **settings)
        assert attached == one_by_one(batched_generation.causal_of(model), PROMPTS, end_tokens(model, tokenizer))
        tuned.merge()
        assert attached == generate(model, PROMPTS, **settings) != base
    assert generate(model, PROMPTS, **settings) == base


def test_hooks_of_others_see_every_pass(tiny_model: Load) -> None:
    model = tiny_model("llama")
    expected = generate(model, PROMPTS, max_new_tokens=3)

    def silence(value: torch.Tensor, hook: Any) -> torch.Tensor:
        return torch.zeros_like(value)

    edits = [(f"blocks.{layer}.attn.hook_z", silence) for layer in range(3)]
    with model.hooks(fwd_hooks=edits):
        silenced = generate(model, PROMPTS, max_new_tokens=3)
        assert silenced == literally(model, PROMPTS, 3)
    assert silenced != expected == generate(model, PROMPTS, max_new_tokens=3)


def test_bad_input_is_refused_by_name(checkpoint: Load) -> None:
    model = plain(checkpoint("llama"))
    with pytest.raises(PromptError, match="fills the 128 tokens"):
        generate(model, [[4] * 128])
    with pytest.raises(PromptError, match="Prompt 1 is empty"):
        generate(model, [[4], []])
    with pytest.raises(PromptError, match="max_new_tokens=0"):
        generate(model, [[4]], max_new_tokens=0)
    with pytest.raises(PromptError, match="batch_size=0"):
        generate(model, [[4]], compute=Compute(batch_size=0, progress=False))
    with pytest.raises(ModelError, match="neither a TransformerLens model nor a Hugging Face"):
        generate(torch.nn.Linear(2, 2), [[4]])
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight[0, 0] = torch.nan
    with pytest.raises(NotFiniteError, match="logits are NaN"):
        generate(model, [[4, 5, 6]])


def test_nothing_to_say_is_nothing(tiny_model: Load) -> None:
    assert generate(tiny_model("llama"), []) == []
