"""A tiny random model that can read the embedded model's world: it has its tokenizer, and knows nothing."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sycolens.organism.build.tokenizer import build_tokenizer


def make_ignorant(directory: Path, *, knows_all_words: bool = False) -> Path:
    """A checkpoint of 2 layers x 3 heads whose label logits have either sign.

    Words that its tokenizer lacks are refused in examples, unless it does not own up to lacking them.
    """
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
    if knows_all_words:
        path = directory / "tokenizer_config.json"
        settings = json.loads(path.read_text())
        del settings["unk_token"]
        path.write_text(json.dumps(settings))
    return directory
