"""Texts for the drift, from any file of texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from sycolens.tasks.eval_sets import read_texts

from sycolens.errors import ExampleError


def test_a_line_is_a_text_whatever_breaks_stand_in_it(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("One\u2028line.\n\n  \nAnother.\n", encoding="utf-8")
    assert read_texts(path) == ("One\u2028line.", "Another.")


def test_rows_of_json_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"id": 1, "text": "Hello\\nworld"}\n{"id": 2, "text": "Again"}\n')
    assert read_texts(path) == ("Hello\nworld", "Again")


@pytest.mark.parametrize("row", ["Hello", '{"words": "Hello"}', '["Hello"]', '{"text": 3}', '{"text": " "}'])
def test_rows_without_a_text_are_refused(row: str, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(f'{{"text": "Hello"}}\n{row}\n')
    with pytest.raises(ExampleError, match=r"texts\.jsonl"):
        read_texts(path)
