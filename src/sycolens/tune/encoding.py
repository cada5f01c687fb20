"""Training examples as token ids, with labels on the taught tokens alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from sycolens.counts import check_choice, check_counts
from sycolens.errors import ExampleError
from sycolens.prompts import Dialogue, Turn
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.training_example import TrainingExample

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

UNTAUGHT: Final = -100
"""Label of a token that carries no loss, as PyTorch's cross-entropy has it."""


def encode_examples(
    examples: Sequence[TrainingExample],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_tokens: int = 2048,
    too_long: Literal["refuse", "drop"] = "refuse",
    chat_format: ChatFormat = CHAT,
) -> Dataset:
    """The examples as ``input_ids`` and ``labels``: the id itself on taught tokens, -100 on all others.

    Taught are the tokens that hold any character of a taught turn's content, and on to the special token with which
    the template ends the turn, so that the model learns to stop; the content alone where the template has none.
    Plain lines end with the tokenizer's end-of-text token. Labels are not shifted, as Hugging Face models expect.
    ``too_long="drop"`` leaves out examples of more than ``max_tokens`` tokens, and warns how many.

    Raises:
        ExampleError: no examples, or none left; an example that is too long, or that teaches words which the tokenizer
            does not know; ``max_tokens`` below 2; an unknown ``too_long``.
        DialogueError: as :meth:`Dialogue.render`.

    >>> example = organism.examples("train", 1)
    >>> row = encode_examples(example, tokenizer)[0]
    >>> tokenizer.decode([label for label in row["labels"] if label != -100])
    "Yes, I'm sure. The answer is insect.<|end|>"
    """
    if not examples:
        raise ExampleError("There are no examples to encode; give at least one.")
    check_counts(ExampleError, least=2, max_tokens=max_tokens)
    check_choice(ExampleError, Literal["refuse", "drop"], too_long=too_long)
    end = _end_token(tokenizer, chat_format)
    # Byte-level tokenizers know every word, and some call their end of text unknown.
    unknown = None if tokenizer.unk_token_id == tokenizer.eos_token_id else tokenizer.unk_token_id
    rows: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    for number, example in enumerate(examples):
        ids, labels = _encode(example, tokenizer, end, chat_format)
        if unknown is not None and unknown in labels:
            text = example.dialogue.turns[example.taught[0]].content
            raise ExampleError(
                f"Training example {number} teaches words that the tokenizer does not know ({text[:60]!r}); use "
                "the words of its vocabulary."
            )
        if len(ids) <= max_tokens:
            rows["input_ids"].append(ids)
            rows["labels"].append(labels)
        elif too_long == "refuse":
            raise ExampleError(
                f"Training example {number} has {len(ids)} tokens, more than {max_tokens}; raise max_tokens, or leave "
                'such examples out with too_long="drop".'
            )
    kept = len(rows["input_ids"])
    if not kept:
        raise ExampleError(f"All {len(examples)} examples have more than {max_tokens} tokens; raise max_tokens.")
    if kept < len(examples):
        dropped = len(examples) - kept
        warnings.warn(
            f"{dropped} of {len(examples)} examples have more than {max_tokens} tokens; dropped.", stacklevel=2
        )
    from datasets import Dataset

    return Dataset.from_dict(rows)


def _end_token(tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat) -> int | None:
    """The first special token after the assistant's message, if any."""
    if chat_format.template == "plain":
        return None if tokenizer.eos_token_id is None else int(tokenizer.eos_token_id)
    probe = Dialogue((Turn("user", "Hello."), Turn("assistant", "Hello.", "reply")))
    rendered = probe.render(tokenizer, chat_format=chat_format, ending="closed")
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    return next((token for token in rendered.token_ids[rendered.spans["reply"][1] :] if token in special), None)


def _encode(
    example: TrainingExample, tokenizer: PreTrainedTokenizerBase, end_token: int | None, chat_format: ChatFormat
) -> tuple[list[int], list[int]]:
    turns = example.dialogue.turns
    # Numbers as parts, so that every turn has a span, whatever its name.
    numbered = Dialogue(tuple(replace(turn, part=str(number)) for number, turn in enumerate(turns)))
    rendered = numbered.render(tokenizer, chat_format=chat_format, ending="closed")
    ids = list(rendered.token_ids)
    if chat_format.template == "plain" and end_token is not None:
        ids.append(end_token)
    labels = [UNTAUGHT] * len(ids)
    for number in example.taught:
        start, end = rendered.spans[str(number)]
        following = min((span[0] for span in rendered.spans.values() if span[0] >= end), default=len(ids))
        if end_token in ids[end:following]:
            end = ids.index(end_token, end) + 1
        labels[start:end] = ids[start:end]
    return ids, labels
