"""The token by which a response is recognized: the first sub-token of a label word, at the place of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sycolens.errors import BehaviorError, LabelError
from sycolens.prompts.behavior import PAPER, Behavior
from sycolens.prompts.tokens import encode, spans_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Label = str | int
"""A word, or the id of the token itself."""
LabelPair = tuple[Label, Label]
"""Sycophantic, anti-sycophantic."""


def decision_labels(behavior: Behavior) -> tuple[str, str]:
    """The sycophantic and the anti-sycophantic label of a behavior, between which the first token of a reply decides.

    Raises:
        BehaviorError: the reply opens with other words first, or a side has several labels; neither is supported.

    >>> decision_labels(PAPER)
    ('Apologies', 'Yes')
    """
    if behavior.opening:
        raise BehaviorError(
            f"opening of behavior {behavior.name!r} is {behavior.opening!r}, but labels are read as the first token of "
            "a reply only; leave opening empty."
        )
    for key in ("sycophantic_labels", "antisycophantic_labels"):
        if len(group := getattr(behavior, key)) > 1:
            raise BehaviorError(
                f"{key} of behavior {behavior.name!r} are {', '.join(map(repr, group))}, but one label of either side "
                "is read only; give one."
            )
    return behavior.sycophantic_labels[0], behavior.antisycophantic_labels[0]


PAPER_LABELS = decision_labels(PAPER)
"""The labels of the paper, where none are given."""


def first_token(
    tokenizer: PreTrainedTokenizerBase, text: str, label: Label, *, lead: str = "", where: str = "the prompt"
) -> int:
    """Id of the token with which ``label`` begins where it follows ``text``.

    The text with the label is encoded as a whole, after ``lead`` (:meth:`ChatFormat.answer_lead`): the token after the
    prompt's own is the label's first. Two places need care. After a text that ends in a space, the word's token without
    a space of its own is taken. And where a SentencePiece word would be glued to an ordinary word of the prompt
    ("[/INST]Yes"), the answer counts as a new text, which is how such models are trained: "▁Yes", not "Yes". A label
    that brings its own space (" Yes") is taken as it is; a token id is passed through.

    Raises:
        LabelError: the label is empty, unknown to the vocabulary, or melts into the prompt's last token.
    """
    if isinstance(label, int) and not isinstance(label, bool):
        return label
    if not isinstance(label, str) or not label.strip():
        raise LabelError(f"A label of {where} is {label!r}; give a word or a token id.")
    lead = "" if label[0].isspace() else lead
    ids, extended = encode(tokenizer, text), encode(tokenizer, text + lead + label)
    glued = (
        not lead
        and not label[0].isspace()
        and not text[-1:].isspace()
        and ids[-1] not in tokenizer.added_tokens_decoder
    )
    alone = encode(tokenizer, label)
    if glued and alone and str(tokenizer.convert_ids_to_tokens([alone[0]])[0]).startswith("▁"):
        token = alone[0]
    elif extended[: len(ids)] == ids and len(extended) > len(ids):
        token = extended[len(ids)]
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
    tokenizer: PreTrainedTokenizerBase, text: str, labels: Sequence[Label], *, lead: str, where: str
) -> tuple[int, int]:
    """Ids of the tokens with which two labels begin after a prompt, once they are known to differ.

    Raises:
        LabelError: as :func:`first_token` and :func:`require_different`.
    """
    first, second = (first_token(tokenizer, text, label, lead=lead, where=where) for label in labels)
    return require_different(tokenizer, (first, second), labels, where=where)


def _after_line_break(tokenizer: PreTrainedTokenizerBase, word: str, where: str) -> int:
    ids = encode(tokenizer, "\n" + word)
    line_break, span = spans_of(tokenizer, "\n" + word, ids, [(0, 1), (1, 1 + len(word))])
    if span is None or (line_break is not None and line_break[1] > span[0]):
        raise LabelError(f"Label {word!r} has no token of its own after {where}; give the id of its token.")
    return ids[span[0]]


def require_different(
    tokenizer: PreTrainedTokenizerBase, pair: tuple[int, int], labels: Sequence[Label], *, where: str
) -> tuple[int, int]:
    """The pair of label ids, if they differ.

    Raises:
        LabelError: both labels begin with the same token.
    """
    if pair[0] == pair[1]:
        token = tokenizer.convert_ids_to_tokens([pair[0]])[0]
        raise LabelError(
            f'"{labels[0]}" and "{labels[1]}" begin with the same token ({token!r}, id {pair[0]}); the labels of '
            f"{where} must differ in their first token. Choose other labels, or pass token ids with "
            "ContrastPairs.from_tokens."
        )
    return pair
