"""First answers: questions as they are asked from the start, and the model's own answer, or a given one, in them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from sycolens.errors import QuestionError
from sycolens.measure.answer_extraction.extract import read_answer
from sycolens.measure.answer_extraction.mentions import canonical
from sycolens.prompts import Behavior, ChallengedQuestion, Dialogue, Question, Turn
from sycolens.prompts.asking import ask_questions, behaviors_of, final_question
from sycolens.prompts.challenged import SILENCE
from sycolens.prompts.chat_format import CHAT, ChatFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FirstAnswers = Literal["own", "given"]
"""Which first answers are challenged: the model's own, or those that stand in challenged questions."""


def given_answers_of(
    questions: Sequence[Question | ChallengedQuestion],
) -> tuple[tuple[ChallengedQuestion, ...], tuple[str, ...]]:
    """The challenged questions as they are, and the words of the answers that are given in them."""
    asked = tuple(each for each in questions if isinstance(each, ChallengedQuestion))
    if len(asked) < len(questions):
        raise QuestionError(
            'first_answers="given" needs challenged questions, and there are bare ones; make them with '
            "challenge_questions, or let the model answer itself."
        )
    return asked, tuple(each.dialogue.turns[len(before_answer(each).turns)].content for each in asked)


def in_a_row(
    question: Question | ChallengedQuestion,
    asked: ChallengedQuestion,
    behavior: Behavior | Sequence[Behavior],
    turns: int,
) -> tuple[str, ...]:
    """The challenges of a question, one a turn: its own, then those of the behaviors after its own, and again.

    >>> asked = organism.challenges("held_out", 1)[0]
    >>> in_a_row(asked, asked, [], 2) == (asked.dialogue.turns[-1].content,) * 2
    True
    """
    own = asked.dialogue.turns[-1].content
    if isinstance(question, ChallengedQuestion):
        return (own,) * turns
    words = [each.challenge for each in behaviors_of(behavior)]
    start = words.index(own)
    return tuple(words[(start + turn) % len(words)] for turn in range(turns))


def asked_from_the_start(
    questions: Sequence[Question | ChallengedQuestion],
    *,
    behavior: Behavior | Sequence[Behavior],
    system: str | None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    chat_format: ChatFormat = CHAT,
    seed: int = 0,
) -> list[ChallengedQuestion]:
    """Every question and its challenge, in the order given; the first answer between them is still to be said.

    Raises:
        BehaviorError: there is no behavior.

    >>> from sycolens.prompts import PAPER
    >>> asked = asked_from_the_start(organism.questions("held_out")[:1], behavior=PAPER, system=None)[0]
    >>> [turn.part for turn in asked.dialogue.turns], asked.first_answer
    (['question', 'first_answer', 'challenge'], None)
    """
    plain = [each for each in questions if isinstance(each, Question)]
    dealt = iter(
        ask_questions(
            plain, tokenizer, behavior=behavior, system=system, chat_format=chat_format, rng=random.Random(seed)
        )
    )
    return [_unanswered(each, *next(dealt)) if isinstance(each, Question) else each for each in questions]


def _unanswered(question: Question, behavior: Behavior, asked: Dialogue) -> ChallengedQuestion:
    """A question and its challenge, with silence for an answer between them."""
    dialogue = asked.then("assistant", SILENCE, "first_answer").then("user", behavior.challenge, "challenge")
    final = final_question(question, behavior)
    return ChallengedQuestion(
        question,
        dialogue,
        None,
        behavior.labels,
        behavior.opening,
        behavior.name,
        final_question=final,
        answer_form=behavior.first_answer,
    )


def before_answer(asked: ChallengedQuestion) -> Dialogue:
    """The dialogue up to the first answer.

    Raises:
        QuestionError: no turn of it is called "first_answer".

    >>> before_answer(organism.challenges("held_out", 1)[0]).turns[-1].part
    'question'
    """
    parts = [turn.part for turn in asked.dialogue.turns]
    if "first_answer" not in parts:
        raise QuestionError(
            f'The dialogue about {asked.question.text[:60]!r} has no turn called "first_answer", so it cannot be asked '
            "from the start; give the bare question."
        )
    return Dialogue(asked.dialogue.turns[: parts.index("first_answer")])


def answered(asked: ChallengedQuestion, reply: str) -> ChallengedQuestion:
    """The same dialogue with a model's own first reply in it, and the answer that is read in that.

    Raises:
        QuestionError: as :func:`before_answer`.

    >>> answered(organism.challenges("held_out", 1)[0], "The answer is Atlantis.").first_answer
    'Atlantis'
    """
    return answered_with(asked, reply, read_answer(reply, asked.question).answer)


def answered_with(asked: ChallengedQuestion, reply: str, answer: str | None) -> ChallengedQuestion:
    """As :func:`answered`, with an answer that is known."""
    given = Turn("assistant", reply or SILENCE, "first_answer")
    turns = (*before_answer(asked).turns, given, asked.dialogue.turns[-1])
    return replace(asked, dialogue=Dialogue(turns), first_answer=canonical(answer, asked.question))
