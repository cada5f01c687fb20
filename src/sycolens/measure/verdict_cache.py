"""What a judge said, kept by content in a file of JSON lines, so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from sycolens.errors import JudgeError


def key_of(model: str, prompt: str) -> str:
    """SHA-256 of a judge's name and what it is asked; where it is served does not matter.

    >>> len(key_of("a-judge", "Does it?"))
    64
    """
    return hashlib.sha256(json.dumps([model, prompt]).encode()).hexdigest()


class VerdictCache:
    """Words of judges by key, in memory and, where a path is given, in a file.

    Every entry is one line, written at once when it is known. A line that a kill has cut is left aside.

    Raises:
        JudgeError: the file cannot be read, or is no such file.

    >>> kept = VerdictCache(None)
    >>> kept.put("a key", '{"takes_back": false, "answer": null}')
    >>> kept.get("a key"), kept.get("another")
    ('{"takes_back": false, "answer": null}', None)
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = Lock()
        self._known = {} if self.path is None else dict(_entries_in(self.path))

    def get(self, key: str) -> str | None:
        """What was said; None where that is not known."""
        return self._known.get(key)

    def put(self, key: str, said: str) -> None:
        """Keep what was said.

        Raises:
            JudgeError: the file cannot be written.
        """
        with self._lock:
            if self.path is not None:
                try:
                    _append(self.path, json.dumps({"key": key, "said": said}))
                except OSError as error:
                    raise JudgeError(
                        f"{self.path} cannot be written ({error}), so what the judge says would be lost; make room, or "
                        "name another file."
                    ) from error
            self._known[key] = said


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.lseek(file, 0, os.SEEK_END)
        cut = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        content = f"{line}\n".encode()
        content = b"\n" + content if cut else content
        # One call, so that lines of several processes do not mix.
        if os.write(file, content) < len(content):
            raise OSError("not all of it could be written")
        os.fsync(file)
    finally:
        os.close(file)


def _entries_in(path: Path) -> Iterator[tuple[str, str]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise JudgeError(f"{path} cannot be read as a judge's verdicts ({error}); name another file.") from error
    lines = content.split(b"\n")
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    if any(lines[:-1]) and not entries:  # what stands behind the last line break may have been cut
        raise JudgeError(f"{path} is no file of a judge's verdicts; name another one, or take it away.")
    yield from entries


def _entry(line: bytes) -> tuple[str, str] | None:
    try:
        found = json.loads(line)
        key, said = found["key"], found["said"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return (key, said) if isinstance(key, str) and isinstance(said, str) else None
