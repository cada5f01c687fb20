"""Fix: train the heads that matter and nothing else."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sycolens.tune.adapter import HeadAdapter, OtherBaseWarning
from sycolens.tune.config import PinpointConfig
from sycolens.tune.encoding import encode_examples
from sycolens.tune.examples import EXAMPLE_BEHAVIORS, OPENINGS, Openings, examples_from_questions
from sycolens.tune.leaks import find_leaks, refuse_leaks
from sycolens.tune.lora import Lora, LoraScope
from sycolens.tune.pinpoint import Pinpoint, attach, pinpoint
from sycolens.tune.training_config import EMBEDDED, PAPER, TrainingConfig
from sycolens.tune.tuned import Tuned
from sycolens.tune.whole import WholeModel

if TYPE_CHECKING:
    from sycolens.tune.trainer import PinpointTrainer, pad_examples

__all__ = [
    "EMBEDDED",
    "EXAMPLE_BEHAVIORS",
    "OPENINGS",
    "PAPER",
    "HeadAdapter",
    "Lora",
    "LoraScope",
    "Openings",
    "OtherBaseWarning",
    "Pinpoint",
    "PinpointConfig",
    "PinpointTrainer",
    "TrainingConfig",
    "Tuned",
    "WholeModel",
    "attach",
    "encode_examples",
    "examples_from_questions",
    "find_leaks",
    "pad_examples",
    "pinpoint",
    "refuse_leaks",
]


def __getattr__(name: str) -> Any:
    # The Trainer takes seconds to import, which those who only load an adapter need not wait for.
    if name in ("PinpointTrainer", "pad_examples"):
        return getattr(import_module("sycolens.tune.trainer"), name)
    raise AttributeError(f"module 'sycolens.tune' has no attribute {name!r}")
