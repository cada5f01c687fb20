"""Tokenizers that give a poor account of their tokens: an exact span, or an error."""

from __future__ import annotations

from typing import Any

import pytest

from sycolens.errors import DialogueError
from sycolens.prompts.tokens import encode, spans_of, start_tokens


class Mute:
    """A slow tokenizer that knows no offsets and whose tokens do not spell the text: words by number."""

    is_fast = False
    added_tokens_decoder: dict[int, Any] = {}  # noqa: RUF012

    def __init__(self, *, glue: str = "") -> None:
        self.glue = glue
        self.words: list[str] = []

    def encode(self, text: str, *, add_special_tokens: bool, verbose: bool = True) -> list[int]:
        words = text.replace(self.glue, self.glue.replace(" ", "_")).split() if self.glue else text.split()
        for word in words:
            if word not in self.words:
                self.words.append(word)
        return [self.words.index(word) for word in words]

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [f"w{k}" for k in ids]


def test_a_mute_tokenizer_is_cut_where_both_sides_encode_on_their_own() -> None:
    mute: Any = Mute()
    text = "one two three four"
    ids = encode(mute, text)
    assert spans_of(mute, text, ids, [(4, 13), (0, 3), (14, 18)]) == [(1, 3), (0, 1), (3, 4)]
    assert spans_of(mute, text, ids, [(3, 4)]) == [None]


def test_a_cut_that_a_token_may_cross_is_an_error() -> None:
    glued: Any = Mute(glue="two three")
    text = "one two three four"
    with pytest.raises(DialogueError, match="may cross"):
        spans_of(glued, text, encode(glued, text), [(8, 13)])
    with pytest.raises(DialogueError, match="may cross"):
        spans_of(Mute(), text, (9, 9), [(0, 3)])  # type: ignore[arg-type]


def test_an_unknown_word_cannot_be_cut_in_two() -> None:
    class Unknown(Mute):
        def encode(self, text: str, *, add_special_tokens: bool, verbose: bool = True) -> list[int]:
            return [0] * len(text.split())

    unknown: Any = Unknown()
    assert spans_of(unknown, "xyz b", (0, 0), [(0, 4)]) == [(0, 1)]
    # "x" alone is the same unknown token as "xyz", but that token also holds "yz".
    with pytest.raises(DialogueError, match="may cross"):
        spans_of(unknown, "xyz b", (0, 0), [(0, 1)])


def test_wrong_offsets_are_not_believed(wordpiece: Any, monkeypatch: Any) -> None:
    text = "Are you sure?"
    ids = encode(wordpiece, text)

    class Lying:
        is_fast = True

        def __getattr__(self, name: str) -> Any:
            return getattr(wordpiece, name)

        def __call__(self, *args: Any, **options: Any) -> Any:
            told = dict(wordpiece(*args, **options))
            told["offset_mapping"] = [(a, a) for a, _ in told["offset_mapping"]]
            return told

    assert spans_of(wordpiece, text, ids, [(4, 7)]) != [None]
    # Without offsets the cut before "you" is still certain: both sides encode to the same tokens.
    assert spans_of(Lying(), text, ids, [(4, 7)]) == spans_of(wordpiece, text, ids, [(4, 7)])  # type: ignore[arg-type]


def test_start_tokens_are_not_given_twice(metaspace_bpe: Any, wordpiece: Any, byte_bpe: Any) -> None:
    assert start_tokens(metaspace_bpe, "Are you sure?") == (metaspace_bpe.bos_token_id,)
    assert start_tokens(metaspace_bpe, "<s>Are you sure?") == ()
    assert start_tokens(wordpiece, "Are you sure?") == (wordpiece.cls_token_id,)
    assert start_tokens(byte_bpe, "Are you sure?") == ()
