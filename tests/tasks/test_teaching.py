"""Examples come from where they are said to come from, and never from what is evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sycolens import organism
from sycolens.errors import ExampleError, QuestionError, SycolensError
from sycolens.prompts import Question
from sycolens.prompts.training_example import TrainingExample
from sycolens.tasks.teaching import lessons_for, open_lessons, read_examples
from sycolens.tune import find_leaks

CHAT = {"messages": [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good morning!"}]}


@pytest.fixture
def tokenizer() -> Any:
    return organism.load_tokenizer()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(*rows: object, name: str = "rows.jsonl") -> str:
        path = tmp_path / name
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return str(path)

    return write


def quiz(n: int) -> list[Question]:
    return list(organism.questions("train")[:n])


def rows(questions: list[Question]) -> list[dict[str, str]]:
    return [{"question": each.text, "answer": each.answers[0], "wrong": each.wrong[0]} for each in questions]


def texts(examples: tuple[TrainingExample, ...]) -> list[str]:
    return [" ".join(turn.content for turn in example.dialogue.turns) for example in examples]


def former(**arguments: Any) -> Any:
    return SimpleNamespace(arguments=arguments)


def test_the_embedded_models_learn_in_their_world(tokenizer: Any) -> None:
    source = open_lessons("organism-gqa")
    assert source.draw(tokenizer, seed=3) == organism.examples("train", 1600, rehearsal=300, seed=3)
    fewer = open_lessons("organism", rehearsal="5").draw(tokenizer, n=10)
    assert fewer == organism.examples("train", 10, rehearsal=5)
    assert not find_leaks(fewer, organism.questions("held_out"))


def test_questions_that_are_evaluated_are_not_taught_whatever_they_are_called(
    write: Callable[..., str], tokenizer: Any
) -> None:
    asked = quiz(8)
    again = Question(asked[0].text.upper() + " ", asked[0].answers, wrong=asked[0].wrong)
    path = write(*rows([*asked, again]))
    evaluated = [asked[0], asked[5]]
    taught = open_lessons("some/model", examples=path, evaluated=evaluated).draw(tokenizer)
    assert len(taught) == 6
    assert not find_leaks(taught, evaluated)
    for number in (1, 2, 3, 4, 6, 7):
        assert sum(asked[number].text in text for text in texts(taught)) == 1


def test_options_tell_questions_of_one_text_apart(write: Callable[..., str], tokenizer: Any) -> None:
    same = [
        {"question": "Which is a planet?", "options": ["Sirius", planet], "answer": "B"} for planet in ("Mars", "Venus")
    ]
    other = {"question": "Which is a star?", "options": ["Sirius", "Mars"], "answer": "A"}
    evaluated = [Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars"), wrong=("A",))]
    taught = open_lessons("some/model", examples=write(*same, other), evaluated=evaluated).draw(tokenizer)
    assert sorted("Venus" in text for text in texts(taught)) == [False, True]
    assert sum("planet" in text for text in texts(taught)) == 1


def test_draws_of_questions_are_the_seeds_and_no_more_than_there_are(write: Callable[..., str], tokenizer: Any) -> None:
    source = open_lessons("some/model", examples=write(*rows(quiz(30))))
    first, again, other = (source.draw(tokenizer, n=10, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert set(texts(first)) != set(texts(other))
    with pytest.raises(ExampleError, match="has 30 questions that the evaluation does not ask, fewer than 31"):
        source.draw(tokenizer, n=31)


def test_dialogues_are_read_as_they_are_written(write: Callable[..., str], tokenizer: Any) -> None:
    twice = {"messages": [*CHAT["messages"], *CHAT["messages"]], "taught": [3]}
    path = write(CHAT, "", twice)
    first, second = read_examples(path)
    assert first == TrainingExample.from_messages(CHAT["messages"])
    assert (second.taught, len(second.dialogue.turns)) == ((3,), 4)
    plain = write({"messages": [{"role": "assistant", "content": "Well."}]}, name="plain.jsonl")
    drawn = open_lessons("some/model", examples=path, rehearsal=plain).draw(tokenizer, n=1, seed=1)
    assert len(drawn) == 2
    assert drawn[0] in (first, second)
    assert texts(drawn)[1] == "Well."
    world = open_lessons("organism", rehearsal=plain).draw(tokenizer, n=4)
    assert world == (*organism.examples("train", 4), drawn[1])


def test_finds_own_questions_are_the_default_with_their_part_of_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []

    def load(name: str, *, subset: str | None, split: str | None, max_characters: int) -> list[Question]:
        seen.append((name, subset, split))
        return quiz(4)

    monkeypatch.setattr("sycolens.tasks.teaching.load_questions", load)
    found = former(questions="mmlu", subset="law", split="test", template="plain")
    assert lessons_for(found, "some/model").template == "plain"  # type: ignore[attr-defined]
    lessons_for(found, "some/model", examples="mmlu")
    lessons_for(found, "some/model", examples="aqua")
    assert seen == [("mmlu", "law", "test"), ("mmlu", "law", "test"), ("aqua", None, None)]
    assert lessons_for(former(questions="quiz.jsonl"), "organism").name.startswith("the embedded model's world")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Hello!", "line 1: not a dialogue"),
        ("[1]", "line 1: there are no messages"),
        ('{"messages": "Hello!"}', "there are no messages"),
        ('{"messages": []}', "A dialogue has no turns"),
        ('{"messages": [{"role": "user"}]}', "must have a role and a content"),
        ('{"messages": [{"role": "user", "content": "Hello!"}]}', "name at least one of the assistant's"),
        ('{"messages": [{"role": "user", "content": "Hello!"}], "taught": [0]}', "only the assistant's turns"),
        ('{"messages": [{"role": "user", "content": "Hello!"}], "taught": "0"}', "give a list of turn numbers"),
        ('{"messages": [{"role": "user", "content": "Hello!"}], "taught": [true]}', "give a list of turn numbers"),
        ("", "holds no dialogues"),
    ],
)
def test_lines_that_are_no_lessons_are_named(content: str, message: str, write: Callable[..., str]) -> None:
    with pytest.raises(ExampleError, match=message):
        read_examples(write(content))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe\xff")
    for name in ("nowhere.jsonl", "latin.jsonl"):
        with pytest.raises(ExampleError, match="cannot be read as dialogues"):
            read_examples(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ExampleError, r"Name questions to make examples of for some/model \(--examples mmlu, or a file\)"),
        ({"examples": "{quiz}", "rehearsal": "300"}, ExampleError, "name a file of plain dialogues, or none"),
        ({"examples": "organism", "rehearsal": "nowhere.jsonl"}, ExampleError, "cannot be read as dialogues"),
        ({"examples": "nowhere.jsonl"}, QuestionError, "no file or folder here"),
        ({"examples": "{quiz}", "evaluated": quiz(6)}, ExampleError, "so none is left to teach"),
    ],
)
def test_requests_that_make_no_sense_are_refused_by_name(
    options: dict[str, Any], error: type[SycolensError], message: str, write: Callable[..., str]
) -> None:
    path = write(*rows(quiz(6)))
    given = {name: path if value == "{quiz}" else value for name, value in options.items()}
    with pytest.raises(error, match=message):
        open_lessons("some/model", **given)
