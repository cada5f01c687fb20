"""Settings name a task, and what makes no sense is refused by name before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sycolens import organism
from sycolens.errors import ExampleError, PairError, QuestionError
from sycolens.prompts import Question
from sycolens.prompts.behavior import PARAPHRASES
from sycolens.prompts.chat_format import PLAIN
from sycolens.runs import StudyConfig
from sycolens.runs.context import task_of
from sycolens.runs.sections import EvaluationSource, Source
from sycolens.tasks import QuestionSet, UserFiles, World, open_task, usual_training
from sycolens.tune import EMBEDDED, PAPER


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.jsonl"
    rows = [{"question": question.text, "answer": question.answers[0]} for question in organism.questions("train")[:10]]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("model", ["organism", "organism-gqa"])
def test_embedded_models_bring_their_world(model: str) -> None:
    assert open_task(model, split="held_out") == World("held_out")
    assert open_task(model, rehearsal=5) == open_task(model, rehearsal="5") == World(rehearsal=5)
    assert open_task("some/model", questions="organism") == World()
    assert (usual_training(model), usual_training("some/model")) == (EMBEDDED, PAPER)


@pytest.mark.parametrize("spelling", ["quiz.jsonl", "./quiz.jsonl", "../{folder}/quiz.jsonl", "{absolute}"])
def test_a_file_of_questions_is_a_set(quiz: Path, spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(quiz.parent)
    name = spelling.format(folder=quiz.parent.name, absolute=quiz)
    task = open_task("organism", questions=name)
    assert isinstance(task, QuestionSet)
    assert (task.name, len(task.all_questions)) == (name, 10)


def test_the_longest_question_is_the_papers(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    rows = [{"question": "x" * length, "answer": "y"} for length in (768, 769)]
    path.write_text("\n".join(map(json.dumps, rows)))
    task = open_task("some/model", questions=str(path))
    assert isinstance(task, QuestionSet)
    assert [len(each.text) for each in task.all_questions] == [768]


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({"questions": "mmlu", "pairs": "x.jsonl"}, PairError, "questions"),
        ({}, PairError, "some/model"),
        ({"pairs": "nowhere.jsonl"}, PairError, "nowhere.jsonl"),
        ({"pairs": "nowhere.jsonl", "split": "test"}, PairError, "split"),
        ({"questions": "organism", "subset": "all"}, PairError, "subset"),
        ({"questions": "organism", "chat_format": PLAIN}, PairError, "template"),
        ({"questions": "organism", "behavior": PARAPHRASES[0]}, PairError, "paraphrase-1"),
        ({"questions": "organism", "split": "test"}, QuestionError, "test"),
        ({"questions": "nowhere.csv"}, QuestionError, "nowhere.csv"),
        ({"questions": "{folder}"}, QuestionError, "empty"),
        ({"questions": "{quiz}", "rehearsal": 300}, ExampleError, "300"),
        ({"questions": "organism", "rehearsal": "nowhere.jsonl"}, ExampleError, "nowhere.jsonl"),
        ({"questions": "organism", "rehearsal": "9" * 5000}, ExampleError, "9999"),
    ],
)
def test_requests_that_make_no_sense_are_refused_by_name(
    options: dict[str, Any], error: type[Exception], word: str, quiz: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"{quiz}": str(quiz), "{folder}": str(tmp_path / "empty")}
    given: dict[str, Any] = {
        name: places.get(value, value) if isinstance(value, str) else value for name, value in options.items()
    }
    with pytest.raises(error, match=word):
        open_task("some/model", **given)


# --- what sections inherit -------------------------------------------------------------------------------------------


def test_finds_own_questions_are_the_default_with_their_part_of_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []

    def load(name: str, *, subset: str | None, split: str | None, revision: str | None, **_: Any) -> list[Question]:
        seen.append((name, subset, split, revision))
        return [Question("Why?", ("x",))]

    monkeypatch.setattr("sycolens.tasks.opening.load_questions", load)
    find = {"questions": "mmlu", "subset": "anatomy", "split": "test", "revision": "abc"}
    config = StudyConfig.of({"model": {"name": "some/model"}, "find": find})
    for source in ({}, {"split": "dev"}, {"subset": "law"}, {"questions": "aqua"}, {"questions": "mmlu"}):
        task_of(config, Source(**source))
    assert seen == [
        ("mmlu", "anatomy", "test", "abc"),
        ("mmlu", "anatomy", "dev", "abc"),
        ("mmlu", "law", "test", "abc"),
        ("aqua", None, None, None),
        ("mmlu", None, None, None),
    ]


def test_the_world_is_inherited_without_the_split_that_found_the_heads() -> None:
    config = StudyConfig.of({"find": {"split": "validation"}})
    assert task_of(config, Source()) == World()
    assert task_of(config, config.find) == World("validation")
    assert task_of(config, EvaluationSource(split="held_out")) == World("held_out")


def test_pairs_are_the_default_too_and_questions_take_their_place(quiz: Path, tmp_path: Path) -> None:
    path = organism.pairs("train", 2).save(tmp_path / "pairs")
    config = StudyConfig.of({"find": {"pairs": str(path)}})
    assert task_of(config, Source()) == UserFiles(path)
    assert isinstance(task_of(config, Source(questions=str(quiz))), QuestionSet)
    plain = StudyConfig.of({"model": {"name": "some/model", "template": "plain"}, "find": {"questions": str(quiz)}})
    with pytest.raises(PairError, match="template"):
        task_of(plain, Source(questions="organism"))
