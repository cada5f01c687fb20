"""``sycolens export`` as a user sees it: a checkpoint like the one that Python writes, and early refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from terminal import message_of, run

from sycolens import HeadAdapter, HeadSet, PinpointConfig, load_model, pinpoint


def trained(base: str | Path, folder: Path) -> HeadAdapter:
    """An adapter in a directory, its heads far from the base's."""
    with pinpoint(load_model(base), PinpointConfig(HeadSet(["L1H1"]))) as tuned:
        tuned.load_state({name: value + 0.5 for name, value in tuned.state().items()})
        adapter = HeadAdapter.of(tuned)
    adapter.save(folder)
    return adapter


@pytest.fixture
def adapter(tmp_path: Path) -> HeadAdapter:
    return trained("organism", tmp_path / "adapter")


def test_the_checkpoint_is_the_one_that_python_writes(adapter: HeadAdapter, tmp_path: Path) -> None:
    done = run("export", tmp_path / "adapter", "--out", tmp_path / "tuned")
    assert done.exit_code == 0, done.stderr
    assert f"Written to {tmp_path / 'tuned'}" in done.stdout
    due = adapter.export("organism", tmp_path / "due")
    assert sorted(path.name for path in due.iterdir()) == sorted(path.name for path in (tmp_path / "tuned").iterdir())
    for path in due.iterdir():
        assert path.read_bytes() == (tmp_path / "tuned" / path.name).read_bytes(), path.name
    done = run("export", tmp_path / "adapter", "--out", tmp_path / "half", "--dtype", "bfloat16")
    assert {value.dtype for value in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.bfloat16}


def test_another_base_is_told_but_taken(
    checkpoint: Callable[[str], Path], tmp_path: Path, adapter: HeadAdapter
) -> None:
    done = run("export", tmp_path / "adapter", "--out", tmp_path / "tuned", "--base", checkpoint("llama"))
    assert done.exit_code == 2
    assert "TuningError: " in message_of(done)
    assert "another shape than organism" in message_of(done)
    assert not (tmp_path / "tuned").exists()
    retrained = adapter.export("organism", tmp_path / "retrained")
    done = run("export", tmp_path / "adapter", "--out", tmp_path / "tuned", "--base", retrained)
    assert done.exit_code == 0
    assert "Warning: retrained has other weights" in message_of(done)
    assert (tmp_path / "tuned" / "model.safetensors").is_file()


def test_an_adapter_does_not_choose_what_is_loaded(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = checkpoint("llama")
    with pinpoint(load_model(base), PinpointConfig(HeadSet(["L1H1"]))) as tuned:
        for name in ("some/model", base.name, str(base)):
            HeadAdapter.of(tuned, base=name).save(tmp_path / "adapter")
            monkeypatch.chdir(base.parent)
            done = run("export", tmp_path / "adapter", "--out", tmp_path / "tuned")
            assert done.exit_code == 2
            assert "ModelError" in message_of(done)
            assert f"{name!r}" in message_of(done)
            assert "--base" in message_of(done)
            assert not (tmp_path / "tuned").exists()
    done = run("export", tmp_path / "adapter", "--base", base, "--out", tmp_path / "tuned")
    assert done.exit_code == 0, done.stderr


def test_what_cannot_be_read_or_written_is_named(adapter: HeadAdapter, tmp_path: Path) -> None:
    for place, out, words in (
        (tmp_path, tmp_path / "tuned", "SavedFileError"),
        (tmp_path / "adapter", tmp_path / "adapter", "RunError"),
    ):
        done = run("export", place, "--out", out)
        assert done.exit_code == 2
        assert words in message_of(done)


def test_an_adapter_goes_to_one_place(adapter: HeadAdapter, tmp_path: Path) -> None:
    for options, error in (
        ((), "TuningError"),
        (("--out", tmp_path / "tuned", "--push", "owner/name"), "TuningError"),
        (("--push", "owner/name", "--dtype", "bfloat16"), "TuningError"),
        (("--out", tmp_path / "tuned", "--private"), "TuningError"),
        (("--out", tmp_path / "tuned", "--license", "mit"), "TuningError"),
        (("--push", "owner/name"), "HubError"),  # tests run offline
    ):
        done = run("export", tmp_path / "adapter", *options)
        assert done.exit_code == 2
        assert error in message_of(done)
        assert not (tmp_path / "tuned").exists()


def test_the_help_comes_without_torch() -> None:
    code = (
        "import sys; from sycolens.cli import app; from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['export', '--help']).exit_code == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
