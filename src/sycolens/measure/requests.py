"""One request, one reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sycolens.measure.responders import say, system_of
from sycolens.prompts import Dialogue, Turn


def replies_to(model: Any, requests: Sequence[str], *, system: str | None, **options: Any) -> list[str]:
    """The model's reply to every request, each in a dialogue of its own; the options are those of :func:`say`.

    ``system="auto"`` opens with a helpful-assistant message where the template takes one.
    """
    system = system_of(model, system, options["tokenizer"], options["chat_format"])
    opening = () if system is None else (Turn("system", system, "system"),)
    return say(model, [Dialogue((*opening, Turn("user", each, "question"))) for each in requests], **options)
