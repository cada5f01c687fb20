"""Templates that let a model think first: labels and answers are read behind the thinking, or not at all."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any

import pytest
from thinking_templates import OPENED, OPTIONAL, SHUT
from transformers import PreTrainedTokenizerFast

from sycolens import ContrastPairs, Dialogue, Question, Turn, challenge_questions
from sycolens.errors import DialogueError, LabelError
from sycolens.measure.likelihood import offered
from sycolens.prompts import CHAT, PAPER, PLAIN, ChatFormat
from sycolens.prompts.thinking import begins_block, thinks_first, without_thinking

OFF, ON = (ChatFormat(options={"enable_thinking": each}) for each in (False, True))
QUESTIONS = (Question("Which is a planet?", ("B",), options=("Sirius", "Mars"), wrong=("A",)),)


@pytest.fixture
def tokenizer(byte_bpe: PreTrainedTokenizerFast) -> Any:
    ours = copy.deepcopy(byte_bpe)
    ours.add_tokens(["<think>", "</think>"])
    return ours


@pytest.mark.parametrize(
    ("reply", "begun", "said"),
    [
        ("<think>\nIs it? It is.\n</think>\n\nYes.", False, "Yes."),
        ("<think>\n\n</think>\n\n", False, ""),
        ("<think>\nIs it", False, ""),
        ("Is it? It is.\n</think>\n\nYes.", True, "Yes."),
        ("Is it? It is.</think>Yes.", False, "Yes."),
        ("Is it", True, ""),
        ("<think>One.</think><think>Two", False, ""),
        ("<think>One.</think>Well.<think>Two.</think>Yes.", False, "Yes."),
        ("I think it is.", False, "I think it is."),
        ("Write <think> first.", False, "Write <think> first."),
        ("", True, ""),
    ],
)
def test_what_is_said_stands_behind_the_thinking(reply: str, begun: bool, said: str) -> None:
    assert without_thinking(reply, begun=begun) == said
    assert without_thinking(said) == said


@pytest.mark.parametrize(
    ("template", "chat_format", "first", "opened"),
    [
        (OPTIONAL, CHAT, True, False),
        (OPTIONAL, ON, True, False),
        (OPTIONAL, OFF, False, False),
        (OPENED, CHAT, True, True),
        (OPENED, OFF, True, True),
        (SHUT, CHAT, False, False),
        (OPENED, PLAIN, False, False),
        (None, CHAT, False, False),
    ],
)
def test_a_template_shows_whether_the_model_thinks_first(
    tokenizer: Any, template: str | None, chat_format: ChatFormat, first: bool, opened: bool
) -> None:
    tokenizer.chat_template = template
    assert thinks_first(tokenizer, chat_format) is first
    assert begins_block(tokenizer, chat_format) is opened


def test_ordinary_templates_do_not_think(byte_bpe: Any, metaspace_bpe: Any, wordpiece: Any) -> None:
    assert not any(thinks_first(each, CHAT) for each in (byte_bpe, metaspace_bpe, wordpiece))


def test_a_warning_says_how_to_turn_thinking_off(tokenizer: Any) -> None:
    tokenizer.chat_template = OPTIONAL
    with pytest.warns(UserWarning, match="enable_thinking"):
        challenge_questions(QUESTIONS, tokenizer)
    block = replace(PAPER, opening="<think>\n\n</think>\n\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = ContrastPairs.from_questions(QUESTIONS, tokenizer, chat_format=OFF)
        passed = ContrastPairs.from_questions(QUESTIONS, tokenizer, behavior=block)
    # The block as the template writes it, and as the behavior does, are the same tokens.
    assert quiet.reference == passed.reference
    assert quiet[0].labels == passed[0].labels


def test_labels_are_not_read_where_thinking_begins(tokenizer: Any) -> None:
    tokenizer.chat_template = OPENED
    with pytest.warns(UserWarning, match="enable_thinking"), pytest.raises(LabelError, match="</think>"):
        ContrastPairs.from_questions(QUESTIONS, tokenizer)
    closed = ContrastPairs.from_questions(QUESTIONS, tokenizer, behavior=replace(PAPER, opening="</think>\n\n"))
    assert tokenizer.decode(closed.reference[0]).endswith("<|im_start|>assistant\n<think>\n</think>\n\n")
    # Who opens the thinking with words of their own means to look into it.
    inside = ContrastPairs.from_questions(QUESTIONS, tokenizer, behavior=replace(PAPER, opening="Sure</think>"))
    assert tokenizer.decode(inside.reference[0]).endswith("<think>\nSure</think>")


@pytest.mark.parametrize("form", ["The answer is {answer}.", "{answer}"])
def test_answers_are_compared_behind_the_thinking(tokenizer: Any, form: str) -> None:
    dialogue = Dialogue((Turn("user", "Which?"),))
    words = form.split("{answer}")[0].rstrip()
    endings = {OPENED: "<think>\n</think>\n\n", SHUT: "<think>\n\n</think>\n\n"}
    for template, before in endings.items():
        tokenizer.chat_template = template
        rendered, answers = offered(dialogue, QUESTIONS[0], form, tokenizer, CHAT)
        assert tokenizer.decode(rendered.token_ids).endswith(before + words)
        assert [tokenizer.decode(each).strip() for each in answers] == ["A", "B"]


def test_a_turn_that_still_holds_its_thinking_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = OPTIONAL
    thought = Dialogue(
        (Turn("user", "Which?"), Turn("assistant", "<think>\nMars.</think>\n\nB"), Turn("user", "Sure?"))
    )
    with pytest.raises(DialogueError, match="rewrites"):
        thought.render(tokenizer)
