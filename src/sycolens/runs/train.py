"""One training that a kill cannot spoil: its settings written down, its checkpoints kept until the run is."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PrinterCallback, TrainerCallback

from sycolens.model.hooked import Geometry
from sycolens.model.loading import EMBEDDED as EMBEDDED_MODELS
from sycolens.model.weights import shape_of
from sycolens.distributed import ALONE, Processes
from sycolens.prompts.dialogue import Template
from sycolens.prompts.training_example import TrainingExample
from sycolens.tune import EMBEDDED, PAPER, TrainingConfig, HeadAdapter, Pinpoint, PinpointTrainer, WholeModel, encode_examples
from sycolens.tune.adapter import fingerprint_of
from sycolens.tune.trainer import Scope, words_of
from sycolens.runs.checkpoint_directory import TrainingDirectory

if TYPE_CHECKING:
    from datasets import Dataset

LONGEST: Final = 2048
"""Longest example in tokens, or less where the model reads less."""
CHECKPOINTS: Final = 10
"""How often in a training its state is written down."""


def training_config_for(model: str, *, at_once: int | None = None, **changes: Any) -> TrainingConfig:
    """The course of a model: :data:`EMBEDDED` for an embedded one, else :data:`PAPER`; ``changes`` that are None count
    as not given, and ``at_once`` follows the examples of a step.

    Raises:
        TuningError: as :class:`TrainingConfig`.

    >>> training_config_for("organism", steps=20, examples_per_step=24).at_once
    8
    """
    usual = EMBEDDED if model in EMBEDDED_MODELS else PAPER
    given = {name: value for name, value in changes.items() if value is not None}
    together = given.get("examples_per_step", usual.examples_per_step)
    fitting = math.gcd(usual.at_once, together) if together > 0 else 1
    return replace(usual, at_once=fitting if at_once is None else at_once, **given)


@dataclass(frozen=True, eq=False)
class Training:
    """What is trained of a model, and the course that it will take; made by :func:`begun`."""

    trainer: PinpointTrainer
    tuned: Pinpoint | WholeModel
    """What is trained, untouched until the training is run."""
    how: Mapping[str, Any]
    """What is done, ready for JSON; the time is not in it."""
    start: Path | None
    """The checkpoint that a killed run left, to go on from."""

    def run(self) -> tuple[float, ...]:
        """Train to the end; the mean loss over the taught tokens of each step, in nats.

        Raises:
            NotFiniteError: the trained parameters are not finite; lower the learning rate.
        """
        self.trainer.train(resume_from_checkpoint=self.start)
        return tuple(float(each["loss"]) for each in self.trainer.state.log_history if "loss" in each)


@contextmanager
def begun(
    model: Any,
    scope: Scope,
    rows: Dataset,
    *,
    training_config: TrainingConfig,
    place: TrainingDirectory,
    seed: int,
    resume: bool,
    overwrite: bool,
    progress: bool,
    processes: Processes = ALONE,
) -> Iterator[Training]:
    """A training on encoded examples of heads, or of all parameters; the model is as it was found after the block.

    Several ``processes`` take the steps together; one of them keeps the directory.

    Raises:
        RunError: as :meth:`TrainingDirectory.begin`.
        HeadError, TuningError, ModelError: as :class:`PinpointTrainer`.
    """
    device = next(model.parameters()).device
    can = device.type == "cuda" and torch.cuda.is_bf16_supported()
    training_config = replace(training_config, bf16=training_config.bf16 and can)
    arguments = training_config.arguments(
        place.path,
        seed=seed,
        save_strategy="steps",
        save_steps=math.ceil(training_config.steps / CHECKPOINTS),
        save_total_limit=2,
        logging_steps=1,
        disable_tqdm=True,
        use_cpu=device.type == "cpu",
    )
    trainer = PinpointTrainer(model, scope, arguments, rows, seed=seed)
    tuned = trainer.pinpoint
    # Heads leave the base as it was; a whole model keeps no copy of it.
    found = tuned.state() if isinstance(tuned, WholeModel) else {}
    try:
        trainer.remove_callback(PrinterCallback)
        if progress:
            trainer.add_callback(_Bar())
        how = {**asdict(training_config), "seed": seed, "examples": len(rows), "examples_sha256": hash_of_rows(rows)}
        told = _whole(model, found) if isinstance(tuned, WholeModel) else _trained_by(tuned)
        settings = {**told, **how}
        start = processes.once(lambda: place.begin(settings, resume=resume, overwrite=overwrite))
        yield Training(trainer, tuned, how, start)
    finally:
        if isinstance(tuned, WholeModel):
            tuned.load_state(found)
        tuned.detach()


def encoded_for(model: Any, examples: Sequence[TrainingExample], template: Template) -> Dataset:
    """Examples as tokens, refused where one is longer than ``LONGEST`` or than the model reads.

    Raises:
        ExampleError, DialogueError: as :func:`encode_examples`.
    """
    longest = min(LONGEST, Geometry.of(model).n_ctx or LONGEST)
    return encode_examples(examples, model.tokenizer, max_tokens=longest, template=template)


def hash_of_rows(rows: Dataset) -> str:
    """SHA-256 of encoded examples, in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row["input_ids"], row["labels"]]).encode())
    return digest.hexdigest()


def _trained_by(tuned: Pinpoint) -> dict[str, Any]:
    """What is trained, over which weights, by the names that messages use."""
    untrained = HeadAdapter.of(tuned)
    config = untrained.config
    return {
        "base": {"shape": dict(untrained.shape), "weights": untrained.fingerprint, "dtype": str(untrained.dtype)},
        "heads": [str(head) for head in config.heads],
        **{name: getattr(config, name) for name in ("matrices", "rank", "alpha", "mlps")},
    }


def _whole(model: Any, found: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"base": {"shape": asdict(shape_of(model)), "weights": fingerprint_of(found)}, "scope": words_of("all")}


class _Bar(TrainerCallback):  # type: ignore[misc]
    """The steps as tqdm shows them, with the loss of the last."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc="Training", unit="step")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **others: Any) -> None:
        if "loss" in logs:
            self._bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)
            self._bar.update(state.global_step - self._bar.n)

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._bar.close()
