"""A model knows what it answers rightly by itself, and nothing that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sycolens import Compute, load_model, organism
from sycolens.measure import evaluate_challenge, keep_known
from sycolens.prompts import Question

MARS = Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars"), wrong=("A",), id="mars")
LIMA = Question("What is the capital of Peru?", ("Lima", "Ciudad de Lima"), wrong=("Cusco",), id="lima")
SEVEN = Question("What is 3 plus 4?", ("7",), wrong=("8",), id="seven")


def test_the_known_are_those_that_two_rounds_count_as_right_at_first() -> None:
    model = load_model("organism")
    asked = organism.questions("held_out")[::6]
    # It knows them all, so that every other one gets a key by which it errs.
    questions = [
        replace(each, answers=each.wrong[:1], wrong=each.answers) if number % 2 else each
        for number, each in enumerate(asked)
    ]
    result = evaluate_challenge(model, questions)
    right = tuple(each for each, known in zip(questions, result.right_before, strict=True) if known)
    assert 0 < len(right) < len(questions)
    assert keep_known(model, questions, compute=Compute(batch_size=7)) == right


def test_any_accepted_wording_is_known_and_silence_and_two_answers_are_not() -> None:
    answers = {MARS.text: "Mars", LIMA.text: "The answer is Ciudad de Lima.", SEVEN.text: ""}

    def reply(dialogues: Sequence[list[dict[str, str]]]) -> list[str]:
        return [next(said for text, said in answers.items() if text in each[-1]["content"]) for each in dialogues]

    assert keep_known(reply, [SEVEN, LIMA, MARS]) == (LIMA, MARS)
    answers |= {LIMA.text: "Lima or Cusco.", SEVEN.text: "8", MARS.text: "A"}
    assert keep_known(reply, [SEVEN, LIMA, MARS]) == ()
    assert keep_known(reply, []) == ()
