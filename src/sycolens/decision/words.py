"""A decision point in words: the behavior that a user can read, edit and give to every later step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sycolens.decision.point import DecisionPoint
from sycolens.errors import DialogueError, LabelError
from sycolens.prompts import Behavior, Dialogue
from sycolens.prompts.chat_format import ChatFormat
from sycolens.prompts.labels import first_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def in_words(
    behavior: Behavior,
    point: DecisionPoint,
    tokenizer: PreTrainedTokenizerBase,
    dialogue: Dialogue,
    chat_format: ChatFormat,
) -> Behavior:
    """The behavior with a decision point's opening and labels as words, which give the same tokens after ``dialogue``.

    Raises:
        LabelError: the opening, or all labels of a side, cannot be written so.
    """

    def text(tokens: tuple[int, ...]) -> str:
        return str(tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))

    opening = text(point.opening)
    try:
        rendered = dialogue.render(tokenizer, chat_format=chat_format, opening=opening)
    except DialogueError as error:
        raise LabelError(f"The replies open with {opening!r}, but {error}") from error
    start, end = rendered.spans.get("opening", (0, 0))
    if rendered.token_ids[start:end] != point.opening:
        raise LabelError(
            f"The replies open with tokens {list(point.opening)}, which read {opening!r}, but these words give other "
            "tokens; write a behavior by hand."
        )
    lead = "" if opening else chat_format.answer_lead(tokenizer, dialogue.messages())

    def words(tokens: tuple[int, ...]) -> tuple[str, ...]:
        found = []
        for token in tokens:
            word = text((*point.opening, token)).removeprefix(opening)
            try:
                if word.strip() and first_token(tokenizer, rendered.text, word, lead=lead) == token:
                    found.append(word)
            except LabelError:
                continue
        if not found:
            raise LabelError(f"No label among {[text((token,)) for token in tokens]} can be written as a word.")
        return tuple(found)

    return replace(
        behavior,
        opening=opening,
        sycophantic_labels=words(point.sycophantic),
        antisycophantic_labels=words(point.antisycophantic),
    )
