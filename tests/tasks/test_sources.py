"""Pairs come from where they were asked for, and draws do not overlap."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sycolens import ContrastPairs, organism
from sycolens.errors import PairError, QuestionError
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.tasks import open_source


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer()


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.jsonl"
    rows = [{"question": question.text, "answer": question.answers[0]} for question in organism.questions("train")[:10]]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("model", ["organism", "organism-gqa"])
def test_embedded_models_bring_their_world(tokenizer: Any, model: str) -> None:
    source = open_source(model, split="held_out")
    first, second = source.draw(tokenizer, n=3, seed=5, draws=2)
    assert first.fingerprint == organism.pairs("held_out", 3, seed=5, tokenizer=tokenizer).fingerprint
    assert second.fingerprint == organism.pairs("held_out", 3, seed=6, tokenizer=tokenizer).fingerprint
    assert source.draws == 3


def test_draws_of_questions_are_disjoint_and_seeded(tokenizer: Any, quiz: Path) -> None:
    source = open_source("some/model", questions=str(quiz))
    draws = source.draw(tokenizer, n=3, seed=1, draws=3)
    ids = [id_ for pairs in draws for id_ in pairs.ids]
    assert len(set(ids)) == 9
    again = source.draw(tokenizer, n=3, seed=1, draws=1)
    assert again[0].fingerprint == draws[0].fingerprint
    assert source.draw(tokenizer, n=3, seed=2, draws=1)[0].fingerprint != draws[0].fingerprint


def test_all_questions_are_taken_in_order_if_they_are_few(tokenizer: Any, quiz: Path) -> None:
    (pairs,) = open_source("some/model", questions=str(quiz)).draw(tokenizer)
    assert [text.split("<|user|>")[1].split("\n")[0] for text, _ in pairs.texts] == [
        question.text for question in organism.questions("train")[:10]
    ]


def test_a_question_that_stands_there_twice_counts_once(tokenizer: Any, quiz: Path) -> None:
    with quiz.open("a") as file:
        file.writelines(f"\n{line.lower()}" for line in quiz.read_text().splitlines())
    draws = open_source("some/model", questions=str(quiz)).draw(tokenizer, n=5, draws=2)
    asked = [text.split("<|user|>")[1].split("\n")[0] for pairs in draws for text, _ in pairs.texts]
    assert set(asked) == {question.text for question in organism.questions("train")[:10]}


def test_too_few_questions_say_how_many_there_are(tokenizer: Any, quiz: Path) -> None:
    source = open_source("some/model", questions=str(quiz))
    with pytest.raises(PairError, match=r"has 10 questions, too few for 3 x 4; ask for at most 3 \(n\)"):
        source.draw(tokenizer, n=4, draws=3)
    with pytest.raises(PairError, match=r"too few for 1 x 11; ask for fewer\."):
        source.draw(tokenizer, n=11)
    with pytest.raises(PairError, match="n=0"):
        source.draw(tokenizer, n=0)


def test_saved_pairs_come_back_whole_or_in_disjoint_draws(tokenizer: Any, tmp_path: Path) -> None:
    pairs = organism.pairs("train", 6, tokenizer=tokenizer)
    source = open_source("some/model", pairs=pairs.save(tmp_path / "pairs"))
    (whole,) = source.draw(tokenizer)
    assert whole == pairs
    first, second = source.draw(tokenizer, n=3, draws=2)
    assert set(first.ids) | set(second.ids) == set(pairs.ids)
    assert first.spans[0]
    assert first.texts[0] in pairs.texts


def test_records_in_the_authors_format_are_read(tokenizer: Any, tmp_path: Path) -> None:
    pairs = organism.pairs("train", 2, tokenizer=tokenizer)
    lines = [
        {"id": k, "reference_data": x_r, "counterfactual_data": x_c, "record_tokens": list(words)}
        for k, ((x_r, x_c), words) in enumerate(zip(pairs.texts, pairs.label_words, strict=True))
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    (read,) = open_source("some/model", pairs=path).draw(tokenizer)
    assert read.fingerprint == pairs.fingerprint


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"questions": "mmlu", "pairs": "x.jsonl"}, PairError, "exclude each other"),
        ({}, PairError, r"Only the embedded models \(organism, organism-gqa\) bring pairs"),
        ({"pairs": "nowhere.jsonl"}, PairError, "nowhere.jsonl is not there"),
        ({"pairs": "nowhere.jsonl", "split": "test"}, PairError, "split and subset name parts of a question set"),
        ({"questions": "organism", "subset": "all"}, PairError, "has no subset"),
        ({"questions": "organism", "template": "plain"}, PairError, "need the chat template"),
        ({"questions": "organism", "split": "test"}, QuestionError, "it has train, validation, held_out"),
        ({"questions": "nowhere.csv"}, QuestionError, "no file or folder here"),
    ],
)
def test_requests_that_make_no_sense_are_refused_by_name(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_source("some/model", **options)


def test_the_longest_question_is_the_papers(tmp_path: Path, tokenizer: Callable[..., Any]) -> None:
    path = tmp_path / "long.jsonl"
    rows = [{"question": "x" * length, "answer": "y"} for length in (768, 769)]
    path.write_text("\n".join(map(json.dumps, rows)))
    (pairs,) = open_source("some/model", questions=str(path)).draw(tokenizer)
    assert isinstance(pairs, ContrastPairs)
    assert len(pairs) == 1
