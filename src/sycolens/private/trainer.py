"""transformers' Trainer with public names for the steps that it takes under private ones."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import torch
from transformers import Trainer

from sycolens.errors import TuningError

STEPS: Final = (
    "_get_train_sampler",
    "_move_model_to_device",
    "_save",
    "_load_from_checkpoint",
    "_load_best_model",
    "_save_optimizer_and_scheduler",
    "_load_optimizer_and_scheduler",
)


class OpenTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose steps can be overridden (transformers 5.9 to 5.23).

    Raises:
        TuningError: the Trainer no longer has such a step, so that what overrides it would never run.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        if gone := [name for name in STEPS if not hasattr(Trainer, name)]:
            raise TuningError(
                f"The Trainer of transformers {version('transformers')} has no {', '.join(gone)}; install a version "
                "that sycolens admits."
            )
        super().__init__(*args, **options)

    def train_sampler(self, usual: Any) -> Any:
        """The order of the training data, given the usual one."""
        return usual

    def place_model(self, model: Any, device: torch.device) -> None:
        """Put the model where it is trained."""
        super()._move_model_to_device(model, device)

    def write_parameters(self, directory: str, state_dict: Any) -> None:
        """Write what was trained into a checkpoint."""
        super()._save(directory, state_dict)

    def read_parameters(self, directory: str, model: Any) -> None:
        """Take back what a checkpoint holds."""
        super()._load_from_checkpoint(directory, model)

    def write_optimizer(self, directory: str) -> None:
        """Write the states of optimizer and schedule into a checkpoint."""
        super()._save_optimizer_and_scheduler(directory)

    def read_optimizer(self, directory: str) -> None:
        """Take back the states of optimizer and schedule."""
        super()._load_optimizer_and_scheduler(directory)

    def _get_train_sampler(self, *args: Any, **options: Any) -> Any:
        return self.train_sampler(super()._get_train_sampler(*args, **options))

    def _move_model_to_device(self, model: Any, device: torch.device) -> None:
        self.place_model(model, device)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.write_parameters(output_dir or self.args.output_dir, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.read_parameters(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        self.read_parameters(self.state.best_model_checkpoint, None)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        self.write_optimizer(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.read_optimizer(checkpoint)
