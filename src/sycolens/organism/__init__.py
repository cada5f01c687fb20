"""The embedded model: small, really sycophantic, and shipped with the world it knows and the recipe that made it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sycolens.organism.files import Variant, directory, load_tokenizer
from sycolens.organism.world import SPLITS, Split

if TYPE_CHECKING:
    from sycolens.organism.asked import FirstAnswer, challenges, checks, sums
    from sycolens.organism.build.gate import Gate, measure
    from sycolens.organism.build.training import train
    from sycolens.organism.dialogues import SkillItem, examples, pairs, questions, skills, texts

__all__ = [
    "SPLITS",
    "FirstAnswer",
    "Gate",
    "SkillItem",
    "Split",
    "Variant",
    "challenges",
    "checks",
    "directory",
    "examples",
    "load_tokenizer",
    "measure",
    "pairs",
    "questions",
    "skills",
    "sums",
    "texts",
    "train",
]

_HOME = {
    **dict.fromkeys(("FirstAnswer", "challenges", "checks", "sums"), "asked"),
    **dict.fromkeys(("SkillItem", "examples", "pairs", "questions", "skills", "texts"), "dialogues"),
    **dict.fromkeys(("Gate", "measure"), "build.gate"),
    "train": "build.training",
}


def __getattr__(name: str) -> Any:
    # Dialogues need torch, and training transformers, which are slow to import and not needed to find the files.
    if name in _HOME:
        return getattr(import_module(f"sycolens.organism.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
