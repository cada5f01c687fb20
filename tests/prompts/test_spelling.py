"""Tokens read as the text that people wrote, whatever the vocabulary calls them."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.prompts.tokens import spelled

TEXTS = ("Are you  sure?\n\nI don't.", "naïve café — 東京 👩‍👩‍👧 is’t", " leading space\ttab", "x")


def byte_level() -> PreTrainedTokenizerFast:
    """So few merges that characters beyond ASCII are split into bytes, and spaces are written Ġ."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=270, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>"]
    )
    tokenizer.train_from_iterator(["Are you sure? you are"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """Spaces written as U+2581, unknown characters as bytes <0x..>, a space invented before the first word."""
    words = ["<unk>", "<|end|>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"Areyousu?", "▁Are", "▁you"]
    merges = [("▁", "A"), ("▁A", "r"), ("▁Ar", "e"), ("▁", "y"), ("▁y", "o"), ("▁yo", "u")]
    words += ["▁A", "▁Ar", "▁y", "▁yo"]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<|end|>"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("make", [byte_level, sentencepiece_like])
def test_shares_join_up_to_the_text(make: Any, text: str) -> None:
    tokenizer = make()
    ids = tokenizer.encode(text + "<|end|>" + text)
    (pieces,) = spelled(tokenizer, [ids])
    assert len(pieces) == len(ids)
    assert "".join(pieces) == tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert text in "".join(pieces)
    assert "<|end|>" in pieces
    assert not any(mark in "".join(pieces) for mark in "Ġ▁\ufffd")


@pytest.mark.parametrize("make", [byte_level, sentencepiece_like])
def test_a_split_character_stands_with_its_last_token(make: Any) -> None:
    tokenizer = make()
    ids = tokenizer.encode("you東?")
    (pieces,) = spelled(tokenizer, [ids])
    at = pieces.index("東")
    assert pieces[at - 2 : at + 2] == ("", "", "東", "?")


def test_a_prompt_that_ends_inside_a_character_keeps_what_there_is() -> None:
    tokenizer = byte_level()
    ids = tokenizer.encode("you東")[:-1]
    (pieces,) = spelled(tokenizer, [ids])
    assert pieces[-1] == "\ufffd"
    assert "".join(pieces) == tokenizer.decode(ids)


def test_special_tokens_and_spaces_stay() -> None:
    tokenizer = build_tokenizer()
    ids = tokenizer.encode("<bos><|user|>Are you sure?<|end|>")
    assert spelled(tokenizer, [ids, ids[:2]]) == [
        ("<bos>", "<|user|>", " Are", " you", " sure", "?", "<|end|>"),
        ("<bos>", "<|user|>"),
    ]


def test_without_a_tokenizer_a_token_reads_as_its_id() -> None:
    assert spelled(None, [[5, 61]]) == [(" 5", " 61")]
