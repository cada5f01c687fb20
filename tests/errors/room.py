"""What it takes to do something wrong: tiny models, a folder, and a few things to spoil."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tiny

from sycolens import QUIET, ContrastPairs, Question, load_model
from sycolens.errors import SycolensError
from sycolens.find import HeadEffects, patch_heads

LABELS = (3, 5)
QUESTION = Question("Who wrote the Critique of Pure Reason?", ("Kant",))


class Room:
    """Where a deed is done."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checkpoint: Callable[[str], Path] = request.getfixturevalue("checkpoint")
        self.model: Callable[..., Any] = request.getfixturevalue("tiny_model")
        self.folder, self.monkeypatch = folder, monkeypatch

    def patch(self, model: Any = None, pairs: ContrastPairs | None = None, **options: Any) -> HeadEffects:
        return patch_heads(model or self.model("llama"), pairs or random_pairs(), compute=QUIET, **options)

    def write(self, *rows: object, name: str = "file.jsonl") -> Path:
        """A file of these rows, as JSON unless they are texts."""
        path = self.folder / name
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return path


Deed = tuple[type[SycolensError], str, Callable[[Room], object]]
"""The error that is due, what is done wrong, and how."""


def random_pairs(n: int = 2) -> ContrastPairs:
    return ContrastPairs.from_tokens(*tiny.random_prompts(n), LABELS)


@cache
def embedded() -> Any:
    """The embedded model, which no deed may change."""
    return load_model("organism")
