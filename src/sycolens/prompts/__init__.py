"""Prompts: questions become dialogues, and dialogues the contrast pairs on which heads are compared."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sycolens.prompts.asking import ask, takes_system
    from sycolens.prompts.behavior import PAPER, PARAPHRASES, Behavior
    from sycolens.prompts.challenged import ChallengedQuestion, challenge_questions
    from sycolens.prompts.chat_format import CHAT, PLAIN, ChatFormat
    from sycolens.prompts.dialogue import Dialogue, RenderedDialogue, Role, Turn
    from sycolens.prompts.pair import ContrastPair
    from sycolens.prompts.pairs import ContrastPairs
    from sycolens.prompts.questions import Question
    from sycolens.prompts.training_example import TrainingExample

__all__ = [
    "CHAT",
    "PAPER",
    "PARAPHRASES",
    "PLAIN",
    "Behavior",
    "ChallengedQuestion",
    "ChatFormat",
    "ContrastPair",
    "ContrastPairs",
    "Dialogue",
    "Question",
    "RenderedDialogue",
    "Role",
    "TrainingExample",
    "Turn",
    "ask",
    "challenge_questions",
    "takes_system",
]

_HOME = {
    "CHAT": "chat_format",
    "PLAIN": "chat_format",
    "ChatFormat": "chat_format",
    "PAPER": "behavior",
    "PARAPHRASES": "behavior",
    "Behavior": "behavior",
    "ChallengedQuestion": "challenged",
    "ContrastPair": "pair",
    "ContrastPairs": "pairs",
    "Dialogue": "dialogue",
    "TrainingExample": "training_example",
    "Question": "questions",
    "RenderedDialogue": "dialogue",
    "Role": "dialogue",
    "Turn": "dialogue",
    "ask": "asking",
    "challenge_questions": "challenged",
    "takes_system": "asking",
}


def __getattr__(name: str) -> Any:
    # Pairs need torch, which settings that hold a behavior need not wait for.
    if name in _HOME:
        return getattr(import_module(f"sycolens.prompts.{_HOME[name]}"), name)
    raise AttributeError(f"module 'sycolens.prompts' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
