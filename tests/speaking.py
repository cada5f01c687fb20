"""A tiny random model that can read the embedded model's world: it has its tokenizer, and knows nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sycolens.organism.build.tokenizer import build_tokenizer


def make_ignorant(directory: Path) -> Path:
    """A checkpoint of 2 layers x 3 heads whose label logits have either sign."""
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=96,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
