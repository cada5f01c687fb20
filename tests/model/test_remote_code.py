"""Code that comes with a checkpoint is not run, and nobody is asked whether to run it, on any path."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tiny import BACKENDS
from typer.testing import CliRunner

from sycolens import HeadAdapter, HeadSet, PinpointConfig, load_model, pinpoint
from sycolens.cli import app
from sycolens.errors import ModelError
from sycolens.model.loading import load_hugging_face
from sycolens.runs.estimate import shape_and_size
from sycolens.runs.opening import begin_study

Load = Callable[..., Any]
CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Path({marker!r}).write_text("it ran")
class Config(LlamaConfig): model_type = "unheard_of"
class Model(LlamaForCausalLM): config_class = Config
class InternLM2ForCausalLM(Model): pass
class Tokenizer(PreTrainedTokenizerFast): pass
"""
MODEL = {"auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
TOKENIZER = {"auto_map": {"AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"]}, "tokenizer_class": "Tokenizer"}
ASKS = {
    "model": {"config": {**MODEL, "model_type": "unheard_of"}},
    "tokenizer": {"tokenizer_config": TOKENIZER},
    "both, of a known type": {"config": MODEL, "tokenizer_config": {**TOKENIZER, "trust_remote_code": True}},
    # Of these TransformerLens imports a file of the checkpoint's own, unless stopped.
    "architecture": {"config": {"architectures": ["InternLM2ForCausalLM"]}},
    "original architecture": {"config": {"original_architecture": "InternLM2ForCausalLM"}},
}
"""How the files of a checkpoint ask for its code."""
PATHS: dict[str, Load] = {
    **{backend: lambda place, backend=backend: load_model(place, backend=backend) for backend in BACKENDS},
    "plain": load_hugging_face,
    "estimate": lambda place: shape_and_size(str(place)),
    "find": lambda place: typed("find", "--model", place, "--questions", "organism", "--out", place / "out"),
    "organism measure": lambda place: typed("organism", "measure", place, "--n", 1),
    "study": lambda place: dry_run(place),
    "export": lambda place: exported(place),
}


def typed(*arguments: object) -> None:
    """A command, with "y" on its standard input."""
    CliRunner().invoke(app, [str(argument) for argument in arguments], input="y\n" * 20)


def dry_run(place: Path) -> None:
    begin_study(place / "study", model=str(place))
    typed("study", place / "study", "--dry-run")


def exported(place: Path) -> None:
    with pinpoint(load_model("organism"), PinpointConfig(HeadSet(["L1H1"]))) as tuned:
        HeadAdapter.of(tuned).save(place / "adapter")
    typed("export", place / "adapter", "--base", place, "--out", place / "out")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ask", ASKS)
def test_code_that_comes_with_a_checkpoint_is_not_run(
    ask: str, path: str, checkpoint: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, marker = tmp_path / "checkpoint", tmp_path / "marker"
    shutil.copytree(checkpoint("llama-gqa"), place)
    for name in ("code", "modeling_internlm2"):
        (place / f"{name}.py").write_text(CODE.format(marker=str(marker)))
    for name, settings in ASKS[ask].items():
        file = place / f"{name}.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append(str(words)) or "y")
    with suppress(ModelError):  # as it may be that it can be loaded without
        PATHS[path](place)
    assert not marker.exists()
    assert not asked


@pytest.mark.parametrize("ask", ["model", "architecture"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_cannot_be_loaded_without_its_code_is_named(
    backend: str, ask: str, checkpoint: Load, tmp_path: Path
) -> None:
    place = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("llama-gqa"), place)
    file = place / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **ASKS[ask]["config"]}))
    with pytest.raises(ModelError, match=r"code|InternLM2ForCausalLM"):
        load_model(place, backend=backend)  # type: ignore[arg-type]
