"""A result is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sycolens.storage import load_result, provenance, save_result, write_text


def test_tensors_and_fields_come_back(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).view(2, 3).T
    place = save_result(
        tmp_path / "a" / "b", kind="thing", tensors={"x": tensor}, fields={"name": "größe", "k": [1, 2]}
    )
    tensors, fields = load_result(place, kind="thing")
    assert torch.equal(tensors["x"], tensor)
    assert fields == {"name": "größe", "k": [1, 2]}


def test_fields_that_are_no_json_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_result(tmp_path / "x", kind="thing", tensors={"x": torch.zeros(1)}, fields={"bad": object()})
    assert not list(tmp_path.rglob("*.*"))


def test_a_failed_write_keeps_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "note.txt"
    write_text(file, "before")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(file, "after")
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_provenance_names_what_computed_the_numbers() -> None:
    found = provenance()
    assert found["torch"] == torch.__version__
    assert {"sycolens", "transformer-lens", "transformers", "created"} <= found.keys()
