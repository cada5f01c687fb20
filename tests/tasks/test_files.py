"""The user's own files are read as they are written, and what cannot be read is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sycolens import organism
from sycolens.errors import ExampleError, PairError
from sycolens.prompts.training_example import TrainingExample
from sycolens.tasks import HeldOut, UserFiles, open_task, read_examples, read_texts

CHAT = {"messages": [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good morning!"}]}


@pytest.fixture
def tokenizer() -> Any:
    return organism.load_tokenizer()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: object, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return path

    return write


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_saved_pairs_come_back_whole_or_in_disjoint_draws(tokenizer: Any, tmp_path: Path) -> None:
    pairs = organism.pairs("train", 6, tokenizer=tokenizer)
    task = UserFiles(pairs.save(tmp_path / "pairs"))
    assert task.pairs(tokenizer, n=None, seed=0) == (pairs,)
    first, second = task.pairs(tokenizer, n=3, seed=0, draws=2)
    assert set(first.ids) | set(second.ids) == set(pairs.ids)
    assert first.texts[0] in pairs.texts
    with pytest.raises(PairError, match="6"):
        task.pairs(tokenizer, n=4, seed=0, draws=2)


def test_records_in_the_authors_format_are_read(tokenizer: Any, write: Callable[..., Path]) -> None:
    pairs = organism.pairs("train", 2, tokenizer=tokenizer)
    lines = [
        {"id": k, "reference_data": x_r, "counterfactual_data": x_c, "record_tokens": list(words)}
        for k, ((x_r, x_c), words) in enumerate(zip(pairs.texts, pairs.label_words, strict=True))
    ]
    (read,) = UserFiles(write(*lines)).pairs(tokenizer, n=None, seed=0)
    assert read.fingerprint == pairs.fingerprint


def test_pairs_judge_nothing_and_teach_nothing(tokenizer: Any, tmp_path: Path) -> None:
    task = UserFiles(organism.pairs("train", 2, tokenizer=tokenizer).save(tmp_path / "pairs"))
    held_out = HeldOut("pairs", ())
    for ask in (
        lambda: task.questions(frozenset(), n=2, seed=0),
        lambda: task.eval_set(held_out, tokenizer, texts=(), seed=0),
        lambda: task.eval_sets(held_out, tokenizer, n_validation=1, n=1, texts=(), seed=0),
    ):
        with pytest.raises(PairError, match="pairs"):
            ask()
    with pytest.raises(ExampleError, match="pairs"):
        task.examples(tokenizer, (), n=None, seed=0)


# --- dialogues -------------------------------------------------------------------------------------------------------


def test_dialogues_are_read_as_they_are_written(write: Callable[..., Path], tokenizer: Any) -> None:
    twice = {"messages": [*CHAT["messages"], *CHAT["messages"]], "taught": [3]}
    path = write(CHAT, "", twice)
    first, second = read_examples(path)
    assert first == TrainingExample.from_messages(CHAT["messages"])
    assert (second.taught, len(second.dialogue.turns)) == ((3,), 4)
    plain = write({"messages": [{"role": "assistant", "content": "Well."}]}, name="plain.jsonl")
    task = open_task("some/model", questions=str(path), rehearsal=str(plain))
    drawn = task.examples(tokenizer, (), n=1, seed=1)
    assert drawn[0] in (first, second)
    assert drawn[1:] == read_examples(plain)
    with pytest.raises(ExampleError, match=r"2 .* 3"):
        task.examples(tokenizer, (), n=3, seed=0)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("Hello!", "line 1"),
        ("[1]", "messages"),
        ('{"messages": "Hello!"}', "messages"),
        ('{"messages": []}', "turns"),
        ('{"messages": [{"role": "user"}]}', "content"),
        ('{"messages": [{"role": "user", "content": "Hello!"}]}', "assistant"),
        ('{"messages": [{"role": "user", "content": "Hello!"}], "taught": [0]}', "assistant"),
        ('{"messages": [{"role": "user", "content": "Hello!"}], "taught": "0"}', "'0'"),
        ('{"messages": [{"role": "user", "content": "Hello!"}], "taught": [true]}', "True"),
        (f"{json.dumps(CHAT)}\n{'[' * 100_000}", "line 2"),
        ("", "holds no"),
    ],
)
def test_a_line_that_is_no_dialogue_is_named(content: str, word: str, write: Callable[..., Path]) -> None:
    with pytest.raises(ExampleError, match=word):
        read_examples(write(content))


# --- texts -----------------------------------------------------------------------------------------------------------


def test_a_line_is_a_text_whatever_breaks_stand_in_it(write: Callable[..., Path]) -> None:
    path = write("One\u2028line.\n\n  \nAnother.\n", name="texts.txt")
    assert read_texts(path) == ("One\u2028line.", "Another.")
    rows = write({"id": 1, "text": "Hello\nworld"}, {"id": 2, "text": "Again"})
    assert read_texts(rows) == ("Hello\nworld", "Again")


@pytest.mark.parametrize("row", ["Hello", '{"words": "Hello"}', '["Hello"]', '{"text": 3}', '{"text": " "}'])
def test_a_row_without_a_text_is_refused(row: str, write: Callable[..., Path]) -> None:
    with pytest.raises(ExampleError, match=r"texts\.jsonl"):
        read_texts(write({"text": "Hello"}, row, name="texts.jsonl"))


# --- whatever lies there ---------------------------------------------------------------------------------------------


SYSTEM = {"role": "system", "content": "Be brief."}
LONGER = [SYSTEM, *CHAT["messages"], {"role": "user", "content": "And now?"}]
REPLY = [{"role": "assistant", "content": "Good night!"}]


@pytest.mark.parametrize("kind", [list, iter, Dataset.from_list, pandas.DataFrame])
def test_the_conversational_forms_of_trl_are_read_from_tables_and_files(kind: Any, write: Callable[..., Path]) -> None:
    """A completion is taught, and no reply of its prompt."""
    for rows, taught in (
        ([{"messages": [*LONGER, *REPLY]}, CHAT], [(2, 4), (1,)]),
        ([{"prompt": LONGER, "completion": REPLY}], [(4,)]),
        ([{"messages": [*LONGER, *REPLY], "taught": [4]}, {**CHAT, "taught": None}], [(4,), (1,)]),
    ):
        path = write(*rows)
        found = read_examples(kind(rows))
        assert found == read_examples(path)
        assert [example.taught for example in found] == taught
        assert isinstance(open_task("organism", questions=str(path)), UserFiles)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [CHAT, {"prompt": "Hello!", "completion": " Good morning!"}],
            "row 1 of the given table: there are no messages",
        ),
        ([{"prompt": LONGER, "completion": []}], "teaches no turn"),
        ([{"prompt": LONGER, "completion": [{"role": "tool", "content": "42"}]}], "role='tool'"),
        (["Hello!"], "row 0 of the given table"),
        ([], "the given table holds no dialogues"),
        ({"messages": [CHAT["messages"]]}, "it is a dict of messages"),
    ],
)
def test_a_table_that_holds_no_dialogues_is_named(rows: Any, words: str) -> None:
    with pytest.raises(ExampleError, match=words):
        read_examples(rows)


@pytest.mark.parametrize("read", [read_examples, read_texts])
def test_a_file_that_cannot_be_read_is_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "empty.jsonl").write_text("\n \n")
    for name in ("nowhere.jsonl", "latin.jsonl", "folder.jsonl", "empty.jsonl"):
        with pytest.raises(ExampleError, match=name):
            read(tmp_path / name)


def test_a_file_that_is_too_large_is_not_read(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sycolens.tasks.files.LARGEST", 10)
    for read in (read_examples, read_texts):
        with pytest.raises(ExampleError, match=r"rows\.jsonl"):
            read(write(CHAT))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["user", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["messages", "role", "content", "taught", "text"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode))
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    for read in (read_examples, read_texts):
        try:
            assert read(tmp_path / "rows.jsonl")
        except ExampleError:
            continue
