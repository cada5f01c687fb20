"""GGUF files, as llama.cpp and Ollama keep models: transformers reads them and makes full weights of them again."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.version import Version

from sycolens.errors import ModelError
from sycolens.hub import in_words, way_out


def is_gguf(place: str | Path) -> bool:
    """Whether a name is that of a GGUF file.

    >>> is_gguf("models/chat.Q4_1.gguf"), is_gguf("owner/name")
    (True, False)
    """
    return Path(place).suffix.lower() == ".gguf"


def fetched(repository: str, file: str, revision: str | None) -> Path:
    """A GGUF file of a repository on the hub, downloaded whole into the hub's cache.

    Raises:
        ModelError: it cannot be had.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # whatever the hub and the network raise
        raise ModelError(
            f"{repository}/{file} is no file here, and {file} could not be fetched from {repository} on the hub "
            f"({in_words(error)}). {way_out(error, 'Check the name.')}"
        ) from error


def require_readable(path: Path) -> None:
    """Refuse a file that cannot be read as GGUF, by a look at its first bytes.

    Raises:
        ModelError: it is not there, no GGUF file, or one of several parts; or what reads them is missing.
    """
    import transformers

    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    if start != b"GGUF":
        raise ModelError(
            f"{path} is no GGUF file: it begins with {start!r} instead of b'GGUF'. Download it again, or give a "
            "directory with config.json, weights and tokenizer."
        )
    if re.search(r"-\d+-of-(?!0*1\.)\d+\.gguf$", path.name):
        raise ModelError(f"{path} is one part of several; join them first (llama-gguf-split --merge).")
    if find_spec("gguf") is None:
        raise ModelError(f'{path.name} is read with the package gguf, which is missing: pip install "sycolens[gguf]".')
    if Version(transformers.__version__) < Version("5.17"):  # which mistakes the end token and how words are split
        raise ModelError(
            f"{path.name} needs transformers 5.17 or later, since {transformers.__version__} makes another tokenizer "
            'of it than the file says: pip install "sycolens[gguf]".'
        )


def source_of(place: str | Path) -> tuple[str, dict[str, Any]]:
    """What ``from_pretrained`` of transformers takes to read a checkpoint: a place, and options."""
    if not is_gguf(place):
        return str(place), {}
    path = Path(place).absolute()
    # By its whole path: transformers prefers a file of the same name in the working directory.
    return str(path.parent), {"gguf_file": str(path)}


def dense_weights() -> dict[str, Any]:
    """Options with which transformers makes full weights of a GGUF file, also where it could compute in its blocks."""
    import transformers

    return {"quantization_config": transformers.GgufConfig(dequantize=True)}


def settle(model: Any, place: str | Path) -> None:
    """Let a model read from GGUF be one of full weights, known by its file: it can be trained and saved."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.config.name_or_path = str(place)
