"""A study of the embedded model that takes seconds, with every kind of stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sycolens.runs import StudyConfig

SETTINGS: dict[str, Any] = {
    "find": {"n": 8, "seeds": 1, "top": 4},
    "verify": {"n": 4, "steps": [0, 2], "controls": 1, "max_new_tokens": 12},
    "examples": {"n": 24, "rehearsal": 2},
    "tune": {
        "methods": ["spt", "random", "sft"],
        "k": 2,
        "draws": 1,
        "examples_per_step": 4,
        "training_configs": {kind: {"steps": 10} for kind in ("spt", "random", "sft")},
    },
    "measure": {"n": 4, "max_new_tokens": 12},
}


def config(**sections: dict[str, Any]) -> StudyConfig:
    """The small study with some settings changed, section by section."""
    return StudyConfig.of(
        {name: {**SETTINGS.get(name, {}), **sections.get(name, {})} for name in {**SETTINGS, **sections}}
    )


def contents(directory: Path) -> dict[str, bytes]:
    """Every result file of a study by name; times and the lock are none."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in ("times.json", ".lock")
    }
