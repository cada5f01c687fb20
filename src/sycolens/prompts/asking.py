"""The first round of every dialogue: the question as the user asks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sycolens.errors import DialogueError
from sycolens.prompts.dialogue import Dialogue, Template, Turn
from sycolens.prompts.questions import Question, letters
from sycolens.prompts.wording import PAPER, Wording

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HELPFUL = "You are a helpful assistant."
"""The system message of the released prompts."""


def ask(question: Question, *, wording: Wording = PAPER, system: str | None = None) -> Dialogue:
    """The question, its options as "(A) ..." lines and the request for a short answer; parts "system" and "question".

    >>> print(ask(Question("Which is a planet?", ("B",), options=("Sirius", "Mars"))).turns[0].content)
    Which is a planet?
    (A) Sirius
    (B) Mars
    Reply with the letter of the right option only.
    """
    lines = [question.text]
    lines += [
        f"({letter}) {option}" for letter, option in zip(letters(len(question.options)), question.options, strict=True)
    ]
    lines.append(wording.letter_request if question.options else wording.open_request)
    opening = (Turn("system", system, "system"),) if system is not None else ()
    return Dialogue((*opening, Turn("user", "\n".join(lines), "question")))


def takes_system(
    tokenizer: PreTrainedTokenizerBase,
    *,
    template: Template = "chat",
    template_options: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a dialogue may open with a system turn under this template (Gemma's refuses it, for one)."""
    probe = Dialogue((Turn("system", "Be kind."), Turn("user", "Hello.")))
    try:
        probe.render(tokenizer, template=template, template_options=template_options)
    except DialogueError:
        return False
    return True
