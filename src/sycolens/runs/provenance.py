"""Which model a run looked at: its shape, and its weights by hash or revision."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sycolens.model.hooked import Geometry, HookedModel
from sycolens.choices import EMBEDDED
from sycolens.private.modules import commit_of

SMALL = (".json", ".jinja", ".model", ".txt")
LARGEST = 2 * 2**30
"""Larger weights are not hashed: it would take longer than the run."""


def identity(model: HookedModel, name_or_path: str | Path) -> dict[str, Any]:
    """Name, shape, number type, the hub's revision, and a SHA-256 over local weight files up to 2 GiB.

    >>> identity(model, "organism")["n_layers"]
    6
    """
    config = getattr(getattr(model, "original_model", None), "config", None)
    return {
        "name": str(name_or_path),
        **{key: value for key, value in asdict(Geometry.of(model)).items() if key != "name"},
        "dtype": str(getattr(model.cfg, "dtype", "unknown")).removeprefix("torch."),
        "backend": type(model).__name__,
        "revision": commit_of(config),
        "weights_sha256": weights_hash(name_or_path),
    }


def files_of(name_or_path: str | Path) -> dict[str, str]:
    """SHA-256 of a local checkpoint's small files: configuration, tokenizer, chat template. Of others nothing.

    >>> files_of("organism")
    {}
    """
    folder = Path(name_or_path).expanduser()
    if str(name_or_path) in EMBEDDED or not folder.is_dir():
        return {}
    small = sorted(path for path in folder.iterdir() if path.suffix in SMALL and path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in small}


def weights_hash(name_or_path: str | Path) -> str | None:
    """SHA-256 over the weight files of an embedded or local model; None on the hub, and beyond 2 GiB."""
    if str(name_or_path) in EMBEDDED:
        from sycolens import organism

        folder = organism.directory("gqa" if EMBEDDED[str(name_or_path)] == "gqa" else "mha")
    else:
        folder = Path(name_or_path).expanduser()
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not files or sum(file.stat().st_size for file in files) > LARGEST:
        return None
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while block := content.read(2**20):
                digest.update(block)
    return digest.hexdigest()
