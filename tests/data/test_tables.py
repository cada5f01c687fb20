"""Tables in memory are read as files of the same rows are, with the same errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest
from datasets import Dataset, DatasetDict

from sycolens.data import load_feedback, load_opinions, load_questions
from sycolens.errors import QuestionError
from sycolens.prompts import Question

ROWS: list[dict[str, Any]] = [
    {"question": "Which?", "options": ["Mars", "Vega"], "answer": "Vega", "wrong": None, "id": "x"},
    {"question": "Who?", "options": None, "answer": "Ada", "wrong": ["Bob"], "id": "y"},
]
TABLES = {"rows": list, "generator": iter, "Dataset": Dataset.from_list, "DataFrame": pandas.DataFrame}


@pytest.mark.parametrize("kind", TABLES)
def test_questions_are_those_of_a_file_of_the_same_rows(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps(ROWS))
    assert load_questions(TABLES[kind](ROWS)) == load_questions(path)


@pytest.mark.parametrize("kind", TABLES)
def test_published_forms_keep_their_numbers_and_lists(kind: str) -> None:
    rows = [{"question": f"Which? {k}", "choices": ["Mars", "Vega"], "answer": k} for k in (1, 0)]
    assert [question.answers for question in load_questions(TABLES[kind](rows))] == [("B", "Vega"), ("A", "Mars")]


def test_an_empty_cell_of_a_frame_is_no_word_and_makes_no_number_a_fraction() -> None:
    frame = pandas.DataFrame({"question": ["How many?", "Who?"], "answer": [42, None], "answers": [None, "Ada"]})
    assert [question.answers for question in load_questions(frame)] == [("42",), ("Ada",)]
    with pytest.raises(QuestionError, match="row 1 of the given table: there is no answers or answer"):
        load_questions(frame[["question", "answer"]])


@pytest.mark.parametrize("kind", TABLES)
def test_a_bad_row_is_named_by_its_number_or_left_out(kind: str) -> None:
    rows = [{"question": "Who?", "answer": "Ada"}, {"question": "Who?", "answer": ""}]
    with pytest.raises(QuestionError, match=r"row 1 of the given table: there is no answers or answer"):
        load_questions(TABLES[kind](rows))
    with pytest.warns(UserWarning, match="1 rows were left out"):
        assert load_questions(TABLES[kind](rows), bad_rows="skip") == [Question("Who?", ("Ada",), id="table:0")]
    with pytest.raises(QuestionError, match="sample=3, but the given table gives only 1 questions"):
        load_questions(TABLES[kind](rows[:1]), sample=3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (DatasetDict(train=Dataset.from_list(ROWS)), "it is a DatasetDict of train"),
        ({"question": ["Who?"], "answer": ["Ada"]}, "it is a dict of question, answer"),
        (7, "not iterable"),
        ([], "the given table holds no questions"),
        (["Who?"], "row 0 of the given table: a row is 'Who\\?'"),
    ],
)
def test_what_is_no_table_is_named(given: Any, words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        load_questions(given)


def test_a_table_has_no_split() -> None:
    with pytest.raises(QuestionError, match="the given table is in memory, which has no subset, split or revision"):
        load_questions(ROWS, split="test")


def test_opinions_and_feedback_come_from_tables_too() -> None:
    opinion = {
        "question": "I love cats. Which pet is best?\n (A) A cat\n (B) A dog",
        "answer_matching_behavior": " (A)",
        "answer_not_matching_behavior": " (B)",
    }
    assert load_opinions(Dataset.from_list([opinion]))[0].options == ("A cat", "A dog")
    requests = [
        {
            "prompt": [{"type": "human", "content": f"Comment on the poem.{told}\n\nRoses"}],
            "base": {"dataset": "poems"},
            "metadata": {"prompt_template_type": kind},
        }
        for told, kind in (("", ""), (" I wrote the poem.", "I wrote"))
    ]
    assert [item.framing for item in load_feedback(Dataset.from_list(requests))] == ["I wrote"]
