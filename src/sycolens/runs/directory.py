"""Run directories: written whole or not at all, and never over something that no run wrote."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sycolens.errors import RunError, SavedFileError
from sycolens.storage import versions, write_text

RECORD = "run.json"
TIMES = "times.json"
"""When a run was written and how long it took; all other files are the same bytes whenever the same run is made."""
MADE_FROM = "made_from"
"""Where a record names the run that this one was made from, by the SHA-256 of that one's ``run.json``."""
SETTINGS, UNDER_WAY = "settings.json", "sycolens training"
"""The record of a training that is not finished, and its kind."""


def require_free(directory: str | Path, *, kind: str, overwrite: bool = False) -> Path:
    """The directory, once it is known that a run of this kind may be written there; worth asking before any compute.

    Raises:
        RunError: it is a file, it holds something that no such run wrote, or a former run and ``overwrite`` is False.
    """
    directory = Path(directory).expanduser().resolve()
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file; name a directory for the run.")
    home = next(parent for parent in directory.parents if parent.exists())
    if not home.is_dir() or not os.access(home, os.W_OK):
        raise RunError(f"{directory} cannot be made: {home} is not a directory that may be written to.")
    if not directory.exists() or not any(directory.iterdir()):
        return directory
    written = _files_of(directory, kind)
    if written is None:
        raise RunError(
            f"{directory} holds files but is no finished run of '{kind}', so nothing is written there; choose another "
            "directory."
        )
    if not overwrite:
        raise RunError(f"{directory} holds a former run; replace it with overwrite (--overwrite), or choose another.")
    if others := sorted(_names(directory) - written - {RECORD, TIMES} - _made_from(directory)):
        raise RunError(
            f"{directory} holds {others[0]}, which the former run did not write, so it is not replaced; move that away."
        )
    return directory


@contextmanager
def whole_directory(
    directory: str | Path, *, kind: str, record: Mapping[str, Any], overwrite: bool = False
) -> Iterator[Path]:
    """An empty draft directory to fill; it takes the place of ``directory`` if the body ends well, and vanishes if not.

    A ``run.json`` is added: the kind, ``record``, versions, and the SHA-256 of every other file. What ``record`` says
    under "seconds" goes into ``times.json`` instead, with the time of day.

    Raises:
        RunError: as :func:`require_free`, or the directory cannot be written.
    """
    place = require_free(directory, kind=kind, overwrite=overwrite)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    except OSError as error:
        raise RunError(f"{place} cannot be written: {error}") from error
    try:
        yield draft
        files = {name: hash_of(draft / name) for name in sorted(_names(draft))}
        told = {name: value for name, value in record.items() if name != "seconds"}
        _write(draft / RECORD, {"kind": kind, **told, "provenance": versions(), "files": files})
        _write(draft / TIMES, {"written": datetime.now(UTC).isoformat(timespec="seconds"), **_seconds(record)})
        draft.chmod(0o755)
        _put(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_record(directory: str | Path) -> dict[str, Any]:
    """What ``run.json`` says.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    path = Path(directory) / RECORD
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is not the record of a run: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
        raise RunError(f"{path} is not the record of a run.")
    return record


def kind_of(path: Path) -> str | None:
    """The kind that a record names; None if it is no record."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record.get("kind") if isinstance(record, dict) else None


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def require_unaltered(directory: Path, record: Mapping[str, Any], *names: str) -> None:
    """Refuse a run of which some files are not as it wrote them; ``names`` are those below it that matter.

    Raises:
        SavedFileError: a file is missing, cut or altered.
    """
    for file, digest in record["files"].items():
        if file.split("/")[0] in names and not ((path := directory / file).is_file() and hash_of(path) == digest):
            raise SavedFileError(f"{path} was removed, cut or altered after the run was written; run it anew.")


def _seconds(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"seconds": record["seconds"]} if "seconds" in record else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _put(draft: Path, place: Path) -> None:
    try:
        if not place.exists():
            os.replace(draft, place)
            return
        former = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
        os.replace(place, former)
        try:
            os.replace(draft, place)
        except OSError:
            os.replace(former, place)
            raise
    except OSError as error:
        raise RunError(f"{place} cannot be written: {error}") from error
    shutil.rmtree(former, ignore_errors=True)


def _files_of(directory: Path, kind: str) -> set[str] | None:
    """The files that a run of this kind wrote into a directory; None if no such run did."""
    try:
        record = read_record(directory)
    except RunError:
        return None
    return set(record["files"]) if record.get("kind") == kind else None


def _made_from(directory: Path) -> set[str]:
    """The files of runs inside a run that were made from it, or were being made: they go when it goes."""
    found: set[str] = set()
    for path in directory.glob(f"*/{RECORD}"):
        try:
            record = read_record(path.parent)
        except RunError:
            continue
        if record.get(MADE_FROM) == hash_of(directory / RECORD):
            found |= {f"{path.parent.name}/{name}" for name in (RECORD, TIMES, *record["files"])}
    for path in directory.glob(f"*/{SETTINGS}"):
        if kind_of(path) == UNDER_WAY:
            found |= {f"{path.parent.name}/{name}" for name in _names(path.parent)}
    return found


def _names(directory: Path) -> set[str]:
    def one(path: Path) -> bool:
        return path.is_symlink() or not path.is_dir()

    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if one(path)}
