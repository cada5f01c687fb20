"""A GGUF file is a model like any other: the same numbers, the same tokens, and no claim to be quantized."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
import torch
from chat_llama import make_chat_llama, write_gguf
from tiny import BACKENDS
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from sycolens import HeadAdapter, HeadSet, PinpointConfig, load_model, pinpoint
from sycolens.cli import app
from sycolens.errors import ModelError
from sycolens.model.checkpoint import read_tokenizer
from sycolens.model.hooked import Geometry
from sycolens.model.loading import load_hugging_face
from sycolens.runs.estimate import shape_and_size
from sycolens.runs.provenance import FileHashes, weights_of

pytest.importorskip("gguf")
TOKENS = torch.tensor([[3, 14, 15, 92, 65, 35]])
CHAT = [{"role": "user", "content": "Are you Sure? 1 + 30 is ünique."}]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_chat_llama(tmp_path_factory.mktemp("models") / "chat")


@pytest.fixture(scope="module")
def file(chat: Path) -> Path:
    return write_gguf(chat, chat.parent / "tiny-chat.F32.gguf")


@pytest.mark.parametrize("backend", BACKENDS)
def test_logits_and_tokens_are_those_of_the_checkpoint_it_was_made_of(chat: Path, file: Path, backend: str) -> None:
    ours, plain = load_model(file, backend=backend), load_model(chat)  # type: ignore[arg-type]
    with torch.no_grad():
        torch.testing.assert_close(ours(TOKENS), plain(TOKENS), atol=1e-5, rtol=0)
    rendered = [
        model.tokenizer.apply_chat_template(CHAT, add_generation_prompt=True)["input_ids"] for model in (ours, plain)
    ]
    assert rendered[0] == rendered[1]
    assert ours.tokenizer.eos_token == "<|im_end|>"
    assert read_tokenizer(ours.tokenizer.name_or_path).get_vocab() == ours.tokenizer.get_vocab()
    assert Geometry.of(ours).name == "tiny-chat.F32.gguf"
    assert not ours.training


def test_dtype_and_device_map_are_as_asked_for(file: Path) -> None:
    model = load_model(file, dtype="bfloat16", device_map="cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_a_tuned_adapter_is_exported_onto_it_in_full_weights(file: Path, tmp_path: Path) -> None:
    model = load_model(file)
    with pinpoint(model, PinpointConfig(HeadSet(["L1H0", "L2H3"]))) as tuned, torch.no_grad():
        for parameter in tuned.parameters.values():
            parameter.add_(0.1)
        expected = model(TOKENS)
        adapter = HeadAdapter.of(tuned)
    assert adapter.base == "tiny-chat.F32.gguf"
    place = adapter.export(file, tmp_path / "out")
    written = AutoModelForCausalLM.from_pretrained(place)
    with torch.no_grad():
        torch.testing.assert_close(written(TOKENS).logits, expected, atol=1e-5, rtol=0)
    assert str(tmp_path) not in "".join(path.read_text() for path in place.glob("*.json"))
    assert "quantization_config" not in json.loads((place / "config.json").read_text())
    assert read_tokenizer(place).apply_chat_template(CHAT) == read_tokenizer(file).apply_chat_template(CHAT)


def test_a_study_finds_heads_in_it_and_records_the_file_by_its_hash(file: Path, tmp_path: Path) -> None:
    digest = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}
    assert weights_of(str(file), None, FileHashes()) == {"files": digest}
    shape, size = shape_and_size(str(file))
    assert shape.name == file.name
    assert size == sum(parameter.numel() for parameter in load_hugging_face(file)[0].parameters())
    rows = [{"question": f"Is {k} a number?", "answer": "yes", "wrong": ["no"]} for k in range(4)]
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps(rows))
    run = tmp_path / "run"
    command = ["find", run, "--model", file, "--questions", questions, "-n", 4, "--set", "find.metric=logit_diff"]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 0, done.output
    recorded = "".join(path.read_text() for path in run.rglob("*.json"))
    assert digest[file.name] in recorded


def test_a_file_of_the_same_name_in_the_working_directory_is_not_read(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / file.name).write_bytes(b"GGUF, but another")
    monkeypatch.chdir(tmp_path)
    assert load_model(file).cfg.n_layers == 3
    monkeypatch.chdir(file.parent)
    assert load_model(file.name).cfg.n_layers == 3


def test_what_is_no_gguf_file_is_named_before_anything_is_loaded(file: Path, tmp_path: Path) -> None:
    pointer, part, cut = (tmp_path / name for name in ("a.gguf", "b-00002-of-00003.gguf", "c.gguf"))
    pointer.write_text("version https://git-lfs")
    part.write_bytes(file.read_bytes())
    cut.write_bytes(file.read_bytes()[:-1000])
    for path, words in (
        (pointer, "begins with b'vers'"),
        (part, "llama-gguf-split --merge"),
        (cut, "could not be loaded"),
        (tmp_path / "none.gguf", "No such file"),
        (str(tmp_path / "none.gguf"), "No such file"),
        (file.parent, r"Name the GGUF file itself: .*tiny-chat.F32.gguf"),
    ):
        with pytest.raises(ModelError, match=words):
            load_model(path)
    with pytest.raises(ModelError, match="revision='v1'"):
        load_model(file, revision="v1")


def test_the_package_that_reads_it_is_named_where_it_is_missing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    for load in (load_model, load_hugging_face, shape_and_size):
        with pytest.raises(ModelError, match=r'pip install "sycolens\[gguf\]"'):
            load(str(file))
    monkeypatch.undo()
    monkeypatch.setattr("transformers.__version__", "5.9.0")
    with pytest.raises(ModelError, match=r"transformers 5\.17 or later, since 5\.9\.0"):
        load_model(file)
