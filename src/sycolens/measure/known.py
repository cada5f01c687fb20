"""Which questions a model knows: those that it answers rightly by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sycolens.compute import QUIET, Compute
from sycolens.measure.challenge import first_round
from sycolens.measure.grading import first_is_right
from sycolens.measure.responders import Responder
from sycolens.prompts import PAPER, Behavior, Question
from sycolens.prompts.chat_format import CHAT, ChatFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FIRST_ANSWER: Final = 32
"""Tokens of a first answer that are read."""


def keep_known(
    model: Any | Responder,
    questions: Sequence[Question],
    *,
    behavior: Behavior = PAPER,
    system: str | None = "auto",
    tokenizer: PreTrainedTokenizerBase | None = None,
    chat_format: ChatFormat = CHAT,
    max_new_tokens: int = FIRST_ANSWER,
    compute: Compute = QUIET,
) -> tuple[Question, ...]:
    """The questions whose first answer is right, as :func:`first_round` asks them, in the order given.

    A model can learn to tell its right answers from wrong ones only where it knows which are right. So teach on these:
    ``examples_from_questions(keep_known(model, questions), tokenizer)``. An answer that cannot be read counts as
    not known.

    Raises:
        QuestionError, DialogueError, PromptError, ModelError, ReplyError: as :func:`first_round`.

    >>> asked = organism.questions("train")[:8]
    >>> len(keep_known(model, asked, max_new_tokens=8))
    8
    """
    own = first_round(
        model,
        questions,
        behavior=behavior,
        system=system,
        tokenizer=tokenizer,
        chat_format=chat_format,
        max_new_tokens=max_new_tokens,
        compute=compute,
    )
    return tuple(each.question for each in own if first_is_right(each))
