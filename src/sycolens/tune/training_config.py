"""Training settings: steps, learning rate, examples a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from sycolens.choices import Schedule
from sycolens.counts import check_choice, check_counts
from sycolens.distributed import count_of_processes
from sycolens.errors import TuningError

if TYPE_CHECKING:
    from transformers import TrainingArguments


@dataclass(frozen=True)
class TrainingConfig:
    """Steps, learning rate and examples a step; the defaults are those of the paper's published scripts.

    Raises:
        TuningError: a number is not positive, or the examples of a step cannot be dealt out evenly.

    >>> TrainingConfig(learning_rate=1e-4, at_once=32).arguments("runs/tune", use_cpu=True).gradient_accumulation_steps
    4
    """

    steps: int = 120
    learning_rate: float = 3e-5
    examples_per_step: int = 128
    at_once: int = 8
    """Examples that one device works on at a time, or fewer where several share the examples of a step; gradients
    accumulate until a step has all of its examples."""
    schedule: Schedule = "linear"
    """The learning rate falls to a three-hundredth, or rises over ten steps and stays."""
    weight_decay: float = 0.1
    bf16: bool = True
    """Compute in bfloat16 where PyTorch's autocast thinks it safe."""

    def __post_init__(self) -> None:
        check_counts(TuningError, steps=self.steps, examples_per_step=self.examples_per_step, at_once=self.at_once)
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise TuningError(f"learning_rate={self.learning_rate!r}; give a positive number, such as 3e-5.")
        if not (self.weight_decay >= 0 and math.isfinite(self.weight_decay)):
            raise TuningError(f"weight_decay={self.weight_decay!r}; give 0 or more.")
        check_choice(TuningError, Schedule, schedule=self.schedule)
        if self.examples_per_step % self.at_once:
            raise TuningError(
                f"{self.examples_per_step} examples a step cannot be made of {self.at_once} at a time; choose "
                "numbers of which one divides the other."
            )

    def arguments(self, output_dir: str | Path, **changes: Any) -> TrainingArguments:
        """transformers' TrainingArguments for this training; ``changes`` are any of its own.

        Raises:
            TuningError: the examples of a step cannot be dealt out evenly to the processes of a distributed run.
        """
        from transformers import TrainingArguments

        processes = count_of_processes()
        share, left = divmod(self.examples_per_step, processes)
        if left:
            raise TuningError(
                f"{self.examples_per_step} examples a step cannot be dealt out evenly to {processes} processes; choose "
                "examples_per_step or the number of processes so that one divides the other."
            )
        at_once = math.gcd(self.at_once, share)
        schedules: dict[Schedule, dict[str, Any]] = {
            "linear": {
                "lr_scheduler_type": "polynomial",
                "lr_scheduler_kwargs": {"lr_end": self.learning_rate / 300, "power": 1.0},
            },
            "constant": {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": WARMUP},
        }
        own: dict[str, Any] = {
            "optim": "adamw_torch",
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "max_steps": self.steps,
            "per_device_train_batch_size": at_once,
            "gradient_accumulation_steps": share // at_once,
            "bf16": self.bf16,
            "report_to": "none",
            "dataloader_pin_memory": torch.cuda.is_available(),
            **schedules[self.schedule],
        }
        return TrainingArguments(output_dir=str(output_dir), **{**own, **changes})


WARMUP: Final = 10
"""Warm-up steps of a constant learning rate, however short the training: a shorter one is the beginning of a longer."""

PAPER = TrainingConfig()
"""The values of the paper's published scripts (AdamW, 3e-5 falling to 1e-7); not confirmed as those of its tables."""

EMBEDDED = TrainingConfig(
    steps=120, learning_rate=1e-3, examples_per_step=16, at_once=16, schedule="constant", bf16=False
)
"""For the embedded models, which are a ten-thousandth of the paper's in size: on validation dialogues it repaired
``organism`` with one, two, four and eight heads."""
