"""Models and question sets from a hub over real HTTP: known by their commit, whole or not there at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chat_llama import make_chat_llama, write_gguf
from hub import Repository, ask, files_of, serve

from sycolens.model.loading import load_hugging_face
from sycolens.runs.estimate import shape_and_size

ROWS = [{"question": f"Is {k} a number?", "answer": "yes", "wrong": ["no"]} for k in range(200)]
ASKED = """
import json
from typer.testing import CliRunner
from sycolens import load_model, load_questions
from sycolens.cli import app
from sycolens.model.loading import load_hugging_face
from sycolens.runs.estimate import shape_and_size

def total(name, **options):
    return sum(parameter.double().sum().item() for parameter in load_model(name, **options).parameters())

def texts(name, **options):
    return [question.text for question in load_questions(name, split="train", **options)]

def study(run, model="owner/chat"):
    command = ["find", run, "--model", model, "--revision", "v1", "--questions", "owner/set", "-n", "4"]
    done = CliRunner().invoke(app, [*command, "--set", "find.split=train", "--set", "find.metric=logit_diff"])
    return [done.exit_code, done.output]

def outcome(case):
    try:
        return eval(case)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

print(json.dumps({case: outcome(case) for case in json.loads(CASES)}))
"""


@dataclass
class Fetched:
    """What became of requests, in a process that may reach the hub, and in a later one."""

    repositories: dict[str, Repository]
    checkpoint: Path
    run: Path
    first: dict[str, Any]
    halves: list[str]
    """Of downloads that broke off, what then looked whole."""
    mended: dict[str, Any]


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetched]:
    folder = tmp_path_factory.mktemp("hub")
    checkpoint, run, home = make_chat_llama(folder / "chat"), folder / "run", folder / "home"
    model, rows = files_of(checkpoint), {"questions.jsonl": "\n".join(map(json.dumps, ROWS)).encode()}
    boxed = {"chat.F32.gguf": write_gguf(checkpoint, folder / "chat.F32.gguf").read_bytes()}
    without = {name: content for name, content in model.items() if name != "model.safetensors"}
    repositories = {
        "models/owner/chat": Repository({"main": model, "v1": {**model, "notes.txt": b"older"}}),
        "models/owner/boxed": Repository({"main": boxed, "v1": {**boxed, "notes.txt": b"older"}}),
        "models/owner/shut": Repository({"main": boxed}, gated=True),
        "models/owner/short": Repository({"main": boxed}, cut={"chat.F32.gguf"}),
        "models/owner/gated": Repository({"main": model}, gated=True),
        "models/owner/lacking": Repository({"main": without}),
        "models/owner/cut": Repository({"main": model}, cut={"model.safetensors"}),
        "datasets/owner/set": Repository({"main": rows}),
        "datasets/owner/gated": Repository({"main": rows}, gated=True),
        "datasets/owner/cut": Repository({"main": rows}, cut={"questions.jsonl"}),
        "datasets/owner/empty": Repository({"main": {"README.md": b"nothing yet"}}),
    }
    first = [
        "total('owner/chat')",
        "total('owner/chat', revision='v1')",
        "total('owner/chat', revision='v9')",
        *(f"{load}('owner/{name}')" for load in LOADS for name in ("gated", "none")),
        *(f"{load}('owner/{name}.gguf')" for load in LOADS for name in ("shut/chat.F32", "none/chat", "boxed/no")),
        "total('owner/boxed/chat.F32.gguf')",
        "total('owner/boxed/chat.F32.gguf', revision='v1')",
        "total('owner/boxed/chat.F32.gguf', revision='v9')",
        "total('owner/short/chat.F32.gguf')",
        "load_model('owner/boxed/chat.F32.gguf').cfg.model_name",
        "load_hugging_face('owner/boxed/chat.F32.gguf')[1].decode([5])",
        "shape_and_size('owner/boxed/chat.F32.gguf')[1]",
        f"study({str(run) + '-boxed'!r}, 'owner/boxed/chat.F32.gguf')",
        "total('owner/lacking')",
        "total('owner/cut')",
        "texts('owner/set')",
        "texts('owner/set', revision='v9')",
        *(f"texts('owner/{name}')" for name in ("gated", "none", "cut", "empty")),
        f"study({str(run)!r})",
    ]
    both = ["total('owner/cut')", "total('owner/short/chat.F32.gguf')", "texts('owner/cut')"]

    def asked(cases: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = ask(f"CASES = {json.dumps(cases)!r}\n{ASKED}", address, home)
        return found

    with serve(repositories) as address:
        begun = asked(first)
        broken = ("cut", "short")
        halves = [path.name for each in broken for path in home.glob(f"hub/*--owner--{each}/snapshots/*/*")]
        for name in ("models/owner/cut", "models/owner/short", "datasets/owner/cut"):
            repositories[name].cut.clear()
        yield Fetched(repositories, checkpoint, run, begun, halves, asked(both))


LOADS = ("total", "load_hugging_face", "shape_and_size")


@pytest.fixture(scope="module")
def sum_of_weights(fetched: Fetched) -> float:
    model, _ = load_hugging_face(fetched.checkpoint)
    return sum(parameter.double().sum().item() for parameter in model.parameters())


def test_a_model_and_a_question_set_are_fetched_by_name(fetched: Fetched, sum_of_weights: float) -> None:
    assert fetched.first["total('owner/chat')"] == pytest.approx(sum_of_weights)
    assert fetched.first["total('owner/chat', revision='v1')"] == pytest.approx(sum_of_weights)
    assert fetched.first["texts('owner/set')"] == [row["question"] for row in ROWS]


def test_a_gguf_file_of_a_repository_is_fetched_by_name(fetched: Fetched, sum_of_weights: float) -> None:
    name = "owner/boxed/chat.F32.gguf"
    assert fetched.first[f"total('{name}')"] == pytest.approx(sum_of_weights)
    assert fetched.first[f"total('{name}', revision='v1')"] == pytest.approx(sum_of_weights)
    assert fetched.first[f"load_model('{name}').cfg.model_name"] == "chat.F32.gguf"
    assert isinstance(fetched.first[f"load_hugging_face('{name}')[1].decode([5])"], str)
    assert fetched.first[f"shape_and_size('{name}')[1]"] == shape_and_size(str(fetched.checkpoint))[1]
    run = Path(f"{fetched.run}-boxed")
    code, output = fetched.first[f"study({str(run)!r}, '{name}')"]
    assert code == 0, output
    recorded = "".join(path.read_text() for path in run.rglob("*.json"))
    assert str(fetched.repositories["models/owner/boxed"].commit("v1")) in recorded
    assert name in recorded


def test_a_run_records_the_commit_of_the_revision_asked_for(fetched: Fetched) -> None:
    code, output = fetched.first[f"study({str(fetched.run)!r})"]
    assert code == 0, output
    recorded = "".join(path.read_text() for path in fetched.run.rglob("*.json"))
    repository = fetched.repositories["models/owner/chat"]
    assert str(repository.commit("v1")) in recorded
    assert str(repository.commit("main")) not in recorded
    assert "owner/chat" in recorded


@pytest.mark.parametrize(
    ("case", "error", "words"),
    [
        *((f"{load}('owner/gated')", "ModelError", "hf auth login") for load in LOADS),
        *((f"{load}('owner/none')", "ModelError", "The hub has none of that name") for load in LOADS),
        ("total('owner/chat', revision='v9')", "ModelError", "name a branch, tag or commit"),
        *((f"{load}('owner/shut/chat.F32.gguf')", "ModelError", "hf auth login") for load in LOADS),
        *((f"{load}('owner/none/chat.gguf')", "ModelError", "The hub has none of that name") for load in LOADS),
        *((f"{load}('owner/boxed/no.gguf')", "ModelError", "A file is missing there") for load in LOADS),
        ("total('owner/boxed/chat.F32.gguf', revision='v9')", "ModelError", "name a branch, tag or commit"),
        ("total('owner/short/chat.F32.gguf')", "ModelError", "call again, and it goes on where it stopped"),
        ("total('owner/lacking')", "ModelError", "model.safetensors"),
        ("total('owner/cut')", "ModelError", "call again, and it goes on where it stopped"),
        ("texts('owner/gated')", "QuestionError", "hf auth login"),
        ("texts('owner/none')", "QuestionError", "Check the name"),
        ("texts('owner/set', revision='v9')", "QuestionError", "name a branch, tag or commit"),
        ("texts('owner/empty')", "QuestionError", "pass a file of your own"),
        ("texts('owner/cut')", "QuestionError", "call again, and it goes on where it stopped"),
    ],
)
def test_what_cannot_be_fetched_is_an_error_that_says_what_to_do(
    fetched: Fetched, case: str, error: str, words: str
) -> None:
    found = fetched.first[case]
    assert str(found).startswith(f"{error}: ")
    assert words in found
    assert "\n" not in found


def test_half_a_download_is_not_taken_as_whole(fetched: Fetched, sum_of_weights: float) -> None:
    assert fetched.halves == ["config.json"]
    assert fetched.mended["total('owner/cut')"] == pytest.approx(sum_of_weights)
    assert fetched.mended["total('owner/short/chat.F32.gguf')"] == pytest.approx(sum_of_weights)
    assert fetched.mended["texts('owner/cut')"] == [row["question"] for row in ROWS]
