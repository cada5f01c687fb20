"""Train the chosen heads with transformers' Trainer, as any model is trained, and write nothing but them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, cast, overload

import torch
from torch import Tensor, nn
from torch.utils.data import RandomSampler
from transformers import TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import TrainOutput
from typing_extensions import TypeVar

from sycolens.errors import NotFiniteError, TuningError
from sycolens.model.threads import enough_threads
from sycolens.private.trainer import OpenTrainer
from sycolens.randomness import RandomState
from sycolens.tune.checkpoints import HashFiles, load_parameters, newest_checkpoint, save_parameters
from sycolens.tune.config import PinpointConfig
from sycolens.tune.encoding import UNTAUGHT
from sycolens.tune.learner import Learner, TryTaughtAlone
from sycolens.tune.lora import LoraScope
from sycolens.tune.pinpoint import Pinpoint
from sycolens.tune.scope import Scope, attached, words_of
from sycolens.tune.sharding import (
    load_optimizer,
    require_no_deepspeed,
    require_supported,
    save_optimizer,
    shard_again,
    whole,
)
from sycolens.tune.tuned import Tuned

T = TypeVar("T", bound=Tuned, default=Pinpoint)


def pad_examples(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """A batch of encoded examples, filled up on the right: ``input_ids`` and ``labels`` [example, position].

    No attention mask is needed, since no token attends to what follows it, and filling has label -100.

    >>> pad_examples([{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [8]}])["labels"]
    tensor([[-100,    6,    7],
            [   8, -100, -100]])
    """

    def padded(name: str, filling: int) -> Tensor:
        columns = [torch.as_tensor(row[name], dtype=torch.long) for row in rows]
        return nn.utils.rnn.pad_sequence(columns, batch_first=True, padding_value=filling)

    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", UNTAUGHT)}


class PinpointTrainer(OpenTrainer, Generic[T]):
    """transformers' Trainer over the chosen heads of a model, all else frozen.

    ``model`` is a TransformerBridge, a HookedTransformer or a plain Hugging Face causal model; it is tuned in place.
    ``scope`` says what is trained: a :class:`PinpointConfig`, a :class:`LoraScope` (PEFT's LoRA on every attention
    projection), or ``"all"`` for every parameter (the paper's SFT).
    ``train_dataset`` has rows of ``input_ids`` and ``labels`` (-100 where no loss is due), as ``encode_examples``
    gives. ``args`` and all that is not named here are the Trainer's own: schedules, accumulation, bf16, logging,
    callbacks, ``accelerate launch``. An epoch ends with its last whole step. The loss is that of Hugging Face's causal
    models, the mean over the taught tokens of a step; in training, logits are made for these alone.

    FSDP2 (``fsdp=True``, or ``accelerate launch --use_fsdp --fsdp_version 2``) shards a plain Hugging Face model over
    processes, which all make the same calls. It stays sharded: afterwards ``state()``, ``tuned()`` and
    ``HeadAdapter.of`` give whole tensors in every process, and the heads are applied to a model that is loaded anew.

    Checkpoints hold the trained parameters and the states of optimizer, schedule and random numbers, no base model.
    ``train(resume_from_checkpoint=True)`` goes on from the newest whole one and ends as an undisturbed run would.
    Afterwards the model has its tuned heads attached: ``trainer.pinpoint`` gives, merges or detaches them. A script of
    several processes ends with ``Processes.here().end()``. ``seed`` draws the A of updates of low rank. Train a model
    held in bfloat16 with ``PinpointConfig(dtype=torch.float32)``, or steps smaller than bfloat16 can tell apart are
    lost. ``args.seed`` seeds the training alone: torch, numpy and Python draw afterwards as if nothing had been.

    Raises:
        HeadError, ModelError: as :func:`attach`.
        TuningError: as :func:`attach`; an unknown ``scope``; a dataset without examples; label smoothing, which would
            smooth the wrong tokens; DeepSpeed; under FSDP its first version, offloading to the CPU, ``scope="all"``, or
            a model of TransformerLens.

    >>> import tempfile
    >>> from sycolens.tune import encode_examples
    >>> examples = encode_examples(organism.examples("train", 16), tokenizer)
    >>> arguments = TrainingArguments(tempfile.mkdtemp(), max_steps=2, save_strategy="no", disable_tqdm=True)
    >>> trainer = PinpointTrainer(model, PinpointConfig(effects.top(4)), arguments, examples)
    >>> sum(parameter.numel() for parameter in trainer.pinpoint.parameters.values())
    32768
    >>> trainer.pinpoint.detach()
    """

    @overload
    def __init__(
        self: PinpointTrainer[Pinpoint],
        model: Any,
        scope: PinpointConfig,
        args: TrainingArguments,
        train_dataset: Any,
        *,
        eval_dataset: Any = None,
        callbacks: Iterable[TrainerCallback] = (),
        optimizers: tuple[Any, Any] = (None, None),
        seed: int = 0,
    ) -> None: ...
    @overload
    def __init__(
        self: PinpointTrainer[Tuned],
        model: Any,
        scope: Scope,
        args: TrainingArguments,
        train_dataset: Any,
        *,
        eval_dataset: Any = None,
        callbacks: Iterable[TrainerCallback] = (),
        optimizers: tuple[Any, Any] = (None, None),
        seed: int = 0,
    ) -> None: ...
    def __init__(
        self,
        model: Any,
        scope: Scope,
        args: TrainingArguments,
        train_dataset: Any,
        *,
        eval_dataset: Any = None,
        callbacks: Iterable[TrainerCallback] = (),
        optimizers: tuple[Any, Any] = (None, None),
        seed: int = 0,
    ) -> None:
        if not isinstance(scope, PinpointConfig | LoraScope) and scope != "all":
            raise TuningError(
                f'scope={scope!r} is unknown; give a PinpointConfig, a LoraScope, or "all" for every parameter.'
            )
        if args.label_smoothing_factor:
            raise TuningError("label_smoothing_factor is not supported; leave it at 0.")
        require_no_deepspeed(args)
        _require_examples(train_dataset)
        learner = Learner(model)
        self._own = model
        self.scope = scope
        self.pinpoint = cast(T, attached(model, scope, seed=seed))
        """The trained part: a :class:`Pinpoint`, a :class:`Lora` or a :class:`WholeModel`, as ``scope`` says."""
        found = RandomState.now()
        try:
            super().__init__(
                model=learner,
                args=args,
                data_collator=pad_examples,
                train_dataset=train_dataset,
                eval_dataset=eval_dataset,
                callbacks=[*callbacks, HashFiles(), TryTaughtAlone(next(iter(train_dataset)))],
                optimizers=optimizers,
            )
            if self.is_fsdp_enabled:
                require_supported(learner.core, scope, self.accelerator.state.fsdp_plugin)
            elif args.fsdp and args.world_size > 1:
                raise TuningError("FSDP was asked for, but accelerate shards on GPUs alone; leave fsdp out.")
            self._seeded = RandomState.now()
        except BaseException:
            self.pinpoint.detach()
            raise
        finally:
            found.restore()

    def train(self, resume_from_checkpoint: str | Path | bool | None = None, **options: Any) -> Any:
        """Train, from the start or from a checkpoint; True is the newest whole one in the output directory.

        Raises:
            TuningError: the trained parameters were merged or detached; there is no checkpoint, or of another tuning.
            NotFiniteError: the trained parameters are not finite afterwards.
        """
        in_model = {id(parameter) for parameter in self.model.parameters() if parameter.requires_grad}
        if not {id(parameter) for parameter in self.pinpoint.parameters.values()} <= in_model:
            raise TuningError("The trained parameters are no longer attached to the model; unmerge, or train anew.")
        if resume_from_checkpoint is True:
            resume_from_checkpoint = newest_checkpoint(self.args.output_dir)
            if resume_from_checkpoint is None:
                raise TuningError(
                    f"{self.args.output_dir} holds no whole checkpoint to resume from; start without resuming."
                )
        with (
            self.model.as_found(),
            self._unwrapped_afterwards(),
            self._seeded.inside(),
            enough_threads(self._own, self._tokens_at_once()),
        ):
            if resume_from_checkpoint and self._is_done(Path(resume_from_checkpoint)):
                # The Trainer would take a step too many, unless the last one ended an epoch.
                self.read_parameters(str(resume_from_checkpoint), None)
                result: Any = TrainOutput(self.state.global_step, 0.0, {})
            else:
                result = super().train(str(resume_from_checkpoint) if resume_from_checkpoint else None, **options)
        if self.is_fsdp_enabled:
            shard_again(self.model)
        for name, parameter in self.pinpoint.parameters.items():
            if not whole(parameter.detach()).isfinite().all():
                raise NotFiniteError(f"{name} is not finite after training; lower the learning rate.")
        return result

    def _tokens_at_once(self) -> int:
        # Of all processes, and of the first example, so that a run and its continuation get the same.
        tokens: int = (
            self.args.train_batch_size * self.args.world_size * len(next(iter(self.train_dataset))["input_ids"])
        )
        return tokens

    @contextmanager
    def _unwrapped_afterwards(self) -> Iterator[None]:
        try:
            yield
        finally:
            # What several processes train together holds their connection, and follows every later backward pass.
            # A model that FSDP has sharded stays so.
            if not self.is_fsdp_enabled:
                self.model_wrapped = self.model
                self.accelerator.free_memory()

    def _is_done(self, checkpoint: Path) -> bool:
        """Whether a checkpoint is that of the last step; its state, which holds the losses, is ours then."""
        if self.args.max_steps <= 0 or not (path := checkpoint / TRAINER_STATE_NAME).is_file():
            return False
        state = TrainerState.load_from_json(str(path))
        if state.global_step < self.args.max_steps:
            return False
        self.state = state
        return True

    def train_sampler(self, usual: Any) -> Any:
        """Whole steps only; see :class:`OpenTrainer`."""
        each_time = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        if type(usual) is RandomSampler and (whole := len(usual) // each_time * each_time):
            # Several processes would fill an epoch's incomplete last step up with other examples than one process.
            return RandomSampler(usual.data_source, num_samples=whole)
        return usual

    def place_model(self, model: Any, device: torch.device) -> None:
        """By the model's own means: those of TransformerLens take down where they are."""
        if next(model.parameters()).device != device:
            self._own.to(device)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the trained parameters, as in a checkpoint."""
        if self.is_fsdp_enabled:  # where the Trainer would gather the base in one process
            self.write_parameters(output_dir or self.args.output_dir, None)
        else:
            super().save_model(output_dir, _internal_call=_internal_call)

    def write_parameters(self, directory: str, state_dict: Any) -> None:
        """The trained parameters, and no base model."""
        if self.is_fsdp_enabled:
            shard_again(self.model)
            state = self.pinpoint.state()  # in every process, since each holds a part
            if self.args.should_save:
                save_parameters(directory, state, scope=words_of(self.scope))
        elif self.args.should_save:
            save_parameters(directory, self.pinpoint.state(), scope=words_of(self.scope))

    def read_parameters(self, directory: str, model: Any) -> None:
        """The trained parameters of a checkpoint of the same scope."""
        if self.is_fsdp_enabled:
            shard_again(self.model)
        self.pinpoint.load_state(load_parameters(directory, scope=words_of(self.scope)))

    def write_optimizer(self, directory: str) -> None:
        """Of sharded parameters as one process has it, so that any number of them can go on."""
        if self.is_fsdp_enabled:
            save_optimizer(directory, self.optimizer, self.lr_scheduler, write=self.args.should_save)
        else:
            super().write_optimizer(directory)

    def read_optimizer(self, directory: str) -> None:
        """Its part of it for every process."""
        if self.is_fsdp_enabled:
            load_optimizer(directory, self.optimizer, self.lr_scheduler)
        else:
            super().read_optimizer(directory)


def _require_examples(dataset: Any) -> None:
    first = next(iter(dataset), None)
    if first is None:
        raise TuningError("There is nothing to learn from: the dataset is empty.")
    if missing := [name for name in ("input_ids", "labels") if name not in first]:
        raise TuningError(f"The dataset's rows have no {' and no '.join(missing)}; encode_examples gives both.")
