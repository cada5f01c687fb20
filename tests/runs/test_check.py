"""What is wrong with a run is named before a model is loaded."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import small_study
import speaking

from sycolens import ContrastPairs, organism
from sycolens.distributed import Processes
from sycolens.errors import (
    AbilityError,
    ExampleError,
    FigureError,
    HeadError,
    ModelError,
    PairError,
    QuestionError,
    StudyError,
    SycolensError,
    TuningError,
)
from sycolens.runs import Study
from sycolens.runs.check import check_study

TASKS = str(Path(__file__).parents[1] / "measure")


@pytest.mark.parametrize(
    ("sections", "error", "word"),
    [
        ({"model": {"name": "no/such/model"}}, ModelError, "no/such/model"),
        ({"model": {"name": "organism", "backend": "hooked", "revision": "x"}}, ModelError, "revision"),
        ({"compute": {"device": "cuda:99"}}, ModelError, "cuda:99"),
        ({"find": {"top": 49}}, HeadError, "49"),
        ({"find": {"top": 48}}, HeadError, "48"),
        ({"find": {"split": "test"}}, QuestionError, "test"),
        ({"verify": {"steps": [4, 2]}}, HeadError, "4, 2"),
        ({"verify": {"steps": [0, 49]}}, HeadError, "49"),
        ({"verify": {"steps": [0, 47]}}, HeadError, "47"),
        ({"verify": {"split": "nonsense"}}, QuestionError, "nonsense"),
        ({"verify": {"split": "train"}}, StudyError, "train"),
        ({"verify": {"questions": "no_quiz.jsonl"}}, QuestionError, "no_quiz.jsonl"),
        ({"examples": {"source": "no_examples.jsonl"}}, SycolensError, "no_examples.jsonl"),
        ({"examples": {"rehearsal": "no_chats.jsonl"}}, ExampleError, "no_chats.jsonl"),
        ({"examples": {"known": True}}, ExampleError, "known"),
        ({"examples": {"concede": 0.25}}, ExampleError, r"0\.25"),
        ({"examples": {"answer": "first"}}, ExampleError, "first"),
        ({"examples": {"openings": {"defend": ["Sure."], "concede": ["Sorry."]}}}, ExampleError, "openings"),
        ({"measure": {"paraphrases": 2}}, StudyError, "paraphrases"),
        ({"tune": {"k": 49}}, HeadError, "49"),
        ({"tune": {"k": 30}}, HeadError, "30"),
        ({"tune": {"mlps": [6]}}, TuningError, "6"),
        ({"tune": {"methods": ["spt_lora"], "rank": 500}}, TuningError, "500"),
        ({"tune": {"methods": ["lora"]}, "model": {"backend": "hooked"}}, TuningError, "HookedTransformer"),
        ({"tune": {"examples_per_step": 9, "at_once": 4}}, TuningError, "9"),
        ({"model": {"dtype": "bfloat16"}}, TuningError, "bfloat16"),
        ({"measure": {"sources": [{"split": "nonsense"}]}}, QuestionError, "nonsense"),
        ({"measure": {"sources": [{"split": "train"}]}}, StudyError, "train"),
        ({"measure": {"sources": [{"questions": "no_set.csv"}]}}, QuestionError, "no_set.csv"),
        ({"measure": {"texts": "no_texts.txt"}}, ExampleError, "no_texts.txt"),
        ({"measure": {"tasks": ["no_task"], "task_folder": TASKS}}, AbilityError, "no_task"),
        ({"measure": {"tasks": ["arc_easy"], "task_folder": "nowhere"}}, AbilityError, "nowhere"),
        ({"report": {"formats": ["pdf"]}}, FigureError, "no browser"),
    ],
)
def test_before_a_model_is_loaded(
    sections: dict[str, Any], error: type[SycolensError], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sycolens.runs.context.load_model", lambda *_, **__: pytest.fail("the model was loaded"))
    monkeypatch.setattr("sycolens.plots.export.save_figure", _has_no_browser)
    with pytest.raises(error, match=word):
        Study(tmp_path / "study", small_study.config(**sections)).run(progress=False)
    assert {path.name for path in (tmp_path / "study").glob("*")} <= {"study.toml", ".lock"}


def test_what_a_method_takes_is_asked_for_before_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else find(name, *rest))
    config = small_study.config(tune={"methods": ["lora"]})
    for group in ("tune", "measure", "sweep"):
        with pytest.raises(TuningError, match=r"sycolens\[peft\]"):
            check_study(config, groups={group})
    check_study(config, groups={"verify"})
    check_study(small_study.config())


def _has_no_browser(*_: object) -> None:
    raise FigureError("There is no browser.")


def write_quiz(path: Path, n: int, *, wrong: bool = True) -> str:
    rows = [
        {"question": each.text, "answer": each.answers[0]} | ({"wrong": each.wrong[0]} if wrong else {})
        for each in organism.questions("train")[:n]
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_a_model_of_ones_own_needs_questions_and_enough_of_them(tmp_path: Path) -> None:
    model = {"name": str(speaking.make_ignorant(tmp_path / "ignorant"))}
    config = small_study.config(model=model, find={"top": 2}, tune={"k": 1}, examples={"rehearsal": None, "n": None})
    with pytest.raises(PairError, match="ignorant"):
        check_study(config)
    quiz = write_quiz(tmp_path / "quiz.jsonl", 13)
    sections: dict[str, Any] = {"model": model, "tune": {"k": 1}, "verify": {"steps": [0, 1]}}
    for n, draws, error in ((8, 1, None), (8, 2, PairError), (10, 1, PairError), (5, 2, PairError)):
        found = {"questions": quiz, "n": n, "draws": draws, "top": 2}
        small = small_study.config(**sections, find=found, examples={"rehearsal": None, "n": 2})
        if error is None:
            check_study(small)
        else:
            with pytest.raises(error, match="13"):
                check_study(small)
            # What is not to be made needs nothing.
            if n * draws <= 13:
                check_study(small, groups={"find"})


def test_a_share_of_examples_that_cannot_be_dealt_is_refused_before_the_model_is_asked(tmp_path: Path) -> None:
    quiz = write_quiz(tmp_path / "quiz.jsonl", 13)
    defended = write_quiz(tmp_path / "defended.jsonl", 13, wrong=False)
    for source, n, concede, error in (
        (defended, 4, 0.5, True),  # no wrong answer is known
        (defended, 4, 0.0, False),
        (quiz, 4, 0.25, False),
        (quiz, 3, 0.25, True),  # not one of three
        (quiz, 1, 0.0, False),
    ):
        config = small_study.config(
            examples={"source": source, "n": n, "concede": concede, "known": True, "rehearsal": None}
        )
        if error:
            with pytest.raises(ExampleError):
                check_study(config)
        else:
            check_study(config)


def test_pairs_of_ones_own_find_heads_but_do_not_judge_them(tmp_path: Path) -> None:
    pairs = ContrastPairs.save(organism.pairs("held_out", 8), tmp_path / "pairs")
    config = small_study.config(find={"pairs": str(pairs)})
    check_study(config, groups={"find"})
    with pytest.raises(PairError, match="pairs"):
        check_study(config)
    judged = {"questions": "organism", "split": "validation"}
    sections: dict[str, Any] = {"verify": judged, "measure": {"sources": [judged]}, "examples": {"source": "organism"}}
    check_study(small_study.config(find={"pairs": str(pairs)}, **sections))


def test_examples_are_dealt_out_evenly() -> None:
    check_study(small_study.config(), Processes(0, 2))
    with pytest.raises(TuningError, match="3"):
        check_study(small_study.config(), Processes(0, 3))
