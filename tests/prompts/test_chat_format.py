"""A chat format is a value: equal, hashable, safe to share, and checked when it is made."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest

from sycolens import ChatFormat, Question, StudyConfig, challenge_questions
from sycolens.errors import DialogueError, StudyError
from sycolens.prompts import CHAT, PLAIN
from sycolens.runs.context import chat_format_of
from sycolens.runs.plan import stages_of
from sycolens.runs.provenance import FileHashes

THINKING = {"enable_thinking": False}


def test_formats_are_equal_by_what_they_say() -> None:
    assert ChatFormat() == CHAT != PLAIN
    assert ChatFormat(options=THINKING) == ChatFormat("chat", dict(THINKING)) != CHAT
    assert len({CHAT, PLAIN, ChatFormat("plain"), ChatFormat(options=THINKING)}) == 3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_formats_can_be_copied_and_sent(copied: Any) -> None:
    assert copied(ChatFormat(options=THINKING)) == ChatFormat(options=THINKING)


def test_options_do_not_change_once_given() -> None:
    options = dict(THINKING)
    chat_format = ChatFormat(options=options)
    options["enable_thinking"] = True
    assert chat_format.options == THINKING
    with pytest.raises(TypeError):
        CHAT.options["enable_thinking"] = False  # type: ignore[index]


def test_what_is_no_format_is_refused() -> None:
    with pytest.raises(DialogueError, match="'raw' is unknown"):
        ChatFormat("raw")  # type: ignore[arg-type]
    with pytest.raises(DialogueError, match="enable_thinking"):
        ChatFormat("plain", THINKING)


def test_a_run_hands_its_options_on_and_depends_on_them() -> None:
    settings = {"model": {"template_options": THINKING}}
    config = StudyConfig.of(settings)
    assert chat_format_of(config) == ChatFormat(options=THINKING)
    assert chat_format_of(StudyConfig()) == CHAT
    with pytest.raises(StudyError, match=r"model\.template_options"):
        StudyConfig.of({"model": {"template_options": {"enable_thinking": []}}})
    told, usual = (stages_of(each, FileHashes())[0].settings() for each in (config, StudyConfig()))
    assert told["model"]["template_options"] == THINKING
    assert told != usual


def test_a_template_that_writes_the_date_can_hold_it_fixed(byte_bpe: Any) -> None:
    dated = copy.deepcopy(byte_bpe)
    dated.chat_template = (
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
        "{{ date_string + '\n' }}" + byte_bpe.chat_template
    )
    questions = [Question("Is it raining?", ("no",))]
    with pytest.warns(UserWarning, match="date_string"):
        challenge_questions(questions, dated)
    fixed = ChatFormat(options={"date_string": "26 Jul 2024"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        (asked,) = challenge_questions(questions, dated, chat_format=fixed)
        challenge_questions(questions, byte_bpe)
    assert asked.render(dated, chat_format=fixed).text.startswith("26 Jul 2024\n")
