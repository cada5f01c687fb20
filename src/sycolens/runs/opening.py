"""From a command to a study: settings on the command line become part of study.toml, which stays the only record."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from sycolens.choices import EMBEDDED
from sycolens.errors import StudyError
from sycolens.runs.config import CONFIG, StudyConfig
from sycolens.runs.study import Study
from sycolens.storage import write_text


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
    write_text(path, _template(model, directory))
    return path


def open_study(directory: str | Path, changes: Mapping[str, Any]) -> Study:
    """The study in a directory with some settings changed; a new one where there is none yet.

    ``changes`` are nested dictionaries, as :func:`sycolens.runs.settings.parse_settings` gives them. They are written
    into ``study.toml`` when the study is run, its comments kept.

    Raises:
        StudyError: the settings cannot be read, or something in them is unknown or out of range.

    >>> open_study("no/such/directory", {"find": {"n": 50}}).config.find.n
    50
    """
    path = Path(directory).expanduser() / CONFIG
    if is_begun := path.is_file():
        StudyConfig.read(path)
        text = path.read_text(encoding="utf-8")
    else:
        text = _template(str(_in(changes, "model").get("name", "organism")), directory)
    if changes:
        try:
            document = tomlkit.parse(text)
            if not is_begun and "pairs" in _in(changes, "find"):
                # The template's questions, which nobody asked for.
                _in(document, "find").pop("questions", None)
            _put(document, changes)
            text = tomlkit.dumps(document)
            text.encode()  # a name of a file that is no UTF-8 cannot be written there
        except (TOMLKitError, ValueError, RecursionError) as error:
            raise StudyError(f"{path} cannot be changed: {error}.") from error
    return Study(directory, text=text)


def _template(model: str, directory: str | Path) -> str:
    if any(mark in model for mark in '"\\\n') or not model.isprintable():
        raise StudyError(f"model={model!r} is no name that a TOML file can hold; give a hub name or a directory.")
    name = "organism" if model in EMBEDDED else "model"
    text = (files("sycolens.runs") / "templates" / f"{name}.toml").read_text(encoding="utf-8")
    return text.format(model=model, directory=directory)


def _in(settings: Any, section: str) -> Any:
    found = settings.get(section)
    return found if isinstance(found, Mapping) else {}


def _put(place: Any, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, Mapping):
            if not isinstance(place.get(name), Mapping):
                place[name] = tomlkit.table()
            _put(place[name], value)
        else:
            place[name] = value
