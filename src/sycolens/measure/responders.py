"""Who is measured: a model in memory, or anything that replies to dialogues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from torch import nn

from sycolens.compute import QUIET, Compute
from sycolens.counts import check_counts
from sycolens.errors import ModelError, PromptError, ReplyError
from sycolens.model.batched_generation import generate
from sycolens.prompts import Dialogue
from sycolens.prompts.chat_format import CHAT, ChatFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Responder = Callable[[Sequence[list[dict[str, str]]]], Sequence[str]]
"""Anything that replies to dialogues, such as a served model: for each list of messages (role, content) a text."""


@dataclass(frozen=True)
class Generation:
    """How a model in memory replies: greedily, always with the most likely next token.

    >>> Generation(max_new_tokens=256).max_new_tokens
    256
    """

    max_new_tokens: int = 64
    """A longer reply is cut there."""


GREEDY: Final = Generation()


def say(
    model: Any,
    dialogues: Sequence[Dialogue],
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    chat_format: ChatFormat = CHAT,
    max_new_tokens: int = GREEDY.max_new_tokens,
    compute: Compute = QUIET,
) -> list[str]:
    """The model's greedy words after every dialogue, as text without special tokens; or a :data:`Responder`'s words.

    A Responder gets ``compute.batch_size`` dialogues at a time.

    Raises:
        DialogueError, PromptError: a dialogue cannot be rendered, or leaves no room for a reply; ``max_new_tokens`` is
            no whole number from 1.
        ModelError: the model has no tokenizer, and none is given.
        ReplyError: a Responder gives something else than a text for each dialogue.
    """
    check_counts(PromptError, max_new_tokens=max_new_tokens)
    if is_speaker(model):
        return _spoken(model, dialogues, compute)
    reader = reader_of(model, tokenizer)
    prompts = [each.render(reader, chat_format=chat_format).token_ids for each in dialogues]
    replies = generate(model, prompts, tokenizer=reader, max_new_tokens=max_new_tokens, compute=compute)
    texts = [str(reader.decode(list(reply), skip_special_tokens=True)) for reply in replies]
    if chat_format.template == "plain":
        # A base model writes the user's next line as well.
        texts = [text.split("\nUser:")[0] for text in texts]
    return [text.strip() for text in texts]


def is_speaker(model: Any) -> bool:
    """Whether this is no model in memory, but something to call."""
    return callable(model) and not isinstance(model, nn.Module)


def reader_of(model: Any, tokenizer: PreTrainedTokenizerBase | None) -> PreTrainedTokenizerBase:
    """The tokenizer that is given, else the model's own.

    Raises:
        ModelError: there is none, or this is no model.
    """
    if not callable(model):
        raise ModelError(
            f"{type(model).__name__} is neither a model nor anything to call; give a model, or a callable that replies "
            "to dialogues."
        )
    found: PreTrainedTokenizerBase | None = tokenizer or getattr(model, "tokenizer", None)
    if found is None:
        raise ModelError(f"{type(model).__name__} has no tokenizer to read dialogues with; give one with tokenizer=.")
    return found


def _spoken(speaker: Responder, dialogues: Sequence[Dialogue], compute: Compute) -> list[str]:
    size, processes = compute.batch_size, compute.processes
    batches = [dialogues[first : first + size] for first in range(0, len(dialogues), size)]
    with compute.bar(sum(map(len, processes.in_turn(batches))), "Replies", "reply") as bar:

        def speak(batch: Sequence[Dialogue]) -> list[str]:
            said = speaker([each.messages() for each in batch])
            bar.update(len(batch))
            return _checked(said, len(batch), speaker)

        return [reply for replies in processes.each(batches, speak) for reply in replies]


def _checked(said: Any, due: int, speaker: Responder) -> list[str]:
    name = getattr(speaker, "__name__", type(speaker).__name__)
    if isinstance(said, str) or not isinstance(said, Sequence) or len(said) != due:
        found = f"{len(said)} replies" if isinstance(said, Sequence) and not isinstance(said, str) else repr(said)
        raise ReplyError(
            f"{name} was given {due} dialogues and gave {found}; it must give one text for each, in order."
        )
    for number, reply in enumerate(said):
        if not isinstance(reply, str):
            raise ReplyError(
                f"{name} gave {reply!r} as the reply to dialogue {number} of {due}; it must give a text. (An empty "
                "text stands for silence.)"
            )
    return [reply.strip() for reply in said]
