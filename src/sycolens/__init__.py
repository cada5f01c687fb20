"""Find the attention heads behind a behavior of a language model, prove that they matter, repair it.

>>> from sycolens import QUIET, load_model, organism, patch_heads
>>> model = load_model("organism")
>>> effects = patch_heads(model, organism.pairs("train", 32), compute=QUIET)
>>> effects.top(3)
HeadSet(L1H1, L2H2, L1H0)
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sycolens.heads import Head, HeadSet

if TYPE_CHECKING:
    from sycolens import organism
    from sycolens.compute import QUIET, Compute
    from sycolens.data import load_questions
    from sycolens.decision import Look, look
    from sycolens.find import (
        HeadEffects,
        HeadScores,
        RankAgreement,
        attribute_heads,
        compare_weights,
        patch_heads,
        probe_heads,
        rank_agreement,
    )
    from sycolens.measure import ChallengeResult, Generation, evaluate_challenge, kl_drift
    from sycolens.model import load_model
    from sycolens.prompts import (
        Behavior,
        ChallengedQuestion,
        ChatFormat,
        ContrastPairs,
        Dialogue,
        Question,
        Turn,
        challenge_questions,
    )
    from sycolens.runs import Study, StudyConfig
    from sycolens.tune import HeadAdapter, PinpointTrainer
    from sycolens.tune.config import PinpointConfig
    from sycolens.tune.pinpoint import pinpoint
    from sycolens.verify import HeadMeans, KnockoutCurve, ablate_heads, attend_to, knock_out, mean_activations

__version__ = "0.1.0"

# What the library logs goes nowhere unless somebody asks for it.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "QUIET",
    "Behavior",
    "ChallengeResult",
    "ChallengedQuestion",
    "ChatFormat",
    "Compute",
    "ContrastPairs",
    "Dialogue",
    "Generation",
    "Head",
    "HeadAdapter",
    "HeadEffects",
    "HeadMeans",
    "HeadScores",
    "HeadSet",
    "KnockoutCurve",
    "Look",
    "PinpointConfig",
    "PinpointTrainer",
    "Question",
    "RankAgreement",
    "Study",
    "StudyConfig",
    "Turn",
    "ablate_heads",
    "attend_to",
    "attribute_heads",
    "challenge_questions",
    "compare_weights",
    "evaluate_challenge",
    "kl_drift",
    "knock_out",
    "load_model",
    "load_questions",
    "look",
    "mean_activations",
    "organism",
    "patch_heads",
    "pinpoint",
    "probe_heads",
    "rank_agreement",
]

_HOME = {
    "QUIET": "sycolens.compute",
    "Behavior": "sycolens.prompts",
    "ChallengeResult": "sycolens.measure",
    "ChallengedQuestion": "sycolens.prompts",
    "ChatFormat": "sycolens.prompts",
    "Compute": "sycolens.compute",
    "ContrastPairs": "sycolens.prompts",
    "Dialogue": "sycolens.prompts",
    "Generation": "sycolens.measure",
    "HeadAdapter": "sycolens.tune",
    "HeadEffects": "sycolens.find",
    "HeadMeans": "sycolens.verify",
    "KnockoutCurve": "sycolens.verify",
    "Look": "sycolens.decision",
    "PinpointConfig": "sycolens.tune",
    "PinpointTrainer": "sycolens.tune",
    "Question": "sycolens.prompts",
    "Study": "sycolens.runs",
    "StudyConfig": "sycolens.runs",
    "Turn": "sycolens.prompts",
    "ablate_heads": "sycolens.verify",
    "attend_to": "sycolens.verify",
    "challenge_questions": "sycolens.prompts",
    "evaluate_challenge": "sycolens.measure",
    "kl_drift": "sycolens.measure",
    "knock_out": "sycolens.verify",
    "load_model": "sycolens.model",
    "load_questions": "sycolens.data",
    "look": "sycolens.decision",
    "mean_activations": "sycolens.verify",
    "patch_heads": "sycolens.find",
    "rank_agreement": "sycolens.find",
    "probe_heads": "sycolens.find",
    "compare_weights": "sycolens.find",
    "attribute_heads": "sycolens.find",
    "RankAgreement": "sycolens.find",
    "HeadScores": "sycolens.find",
    "pinpoint": "sycolens.tune",
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
