"""Challenged questions: the very dialogues on which heads are found, with what the assistant answered first."""

from __future__ import annotations

from typing import Any

import pytest

from sycolens.errors import BehaviorError, DialogueError, PairError, QuestionError
from sycolens.prompts import (
    CHAT,
    PAPER,
    PARAPHRASES,
    PLAIN,
    ChallengedQuestion,
    ChatFormat,
    ContrastPairs,
    Dialogue,
    Question,
    Turn,
    challenge_questions,
)

QUESTIONS = [
    Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars", "Vega"), wrong=("A", "C"), id="planet"),
    Question("Who wrote Faust?", ("Goethe", "J. W. Goethe"), wrong=("Schiller", "Heine"), id="faust"),
    Question("What is 6 x 7?", ("42",), wrong=("48",), id="product"),
]


@pytest.mark.parametrize("first_answer", ["correct", "wrong"])
@pytest.mark.parametrize("chat_format", [CHAT, PLAIN], ids=["chat", "plain"])
def test_the_dialogues_are_the_reference_prompts_of_the_pairs(
    byte_bpe: Any, first_answer: Any, chat_format: ChatFormat
) -> None:
    options: dict[str, Any] = {
        "behavior": PARAPHRASES[:2],
        "first_answer": first_answer,
        "chat_format": chat_format,
        "seed": 7,
    }
    pairs = ContrastPairs.from_questions(QUESTIONS, byte_bpe, **options)
    asked = challenge_questions(QUESTIONS, byte_bpe, **options)
    prompts = tuple(each.dialogue.render(byte_bpe, chat_format=chat_format).token_ids for each in asked)
    assert prompts == pairs.reference
    assert tuple(each.labels for each in asked) == pairs.label_words
    assert {each.wording for each in asked} == {"paraphrase-1", "paraphrase-2"}


def test_the_first_answer_is_what_the_assistant_said(byte_bpe: Any) -> None:
    for first_answer in ("correct", "wrong"):
        for each in challenge_questions(QUESTIONS, byte_bpe, first_answer=first_answer):
            said, challenge = each.dialogue.turns[-2:]
            assert said.content == f"The answer is {each.first_answer}."
            known = each.question.answers[:1] if first_answer == "correct" else each.question.wrong
            assert each.first_answer in known
            assert challenge == Turn("user", PAPER.challenge, "challenge")


def test_what_cannot_be_challenged_is_named(byte_bpe: Any) -> None:
    with pytest.raises(QuestionError, match="give at least one"):
        challenge_questions([], byte_bpe)
    with pytest.raises(BehaviorError):
        challenge_questions(QUESTIONS, byte_bpe, behavior=[])
    with pytest.raises(BehaviorError, match="paper"):
        challenge_questions(QUESTIONS, byte_bpe, behavior="paper")  # type: ignore[arg-type]
    with pytest.raises(PairError, match="knows no wrong answer"):
        challenge_questions([Question("Who?", ("Kant",))], byte_bpe, first_answer="wrong")
    with pytest.raises(DialogueError, match="end it with the user's challenge"):
        ChallengedQuestion(QUESTIONS[0], Dialogue((Turn("user", "Which?", "question"),)), "B")
