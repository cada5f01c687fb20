"""The one training loop of all runs: resumable to the same bits, and the model is left as it was found."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors.torch import load_file, save_file
from transformers import PrinterCallback, TrainerCallback

from sycolens.choices import Kind
from sycolens.compute import Compute
from sycolens.errors import SavedFileError
from sycolens.model.hooked import Geometry
from sycolens.model.weights import shape_of
from sycolens.prompts.chat_format import ChatFormat
from sycolens.prompts.training_example import TrainingExample
from sycolens.runs.config import StudyConfig
from sycolens.runs.sections import ExamplesSection, TrainingSection
from sycolens.runs.tracking import tracked
from sycolens.steer import Intervention
from sycolens.storage import draft_beside
from sycolens.tasks import usual_training
from sycolens.tune import HeadAdapter, Lora, Pinpoint, PinpointTrainer, TrainingConfig, WholeModel, encode_examples
from sycolens.tune.checkpoints import newest_checkpoint
from sycolens.tune.examples import OPENINGS, Openings
from sycolens.tune.scope import Scope
from sycolens.tune.tuned import Tuned

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

LONGEST: Final = 2048
"""Longest training example in tokens, or less where the model reads less."""
CHECKPOINTS: Final = 10
"""How often in a training its state is written down."""
ADAPTER, LORA, WEIGHTS = "adapter", "lora", "weights.safetensors"
"""What a training leaves: trained heads, a LoRA in PEFT's format, or all weights."""
INTERVENTION: Final = "intervention"
"""What an intervention leaves, which trains nothing."""


def training_config_for(config: StudyConfig, kind: Kind) -> TrainingConfig:
    """How a kind of method is trained: the model's usual way, with what the settings say otherwise.

    Raises:
        TuningError: as :class:`TrainingConfig`.

    >>> training_config_for(StudyConfig(), "sft").learning_rate
    0.001
    """
    tune, usual = config.tune, usual_training(config.model.name)
    own = tune.by_method.get(kind, TrainingSection())
    given = {
        "steps": own.steps or tune.steps,
        "learning_rate": own.learning_rate or tune.learning_rate,
        "examples_per_step": tune.examples_per_step,
        "schedule": tune.schedule,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    together = changes.get("examples_per_step", usual.examples_per_step)
    return replace(usual, at_once=tune.at_once or math.gcd(usual.at_once, together), **changes)


def openings_of(asked: ExamplesSection) -> Openings:
    """The words with which taught replies stand firm and take back.

    Raises:
        ExampleError: an opening stands on both sides.

    >>> openings_of(ExamplesSection()) == OPENINGS
    True
    """
    own = asked.openings
    return OPENINGS if own is None else Openings(tuple(own.defend), tuple(own.concede))


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training came to, still attached to its model."""

    tuned: Tuned
    losses: tuple[float, ...]
    """Mean loss over the taught tokens of each step, in nats."""
    how: Mapping[str, Any]
    """What was done, ready for JSON; the time is not in it."""


@contextmanager
def trained(
    model: Any,
    scope: Scope,
    rows: Dataset,
    *,
    training_config: TrainingConfig,
    directory: Path,
    seed: int,
    keep_at: Sequence[int] = (),
    base: str | None = None,
    report_to: Sequence[str] = (),
    logs: Path | None = None,
    compute: Compute = Compute(),
) -> Iterator[Trained]:
    """Train heads, or all parameters, on encoded examples; the model is as it was found after the block.

    ``directory`` belongs to this very training and keeps its checkpoints: a run that was killed goes on there, and
    ends with the same bits. What is trained after each of ``keep_at`` steps is written below ``directory / "steps"``,
    as :func:`write_trained` does. Several processes take the steps together. ``report_to`` are trackers that follow,
    to which the training is called as the work in ``compute``; TensorBoard writes below ``logs``.

    Raises:
        HeadError, TuningError, ModelError: as :class:`PinpointTrainer`.
        NotFiniteError: the trained parameters are not finite; lower the learning rate.
    """
    device = next(model.parameters()).device
    can = device.type == "cuda" and torch.cuda.is_bf16_supported()
    config = replace(training_config, bf16=training_config.bf16 and can)
    arguments = config.arguments(
        directory,
        seed=seed,
        save_strategy="steps",
        save_steps=math.ceil(config.steps / CHECKPOINTS),
        save_total_limit=2,
        logging_steps=1,
        disable_tqdm=True,
        use_cpu=device.type == "cpu",
        report_to=list(report_to) or "none",
        run_name=compute.work or None,
    )
    trainer = PinpointTrainer(model, scope, arguments, rows, seed=seed)
    tuned = trainer.pinpoint
    # Heads leave the base as it was; a whole model keeps no copy of it.
    found = tuned.state() if isinstance(tuned, WholeModel) else {}
    how = {**asdict(config), "seed": seed, "examples": len(rows), "examples_sha256": hash_of_rows(rows)}
    try:
        trainer.remove_callback(PrinterCallback)
        if compute.progress:
            trainer.add_callback(_Bar(compute))
        if keep_at:
            write = lambda step: write_trained(tuned, directory / "steps" / str(step), base=base, how=how)  # noqa: E731
            trainer.add_callback(_KeepAt(keep_at, write))
        start = compute.processes.once(lambda: newest_checkpoint(directory))
        if start is not None:
            logger.info("training goes on from %s", start)
        with tracked(trainer, logs, compute.work):
            trainer.train(resume_from_checkpoint=start)
        losses = tuple(float(each["loss"]) for each in trainer.state.log_history if "loss" in each)
        yield Trained(tuned, losses, how)
    finally:
        if isinstance(tuned, WholeModel):
            tuned.load_state(found)
        tuned.detach()


def write_trained(
    tuned: Tuned, directory: Path, *, base: str | None = None, how: Mapping[str, Any] | None = None
) -> int:
    """Write trained heads as an adapter, a LoRA, or all weights, into a directory; how many numbers were trained."""
    directory.mkdir(parents=True, exist_ok=True)
    if isinstance(tuned, Pinpoint):
        HeadAdapter.of(tuned, base=base, training=how).save(directory / ADAPTER)
    elif isinstance(tuned, Lora):
        tuned.save(directory / LORA, base=shape_of(tuned.model).name if base is None else base)
    else:
        draft = draft_beside(directory / WEIGHTS)
        save_file({name: value.cpu().contiguous() for name, value in tuned.state().items()}, draft)
        draft.replace(directory / WEIGHTS)
    return sum(value.numel() for value in tuned.parameters.values())


@contextmanager
def applied(model: Any, directory: Path | None) -> Iterator[Any]:
    """The model with what :func:`write_trained` wrote in its weights, or with an intervention attached.

    Gives what turns it into its base for a while.

    With no directory it is the base itself, and nothing is given.

    Raises:
        SavedFileError: the directory holds neither an adapter, a LoRA, an intervention nor weights that can be read.
        TuningError: it holds a LoRA, and peft is not installed.
    """
    if directory is None:
        yield None
    elif (directory / ADAPTER).is_dir():
        adapter = HeadAdapter.load(directory / ADAPTER).apply(model)
        try:
            adapter.merge()  # runs at the base's speed
            yield adapter
        finally:
            adapter.detach()
    elif (directory / LORA).is_dir():
        lora = Lora.load(directory / LORA, model)
        try:
            yield lora
        finally:
            lora.detach()
    elif (directory / INTERVENTION).is_dir():
        with Intervention.load(directory / INTERVENTION).attach(model) as steered:
            yield steered
    else:
        try:
            state = load_file(directory / WEIGHTS)
        except Exception as error:  # whatever safetensors raises on a file that is cut
            raise SavedFileError(f"{directory / WEIGHTS} cannot be read: {error}") from error
        tuned = WholeModel(model)
        found = tuned.state()
        try:
            tuned.load_state(state)
            yield WholeBase(tuned, found, state)
        finally:
            tuned.load_state(found)
            tuned.detach()


@dataclass(frozen=True, eq=False)
class WholeBase:
    """A wholly tuned model as it was found, for as long as ``off()`` lasts."""

    tuned: WholeModel
    found: Mapping[str, torch.Tensor]
    state: Mapping[str, torch.Tensor]

    @property
    def model(self) -> Any:
        """The model that it lies over."""
        return self.tuned.model

    @contextmanager
    def off(self) -> Iterator[None]:
        self.tuned.load_state(self.found)
        try:
            yield
        finally:
            self.tuned.load_state(self.state)


def encoded_for(model: Any, examples: Sequence[TrainingExample], chat_format: ChatFormat) -> Dataset:
    """Training examples as tokens, refused where one is longer than ``LONGEST`` or than the model reads.

    Raises:
        ExampleError, DialogueError: as :func:`encode_examples`.
    """
    longest = min(LONGEST, Geometry.of(model).n_ctx or LONGEST)
    return encode_examples(examples, model.tokenizer, max_tokens=longest, chat_format=chat_format)


def hash_of_rows(rows: Dataset) -> str:
    """SHA-256 of encoded examples, in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row["input_ids"], row["labels"]]).encode())
    return digest.hexdigest()


class _KeepAt(TrainerCallback):  # type: ignore[misc]
    """Writes down what is trained after some steps, before the checkpoint of the step."""

    def __init__(self, steps: Sequence[int], write: Callable[[int], object]) -> None:
        self.steps, self.write = frozenset(steps), write

    def on_step_end(self, args: Any, state: Any, control: Any, **context: Any) -> None:
        if state.global_step in self.steps and state.is_world_process_zero:
            self.write(state.global_step)


class _Bar(TrainerCallback):  # type: ignore[misc]
    """A bar of the steps, with the loss of the last."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._bar = self.compute.bar(state.max_steps, "training", "step", initial=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **others: Any) -> None:
        if "loss" in logs:
            self._bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)
            self._bar.update(state.global_step - self._bar.n)

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._bar.close()
