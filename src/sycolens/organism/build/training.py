"""Train the embedded model from scratch: one schedule, minutes on a CPU core, resumable to the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PrinterCallback, TrainerCallback, TrainingArguments

from sycolens.errors import OrganismError
from sycolens.model.threads import enough_threads
from sycolens.organism.build.recipe import PackedBatches, Recipe
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.organism.files import Variant
from sycolens.private.trainer import OpenTrainer
from sycolens.randomness import random_state_kept
from sycolens.storage import write_text
from sycolens.tune.checkpoints import HashFiles, newest_checkpoint

RECORD: Final = "recipe.json"
CHECKPOINTS: Final = "checkpoints"
DROPOUT_FROM: Final = 0.6
"""Share of the steps after which heads are silenced at random, so that no single one carries everything."""


class MuonWithAdamW(Optimizer):
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms, as one optimizer."""

    def __init__(self, model: nn.Module, *, muon_lr: float, adamw_lr: float, decay: float = 0.0) -> None:
        named = list(model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name and "lm_head" not in name]
        chosen = {id(p) for p in matrices}
        self.parts: tuple[Optimizer, ...] = (
            Muon(matrices, lr=muon_lr, weight_decay=decay),
            AdamW([p for _, p in named if id(p) not in chosen], lr=adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
        )
        super().__init__([p for _, p in named], {})
        # The schedule writes learning rates into these very dictionaries.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Both states, for a checkpoint."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


class _HeadDropout:
    """Silence random heads of a row before the output projection; a function of seed, step and layer alone."""

    def __init__(self, model: LlamaForCausalLM, recipe: Recipe) -> None:
        self.recipe, self.step = recipe, 0
        for layer, block in enumerate(model.model.layers):
            block.self_attn.o_proj.register_forward_pre_hook(self._hook(layer))

    def _hook(self, layer: int) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor] | None]:
        def hook(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
            recipe = self.recipe
            if not module.training or self.step < DROPOUT_FROM * recipe.steps or not recipe.head_dropout:
                return None
            (z,) = args
            generator = torch.Generator().manual_seed((recipe.seed * 1_000_003 + self.step) * 64 + layer)
            kept = torch.rand(z.shape[0], 1, 8, 1, generator=generator) >= recipe.head_dropout
            by_head = z.view(*z.shape[:-1], 8, -1)
            return ((by_head * kept / (1 - recipe.head_dropout)).flatten(-2),)

        return hook


class _WeightedTrainer(OpenTrainer):
    """A Trainer whose loss weighs every word as the world says, over ready batches in order."""

    dropout: _HeadDropout

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Weighted mean cross-entropy of the next word."""
        self.dropout.step = self.state.global_step
        weights = inputs.pop("weights")[:, 1:].flatten()
        logits = model(**inputs, use_cache=False).logits[:, :-1].flatten(0, 1)
        losses = functional.cross_entropy(logits, inputs["input_ids"][:, 1:].flatten(), reduction="none")
        return (losses * weights).sum() / weights.sum()

    def train_sampler(self, usual: Any) -> SequentialSampler:
        """One batch after the other."""
        return SequentialSampler(self.train_dataset)


class _SaveAt(TrainerCallback):  # type: ignore[misc]
    """A checkpoint after the last step of a run that ends early."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **context: Any) -> None:
        control.should_save |= state.global_step == self.step


def _require_free(directory: Path) -> None:
    """Refuse a directory in which something lies that is not of an unfinished run."""
    if directory.exists() and not directory.is_dir():
        raise OrganismError(f"{directory} is a file; choose another directory.")
    found = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    if found and not (RECORD in found and found <= {RECORD, CHECKPOINTS}):
        odd = sorted(found - {RECORD, CHECKPOINTS} or found)[0]
        raise OrganismError(
            f"{directory} holds {odd!r}, which is not of an unfinished training; choose "
            "another directory, or allow with overwrite (--overwrite) that it be written over."
        )


def _only(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    (batch,) = batches
    return batch


@random_state_kept()
def train(
    directory: str | Path,
    *,
    seed: int = 0,
    variant: Variant = "mha",
    steps: int | None = None,
    resume: bool = True,
    overwrite: bool = False,
    stop_after: int | None = None,
    progress: bool = True,
    callbacks: Iterable[TrainerCallback] = (),
) -> Path:
    """Train a model with the recipe and write it, tokenizer and recipe to ``directory``.

    ``resume`` goes on from the newest checkpoint in ``directory / "checkpoints"`` if there is one; the result equals
    that of a run that was never stopped. ``overwrite`` writes where something else lies than such an unfinished run,
    a finished one too. ``stop_after`` ends a run early with a checkpoint and writes no model.

    Raises:
        OrganismError: ``directory`` holds something else than an unfinished run, or a checkpoint of another recipe.
    """
    directory = Path(directory)
    if not overwrite:
        _require_free(directory)
    recipe = Recipe(seed=seed, variant=variant) if steps is None else Recipe(seed=seed, variant=variant, steps=steps)
    record = directory / RECORD
    checkpoints = directory / CHECKPOINTS
    newest = newest_checkpoint(checkpoints) if resume else None
    if newest and not (record.is_file() and json.loads(record.read_text()) == recipe.as_dict()):
        raise OrganismError(
            f"{checkpoints} holds a checkpoint of another recipe ({record}); choose another directory or resume=False."
        )
    write_text(record, json.dumps(recipe.as_dict(), indent=1) + "\n")

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(recipe.config(), attn_implementation="sdpa", dtype=torch.float32)
    optimizer = MuonWithAdamW(model, muon_lr=recipe.muon_lr, adamw_lr=recipe.adamw_lr, decay=recipe.muon_decay)
    trainer = _WeightedTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(checkpoints),
            max_steps=recipe.steps if stop_after is None else stop_after,
            per_device_train_batch_size=1,
            max_grad_norm=1.0,
            use_cpu=True,
            seed=seed,
            logging_steps=50,
            save_steps=500,
            save_total_limit=2,
            report_to=[],
            disable_tqdm=not progress,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        ),
        train_dataset=PackedBatches(recipe),
        data_collator=_only,
        optimizers=(optimizer, LambdaLR(optimizer, recipe.lr_factor)),
        callbacks=[*callbacks, _SaveAt(stop_after), HashFiles()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.dropout = _HeadDropout(model, recipe)
    with enough_threads(model, recipe.rows * recipe.row_tokens):
        trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
    if stop_after is not None:
        return directory
    model.config.use_cache = True
    model.to(torch.bfloat16).save_pretrained(directory)
    build_tokenizer().save_pretrained(directory)
    return directory
