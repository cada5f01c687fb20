"""Fixtures shared by all rooms: tiny models of every block kind, made once a session and loaded offline."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
# Also for the processes that tests start: tiny models gain nothing from threads, and lose much to those that spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
# A busy machine is no fault of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="module")
def _what_lives_on_is_not_searched_for_garbage() -> None:
    """Every training ends in a full collection, which would walk all modules and shared models again: seconds each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A checkpoint directory of a kind in tests/tiny.py."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = tiny.make_checkpoint(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return make


@pytest.fixture(scope="session")
def tiny_model(checkpoint: Callable[[str], Path]) -> Callable[..., Any]:
    """A loaded tiny model of a kind, shared by the tests that do not change it."""
    from sycolens import load_model

    loaded: dict[tuple[str, str], Any] = {}

    def load(kind: str, backend: str = "bridge") -> Any:
        if (kind, backend) not in loaded:
            loaded[kind, backend] = load_model(checkpoint(kind), backend=backend)  # type: ignore[arg-type]
        return loaded[kind, backend]

    return load


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished small study; not to be changed."""
    import small_study

    from sycolens.runs import Study

    directory = tmp_path_factory.mktemp("studies") / "small"
    Study(directory, small_study.config()).run(progress=False)
    return directory
