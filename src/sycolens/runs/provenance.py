"""Which model and which files a run looks at: by the SHA-256 of local ones, by the commit of those on the hub."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sycolens.choices import EMBEDDED
from sycolens.errors import SavedFileError
from sycolens.hub import hub_file
from sycolens.storage import hash_of, read_json, write_text

if TYPE_CHECKING:
    from sycolens.model.hooked import HookedModel

WEIGHTS: Final = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack")
OWN_SETS: Final = {"general": Path(__file__).parents[1] / "data" / "general.toml"}
"""Question sets that come with the library, and the tables that they are made from."""
LARGE: Final = 16 * 2**20
"""Hashes of files from this size on are kept, since hashing them takes a while."""


@dataclass
class FileHashes:
    """SHA-256 of files; of large ones it is kept in a file, and taken again where size or time of change differ."""

    kept_in: Path | None = None
    _known: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kept_in is not None:
            try:
                found = read_json(self.kept_in)
            except SavedFileError:
                found = {}
            items = found.items() if isinstance(found, dict) else ()
            self._known = {name: value for name, value in items if _is_known(value)}

    def of(self, path: Path) -> str:
        """SHA-256 of a file.

        Raises:
            SavedFileError: it cannot be read.
        """
        try:
            state = path.stat()
        except OSError as error:
            raise SavedFileError(f"{path} cannot be read: {error}") from error
        name, mark = str(path.absolute()), [state.st_size, state.st_mtime_ns]
        known = self._known.get(name)
        if known is not None and known[:2] == mark:
            return str(known[2])
        found = hash_of(path)
        self._known[name] = [*mark, found]
        if self.kept_in is not None and state.st_size >= LARGE and self.kept_in.parent.is_dir():
            kept = {each: value for each, value in self._known.items() if value[0] >= LARGE}
            write_text(self.kept_in, json.dumps(kept))
        return found


def _is_known(value: Any) -> bool:
    return isinstance(value, list) and [type(each) for each in value] == [int, int, str]


def weights_of(name: str, revision: str | None, hashes: FileHashes) -> dict[str, Any]:
    """What tells one model's files from another's: hashes of a local checkpoint's, the commit of one on the hub.

    >>> sorted(weights_of("organism", None, FileHashes()))
    ['files']
    """
    place = _place_of(name)
    if place is None:
        repository, _ = hub_file(name) or (name, "")
        return {"commit": commit_of_hub(repository, revision)}
    found = [place] if place.is_file() else place.iterdir()
    files = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
    return {"files": {path.name: hashes.of(path) for path in files}}


def commit_of_hub(name: str, revision: str | None, *, kind: str = "model") -> str | None:
    """The commit that a revision of a repository on the hub stands for; None where that cannot be found out.

    A commit stands for itself. What was fetched before counts where the hub is not to be reached.
    """
    if revision is not None and len(revision) == 40 and all(letter in "0123456789abcdef" for letter in revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    if not HF_HUB_OFFLINE:
        try:
            sha: str | None = HfApi().repo_info(name, revision=revision, repo_type=kind, timeout=10).sha
            return sha
        except Exception:  # whatever a network raises; what was fetched before is looked at instead
            pass
    reference = Path(HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}" / "refs" / (revision or "main")
    try:
        return reference.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


def identity(model: HookedModel, name: str, weights: dict[str, Any]) -> dict[str, Any]:
    """Name, shape and number type of a loaded model, and what its weights are known by."""
    from sycolens.model.hooked import Geometry

    files = {file: digest for file, digest in (weights.get("files") or {}).items() if Path(file).suffix in WEIGHTS}
    return {
        "name": name,
        **{key: value for key, value in asdict(Geometry.of(model)).items() if key != "name"},
        "dtype": str(getattr(model.cfg, "dtype", "unknown")).removeprefix("torch."),
        "backend": type(model).__name__,
        "commit": weights.get("commit"),
        "weights_sha256": files,
    }


def _place_of(name: str) -> Path | None:
    if name in EMBEDDED:
        from sycolens.organism.files import directory

        return directory(EMBEDDED[name])
    place = Path(os.path.expanduser(name))
    return place if place.exists() else None
