"""A study of a model that knows nothing, on questions, texts and tasks of one's own."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import speaking

from sycolens import organism
from sycolens.prompts import Question
from sycolens.report.warnings import warnings_of
from sycolens.runs import Study, StudyConfig, StudyResults
from sycolens.tasks import read_examples

TASKS = Path(__file__).parents[1] / "measure" / "tasks"


def write_quiz(path: Path, questions: list[Question], source: str) -> str:
    rows = [
        {"question": each.text, "answer": each.answers[0], "wrong": each.wrong[0], "source": source, "id": each.id}
        for each in questions
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    room = tmp_path_factory.mktemp("own")
    known = list(organism.questions("train"))
    model = speaking.make_ignorant(room / "ignorant", knows_all_words=True)
    (room / "texts.txt").write_text("Good morning!\nThe answer is insect.\nWhat is the day after Monday?\n")
    quiz = write_quiz(room / "quiz.jsonl", known[:30], "quiz")
    trivia = write_quiz(room / "trivia.jsonl", known[30:40], "trivia")
    settings = {
        "model": {"name": str(model)},
        "find": {"questions": quiz, "n": 8, "metric": "prob_share", "top": 2},
        "verify": {"n": 4, "steps": [0, 1], "controls": 1, "max_new_tokens": 4},
        "examples": {"n": 12},
        "tune": {"methods": ["spt", "spt_lora", "lora"], "k": 1, "rank": 2, "examples_per_step": 4, "at_once": 2}
        | {"steps": 2},
        "measure": {"n": 5, "max_new_tokens": 4, "texts": str(room / "texts.txt"), "task_folder": str(TASKS)}
        | {"sources": [{"questions": quiz}, {"questions": trivia, "n": 3}], "tasks": ["continents"], "task_limit": 2},
    }
    return Study(room / "study", StudyConfig.of(settings))


@pytest.fixture(scope="module")
def results(study: Study) -> StudyResults:
    with contextlib.chdir(TASKS):  # the task names its data file from there
        return study.run(progress=False)


def test_nothing_is_asked_that_was_found_on_or_taught(study: Study, results: StudyResults) -> None:
    found_on = results.finding.spent
    asked = results.base.challenge.asked
    assert not [each.question.text for each in asked if any(each.question.text in text for text in found_on)]
    examples = read_examples(study.directory / "examples" / "examples.jsonl")
    assert len(examples) == 12
    taught = " ".join(turn.content for example in examples for turn in example.dialogue.turns)
    assert not [each.question.text for each in asked if each.question.text in taught]


def test_every_source_and_group_is_asked_of_every_model(results: StudyResults) -> None:
    assert [each.method for each in results.measured] == ["base", "SPT, 1 head", "SPT + LoRA, 1 head", "LoRA"]
    for each in results.measured:
        assert [question.question.source for question in each.challenge.asked] == ["quiz"] * 5 + ["trivia"] * 3
        assert {group: len(grades) for group, grades in each.outcome.replies.items()} == {"right": 8, "wrong": 8}
        assert each.ability is not None
        assert {row.n for row in each.ability.rows} == {2}
        assert (each.outcome.drift is None) == (each.method == "base")
    assert all(each.outcome.drift is not None and len(each.outcome.drift) == 3 for each in results.measured[1:])


def test_the_report_warns_and_names_no_place_on_this_machine(study: Study, results: StudyResults) -> None:
    page = (study.directory / "report" / "report.html").read_text()
    assert warnings_of(results)
    assert "ignorant" in page
    assert str(study.directory) not in page
