"""Models that think before they reply: what is graded and passed on is what they say after it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_llama import make_chat_llama
from thinking_templates import OPENED, OPTIONAL

from sycolens import QUIET, HeadSet, Question, load_model, look
from sycolens.decision import Look
from sycolens.errors import DialogueError
from sycolens.measure import evaluate_challenge
from sycolens.measure.responders import say
from sycolens.prompts import Behavior, ChatFormat, Dialogue, Turn, challenge_questions
from sycolens.prompts.challenged import SILENCE
from sycolens.report.look_tables import sentences_of
from sycolens.verify import knock_out

OFF = ChatFormat(options={"enable_thinking": False})
SHORT = Behavior(
    challenge="No?",
    affirmation="Yes?",
    sycophantic_labels=("Sure",),
    antisycophantic_labels=("Yes",),
    letter_request="Letter:",
    name="short",
)
QUESTIONS = tuple(Question(f"{word}?", ("B", "q"), options=("p", "q"), wrong=("A",)) for word in ("One", "Two", "Six"))
SAID = {
    "One": ("<think>\nA or B?\n</think>\n\n(B)", "<think>\nHm.\n</think>\n\nI apologize. The answer is (A)."),
    "Two": ("<think>\nA or B", "<think>\nI apologize. The answer is (A), or"),
    "Six": ("(B)", "Yes, I'm sure."),
}


@pytest.fixture
def model(tmp_path: Path) -> Any:
    return load_model(str(make_chat_llama(tmp_path)))


def thinker(dialogues: Sequence[list[dict[str, str]]]) -> list[str]:
    users = [[each["content"] for each in messages if each["role"] == "user"] for messages in dialogues]
    return [SAID[asked[0][:3]][len(asked) - 1] for asked in users]


def test_replies_are_graded_and_passed_on_without_their_thinking(model: Any) -> None:
    with pytest.warns(UserWarning, match="1 of 3 replies end inside a thinking block"):
        result = evaluate_challenge(thinker, QUESTIONS, behavior=SHORT, system=None)
    assert result.replies == ("I apologize. The answer is (A).", "", "Yes, I'm sure.")
    assert result.admits == (True, False, False)
    assert result.unparsed == (False, True, False)
    assert [each.first_answer for each in result.asked] == ["B", None, "B"]
    assert [each.dialogue.turns[1].content for each in result.asked] == ["(B)", SILENCE, "(B)"]
    # A template that drops the thinking from past turns has nothing to rewrite.
    model.tokenizer.chat_template = OPTIONAL
    assert all(each.render(model.tokenizer).token_ids for each in result.asked)


@pytest.mark.parametrize(("written", "said"), [("Hm.</think>\n\nYes.", "Yes."), ("Hm.</think>", ""), ("Hm", "")])
def test_a_block_that_the_template_opens_is_left_out(
    model: Any, monkeypatch: pytest.MonkeyPatch, written: str, said: str
) -> None:
    model.tokenizer.chat_template = OPENED
    tokens = tuple(model.tokenizer.encode(written, add_special_tokens=False))
    monkeypatch.setattr("sycolens.measure.responders.generate", lambda *_, **__: [tokens])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        assert say(model, [Dialogue((Turn("user", "Which?"),))]) == [said]
    assert [str(each.message)[:6] for each in caught] == (["1 of 1"] if written == "Hm" else [])


@pytest.mark.parametrize("template", [OPTIONAL, OPENED])
def test_knocked_out_replies_begin_behind_the_block(model: Any, template: str) -> None:
    model.tokenizer.chat_template = template
    block = "</think>\n\n" if template == OPENED else "<think>\n\n</think>\n\n"
    behavior = replace(
        SHORT, opening=f"{block}I", sycophantic_labels=(" Sure",), antisycophantic_labels=(" am",), scorer="likelihood"
    )
    asked = challenge_questions(QUESTIONS, model.tokenizer, behavior=behavior, system=None)
    curve = knock_out(
        model, asked, HeadSet(["L0H1"]), steps=(0, 1), controls=1, method="zero", max_new_tokens=4, compute=QUIET
    )
    assert all(reply.startswith("I") for each in curve.replies[0] for reply in each.replies)
    assert not any(any(each.unparsed) for each in curve.replies[0])


def look_at(model: Any, monkeypatch: pytest.MonkeyPatch, reply: str, **options: Any) -> Look:
    """What look sees where every reply is this one."""
    tokens = tuple(model.tokenizer.encode(reply, add_special_tokens=False))
    for place in ("sycolens.decision.looking.generate", "sycolens.measure.responders.generate"):
        monkeypatch.setattr(place, lambda _, prompts, **__: [tokens] * len(prompts))
    return look(model, [*QUESTIONS, *QUESTIONS], behavior=SHORT, system=None, compute=QUIET, **options)


def test_look_says_that_replies_open_with_thinking(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model.tokenizer.chat_template = OPTIONAL
    with pytest.warns(UserWarning, match="enable_thinking"):
        seen = look_at(model, monkeypatch, "<think>\nHm")
    assert (seen.thinking.share, seen.found, any(seen.known)) == (1, False, False)
    assert "enable_thinking" in sentences_of(seen)[0]
    assert set(seen.first_replies) == {SILENCE}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        seen = look_at(model, monkeypatch, "Yes", chat_format=OFF)
    assert (seen.thinking.share, seen.thinking_note) == (0, "")


def test_look_refuses_a_template_that_opens_the_thinking(model: Any) -> None:
    model.tokenizer.chat_template = OPENED
    with pytest.raises(DialogueError, match="</think>"):
        look(model, [*QUESTIONS, *QUESTIONS], behavior=SHORT, system=None, compute=QUIET)
