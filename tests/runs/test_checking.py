"""What is wrong with a study is told before its first stage is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_study
import speaking

from sycolens.errors import SycolensError
from sycolens.runs import Study
from sycolens.runs.check import check_study

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("sections", "name", "words"),
    [
        ({"model": {"name": "no/such/model"}}, "ModelError", "no/such/model"),
        ({"tune": {"k": 49}}, "HeadError", "tune.k = 49, but"),
        ({"tune": {"k": 30}}, "HeadError", "too few others"),
        ({"tune": {"methods": ["spt_lora"], "rank": 500}}, "TuningError", "rank"),
        ({"verify": {"steps": [4, 2]}}, "HeadError", "steps"),
        ({"verify": {"steps": [0, 47]}}, "HeadError", "47"),
        ({"verify": {"split": "nonsense"}}, "QuestionError", "nonsense"),
        ({"measure": {"sources": [{"split": "nonsense"}]}}, "QuestionError", "nonsense"),
        ({"model": {"dtype": "bfloat16"}}, "TuningError", "'sft' trains the model's own weights"),
        ({"model": {"dtype": "bfloat"}}, "ModelError", "bfloat"),
        ({"machine": {"device": "cpu", "device_map": "auto"}}, "ModelError", "exclude each other"),
        ({"find": {"top": 49}}, "HeadError", "find.top = 49, but"),
        ({"tune": {"examples_per_step": 9, "at_once": 4}}, "TuningError", "9 examples a step"),
        ({"find": {"split": "test"}}, "QuestionError", "split='test'"),
        ({"verify": {"questions": "no_quiz.jsonl"}}, "QuestionError", "no_quiz.jsonl"),
        ({"examples": {"source": "no_lessons.jsonl"}}, "ExampleError", "no_lessons.jsonl"),
        ({"measure": {"sources": [{"questions": "no_set.csv"}]}}, "QuestionError", "no_set.csv"),
        ({"measure": {"texts": "no_texts.txt"}}, "ExampleError", "no_texts.txt"),
        ({"measure": {"tasks": ["no_task"], "task_folder": str(HERE.parent)}}, "AbilityError", "no_task"),
        ({"measure": {"tasks": ["arc_easy"], "task_folder": "nowhere"}}, "AbilityError", "nowhere"),
    ],
)
def test_before_any_compute(sections: dict[str, Any], name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SycolensError) as caught:
        Study(tmp_path / "study", small_study.config(**sections)).run(progress=False)
    assert type(caught.value).__name__ == name
    assert words in str(caught.value)
    assert {path.name for path in (tmp_path / "study").glob("*")} <= {"study.toml", ".lock"}


def test_a_model_of_ones_own_needs_questions(tmp_path: Path) -> None:
    config = small_study.config(model={"name": str(speaking.make_ignorant(tmp_path / "ignorant"))}, tune={"k": 1})
    with pytest.raises(SycolensError, match="Name questions"):
        check_study(config)


def test_the_small_study_is_in_order() -> None:
    check_study(small_study.config())
