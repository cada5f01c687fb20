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
from sycolens.prompts.asking import HELPFUL, takes_system
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.thinking import begins_block, read_without_thinking

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

    A Responder gets ``compute.batch_size`` dialogues at a time. Thinking blocks (``<think>`` to ``</think>``) are left
    out; a reply that ends inside one is empty, and a warning says how many do.

    Raises:
        DialogueError, PromptError: a dialogue cannot be rendered, or leaves no room for a reply; ``max_new_tokens`` is
            no whole number from 1.
        ModelError: the model has no tokenizer, and none is given.
        ReplyError: a Responder gives something else than a text for each dialogue.
    """
    check_counts(PromptError, max_new_tokens=max_new_tokens)
    if is_responder(model):
        return read_without_thinking(_replies_of(model, dialogues, compute))
    reader = reader_of(model, tokenizer)
    prompts = [each.render(reader, chat_format=chat_format).token_ids for each in dialogues]
    replies = generate(model, prompts, tokenizer=reader, max_new_tokens=max_new_tokens, compute=compute)
    texts = [str(reader.decode(list(reply), skip_special_tokens=True)) for reply in replies]
    if chat_format.template == "plain":
        # A base model writes the user's next line as well.
        texts = [text.split("\nUser:")[0] for text in texts]
    return read_without_thinking([text.strip() for text in texts], begun=begins_block(reader, chat_format))


def is_responder(model: Any) -> bool:
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


def system_of(
    model: Any, system: str | None, tokenizer: PreTrainedTokenizerBase | None, chat_format: ChatFormat
) -> str | None:
    """The system message: for ``"auto"`` a helpful-assistant one, unless the template is known to take none.

    Raises:
        ModelError: as :func:`reader_of`.
    """
    reader = tokenizer if is_responder(model) else reader_of(model, tokenizer)
    if system != "auto":
        return system
    return HELPFUL if reader is None or takes_system(reader, chat_format) else None


def _replies_of(responder: Responder, dialogues: Sequence[Dialogue], compute: Compute) -> list[str]:
    size, processes = compute.batch_size, compute.processes
    batches = [dialogues[first : first + size] for first in range(0, len(dialogues), size)]
    with compute.bar(sum(map(len, processes.in_turn(batches))), "replies", "reply") as bar:

        def reply(batch: Sequence[Dialogue]) -> list[str]:
            texts = responder([each.messages() for each in batch])
            bar.update(len(batch))
            return _checked(texts, len(batch), responder)

        return [text for texts in processes.each(batches, reply) for text in texts]


def _checked(texts: Any, due: int, responder: Responder) -> list[str]:
    name = getattr(responder, "__name__", type(responder).__name__)
    if isinstance(texts, str) or not isinstance(texts, Sequence) or len(texts) != due:
        found = f"{len(texts)} replies" if isinstance(texts, Sequence) and not isinstance(texts, str) else repr(texts)
        raise ReplyError(
            f"{name} was given {due} dialogues and gave {found}; it must give one text for each, in order."
        )
    for number, reply in enumerate(texts):
        if not isinstance(reply, str):
            raise ReplyError(
                f"{name} gave {reply!r} as the reply to dialogue {number} of {due}; it must give a text. (An empty "
                "text stands for silence.)"
            )
    return [reply.strip() for reply in texts]
