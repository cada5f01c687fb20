"""Find the attention heads behind a behaviour of a language model, prove that they matter, repair it.

>>> from sycolens import load_model, organism, patch_heads
>>> model = load_model("organism")
>>> effects = patch_heads(model, organism.pairs("train", 32), progress=False)
>>> effects.top(3)
HeadSet(L1H1, L2H2, L1H0)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sycolens.heads import Head, HeadSet

if TYPE_CHECKING:
    from sycolens import organism
    from sycolens.find import HeadEffects, patch_heads
    from sycolens.model import load_model
    from sycolens.prompts import ContrastPairs, Dialogue, Question, Turn, Wording, load_questions
    from sycolens.verify import attend_to

__version__ = "0.1.0"

__all__ = [
    "ContrastPairs",
    "Dialogue",
    "Head",
    "HeadEffects",
    "HeadSet",
    "Question",
    "Turn",
    "Wording",
    "attend_to",
    "load_model",
    "load_questions",
    "organism",
    "patch_heads",
]

_HOME = {
    "ContrastPairs": "sycolens.prompts",
    "Dialogue": "sycolens.prompts",
    "HeadEffects": "sycolens.find",
    "Question": "sycolens.prompts",
    "Turn": "sycolens.prompts",
    "Wording": "sycolens.prompts",
    "attend_to": "sycolens.verify",
    "load_model": "sycolens.model",
    "load_questions": "sycolens.prompts",
    "patch_heads": "sycolens.find",
}


def __getattr__(name: str) -> Any:
    # torch and transformers take seconds to import, so they wait until a name that needs them is asked for.
    if name == "organism":
        return import_module("sycolens.organism")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sycolens' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
