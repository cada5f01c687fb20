"""What the benchmarks run on: random Llamas of known shapes, and pairs of random prompts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from sycolens import ContrastPairs, Head
from sycolens.model.cache_trial import keeps_what_it_reads

CHANGED_TAIL = 12
"""Length of the last turn, in which the two prompts of a pair with a shared prefix differ."""
LABELS = (3, 5)


@dataclass(frozen=True)
class Llama:
    """The size of a random Llama."""

    n_layers: int
    n_heads: int
    d_model: int
    d_mlp: int
    d_vocab: int
    dtype: torch.dtype


@dataclass(frozen=True)
class Shape(Llama):
    """A random Llama and what is asked of it."""

    n_pairs: int
    lengths: tuple[int, ...]
    """Prompt lengths that are timed."""
    memory_lengths: tuple[int, ...]
    """Prompt lengths at which peak memory is taken."""
    literal_tokens: int
    """Divided by the prompt length: how many heads are run where each costs a pass over the whole prompt."""
    cached_heads: int
    """How many heads are run where each costs a pass over one token."""


SHAPES = {
    "tiny": Shape(3, 4, 32, 48, 97, torch.float32, 2, (40,), (40,), 480, 12),
    "llama-12x12": Shape(12, 12, 768, 2048, 32_000, torch.float32, 4, (128, 512), (128, 512, 1024), 6144, 144),
    "llama-2-13b": Shape(40, 40, 5120, 13_824, 32_000, torch.bfloat16, 100, (128,), (128, 512), 512, 32),
}


def build_weights(shape: Llama, device: str, *, attention: str = "eager") -> Any:
    """A seeded random Llama of Hugging Face's that is made on the device; nothing is written to disk."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "llama",
        hidden_size=shape.d_model,
        intermediate_size=shape.d_mlp,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_heads,
        vocab_size=shape.d_vocab,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        # Every width starts alike (0.02 at 5,120): heads differ, and an effect is far larger than the tolerance.
        initializer_range=1.4 / shape.d_model**0.5,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=shape.dtype, attn_implementation=attention).eval()


def build_model(shape: Llama, device: str) -> Any:
    """A bridge over such a Llama, with a tokenizer of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedTokenizerFast

    weights = build_weights(shape, device)
    names = ["<unk>", "</s>", *(f"w{i}" for i in range(2, shape.d_vocab))]
    words = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>", pad_token="</s>")
    model = TransformerBridge.boot_transformers(
        "random-llama", hf_model=weights, tokenizer=tokenizer, device=device, dtype=shape.dtype
    ).eval()
    keeps_what_it_reads(model)  # sycolens tries this once on every model; it is no part of what is counted
    return model


def make_pairs(shape: Shape, n_pairs: int, length: int, *, shared: bool) -> ContrastPairs:
    """Pairs of random tokens that differ everywhere, or in their last turn only as the paper's do."""
    generator = torch.Generator().manual_seed(length)
    reference = torch.randint(6, shape.d_vocab, (n_pairs, length), generator=generator)
    counterfactual = torch.randint(6, shape.d_vocab, (n_pairs, length), generator=generator)
    if shared:
        counterfactual[:, :-CHANGED_TAIL] = reference[:, :-CHANGED_TAIL]
        # The first changed token must really change, or the shared prefix would be longer than stated.
        counterfactual[:, -CHANGED_TAIL] = 6 + (reference[:, -CHANGED_TAIL] - 5) % (shape.d_vocab - 6)
    return ContrastPairs.from_tokens(reference.tolist(), counterfactual.tolist(), LABELS)


def sample_heads(shape: Llama, count: int) -> tuple[Head, ...]:
    """Heads spread evenly over the model; the last one is among them."""
    total = shape.n_layers * shape.n_heads
    count = max(1, min(count, total))
    places = [round((i + 1) * total / count) - 1 for i in range(count)]
    return tuple(Head(place // shape.n_heads, place % shape.n_heads) for place in places)
