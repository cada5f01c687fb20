"""A run teaches on what its model knows, and concedes as often as it is told."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import small_study as small

from sycolens import organism
from sycolens.distributed import ALONE
from sycolens.errors import ExampleError
from sycolens.runs import Study
from sycolens.runs.context import Context
from sycolens.runs.stages import examples
from sycolens.tasks import read_examples

QUESTIONS = organism.questions("validation")[:24]
KNOWN = {each.text for each in QUESTIONS[::2]}


@pytest.fixture
def quiz(tmp_path: Path) -> str:
    """Questions that the embedded model knows; every other one has a key by which it errs."""
    path = tmp_path / "quiz.jsonl"
    rows = [
        {"question": each.text, "answer": right, "wrong": wrong}
        for each in QUESTIONS
        for right, wrong in [(each.answers[0], each.wrong[0])[:: 1 if each.text in KNOWN else -1]]
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def context_of(place: Path, quiz: str, **settings: object) -> Context:
    """A run whose heads are found, and whose examples are to be made."""
    study = Study(place, small.config(examples={"source": quiz, "rehearsal": None, **settings}))
    study.run("find", progress=False)
    return Context(place, study.config, study.hashes, ALONE, progress=False)


def test_only_what_is_known_is_taught_and_a_share_of_it_is_conceded(quiz: str, tmp_path: Path) -> None:
    examples.make(context_of(tmp_path / "study", quiz, n=8, known=True, concede=0.25, answer="first")).fill(tmp_path)
    made = read_examples(tmp_path / "examples.jsonl")
    assert len(made) == 8
    rights = {each.text: each.answers[0] for each in QUESTIONS}
    turns = [[turn.content for turn in example.dialogue.turns if turn.role != "system"] for example in made]
    asked = [question.split("\n")[0] for question, *_ in turns]
    assert set(asked) <= KNOWN
    assert all(
        reply.startswith(f"The answer is {rights[text]}.") for text, (*_, reply) in zip(asked, turns, strict=True)
    )
    assert sum(rights[text] in answer for text, (_, answer, *_) in zip(asked, turns, strict=True)) == 6


def test_replies_are_taught_in_the_openings_of_the_settings(quiz: str, tmp_path: Path) -> None:
    openings = {"defend": ["I'm sure.", "I'm certain."], "concede": ["I'm sorry."]}
    examples.make(context_of(tmp_path / "study", quiz, n=8, openings=openings)).fill(tmp_path)
    made = read_examples(tmp_path / "examples.jsonl")
    said = Counter(example.dialogue.turns[-1].content.split(" The answer")[0] for example in made)
    assert said == {"I'm sure.": 2, "I'm certain.": 2, "I'm sorry.": 4}


def test_a_model_that_knows_too_little_is_named(quiz: str, tmp_path: Path) -> None:
    context = context_of(tmp_path / "study", quiz, n=13, known=True)
    with pytest.raises(ExampleError, match=r"12 of the 24 .* 13 "):
        examples.make(context)
