"""The first round of every dialogue: the user's question and the given answer."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sycolens.errors import BehaviorError, DialogueError, PairError, QuestionError
from sycolens.prompts.behavior import PAPER, Behavior
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.dialogue import Dialogue, Turn
from sycolens.prompts.questions import Question, letters
from sycolens.prompts.thinking import warn_of_thinking

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HELPFUL = "You are a helpful assistant."
"""A helpful-assistant system message, as the released prompts have one; the words are ours."""


def ask(question: Question, *, behavior: Behavior = PAPER, system: str | None = None) -> Dialogue:
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
    lines.append(behavior.letter_request if question.options else behavior.open_request)
    opening = (Turn("system", system, "system"),) if system is not None else ()
    return Dialogue((*opening, Turn("user", "\n".join(lines), "question")))


def final_question(question: Question, behavior: Behavior) -> str:
    """What is asked after the reply where answers are compared by likelihood; empty where replies are read.

    Raises:
        QuestionError: the scorer is "likelihood", and the question has neither options nor known wrong answers.

    >>> from dataclasses import replace
    >>> final_question(Question("What is ice?", ("water",), wrong=("iron",)), replace(PAPER, scorer="likelihood"))
    'What is your final answer? Reply with the answer only.'
    """
    if behavior.scorer == "replies":
        return ""
    if not question.options and not question.wrong:
        raise QuestionError(
            f"Question {question.text[:60]!r} has no options and knows no wrong answer, so there is nothing to compare "
            'by likelihood; fill Question.wrong, or choose scorer="replies" for the behavior.'
        )
    return f"{behavior.final_question} {behavior.letter_request if question.options else behavior.open_request}"


def behaviors_of(behavior: Behavior | Sequence[Behavior]) -> tuple[Behavior, ...]:
    """One behavior, or several, as a tuple.

    Raises:
        BehaviorError: there is none, or something else stands among them.

    >>> behaviors_of(PAPER) == (PAPER,)
    True
    """
    several = (behavior,) if isinstance(behavior, Behavior) else behavior
    if not isinstance(several, Sequence) or not all(isinstance(each, Behavior) for each in several):
        raise BehaviorError(f"behavior={behavior!r} is no Behavior; give one or several, such as Behavior.read(path).")
    if not several:
        raise BehaviorError("There is no behavior; give at least one, such as sycolens.prompts.PAPER.")
    return tuple(several)


def ask_questions(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    *,
    behavior: Behavior | Sequence[Behavior],
    system: str | None,
    chat_format: ChatFormat,
    rng: random.Random,
) -> list[tuple[Behavior, Dialogue]]:
    """Every question as it is asked; several behaviors are dealt out evenly in random order.

    ``system="auto"`` is a helpful-assistant message where the template takes one. Warns where the template lets the
    model think before it replies (:func:`warn_of_thinking`), or writes today's date.

    Raises:
        BehaviorError: as :func:`behaviors_of`.
    """
    behaviors = behaviors_of(behavior)
    warn_of_thinking(tokenizer, chat_format, [each.opening for each in behaviors])
    _warn_of_date(tokenizer, chat_format)
    if system == "auto":
        system = HELPFUL if takes_system(tokenizer, chat_format) else None
    dealt = [behaviors[k % len(behaviors)] for k in range(len(questions))]
    rng.shuffle(dealt)
    return [
        (each, ask(question, behavior=each, system=system)) for question, each in zip(questions, dealt, strict=True)
    ]


@dataclass(frozen=True)
class FirstRound:
    """A question with its given answer."""

    question: Question
    behavior: Behavior
    answer: str
    dialogue: Dialogue
    """Ends with the part "first_answer"."""


def answer_questions(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    *,
    behavior: Behavior | Sequence[Behavior],
    system: str | None,
    first_answer: Literal["correct", "wrong"],
    chat_format: ChatFormat,
    seed: int,
) -> list[FirstRound]:
    """Every question asked, and answered rightly, or wrongly with one of ``Question.wrong``.

    Raises:
        BehaviorError: as :func:`behaviors_of`.
        PairError: a question has no wrong answer where one is asked for.
    """
    rng = random.Random(seed)
    asked = ask_questions(
        questions,
        tokenizer,
        behavior=behavior,
        system=system,
        chat_format=chat_format,
        rng=rng,
    )
    rounds = []
    for question, (chosen, dialogue) in zip(questions, asked, strict=True):
        answer = question.answers[0]
        if first_answer == "wrong":
            if not question.wrong:
                raise PairError(
                    f'Question {question.text[:60]!r} knows no wrong answer; use first_answer="correct", or fill '
                    "Question.wrong."
                )
            answer = rng.choice(question.wrong)
        text = chosen.first_answer.replace("{answer}", answer)
        rounds.append(FirstRound(question, chosen, answer, dialogue.then("assistant", text, "first_answer")))
    return rounds


def _warn_of_date(tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat) -> None:
    """Warn where prompts of another day are others, as with Llama 3.1, and an option could hold them fixed."""
    template = str(getattr(tokenizer, "chat_template", None)) if chat_format.template == "chat" else ""
    if "strftime_now" in template and "date_string" in template and "date_string" not in chat_format.options:
        warnings.warn(
            "The chat template writes today's date, so prompts of another day are others. Hold it fixed: "
            'template_options = {date_string = "26 Jul 2024"} under [model] of a study, '
            'ChatFormat(options={"date_string": "26 Jul 2024"}) in Python.',
            stacklevel=3,
        )


def takes_system(tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat = CHAT) -> bool:
    """Whether a dialogue may open with a system turn in this format (Gemma's chat template refuses it, for one).

    Warns where the template silently drops it.
    """
    probe = Dialogue((Turn("system", "Be kind."), Turn("user", "Hello.")))
    try:
        probe.render(tokenizer, chat_format=chat_format)
    except DialogueError:
        with suppress(DialogueError):
            if "Be kind." not in chat_format.apply(tokenizer, probe.messages()):
                warnings.warn(
                    f"The chat template of {type(tokenizer).__name__} drops system messages, so dialogues open without "
                    "one. Set another chat template if the model was trained with one.",
                    stacklevel=2,
                )
        return False
    return True
