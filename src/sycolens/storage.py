"""How results lie on disk: safetensors for the numbers, JSON for the words and where they came from."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from sycolens.errors import SavedFileError
from sycolens.heads import Head

if TYPE_CHECKING:
    import pandas
    import torch

TENSORS = "tensors.safetensors"
RECORD = "record.json"
# What a model wrote may begin like a formula. A text that is a plain number, such as the answer "-5", is harmless.
_FORMULA: Final = re.compile(r"^(?=\s*[=+\-@])(?!\s*[+-]?[\d.]+(?:[eE][+-]?\d+)?\s*$)")


def versions() -> dict[str, str]:
    """Versions of what computes the numbers."""
    found = {}
    for package in ("sycolens", "transformer-lens", "torch", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, with the permissions that the user's umask leaves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_beside(path)
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_beside(path: Path) -> Path:
    """A hidden name next to a path, for what is to take its place once it is whole."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_bytes(path, text.encode())


def write_csv(path: Path, frame: pandas.DataFrame) -> None:
    """Write a table as CSV, whole or not at all, without its index.

    A text that a spreadsheet would run as a formula, since it begins with ``=``, ``+``, ``-`` or ``@`` (after spaces),
    gets an apostrophe in front; numbers stay as they are.
    """
    write_text(path, frame.replace(_FORMULA, "'", regex=True).to_csv(index=False))


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        SavedFileError: it is missing, cannot be read, or holds no JSON that fits into memory and stack.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise SavedFileError(f"{path} is missing.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise SavedFileError(f"{path} cannot be read as JSON ({type(error).__name__}: {error}).") from error


def hash_of(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        SavedFileError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SavedFileError(f"{path} cannot be read: {error}") from error


def save_result(
    directory: str | Path, *, kind: str, tensors: Mapping[str, torch.Tensor], fields: Mapping[str, Any]
) -> Path:
    """Save tensors and JSON-ready fields under a directory; the record is written last and holds the tensors' hash.

    The time is not in it: the same result is the same bytes.
    """
    from safetensors.torch import save

    directory = Path(directory)
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    record = {
        "kind": kind,
        "fields": dict(fields),
        "sha256": hashlib.sha256(content).hexdigest(),
        "provenance": versions(),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    write_bytes(directory / TENSORS, content)
    write_text(directory / RECORD, text + "\n")
    return directory


def load_result(directory: str | Path, *, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and fields that :func:`save_result` wrote.

    Raises:
        SavedFileError: a file is missing, cut or altered, or holds another kind of result.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    directory = Path(directory)
    record = read_json(directory / RECORD)
    try:
        content = (directory / TENSORS).read_bytes()
    except OSError as error:
        raise SavedFileError(f"{directory} holds no saved {kind}: {TENSORS} cannot be read ({error}).") from error
    if not isinstance(record, dict) or not {"kind", "fields", "sha256"} <= record.keys():
        raise SavedFileError(
            f"{directory / RECORD} is not a record that sycolens wrote: it lacks kind, fields or sha256."
        )
    if record["kind"] != kind:
        raise SavedFileError(f"{directory} holds a saved {record['kind']}, not a {kind}.")
    if not isinstance(record["fields"], dict):
        raise SavedFileError(f"{directory / RECORD} is not a record that sycolens wrote: its fields are no mapping.")
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise SavedFileError(f"{directory / TENSORS} was cut or altered after it was saved; make it anew.")
    try:
        return load(content), record["fields"]
    except SafetensorError as error:
        raise SavedFileError(f"{directory / TENSORS} is not a safetensors file: {error}") from error


class SavedResult:
    """A dataclass of tensors, plain values, heads and tuples of them that can be saved and loaded."""

    saved_as: ClassVar[str]
    """The kind of result, for its record."""
    readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    """What makes a field of its JSON, where that is neither a plain value nor a tuple."""
    writers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    """What makes the JSON of a field, where that is not its parts."""

    @property
    def unsaved(self) -> frozenset[str]:
        """Fields that are as they are by default, and are not written."""
        return frozenset()

    def save(self, directory: str | Path) -> Path:
        """Write safetensors and JSON under a directory, whole or not at all."""
        import torch

        names = [field.name for field in fields(self) if field.name not in self.unsaved]  # type: ignore[arg-type]
        values = {name: getattr(self, name) for name in names}
        tensors = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
        words = {name: self.writers.get(name, _as_json)(value) for name, value in values.items() if name not in tensors}
        return save_result(directory, kind=self.saved_as, tensors=tensors, fields=words)

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            SavedFileError: a file is missing, cut, altered, or of another kind.
        """
        tensors, words = load_result(directory, kind=cls.saved_as)
        with saved_file(Path(directory)):
            return cls(**tensors, **{name: cls.readers.get(name, in_tuples)(value) for name, value in words.items()})


def _as_json(value: Any) -> Any:
    if isinstance(value, Head):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {name: _as_json(each) for name, each in value.items()}
    return [_as_json(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def in_tuples(value: Any) -> Any:
    """JSON with its lists as tuples."""
    if isinstance(value, dict):
        return {name: in_tuples(each) for name, each in value.items()}
    return tuple(map(in_tuples, value)) if isinstance(value, list) else value


@contextmanager
def saved_file(directory: Path) -> Iterator[None]:
    """Turn what goes wrong while saved fields are read into one error.

    Raises:
        SavedFileError: a field is missing, or is not what this version writes.
    """
    try:
        yield
    except SavedFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError) as error:
        raise SavedFileError(
            f"{directory} is not as this version writes it ({type(error).__name__}: {error}); make it anew."
        ) from error
