"""A label counts by the token with which the tokenizer writes it where the answer begins."""

from __future__ import annotations

from typing import Any

import pytest

from sycolens.errors import LabelError
from sycolens.prompts import CHAT, PLAIN, ChatFormat, ContrastPairs, Dialogue, Turn
from sycolens.prompts.labels import first_token

from .conftest import CHATML, INST


def label_pieces(tokenizer: Any, *, chat_format: ChatFormat = CHAT, labels: Any = ("Apologies", "Yes")) -> list[str]:
    question, answer = Turn("user", "Which is a planet?"), Turn("assistant", "Mars is a planet.")
    dialogues = [
        (
            Dialogue((question, answer, Turn("user", "No, sure?"))),
            Dialogue((question, answer, Turn("user", "Ah, sure?"))),
        )
    ]
    pairs = ContrastPairs.from_dialogues(dialogues, tokenizer, labels=labels, chat_format=chat_format)
    return list(tokenizer.convert_ids_to_tokens([token for group in pairs.labels[0] for token in group]))


def test_after_a_line_break_a_word_has_no_space(byte_bpe: Any, metaspace_bpe: Any, monkeypatch: Any) -> None:
    assert label_pieces(byte_bpe) == [byte_bpe.tokenize(word)[0] for word in ("Apologies", "Yes")]
    # In SentencePiece "Yes" at the start of a text carries a space, in the middle of a line it does not.
    monkeypatch.setattr(metaspace_bpe, "chat_template", CHATML)
    written = metaspace_bpe.tokenize("assistant\nYes")
    assert label_pieces(metaspace_bpe)[1] == written[written.index("<0x0A>") + 1] != metaspace_bpe.tokenize("Yes")[0]


def test_a_template_that_sets_off_the_answer_with_a_space_says_so(byte_bpe: Any, monkeypatch: Any) -> None:
    vicuna = (
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    monkeypatch.setattr(byte_bpe, "chat_template", vicuna)
    assert label_pieces(byte_bpe) == [byte_bpe.tokenize(word)[0] for word in (" Apologies", " Yes")]


def test_a_plain_prompt_is_answered_after_a_space(byte_bpe: Any, metaspace_bpe: Any) -> None:
    assert label_pieces(byte_bpe, chat_format=PLAIN) == [byte_bpe.tokenize(word)[0] for word in (" Apologies", " Yes")]
    assert label_pieces(metaspace_bpe, chat_format=PLAIN)[1] == "▁Yes"


@pytest.mark.parametrize("answer", ["' ' + m.content | trim", "m.content | trim"])
def test_sentencepiece_answers_begin_with_a_space_of_their_own(
    metaspace_bpe: Any, slow_sentencepiece: Any, monkeypatch: Any, answer: str
) -> None:
    for tokenizer in (metaspace_bpe, slow_sentencepiece):
        monkeypatch.setattr(tokenizer, "chat_template", INST.replace("' ' + m.content | trim", answer))
        pieces = label_pieces(tokenizer)
        assert pieces == [tokenizer.tokenize(word)[0] for word in ("Apologies", "Yes")]
        assert all(piece.startswith("▁") for piece in pieces)


def test_wordpiece_labels_are_lower_case_words(wordpiece: Any) -> None:
    assert label_pieces(wordpiece) == [wordpiece.tokenize(word)[0] for word in ("apologies", "yes")]


def test_a_token_id_is_taken_as_it_is(byte_bpe: Any) -> None:
    assert label_pieces(byte_bpe, labels=(70, "Yes"))[0] == byte_bpe.convert_ids_to_tokens([70])[0]


def test_labels_that_collide_are_named_with_word_token_id_and_pair(byte_bpe: Any) -> None:
    token = byte_bpe.encode("Yes")[0]
    expected = rf'"Yes" and "Yes, sir" begin with the same token \(.*id {token}\); the labels of pair 0 must differ'
    with pytest.raises(LabelError, match=expected):
        label_pieces(byte_bpe, labels=("Yes", "Yes, sir"))


def test_a_label_outside_the_vocabulary_is_an_error(wordpiece: Any) -> None:
    with pytest.raises(LabelError, match="'鯨' of pair 0 begins with the unknown token"):
        label_pieces(wordpiece, labels=("鯨", "Yes"))


@pytest.mark.parametrize("label", ["", "  ", None, True, 1.5])
def test_a_label_is_a_word_or_an_id(byte_bpe: Any, label: Any) -> None:
    with pytest.raises(LabelError):
        label_pieces(byte_bpe, labels=(label, "Yes"))


def test_after_a_space_the_word_without_a_space_follows(byte_bpe: Any, metaspace_bpe: Any) -> None:
    assert first_token(byte_bpe, "Is it B? ", "Yes") == byte_bpe.encode("Yes")[0]
    # "B? Yes" is written "▁Yes"; a prompt that has spent its last token on the space goes on without one.
    spent = metaspace_bpe.convert_ids_to_tokens([first_token(metaspace_bpe, "Is it B? ", "Yes")])[0]
    assert spent == metaspace_bpe.tokenize("\nYes")[2]
    assert not spent.startswith("▁")


def test_a_label_that_melts_into_the_prompt_is_an_error(byte_bpe: Any) -> None:
    text, label = "Apolo", "gies"
    assert byte_bpe.encode(text + label)[: len(byte_bpe.encode(text))] != byte_bpe.encode(text)
    with pytest.raises(LabelError, match="melts into the last token"):
        first_token(byte_bpe, text, label)
    assert first_token(byte_bpe, text, " Yes") == byte_bpe.encode(" Yes")[0]


def test_a_label_that_would_go_on_inside_a_word_is_refused(byte_bpe: Any) -> None:
    assert first_token(byte_bpe, "I am", " zebra") == byte_bpe.encode(" zebra")[0]
    with pytest.raises(LabelError):
        first_token(byte_bpe, "I am", "zebra")
    # A single token may be how the word goes on.
    piece = byte_bpe.convert_ids_to_tokens(byte_bpe.encode("I amb"))[-1]
    assert first_token(byte_bpe, "I am", "b") == byte_bpe.convert_tokens_to_ids(piece)
