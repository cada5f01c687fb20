"""Directories of results: written whole or not at all, each file with its hash, and never over something foreign."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sycolens.distributed import Processes
from sycolens.errors import RunError, SavedFileError, StudyError
from sycolens.storage import draft_beside, hash_of, read_json, versions, write_text

logger = logging.getLogger(__name__)

RECORD: Final = "run.json"
TIMES: Final = "times.json"
"""When a directory was written and how long it took; all other files are the same bytes whenever it is made."""
SEAL: Final = "sha256"
"""In a record: the SHA-256 of all else that it says."""


def require_free(directory: Path, *, kind: str) -> None:
    """Refuse a place where something lies that no run of this kind wrote; worth asking before any compute.

    Raises:
        RunError: it is a file, it cannot be written, or it holds files that are not in the record of such a run.
    """
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise RunError(f"{directory} is a file or a link; name a directory for the run.")
    home = next((parent for parent in directory.absolute().parents if parent.exists()), None)
    if home is None or not home.is_dir() or not os.access(home, os.W_OK):
        raise RunError(f"{directory} cannot be made: {home} is not a directory that may be written to.")
    if not directory.exists() or not any(directory.iterdir()):
        return
    try:
        record = read_json(directory / RECORD)
    except SavedFileError:
        record = None
    if not isinstance(record, dict) or record.get("kind") != kind:
        raise RunError(f"{directory} holds files but no result of '{kind}', so nothing is written there; move them.")
    written = {RECORD, TIMES, *(record.get("files") or ())}
    if others := sorted(_names(directory) - written):
        raise RunError(f"{directory} holds {others[0]}, which no run wrote, so it is not replaced; move that away.")


@contextmanager
def whole_directory(
    directory: Path, *, kind: str, record: Mapping[str, Any], seconds: float | None = None
) -> Iterator[Path]:
    """An empty draft to fill; it takes the place of ``directory`` if the body ends well, and vanishes if not.

    A ``run.json`` is added: the kind, ``record``, versions, the SHA-256 of every other file and one of its own words.

    Raises:
        RunError: as :func:`require_free`, or the directory cannot be written.
    """
    require_free(directory, kind=kind)
    draft = draft_beside(directory)
    try:
        draft.mkdir(parents=True)
        yield draft
        files = {name: hash_of(draft / name) for name in sorted(_names(draft))}
        content = json.loads(json.dumps({"kind": kind, **record, "provenance": versions(), "files": files}))
        _write(draft / RECORD, {**content, SEAL: _seal(content)})
        _write(draft / TIMES, {"written": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": seconds})
        _put(draft, directory)
    except OSError as error:
        raise RunError(f"{directory} cannot be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_record(directory: Path) -> dict[str, Any]:
    """What ``run.json`` says, once its seal is known to fit.

    Raises:
        SavedFileError: there is none, or it was cut or altered.
    """
    record = read_json(directory / RECORD)
    if not isinstance(record, dict) or not isinstance(record.get("files"), dict) or SEAL not in record:
        raise SavedFileError(f"{directory / RECORD} is not the record of a run.")
    if record.pop(SEAL) != _seal(record):
        raise SavedFileError(f"{directory / RECORD} was altered after it was written.")
    return record


def require_unaltered(directory: Path, record: Mapping[str, Any]) -> None:
    """Refuse a result of which a file is not as it was written.

    Raises:
        SavedFileError: a file is missing, cut or altered.
    """
    for name, digest in record["files"].items():
        path = directory / name
        if not path.is_file() or hash_of(path) != digest:
            raise SavedFileError(f"{path} was removed, cut or altered after it was written.")


def seconds_taken(directory: Path) -> float | None:
    """How long a result took; None where that was not noted."""
    try:
        taken = read_json(directory / TIMES)["seconds"]
    except (SavedFileError, KeyError, TypeError):
        return None
    return float(taken) if isinstance(taken, int | float) else None


def recover(directory: Path) -> None:
    """Undo what a run that was killed left of a replacement: its draft goes, the former result comes back."""
    former = _former(directory)
    if former.exists():
        if directory.exists():
            shutil.rmtree(former, ignore_errors=True)
        else:
            os.replace(former, directory)
            logger.info("%s is as it was before a run that was killed", directory)
    for draft in directory.parent.glob(f".{directory.name}.{'[0-9a-f]' * 12}"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def _former(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.former")


def _put(draft: Path, place: Path) -> None:
    if not place.exists():
        os.replace(draft, place)
        return
    former = _former(place)
    shutil.rmtree(former, ignore_errors=True)
    os.replace(place, former)
    try:
        os.replace(draft, place)
    except OSError:
        os.replace(former, place)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _names(directory: Path) -> set[str]:
    def one(path: Path) -> bool:
        return path.is_symlink() or not path.is_dir()

    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if one(path)}


def is_ours(place: Path, kind: str) -> bool:
    """Whether a run of this kind wrote what lies there."""
    try:
        require_free(place, kind=kind)
    except RunError:
        return False
    return True


def move_aside(place: Path) -> None:
    """Keep a damaged result of which nobody knows what it is, under another name."""
    number = next(
        number for number in range(1, 10_000) if not place.with_name(f"{place.name}.damaged{number}").exists()
    )
    aside = place.with_name(f"{place.name}.damaged{number}")
    place.rename(aside)
    logger.warning("%s is damaged and not recognized as a result; it is kept as %s", place, aside.name)


@contextmanager
def alone_in(directory: Path, processes: Processes) -> Iterator[None]:
    """Keep other runs out of a directory; the lock goes with the process, however it ends.

    Raises:
        StudyError: another run is at it, or the directory cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(directory / ".lock")

    def acquire() -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StudyError(f"Another process is at work on {directory}; wait for it, or end it.") from error
        except OSError as error:
            raise StudyError(f"{directory} cannot be written: {error}") from error

    processes.once(acquire)
    try:
        yield
    finally:
        lock.release()
