"""Settings as text: a TOML file, or ``section.key=value`` on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import PlainSerializer, PlainValidator

from sycolens.errors import StudyError
from sycolens.prompts.behavior import Behavior

AUTO: Final = "auto"
"""The behavior that looking at replies proposes."""


def read_toml(path: str | Path) -> dict[str, Any]:
    """A TOML file.

    Raises:
        StudyError: it cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} cannot be read as settings: {error}.") from error
    return parse_toml(text, where=str(path))


def parse_toml(text: str, *, where: str) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        StudyError: it is none.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise StudyError(
            f"{where} cannot be read as settings: {error}. 'sycolens init' writes a file to start from."
        ) from error


def parse_settings(given: Iterable[str]) -> dict[str, Any]:
    """Settings that are written as ``section.key=value``, with the value as in TOML; a bare word is a text.

    Raises:
        StudyError: one is not of this form, or the same is given twice.

    >>> parse_settings(["find.n=50", "model.name=organism", "tune.methods=['spt', 'sft']"])
    {'find': {'n': 50}, 'model': {'name': 'organism'}, 'tune': {'methods': ['spt', 'sft']}}
    """
    found: dict[str, Any] = {}
    for each in given:
        place, equals, value = each.partition("=")
        *sections, key = (part.strip() for part in place.split("."))
        if not equals or not key or not all(sections):
            raise StudyError(f"{each!r} sets nothing; write section.key=value, such as find.n=50.")
        home = found
        for section in sections:
            home = home.setdefault(section, {})
            if not isinstance(home, dict):
                raise StudyError(f"{each!r} goes into {section}, which was given a value before.")
        if key in home:
            raise StudyError(f"{place.strip()} is given twice; give it once.")
        home[key] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text


def in_words(error: Any, sections: Mapping[str, Any]) -> str:
    """What is wrong with a setting, from pydantic's account of it; ``sections`` are the fields of all settings."""
    place = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        section = str(error["loc"][0]) if len(error["loc"]) > 1 else ""
        known = sections[section].annotation.model_fields if section in sections else sections
        return f"{place} is no setting; there are {', '.join(known)}"
    if error["type"] == "missing":
        return f"{place} is missing"
    # An address may hold a password.
    shown = "..." if error["loc"][-1:] == ("base_url",) else repr(error["input"])
    shown = shown if len(shown) <= 200 else f"{shown[:200]}..."
    return f"{place} = {shown}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _behavior(given: Any) -> Behavior | Literal["auto"]:
    """A behavior from a table of the settings, or from the file that they name; "auto" stands for itself."""
    if given == AUTO:
        return AUTO
    if isinstance(given, str):
        return Behavior.read(given)
    if isinstance(given, Mapping):
        return Behavior.from_dict(given)
    if isinstance(given, Behavior):
        return given
    raise ValueError('give a table, the name of a behavior file, or "auto"')


def _behavior_as_given(behavior: Behavior | Literal["auto"]) -> Any:
    return behavior.to_dict() if isinstance(behavior, Behavior) else behavior


BehaviorSection = Annotated[Behavior | Literal["auto"], PlainValidator(_behavior), PlainSerializer(_behavior_as_given)]
