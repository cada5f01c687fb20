"""The embedded model: small, really sycophantic, and shipped with the world it knows and the recipe that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sycolens.organism.asked import FirstAnswer, challenges, checks, sums
from sycolens.organism.dialogues import SkillItem, examples, pairs, questions, skills, texts
from sycolens.organism.files import Variant, directory, load_tokenizer
from sycolens.organism.world import SPLITS, Split

if TYPE_CHECKING:
    from sycolens.organism.build.gate import Gate, measure
    from sycolens.organism.build.training import train

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


def __getattr__(name: str) -> Any:
    # Training and measuring need transformers, which is slow to import and not needed for words.
    if name in ("Gate", "measure"):
        from sycolens.organism import gate

        return getattr(gate, name)
    if name == "train":
        from sycolens.organism.build.training import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
