"""Nothing that is evaluated may be learned: examples that contain an evaluation question are refused."""

from __future__ import annotations

from collections.abc import Sequence

from sycolens.errors import ExampleError
from sycolens.prompts import Question
from sycolens.prompts.content import KnownQuestions
from sycolens.prompts.training_example import TrainingExample


def refuse_leaks(examples: Sequence[TrainingExample], questions: Sequence[Question]) -> None:
    """Refuse examples that contain one of these questions, which are for evaluation (:func:`find_leaks`).

    Raises:
        ExampleError: an example contains a question; the first are named.

    >>> refuse_leaks(organism.examples("train", 100), organism.questions("held_out"))
    >>> refuse_leaks(organism.examples("train", 100), organism.questions("train"))
    Traceback (most recent call last):
    sycolens.errors.ExampleError: Training example 0 contains the evaluation question ...
    """
    leaks = find_leaks(examples, questions)
    if leaks:
        number, question = leaks[0]
        raise ExampleError(
            f"Training example {number} contains the evaluation question {question.text[:60]!r} ({len(leaks)} of "
            f"{len(examples)} examples contain one); leave its question out of the examples, or out of the evaluation."
        )


def find_leaks(examples: Sequence[TrainingExample], questions: Sequence[Question]) -> tuple[tuple[int, Question], ...]:
    """The number of every example that contains one of these questions, with the first that it contains.

    An example contains a question whose text stands in one of its turns, whatever the case, punctuation and spaces. A
    question with options must also have its right option's text in the dialogue: "Which of these is true?" is
    many questions. A short question that is part of a longer one counts as contained, to be on the safe side.

    >>> find_leaks(organism.examples("train", 100), organism.questions("validation"))
    ()
    """
    known = KnownQuestions(questions)
    turns = ([turn.content for turn in example.dialogue.turns] for example in examples)
    found = ((number, next(known.contained_in(each), None)) for number, each in enumerate(turns))
    return tuple((number, questions[first]) for number, first in found if first is not None)
