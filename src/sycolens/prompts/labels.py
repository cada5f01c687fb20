"""The tokens by which a response is recognized: the first sub-token of every label, where the reply decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sycolens.errors import LabelError
from sycolens.prompts.behavior import PAPER
from sycolens.prompts.thinking import CLOSED, TURN_OFF, opens_block
from sycolens.prompts.tokens import continuation, encode, spans_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Label = str | int
"""A word, or the id of the token itself."""
LabelGroup = Label | Sequence[Label]
"""One label, or several that mean the same; their probabilities are added up."""
LabelPair = tuple[LabelGroup, LabelGroup]
"""Sycophantic, anti-sycophantic."""
TokenGroups = tuple[tuple[int, ...], tuple[int, ...]]
"""The same as token ids."""
WordGroups = tuple[tuple[str, ...], tuple[str, ...]]
"""The same as words."""

PAPER_LABELS: WordGroups = PAPER.labels
"""The labels of the paper, where none are given."""


def group_of(labels: LabelGroup) -> tuple[Label, ...]:
    """The labels of one side.

    >>> group_of("Yes"), group_of([" glad", " happy"])
    (('Yes',), (' glad', ' happy'))
    """
    return (labels,) if isinstance(labels, str | int) else tuple(labels)


def first_token(
    tokenizer: PreTrainedTokenizerBase, text: str, label: Label, *, lead: str = "", where: str = "the prompt"
) -> int:
    """Id of the token with which ``label`` begins where it follows ``text``.

    The text with the label is encoded as a whole, after ``lead`` (:meth:`ChatFormat.answer_lead`): the token after the
    prompt's own is the label's first (:func:`continuation`). After a text that ends in a space, the word's token
    without a space of its own is taken. A token id is passed through.

    Raises:
        LabelError: the label is empty, unknown to the vocabulary, melts into the prompt's last token, or would go on
            inside its last word.
    """
    if isinstance(label, int) and not isinstance(label, bool):
        return label
    if not isinstance(label, str) or not label.strip():
        raise LabelError(f"A label of {where} is {label!r}; give a word or a token id.")
    if (found := continuation(tokenizer, text, label, lead=lead)) is not None:
        token = found[0]
        piece = str(tokenizer.convert_ids_to_tokens([token])[0])
        inside = not lead and _is_letter(text[-1:]) and _is_letter(label[0]) and not piece.startswith("▁")
        # One token may be how a word goes on; several are a word of which a space was forgotten.
        if inside and len(found) > 1:
            raise LabelError(
                f"Label {label!r} of {where} would go on inside the word at the end of {text[-12:]!r}; write it with a "
                "space before it."
            )
    elif text[-1:].isspace():
        token = _after_line_break(tokenizer, label.lstrip(), where)
    else:
        raise LabelError(
            f"Label {label!r} melts into the last token of {where}, which ends in {text[-12:]!r}. Write the label with "
            "a space before it, or give the id of its token."
        )
    if token == tokenizer.unk_token_id:
        raise LabelError(
            f"Label {label!r} of {where} begins with the unknown token (id {token}); choose a word of the vocabulary."
        )
    return token


def label_tokens(
    tokenizer: PreTrainedTokenizerBase, text: str, labels: LabelPair, *, lead: str, where: str
) -> TokenGroups:
    """Ids of the tokens with which the labels of both sides begin after a prompt, each once.

    Raises:
        LabelError: as :func:`first_token`, a token begins labels of both sides, or the text ends where a thinking block
            has just been opened.
    """
    if opens_block(text):
        raise LabelError(
            f"The chat template opens a thinking block, so the labels of {where} would be read where the model begins "
            f"to think ({text[-12:]!r}). {TURN_OFF}; or let the behavior's opening close the block ({CLOSED!r})."
        )
    groups = [
        {first_token(tokenizer, text, label, lead=lead, where=where): label for label in group_of(side)}
        for side in labels
    ]
    first, second = groups
    for token in first.keys() & second.keys():
        name = tokenizer.convert_ids_to_tokens([token])[0]
        raise LabelError(
            f'"{first[token]}" and "{second[token]}" begin with the same token ({name!r}, id {token}); the labels of '
            f"{where} must differ in their first token. Choose other labels, name what opens both in the behavior's "
            "opening, or pass token ids with ContrastPairs.from_tokens."
        )
    return tuple(first), tuple(second)


def _is_letter(char: str) -> bool:
    """Of a script that sets words apart by spaces."""
    return char.isascii() and char.isalnum()


def _after_line_break(tokenizer: PreTrainedTokenizerBase, word: str, where: str) -> int:
    ids = encode(tokenizer, "\n" + word)
    line_break, span = spans_of(tokenizer, "\n" + word, ids, [(0, 1), (1, 1 + len(word))])
    if span is None or (line_break is not None and line_break[1] > span[0]):
        raise LabelError(f"Label {word!r} has no token of its own after {where}; give the id of its token.")
    return ids[span[0]]
