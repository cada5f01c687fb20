"""The settings to start from: a commented file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sycolens.errors import StudyError
from sycolens.choices import EMBEDDED
from sycolens.storage import write_text
from sycolens.runs.config import CONFIG


def begin_study(directory: str | Path, *, model: str = "organism", overwrite: bool = False) -> Path:
    """Write a commented ``study.toml`` for a model into a directory, and give its path.

    Raises:
        StudyError: there is one already, and ``overwrite`` is False.

    >>> import tempfile
    >>> begin_study(tempfile.mkdtemp()).name
    'study.toml'
    """
    path = Path(directory) / CONFIG
    if path.exists() and not overwrite:
        raise StudyError(f"{path} is there already; edit it, replace it (overwrite, --overwrite), or choose another.")
    if any(mark in model for mark in '"\\\n'):
        raise StudyError(f"model={model!r} is no name that a TOML file can hold; give a hub name or a directory.")
    name = "organism" if model in EMBEDDED else "model"
    text = (files("sycolens.runs") / "templates" / f"{name}.toml").read_text(encoding="utf-8")
    write_text(path, text.format(model=model, directory=directory))
    return path
