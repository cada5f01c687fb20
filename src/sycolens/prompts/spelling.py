"""How each token of a prompt reads: text as people write it, not a vocabulary's marks for spaces and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_HALF = "\ufffd"
"""What tokenizers decode part of a character to."""


def spelled(tokenizer: PreTrainedTokenizerBase | None, prompts: Sequence[Sequence[int]]) -> list[tuple[str, ...]]:
    """Each token's own share of the decoded prompt, special tokens included.

    The shares of a prompt join up to its text. A character that is split over tokens stands with the last of them,
    and the others are empty. Without a tokenizer a token reads as its id.

    >>> spelled(tokenizer, [tokenizer.encode("Are you sure?")])
    [('<bos>', ' Are', ' you', ' sure', '?')]
    """
    if tokenizer is None:
        return [tuple(f" {token}" for token in prompt) for prompt in prompts]

    @cache
    def decode(ids: tuple[int, ...]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def shares(prompt: Sequence[int]) -> tuple[str, ...]:
        found: list[str] = []
        # A token's spaces depend on what stands before it, so it is decoded together with the last whole piece.
        before: tuple[int, ...] = ()
        begun: tuple[int, ...] = ()
        for place, token in enumerate(prompt):
            begun += (token,)
            head, whole = decode(before), decode(before + begun)
            text = whole[len(head) :] if whole.startswith(head) else decode(begun)
            if text.endswith(_HALF) and place < len(prompt) - 1:
                found.append("")
                continue
            found.append(text)
            before, begun = begun, ()
        return tuple(found)

    return [shares(prompt) for prompt in prompts]
