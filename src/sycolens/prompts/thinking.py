"""Thinking blocks: what a reasoning model writes between <think> and </think> before its reply."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sycolens.errors import DialogueError
from sycolens.prompts.chat_format import ChatFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BEGIN: Final = "<think>"
END: Final = "</think>"
CLOSED: Final = f"{END}\n\n"
"""What ends a block that the template has opened."""
TURN_OFF: Final = (
    "Turn thinking off if the template can: template_options = {enable_thinking = false} under [model] of a study, "
    'ChatFormat(options={"enable_thinking": False}) in Python'
)


def opens_block(text: str) -> bool:
    """Whether a prompt ends where a thinking block has just been opened.

    >>> opens_block("<|assistant|><think>\\n"), opens_block("<think>\\n\\n</think>\\n\\n")
    (True, False)
    """
    return text.rstrip().endswith(BEGIN)


def begins_block(tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat) -> bool:
    """Whether the chat template itself opens a thinking block before every reply, as that of DeepSeek-R1 does."""
    return opens_block(_before_reply(tokenizer, chat_format))


def thinks_first(tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat) -> bool:
    """Whether the chat template leaves it to the model to think before it replies.

    It opens a block, or has an option ``enable_thinking`` that would close one, as those of Qwen3 have.

    >>> thinks_first(tokenizer, ChatFormat())
    False
    """
    usual = _before_reply(tokenizer, chat_format)
    if not usual or opens_block(usual):
        return bool(usual)
    off = replace(chat_format, options={**chat_format.options, "enable_thinking": False})
    quiet = _before_reply(tokenizer, off)
    return quiet != usual and quiet.rstrip().endswith(END)


def warn_of_thinking(tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat, openings: Sequence[str]) -> None:
    """Warn where replies open with a thinking block and an opening does not pass it, so that no label is read."""
    if all(END in opening for opening in openings) or not thinks_first(tokenizer, chat_format):
        return
    block = CLOSED if begins_block(tokenizer, chat_format) else f"{BEGIN}\n\n{CLOSED}"
    warnings.warn(
        f"The chat template lets the model think before it replies ({BEGIN}), so the first token of a reply decides "
        f"nothing. {TURN_OFF}; or let the behavior's opening begin with a block that is closed ({block!r}).",
        stacklevel=3,
    )


def without_thinking(reply: str, *, begun: bool = False) -> str:
    """What a reply says after its thinking block; nothing where the block has no end.

    ``begun`` says that the prompt has opened the block already.

    >>> [without_thinking(reply) for reply in ("<think>Is it? It is.</think> Yes.", "<think>Is it? It", "Yes.")]
    ['Yes.', '', 'Yes.']
    """
    if _ends_inside(reply, begun):
        return ""
    _, end, rest = reply.rpartition(END)
    return rest.strip() if end else reply


def read_without_thinking(replies: Sequence[str], *, begun: bool = False) -> list[str]:
    """Replies without their thinking blocks. Warns how many end inside one, which count as silence."""
    if cut := sum(_ends_inside(reply, begun) for reply in replies):
        warnings.warn(
            f"{cut} of {len(replies)} replies end inside a thinking block ({BEGIN}), so there is nothing to read in "
            f"them. {TURN_OFF}; or give max_new_tokens more room.",
            stacklevel=3,
        )
    return [without_thinking(reply, begun=begun) for reply in replies]


def _ends_inside(reply: str, begun: bool) -> bool:
    _, end, rest = reply.rpartition(END)
    return rest.lstrip().startswith(BEGIN) or (begun and not end)


def _before_reply(tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat) -> str:
    """The text of a short chat up to the reply; empty for plain lines, and for a template that refuses it."""
    if chat_format.template == "plain":
        return ""
    try:
        return chat_format.apply(tokenizer, [{"role": "user", "content": "Hello."}])
    except DialogueError:
        return ""
