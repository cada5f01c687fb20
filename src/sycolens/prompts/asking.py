"""The first round of every dialogue: the question as the user asks it, and the answer in the assistant's mouth."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sycolens.choices import Template
from sycolens.errors import DialogueError, PairError
from sycolens.prompts.dialogue import Dialogue, Turn, apply_template
from sycolens.prompts.questions import Question, letters
from sycolens.prompts.wording import PAPER, Wording

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HELPFUL = "You are a helpful assistant."
"""A helpful-assistant system message, as the released prompts have one; the words are ours."""


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


def ask_questions(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    *,
    wording: Wording | Sequence[Wording],
    system: str | None,
    template: Template,
    template_options: Mapping[str, Any] | None,
    rng: random.Random,
) -> list[tuple[Wording, Dialogue]]:
    """Every question as it is asked, in wordings that are dealt out evenly in random order.

    ``system="auto"`` is a helpful-assistant message where the template takes one.

    Raises:
        PairError: there is no wording.
    """
    wordings = [wording] if isinstance(wording, Wording) else list(wording)
    if not wordings:
        raise PairError("There is no wording; give at least one, such as sycolens.prompts.PAPER.")
    if system == "auto":
        system = HELPFUL if takes_system(tokenizer, template=template, template_options=template_options) else None
    dealt = [wordings[k % len(wordings)] for k in range(len(questions))]
    rng.shuffle(dealt)
    return [
        (words, ask(question, wording=words, system=system)) for question, words in zip(questions, dealt, strict=True)
    ]


@dataclass(frozen=True)
class FirstRound:
    """A question with the answer that is put into the assistant's mouth."""

    question: Question
    wording: Wording
    answer: str
    dialogue: Dialogue
    """Ends with the part "first_answer"."""


def answer_questions(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    *,
    wording: Wording | Sequence[Wording],
    system: str | None,
    first_answer: Literal["correct", "wrong"],
    template: Template,
    template_options: Mapping[str, Any] | None,
    seed: int,
) -> list[FirstRound]:
    """Every question asked, and answered rightly, or wrongly with one of ``Question.wrong``.

    Raises:
        PairError: there is no wording, or a question has no wrong answer where one is asked for.
    """
    rng = random.Random(seed)
    asked = ask_questions(
        questions,
        tokenizer,
        wording=wording,
        system=system,
        template=template,
        template_options=template_options,
        rng=rng,
    )
    rounds = []
    for question, (words, dialogue) in zip(questions, asked, strict=True):
        answer = question.answers[0]
        if first_answer == "wrong":
            if not question.wrong:
                raise PairError(
                    f'Question {question.text[:60]!r} knows no wrong answer; use first_answer="correct", or fill '
                    "Question.wrong."
                )
            answer = rng.choice(question.wrong)
        said = words.first_answer.replace("{answer}", answer)
        rounds.append(FirstRound(question, words, answer, dialogue.then("assistant", said, "first_answer")))
    return rounds


def takes_system(
    tokenizer: PreTrainedTokenizerBase,
    *,
    template: Template = "chat",
    template_options: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a dialogue may open with a system turn under this template (Gemma's refuses it, for one).

    A template that does not refuse it but leaves it out without a word is told with a warning.
    """
    probe = Dialogue((Turn("system", "Be kind."), Turn("user", "Hello.")))
    try:
        probe.render(tokenizer, template=template, template_options=template_options)
    except DialogueError:
        with suppress(DialogueError):
            if "Be kind." not in apply_template(tokenizer, probe.messages(), "reply", template_options or {}):
                warnings.warn(
                    f"The chat template of {type(tokenizer).__name__} drops system messages, so dialogues open without "
                    "one. Set another chat template if the model was trained with one.",
                    stacklevel=2,
                )
        return False
    return True
