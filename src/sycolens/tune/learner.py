"""What the Trainer sees: token ids and labels in, loss out, whatever the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from transformers import TrainerCallback
from transformers.loss.loss_utils import ForCausalLMLoss
from transformers.modeling_outputs import CausalLMOutput

from sycolens.errors import HookError, ModelError, TuningError
from sycolens.model.unembedding import unembedded_at
from sycolens.tune.encoding import UNTAUGHT
from sycolens.tune.whole import core_of

TRIED: Final = 64
"""Tokens on which another way to the same loss is tried."""


class Learner(nn.Module):
    """A model as the Trainer sees it; marks that the Trainer leaves here are not on the model."""

    loss_type = "ForCausalLM"
    accepts_loss_kwargs = True

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.core = core_of(model)
        self.hooked = hasattr(self.core, "cfg")
        if hasattr(self.core, "hf_device_map"):  # a model dealt out over devices stays where it is
            self.hf_device_map = self.core.hf_device_map
        self.unembedded: Literal["all", "taught", "taught in training"] = "all"
        """At which positions logits are made for a loss; predictions are asked for all of them."""
        # FSDP shards layer by layer.
        self._no_split_modules = getattr(self.core, "_no_split_modules", None)

    def forward(
        self, input_ids: Tensor, labels: Tensor | None = None, num_items_in_batch: Tensor | None = None
    ) -> CausalLMOutput:
        if labels is None:
            return CausalLMOutput(logits=self._logits(input_ids))
        own = {"taught": True, "taught in training": self.training, "all": False}[self.unembedded]
        if not own:
            logits = self._logits(input_ids)
            loss = ForCausalLMLoss(logits, labels, logits.shape[-1], num_items_in_batch=num_items_in_batch)
            return CausalLMOutput(loss=loss, logits=logits)
        due = nn.functional.pad(labels[:, 1:], (0, 1), value=UNTAUGHT)
        taught = due != UNTAUGHT
        with unembedded_at(self.core, taught):
            logits = self._logits(input_ids)
        # The loss is Hugging Face's own here too; the tokens that are due at each position are given.
        due = due[taught][None]
        if logits.shape[:2] != due.shape:
            raise ModelError(
                f"{type(self.core).__name__} gives logits {tuple(logits.shape)} for {due.numel()} positions."
            )
        loss = ForCausalLMLoss(
            logits, None, logits.shape[-1], num_items_in_batch=num_items_in_batch, shift_labels=due.to(logits.device)
        )
        return CausalLMOutput(loss=loss)

    def _logits(self, input_ids: Tensor) -> Tensor:
        if self.hooked:
            # Given, lest rows that begin with a padding token be taken as padded on the left.
            logits: Tensor = self.core(input_ids, attention_mask=torch.ones_like(input_ids))
            return logits
        logits = self.core(input_ids=input_ids, use_cache=False).logits
        return logits

    def tie_weights(self) -> None:
        """Tie the model's weights, where it ties them: FSDP asks for it once all have their data."""
        if hasattr(self.core, "tie_weights"):
            self.core.tie_weights()

    @property
    def checkpointing(self) -> bool:
        return any(getattr(module, "gradient_checkpointing", False) for module in self.modules())

    def gradient_checkpointing_enable(self, *args: Any, **options: Any) -> None:
        self._checkpointing("gradient", *args, **options)

    def activation_checkpointing_enable(self, *args: Any, **options: Any) -> None:
        self._checkpointing("activation", *args, **options)

    def _checkpointing(self, kind: str, *args: Any, **options: Any) -> None:
        enable = getattr(self.core, f"{kind}_checkpointing_enable", None)
        if enable is None or not getattr(self.core, "supports_gradient_checkpointing", False):
            raise TuningError(f"{type(self.core).__name__} has no gradient checkpointing; train without.")
        enable(*args, **options)

    @contextmanager
    def as_found(self) -> Iterator[None]:
        """Leave the model's modules as they were found: in training or not, with or without checkpointing."""
        modes = [(module, module.training) for module in self.modules()]
        checkpointing = self.checkpointing
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            if self.checkpointing and not checkpointing:
                core = self.core
                getattr(core, "activation_checkpointing_disable", core.gradient_checkpointing_disable)()
                core.disable_input_require_grads()


class TryTaughtAlone(TrainerCallback):  # type: ignore[misc]
    """Lets a learner make logits at the taught positions alone, if that is found to give the same loss.

    Most tokens of a dialogue are not taught, and a model whose unembedding can be told which to read has no use for the
    others. Tried on the beginning of one example, every other token of which is taught, when all is where it will be
    in training; in a model for which it fails or gives another loss, all logits are made.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.ids = torch.as_tensor(row["input_ids"], dtype=torch.long)[None, :TRIED]

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any, **others: Any) -> None:
        ids = self.ids.to(args.device)
        # Not the first position, which a model might treat apart.
        labels = torch.where(torch.arange(ids.shape[1], device=ids.device) % 2 == 0, ids, UNTAUGHT)
        losses: list[float] = []
        with model.as_found(), torch.no_grad():
            model.eval()
            for model.unembedded in ("all", "taught"):
                try:
                    losses.append(float(model(ids, labels).loss))
                except (HookError, ModelError, RuntimeError):
                    if model.unembedded == "all":
                        raise
        precision = torch.finfo(next(model.parameters()).dtype).eps ** 0.5
        alike = len(losses) == 2 and abs(losses[1] - losses[0]) <= precision * abs(losses[0])
        model.unembedded = "taught in training" if alike else "all"
