"""What the Trainer sees: token ids and labels in, loss out, whatever the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.loss.loss_utils import ForCausalLMLoss
from transformers.modeling_outputs import CausalLMOutput

from sycolens.errors import TuningError
from sycolens.tune.whole import core_of


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
        # FSDP shards layer by layer.
        self._no_split_modules = getattr(self.core, "_no_split_modules", None)

    def forward(
        self, input_ids: Tensor, labels: Tensor | None = None, num_items_in_batch: Tensor | None = None
    ) -> CausalLMOutput:
        if self.hooked:
            # Given, lest rows that begin with a padding token be taken as padded on the left.
            logits = self.core(input_ids, attention_mask=torch.ones_like(input_ids))
        else:
            logits = self.core(input_ids=input_ids, use_cache=False).logits
        if labels is None:
            return CausalLMOutput(logits=logits)
        loss = ForCausalLMLoss(logits, labels, logits.shape[-1], num_items_in_batch=num_items_in_batch)
        return CausalLMOutput(loss=loss, logits=logits)

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
