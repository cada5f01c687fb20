"""A result is written whole or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas
import pytest
import torch

from sycolens.storage import RECORD, TENSORS, load_result, save_result, versions, write_csv, write_text


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


def test_a_record_says_nothing_that_differs_when_the_same_is_saved_again(tmp_path: Path) -> None:
    for directory in ("one", "two"):
        save_result(tmp_path / directory, kind="thing", tensors={"x": torch.ones(2)}, fields={"seed": 3})
    for name in (TENSORS, RECORD):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    record = json.loads((tmp_path / "one" / RECORD).read_text())
    assert record.keys() == {"kind", "fields", "sha256", "provenance"}
    assert (record["fields"], record["provenance"]) == ({"seed": 3}, versions())


def test_versions_name_what_computed_the_numbers() -> None:
    found = versions()
    assert found["torch"] == torch.__version__
    assert found.keys() == {"sycolens", "transformer-lens", "torch", "transformers"}


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd", "-2+3", "@sum", " \t=1", "\n-a", '=HYPERLINK("https://a.b", "c, d")', "-", "- no, it is Paris"],
)
def test_a_text_that_a_spreadsheet_would_run_is_kept_from_it(tmp_path: Path, text: str) -> None:
    write_csv(tmp_path / "replies.csv", pandas.DataFrame({"reply": [text, "Paris = a"], "n": [1, 2]}))
    with (tmp_path / "replies.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["reply", "n"], [f"'{text}", "1"], ["Paris = a", "2"]]


def test_numbers_are_written_as_pandas_writes_them(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "score": torch.tensor([-0.1, 0.3]).numpy(),
            "low": [float("-inf"), float("nan")],
            "mixed": pandas.Series([-1, None], dtype=object),
            "answer": ["-5", " +1.5e-3"],
            "is_right": [True, False],
        }
    )
    write_csv(tmp_path / "heads.csv", frame)
    assert (tmp_path / "heads.csv").read_text() == frame.to_csv(index=False)
    write_csv(tmp_path / "heads.csv", frame.head(0))
    assert (tmp_path / "heads.csv").read_text() == "score,low,mixed,answer,is_right\n"
