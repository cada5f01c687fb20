"""How dialogues are written as prompts: by the tokenizer's chat template, or as plain lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from sycolens.choices import Template
from sycolens.counts import check_choice
from sycolens.errors import DialogueError
from sycolens.memory import ran_out_of_memory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ending = Literal["reply", "closed"]
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ChatFormat:
    """How dialogues are written as prompts.

    ``template="chat"`` is the tokenizer's own chat template, which also decides about the begin-of-text token.
    ``template="plain"`` is for base models: the system text and an empty line, then ``User: ...`` and
    ``Assistant: ...`` lines, after whatever the tokenizer puts before any text.

    Raises:
        DialogueError: an unknown template, or options of plain lines.

    >>> ChatFormat(options={"enable_thinking": False}).template
    'chat'
    """

    template: Template = "chat"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What the chat template is given besides the messages, e.g. ``{"enable_thinking": False}``."""

    def __post_init__(self) -> None:
        check_choice(DialogueError, Template, template=self.template)
        if self.template == "plain" and self.options:
            raise DialogueError(f"Plain lines have no options, but {dict(self.options)} are given; leave them out.")
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def __reduce__(self) -> Any:
        # A read-only mapping can be neither pickled nor copied.
        return ChatFormat, (self.template, dict(self.options))

    def apply(self, tokenizer: PreTrainedTokenizerBase, messages: Messages, ending: Ending = "reply") -> str:
        """The text that the tokenizer's chat template makes of messages.

        Raises:
            DialogueError: the tokenizer has no chat template, or the template refuses the messages.
        """
        if not getattr(tokenizer, "chat_template", None):
            raise DialogueError(
                f'{type(tokenizer).__name__} has no chat template. For a base model choose template="plain" in the '
                "ChatFormat; for a chat model set tokenizer.chat_template."
            )
        return str(self._apply(tokenizer, messages, ending, tokenize=False))

    def token_ids(
        self, tokenizer: PreTrainedTokenizerBase, messages: Messages, ending: Ending = "reply"
    ) -> tuple[int, ...]:
        """What the tokenizer makes of messages without going through their text.

        Raises:
            DialogueError: the template refuses the messages.
        """
        return tuple(self._apply(tokenizer, messages, ending, tokenize=True))

    def answer_lead(self, tokenizer: PreTrainedTokenizerBase, messages: Messages) -> str:
        """The space, if any, that stands between a prompt and the answer when a dialogue goes on."""
        if self.template == "plain":
            return " "
        word = "sycolensanswer"
        try:
            open_text = self.apply(tokenizer, messages)
            full = self.apply(tokenizer, [*messages, {"role": "assistant", "content": word}], "closed")
        except DialogueError:
            return ""
        return " " if full.startswith(f"{open_text} {word}") else ""

    def _apply(self, tokenizer: PreTrainedTokenizerBase, messages: Messages, ending: Ending, *, tokenize: bool) -> Any:
        options = {**self.options, "tokenize": tokenize}
        try:
            return tokenizer.apply_chat_template(
                messages, add_generation_prompt=ending == "reply", return_dict=False, **options
            )
        except Exception as error:  # a template is a program of its own, and raises what it likes
            if ran_out_of_memory(error):
                raise
            roles = ", ".join(message["role"] for message in messages)
            raise DialogueError(
                f"The tokenizer's chat template refuses a dialogue of {roles}: {error} "
                "Some templates take no system turn, some no two turns of one role in a row."
            ) from error


CHAT: Final = ChatFormat()
"""The tokenizer's chat template, without options."""
PLAIN: Final = ChatFormat("plain")
"""Plain lines."""
