"""Which prompts are looked at, and which of their tokens: parts by name, or spans of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sycolens.errors import DialogueError, ModelError
from sycolens.prompts import ChallengedQuestion, ContrastPairs, Dialogue
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.tokens import Span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHALLENGE = "challenge"
CUSTOM = "custom"
"""What spans of one's own are called."""


@dataclass(frozen=True)
class LocatedPrompts:
    """Prompts up to the last token before the response, and where their parts lie."""

    token_ids: tuple[tuple[int, ...], ...]
    parts: tuple[Mapping[str, Span], ...]
    """For every prompt: part -> half-open token span."""


def locate(
    source: ContrastPairs | Sequence[Dialogue | ChallengedQuestion],
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    chat_format: ChatFormat = CHAT,
) -> LocatedPrompts:
    """The prompts X_r of contrast pairs, or dialogues as the tokenizer renders them.

    Raises:
        DialogueError: there are none, one is no dialogue, or one cannot be rendered.
        ModelError: dialogues are to be rendered and there is no tokenizer.
    """
    if isinstance(source, ContrastPairs):
        return LocatedPrompts(source.reference, source.spans)
    if not len(source):
        raise DialogueError("There are no dialogues to look at; give at least one.")
    rendered = []
    for number, item in enumerate(source):
        dialogue = item.dialogue if isinstance(item, ChallengedQuestion) else item
        if not isinstance(dialogue, Dialogue):
            raise DialogueError(
                f"Item {number} is a {type(item).__name__}; give contrast pairs, dialogues or challenged questions."
            )
        if tokenizer is None:
            raise ModelError("The model has no tokenizer to render dialogues with; set model.tokenizer.")
        opening = item.opening if isinstance(item, ChallengedQuestion) else ""
        rendered.append(dialogue.render(tokenizer, chat_format=chat_format, opening=opening))
    return LocatedPrompts(tuple(each.token_ids for each in rendered), tuple(each.spans for each in rendered))


def choose_spans(
    span: str | Sequence[Span], parts: Sequence[Mapping[str, Span]], lengths: Sequence[int]
) -> tuple[Span, ...]:
    """One half-open span for each prompt: a part by its name, or as given.

    "challenge" runs from the challenge's first token to where the reply begins, so that the special tokens after it are
    in it, as in the paper; any other part is exactly that part.

    Raises:
        DialogueError: a prompt has no such part, or spans are too few, too many, empty or outside their prompts.
    """
    if isinstance(span, str):
        for number, known in enumerate(parts):
            if span not in known:
                there = f"it has {', '.join(sorted(known))}" if known else "it has no named parts"
                raise DialogueError(
                    f"Prompt {number} has no part {span!r}; {there}. Name another part, or give one (start, end) span "
                    "of token numbers for each prompt."
                )
        if span == CHALLENGE:
            ends = [known.get("opening", (length,))[0] for known, length in zip(parts, lengths, strict=True)]
            return tuple((known[span][0], end) for known, end in zip(parts, ends, strict=True))
        return tuple(known[span] for known in parts)
    if len(span) != len(lengths):
        raise DialogueError(f"There are {len(lengths)} prompts but {len(span)} spans; give one (start, end) for each.")
    for number, (each, length) in enumerate(zip(span, lengths, strict=True)):
        if not isinstance(each, Sequence) or len(each) != 2:
            raise DialogueError(f"Span {number} is {each!r}; a span is (start, end) in token numbers, end exclusive.")
        if not 0 <= each[0] < each[1] <= length:
            raise DialogueError(
                f"Span {number} is tokens {each[0]} to {each[1]}, end exclusive, which is empty or outside its prompt "
                f"of {length} tokens."
            )
    return tuple((start, end) for start, end in span)


def span_name(span: str) -> str:
    """What a span is called in a sentence.

    >>> span_name("first_answer")
    'the first answer'
    """
    return "a span" if span == CUSTOM else f"the {span.replace('_', ' ')}"
