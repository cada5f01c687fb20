"""Where the embedded model's files lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sycolens.counts import check_choice
from sycolens.errors import OrganismError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Variant = Literal["mha", "gqa"]
"""``mha`` is the model "organism", ``gqa`` is "organism-gqa", whose query heads share keys and values."""


def directory(variant: Variant = "mha") -> Path:
    """The checkpoint directory of the embedded model; any tool that loads Hugging Face checkpoints can read it.

    "mha" has a key and a value for every head; in "gqa", its grouped-query sibling, two heads share each.
    ``gate.json`` in it holds the measured behavior, ``recipe.json`` how it was trained.

    Raises:
        OrganismError: an unknown variant, or files that are missing from the installation.

    >>> (directory() / "config.json").is_file()
    True
    """
    check_choice(OrganismError, Variant, variant=variant)
    path = Path(__file__).parent / "weights" / variant
    if not (path / "model.safetensors").is_file():
        raise OrganismError(f"{path} holds no model.safetensors; install sycolens again, or train one with train().")
    return path


def load_tokenizer() -> PreTrainedTokenizerBase:
    """The embedded model's tokenizer, the same for both variants.

    >>> load_tokenizer().tokenize("Are you sure?")
    ['▁Are', '▁you', '▁sure', '?']
    """
    from sycolens.model.checkpoint import read_tokenizer

    return read_tokenizer(directory())
