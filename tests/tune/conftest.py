"""The tokenizers that the prompts' tests train, and one of Llama 2's kind."""

from prompts.conftest import byte_bpe, metaspace_bpe, slow_sentencepiece, wordpiece

__all__ = ["byte_bpe", "metaspace_bpe", "slow_sentencepiece", "wordpiece"]
