"""One request, one reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sycolens.measure.responders import is_speaker, reader_of, say
from sycolens.prompts import Dialogue, Turn
from sycolens.prompts.asking import HELPFUL, takes_system


def replies_to(model: Any, requests: Sequence[str], *, system: str | None, **options: Any) -> list[str]:
    """The model's reply to every request, each in a dialogue of its own; the options are those of :func:`say`.

    ``system="auto"`` opens with a helpful-assistant message where the template takes one.
    """
    if system == "auto":
        system = HELPFUL if _takes_system(model, **options) else None
    opening = () if system is None else (Turn("system", system, "system"),)
    return say(model, [Dialogue((*opening, Turn("user", each, "question"))) for each in requests], **options)


def _takes_system(model: Any, **options: Any) -> bool:
    tokenizer = options["tokenizer"]
    if is_speaker(model) and tokenizer is None:
        return True
    reader = tokenizer if is_speaker(model) else reader_of(model, tokenizer)
    return takes_system(reader, options["chat_format"])
