"""What a shell may put in place of a word that is begun: names that options know, and every setting of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

from sycolens.choices import EMBEDDED, KNOWN_SETS


def among(*values: str) -> Callable[[str], list[str]]:
    """The values that begin so.

    >>> among("float32", "float16", "bfloat16")("fl")
    ['float32', 'float16']
    """

    def begun(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return begun


models = among(*EMBEDDED)
"""Those that need no download; a shell goes on with the names of files."""
question_sets = among(*KNOWN_SETS, "organism")
dtypes = among("float32", "bfloat16", "float16")
devices = among("cpu", "cuda", "mps")


def settings(incomplete: str) -> list[str]:
    """Settings as ``--set`` takes them; behind the equals sign the values, where only some are allowed.

    >>> settings("find.m")
    ['find.metric=', 'find.mlps=']
    >>> settings("find.mlps=")
    ['find.mlps=live', 'find.mlps=frozen']
    """
    # It brings pydantic, for which the help need not wait.
    from sycolens.runs.config import StudyConfig

    known = dict(_settings_of(StudyConfig))
    place, equals, value = incomplete.partition("=")
    if equals:
        return [f"{place}={choice}" for choice in _choices(known.get(place)) if choice.startswith(value)]
    return [f"{name}=" for name in known if name.startswith(place)]


def _settings_of(section: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of a section and of those in it, with its type."""
    for name, field in section.model_fields.items():
        inner = [each for each in _parts(field.annotation) if hasattr(each, "model_fields")]
        for each in inner:
            yield from _settings_of(each, f"{before}{name}.")
        if get_origin(field.annotation) is dict and hasattr(get_args(field.annotation)[1], "model_fields"):
            keys, each = get_args(field.annotation)
            for key in get_args(keys):
                yield from _settings_of(each, f"{before}{name}.{key}.")
        elif not inner:
            yield f"{before}{name}", field.annotation


def _choices(kind: Any) -> list[str]:
    found: list[str] = []
    for each in _parts(kind):
        if get_origin(each) is Literal:
            found += map(str, get_args(each))
        elif each is bool:
            found += ["true", "false"]
    return found


def _parts(kind: Any) -> tuple[Any, ...]:
    """The types of a union, or the one that it is."""
    from types import UnionType
    from typing import Union

    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
