"""Tiny seeded checkpoints of every block kind, and contrast pairs of random tokens for them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import torch
from tokenizers import Tokenizer, models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

BACKENDS = ("bridge", "hooked") if version("transformer-lens").startswith("3.") else ("bridge",)
"""What the installed TransformerLens offers."""

VOCABULARY = 97
_WIDTH = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
_LLAMA = {**_WIDTH, "vocab_size": VOCABULARY, "max_position_embeddings": 128, "tie_word_embeddings": False}
_GROUPED = {**_LLAMA, "num_key_value_heads": 2}

CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "llama": ("llama", {**_LLAMA, "num_key_value_heads": 4}),
    "llama-gqa": ("llama", _GROUPED),
    "mistral": ("mistral", {**_GROUPED, "sliding_window": 7}),
    "qwen2": ("qwen2", _GROUPED),
    "qwen3": ("qwen3", {**_GROUPED, "head_dim": 12}),
    "gemma2": ("gemma2", {**_GROUPED, "head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8}),
    "gpt2": ("gpt2", {"vocab_size": VOCABULARY, "n_positions": 128, "n_embd": 32, "n_layer": 3, "n_head": 4}),
    "gpt-neox": ("gpt_neox", {**_LLAMA, "use_parallel_residual": True}),
    "phi": ("phi", {**_LLAMA, "num_key_value_heads": 4}),
}
"""The kinds that are promised."""

MORE_CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "gemma": ("gemma", {**_GROUPED, "head_dim": 8}),
    "gemma3": ("gemma3_text", {**_GROUPED, "head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8}),
    "phi3": ("phi3", {**_GROUPED, "pad_token_id": 0}),
    "olmo2": ("olmo2", _GROUPED),
    "stablelm": ("stablelm", _GROUPED),
    "granite": ("granite", {**_GROUPED, "logits_scaling": 2.0, "residual_multiplier": 0.7}),
    "gptj": (
        "gptj",
        {"vocab_size": VOCABULARY, "n_positions": 128, "n_embd": 32, "n_layer": 3, "n_head": 4, "rotary_dim": 4},
    ),
    "opt": (
        "opt",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "max_position_embeddings": 128,
        },
    ),
    "mixtral": ("mixtral", {**_GROUPED, "num_local_experts": 3}),
    "bloom": ("bloom", {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 3, "n_head": 4}),
    "cohere": ("cohere", {**_GROUPED, "logit_scale": 0.5}),
    "starcoder2": ("starcoder2", _GROUPED),
}
"""Kinds beyond the promise."""

WITHOUT_HEADS: dict[str, tuple[str, dict[str, object]]] = {
    "mamba": ("mamba", {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "lfm2": ("lfm2", {**_GROUPED, "layer_types": ["full_attention", "conv", "full_attention"]}),
}  # fmt: skip
"""Kinds of which some layer has no attention heads."""


def make_checkpoint(kind: str, directory: Path) -> Path:
    """A random Hugging Face checkpoint of a kind, with a word-level tokenizer w0 ... w96."""
    family, settings = (CONFIGS | MORE_CONFIGS | WITHOUT_HEADS)[kind]
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            # Random everywhere, norms and biases too: a unit norm or a zero bias would hide a mistake.
            parameter.add_(torch.randn_like(parameter) * (0.3 if parameter.dim() > 1 else 0.1))
    model.save_pretrained(directory)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", eos_token="w1", pad_token="w1").save_pretrained(
        directory
    )
    return directory


def random_prompts(
    n: int, *, lengths: tuple[int, ...] = (9,), shared: int = 0, seed: int = 0
) -> tuple[list[list[int]], list[list[int]]]:
    """Reference and counterfactual prompts of the lengths in turn, a pair's first ``shared`` tokens being the same."""
    generator = torch.Generator().manual_seed(seed)

    def tokens(length: int) -> list[int]:
        return torch.randint(2, VOCABULARY, (length,), generator=generator).tolist()

    references, counterfactuals = [], []
    for i in range(n):
        length = lengths[i % len(lengths)]
        reference = tokens(length)
        references.append(reference)
        counterfactuals.append(reference[:shared] + tokens(length - shared))
    return references, counterfactuals
