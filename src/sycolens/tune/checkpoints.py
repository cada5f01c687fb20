"""Checkpoints of a training: the trained parameters and their scope, never the base model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from transformers import TrainerCallback

from sycolens.distributed import count_of_processes
from sycolens.errors import SavedFileError, TuningError
from sycolens.storage import hash_of, read_json, write_bytes, write_text

PARAMETERS: Final = "pinpoint.safetensors"
"""The file with the trained parameters in a checkpoint directory."""
HASHES: Final = "hashes.json"


def save_parameters(directory: str | Path, state: Mapping[str, Tensor], *, scope: str) -> Path:
    """Write trained parameters and their scope as one file; whole or not at all."""
    path = Path(directory) / PARAMETERS
    write_bytes(path, save({name: value.cpu().contiguous() for name, value in state.items()}, {"scope": scope}))
    return path


def load_parameters(directory: str | Path, *, scope: str) -> dict[str, Tensor]:
    """Read what :func:`save_parameters` wrote.

    Raises:
        TuningError: there is no such file, it is cut or altered, or it belongs to another tuning.
    """
    path = Path(directory) / PARAMETERS
    if not path.is_file():
        raise TuningError(f"{directory} is no checkpoint of a tuning: {PARAMETERS} is missing.")
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("scope")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise TuningError(f"{path} cannot be read ({error}); it was cut or altered. Resume from another.") from error
    if found != scope:
        raise TuningError(
            f"{directory} is a checkpoint of another tuning, of {found}; this one is of {scope}. Resume with the same "
            "scope, or train into another directory."
        )
    return state


class HashFiles(TrainerCallback):  # type: ignore[misc]
    """Records the SHA-256 of every file of a finished checkpoint: what is cut or altered is not used."""

    def on_save(self, args: Any, state: Any, control: Any, **context: Any) -> None:
        if state.is_world_process_zero:
            place = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            own = (path for path in sorted(place.iterdir()) if not path.name.startswith("rng_state_"))
            files = {path.name: hash_of(path) for path in own}
            write_text(place / HASHES, json.dumps(files, indent=2) + "\n")


def newest_checkpoint(directory: str | Path) -> Path | None:
    """The newest checkpoint that is as it was written, in the output directory of a training; None if there is none."""
    found = [path for path in Path(directory).glob("checkpoint-*") if path.name.split("-")[1].isdecimal()]
    by_age = sorted(found, key=lambda path: int(path.name.split("-")[1]), reverse=True)
    return next(filter(_is_whole, by_age), None)


def _is_whole(checkpoint: Path) -> bool:
    try:
        files = read_json(checkpoint / HASHES)
        whole = all(hash_of(checkpoint / name) == digest for name, digest in files.items())
    except (SavedFileError, AttributeError, TypeError):
        return False
    # Every process writes its random numbers, and another than the first may be late.
    written = len(list(checkpoint.glob("rng_state_*.pth")))
    return whole and (written == 0 or written >= count_of_processes())
