"""Answers by likelihood: against literal forwards, and what cannot be compared is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from measure.scripted import scripted
from sycolens import Question, load_model, organism
from sycolens.errors import ModelError, QuestionError
from sycolens.measure import (
    ChallengeResult,
    EvalSet,
    Generation,
    evaluate_challenge,
    grade,
    likeliest_answers,
    question_eval_set,
)
from sycolens.measure.likelihood import likeliest
from sycolens.organism.files import directory
from sycolens.prompts import PAPER, ask, challenge_questions
from sycolens.prompts.questions import letters

LIKELIHOOD = replace(PAPER, scorer="likelihood")
OPEN = (
    Question("What is ice?", ("water", "frozen water"), wrong=("iron", "sand and salt")),
    Question("Who wrote it?", ("Ann",), wrong=("Bo", "Anna Lee")),
)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def plain() -> Any:
    return AutoModelForCausalLM.from_pretrained(directory(), dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def result(model: Any) -> ChallengeResult:
    return evaluate_challenge(
        model, organism.questions("validation")[:12], behavior=LIKELIHOOD, generation=Generation(max_new_tokens=12)
    )


def log_p(plain: Any, text: str, answer: str, tokenizer: Any) -> float:
    """Of an answer behind a text, both written as one."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    whole = tokenizer.encode(text + answer, add_special_tokens=False)
    assert whole[: len(ids)] == ids
    with torch.no_grad():
        scores = plain(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    return sum(scores[k - 1, whole[k]].item() for k in range(len(ids), len(whole)))


def test_texts_are_compared_by_their_mean_over_characters() -> None:
    # By alphabet: iron, sand and salt, water.
    assert likeliest(OPEN[0], [-4.04, -13.5, -5.0]) == "water"  # -1.01, -1.04, -1.00
    assert likeliest(OPEN[0], [-4.0, -12.9, -5.0]) == "sand and salt"
    lettered = Question("Which?", ("B", "Mars"), options=("Sirius", "Mars"))
    assert likeliest(lettered, [-2.0, -2.1]) == "A"


def test_a_tie_does_not_tell_which_answer_is_right() -> None:
    for right, wrong in (("iron", "wood"), ("wood", "iron")):
        assert likeliest(Question("What is it?", (right,), wrong=(wrong,)), [-4.0, -4.0]) == "iron"


def test_both_answers_are_the_likeliest_of_a_plain_forward(model: Any, plain: Any, result: ChallengeResult) -> None:
    tokenizer = model.tokenizer
    for number, asked in enumerate(result.asked):
        question = asked.question
        options = question.options
        offered = letters(len(options)) if options else (question.answers[0], *question.wrong)
        turns = asked.dialogue.turns
        final = "What is your final answer? " + turns[-3].content.rsplit("\n", 1)[1]
        opened = [{"role": turn.role, "content": turn.content} for turn in turns]
        ended = [
            *opened,
            {"role": "assistant", "content": result.replies[number]},
            {"role": "user", "content": final},
        ]
        for messages, found in ((opened[:-2], asked.first_answer), (ended, result.grades[number].answer)):
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            text += (" " if not text[-1].isspace() else "") + "The answer is"
            scores = [log_p(plain, text, f" {each}", tokenizer) / (1 if options else len(each)) for each in offered]
            assert found == offered[scores.index(max(scores))]
        assert result.first_replies[number] == f"The answer is {asked.first_answer}." == turns[-2].content
    assert all(result.right_before)


def test_nothing_is_unread_and_admissions_are_still_read(result: ChallengeResult) -> None:
    assert not any((*result.unparsed, *result.unparsed_before))
    assert result.admits == tuple(
        grade(reply, each).admits for reply, each in zip(result.replies, result.asked, strict=True)
    )
    assert result.right == tuple(
        each.answer == asked.question.answers[0] for each, asked in zip(result.grades, result.asked, strict=True)
    )


def test_a_result_comes_back_with_its_final_questions(result: ChallengeResult, tmp_path: Path) -> None:
    result.save(tmp_path / "result")
    again = ChallengeResult.load(tmp_path / "result")
    assert again == result
    assert all(each.final_question for each in again.asked)


def test_an_eval_set_asks_for_final_answers(model: Any) -> None:
    questions = organism.questions("validation")[:6]
    read = question_eval_set(questions, model.tokenizer)
    compared = question_eval_set(questions, model.tokenizer, behavior=LIKELIHOOD)
    assert read.fingerprint != compared.fingerprint
    before, after = (each.examine(model, max_new_tokens=12).replies["wrong"] for each in (read, compared))
    assert before.replies == after.replies
    dialogues = [each.then_asked(reply) for each, reply in zip(after.asked, after.replies, strict=True)]
    found = likeliest_answers(model, dialogues, [each.question for each in after.asked])
    assert [each.answer for each in after.grades] == found


def test_questions_of_both_kinds_stay_in_order(model: Any) -> None:
    asked = challenge_questions(organism.questions("validation")[:4], model.tokenizer)
    compared = challenge_questions(organism.questions("validation")[:4], model.tokenizer, behavior=LIKELIHOOD)
    mixed = [asked[0], compared[1], asked[2], compared[3]]
    found = EvalSet({"right": tuple(mixed)}).examine(model, max_new_tokens=12).replies["right"]
    alone = EvalSet({"right": compared}).examine(model, max_new_tokens=12).replies["right"]
    assert (found.grades[1], found.grades[3]) == (alone.grades[1], alone.grades[3])
    rounds = evaluate_challenge(model, mixed, generation=Generation(max_new_tokens=12))
    assert [each.question for each in rounds.asked] == [each.question for each in mixed]


def test_what_cannot_be_compared_is_refused(model: Any) -> None:
    with pytest.raises(ModelError, match="scripted"):
        evaluate_challenge(scripted, OPEN, behavior=LIKELIHOOD)
    unknown = Question("What is ice?", ("water",))
    for refused in (
        lambda: evaluate_challenge(model, [unknown], behavior=LIKELIHOOD),
        lambda: challenge_questions([unknown], model.tokenizer, behavior=LIKELIHOOD),
    ):
        with pytest.raises(QuestionError, match="ice"):
            refused()
    assert ask(unknown).turns[-1].content.endswith(PAPER.open_request)
