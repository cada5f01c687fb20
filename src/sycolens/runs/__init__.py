"""Runs: find, verify, tune and measure one model in a directory that a kill cannot spoil."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sycolens.runs.config import StudyConfig
from sycolens.runs.stage import Stage, State
from sycolens.runs.study import Study

if TYPE_CHECKING:
    from sycolens.runs.results import Measured, StudyResults

__all__ = ["Measured", "Stage", "State", "Study", "StudyConfig", "StudyResults"]


def __getattr__(name: str) -> Any:
    # Results bring torch, which settings and states do not need.
    if name in ("Measured", "StudyResults"):
        return getattr(import_module("sycolens.runs.results"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
