"""Export the tuned model as a Hugging Face checkpoint that needs no sycolens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sycolens.errors import NotFiniteError, RunError
from sycolens.model.loading import load_hugging_face, parse_dtype
from sycolens.storage import draft_beside
from sycolens.tune.pinpoint import Pinpoint


def export_merged(
    base: str | Path,
    directory: str | Path,
    *,
    apply: Callable[[Any], Pinpoint],
    tuned_in: torch.dtype,
    dtype: str | torch.dtype | None,
) -> Path:
    """Load a base anew as a Hugging Face model, let ``apply`` attach tuned heads to it, and save it with them merged.

    They are merged in the type that they were tuned in, and saved in ``dtype`` (by default the same).

    Raises:
        RunError: the directory holds something, or cannot be written.
        ModelError: the base cannot be loaded, or ``dtype`` is no floating-point type.
        NotFiniteError: a weight is NaN or infinite, or would be in ``dtype``.
    """
    place = Path(directory).expanduser().resolve()
    saved_in = tuned_in if dtype is None else parse_dtype(dtype)
    with draft_of(place) as draft:
        model, tokenizer = load_hugging_face(base, dtype=tuned_in)
        apply(model).merge()
        model.to(saved_in)
        if odd := [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]:
            raise NotFiniteError(
                f"{odd[0]} holds NaN or infinity in {saved_in} ({len(odd)} weights do), so nothing is written. Export "
                "in a wider dtype, or check the base's weights."
            )
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
    return place


@contextmanager
def draft_of(place: Path) -> Iterator[Path]:
    """A directory beside ``place`` that takes its name if the body ends well, and vanishes if not."""
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise RunError(f"{place} exists already, so nothing is written there; choose another directory.")
        draft = draft_beside(place)
        draft.mkdir(parents=True)
    except OSError as error:
        raise RunError(f"{place} cannot be written: {error}") from error
    try:
        yield draft
        try:
            os.replace(draft, place)
        except OSError as error:
            raise RunError(f"{place} cannot be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
