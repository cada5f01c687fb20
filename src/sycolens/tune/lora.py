"""LoRA on every attention projection, by PEFT's own layers: what pinpoint tuning of a few heads is compared with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sycolens.counts import check_counts
from sycolens.errors import ModelError, SavedFileError, TuningError
from sycolens.model.weights import require_raw_weights, shape_of
from sycolens.randomness import random_state_kept
from sycolens.storage import read_json
from sycolens.tune.peft_format import Factors, require_peft, save_lora
from sycolens.tune.pinpoint import require_trainable
from sycolens.tune.projections import plain_of, projections_of
from sycolens.tune.tuned import Tuned
from sycolens.tune.whole import core_of

ADAPTER: Final = "default"
"""What PEFT calls the one adapter of a model."""
_KEY: Final = "base_model.model.{name}.lora_{factor}.weight"


@dataclass(frozen=True)
class LoraScope:
    """PEFT's LoRA on every projection that holds Q, K, V or O of a head; all else is frozen.

    A projection's heads share the update, and where Q, K and V are one matrix, they do.

    Raises:
        TuningError: the rank is no whole number from 1, or alpha is not positive.

    >>> LoraScope(rank=4, alpha=8).scale
    2.0
    """

    rank: int = 8
    alpha: float | None = None
    """Updates are scaled by alpha / rank; by default by 1."""

    def __post_init__(self) -> None:
        check_counts(TuningError, rank=self.rank)
        if self.alpha is not None and not (self.alpha > 0 and math.isfinite(self.alpha)):
            raise TuningError(f"alpha={self.alpha!r} scales the update; give a positive number.")

    @property
    def scale(self) -> float:
        """By which the product of the two factors is multiplied."""
        return 1.0 if self.alpha is None else self.alpha / self.rank


class Lora(Tuned):
    """A model with PEFT's LoRA layers around its attention projections, all else frozen.

    ``model`` is a TransformerBridge or a plain Hugging Face causal model. A bridge splits a fused projection in three:
    these then share one A, so that the update is that of the fused one. The update is not merged, so that the model is
    as it was found, bit for bit, after :meth:`detach` and within :meth:`off`.

    Raises:
        TuningError: peft is not installed, the model is a HookedTransformer, or something is attached already.
        ModelError: as :func:`sycolens.tune.attach`, or the model does not call a projection's module.
    """

    def __init__(self, model: Any, scope: LoraScope, *, seed: int = 0) -> None:
        require_lora(hooked=hasattr(model, "cfg") and not hasattr(model, "original_model"))
        import peft

        require_raw_weights(model)
        require_trainable(model, shape_of(model))
        super().__init__(model)
        self.scope = scope
        self.projections = projections_of(model)
        core = core_of(model)
        if hasattr(core, "peft_config"):
            raise TuningError(f"{shape_of(model).name} has an adapter of PEFT already; detach or unload that first.")
        paths = {module: path for path, module in core.named_modules()}
        self._found = {module: paths[module] for parts in self.projections.values() for module in parts}
        config = peft.LoraConfig(
            r=scope.rank, lora_alpha=scope.scale * scope.rank, target_modules=list(self._found.values())
        )
        try:
            with warnings.catch_warnings(), random_state_kept():
                # Bridges over GPT-2 have both kinds of modules that this is about.
                warnings.filterwarnings("ignore", message="fan_in_fan_out")
                torch.manual_seed(seed)
                peft.LoraModel(core, config, ADAPTER)
            self._layers = {name: [self._layer(module) for module in parts] for name, parts in self.projections.items()}
            for first, *others in self._layers.values():
                for layer in (first, *others):
                    layer.lora_A[ADAPTER] = first.lora_A[ADAPTER].float()
                    layer.lora_B[ADAPTER].float()
            self._require_called()
        except BaseException:
            self.detach()
            raise

    def _layer(self, module: nn.Module) -> Any:
        return core_of(self.model).get_submodule(self._found[module])

    def _require_called(self) -> None:
        """Refuse a model that computes with a projection's weight behind its module's back: LoRA would do nothing."""
        layers = [layer for layers in self._layers.values() for layer in layers]
        called: set[nn.Module] = set()
        hooks = [layer.register_forward_hook(lambda module, *_: called.add(module)) for layer in layers]
        core = core_of(self.model)
        try:
            with torch.no_grad(), random_state_kept():
                core(input_ids=torch.zeros(1, 1, dtype=torch.long, device=next(core.parameters()).device))
        finally:
            for hook in hooks:
                hook.remove()
        if len(called) < len(layers):
            raise ModelError(
                f"{shape_of(self.model).name} calls {len(called)} of the {len(layers)} modules that hold Q, K, V, O, "
                "so that PEFT's LoRA would change nothing in the others; tune its heads, or all parameters."
            )

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The factors: "model.layers.0.self_attn.q_proj.A" [rank, d_in], ".B" [d_out, rank]; of a split B0, B1, B2."""
        found: dict[str, nn.Parameter] = {}
        for name, layers in self._layers.items():
            found[f"{name}.A"] = layers[0].lora_A[ADAPTER].weight
            for number, layer in enumerate(layers):
                found[f"{name}.B{number if len(layers) > 1 else ''}"] = layer.lora_B[ADAPTER].weight
        return found

    def factors(self) -> dict[str, Factors]:
        """A copy of A [rank, d_in] and B [d_out, rank] of every projection, by its name in the Hugging Face model."""
        found: dict[str, Factors] = {}
        for (name, parts), layers in zip(self.projections.items(), self._layers.values(), strict=True):
            a = layers[0].lora_A[ADAPTER].weight.detach().cpu().clone()
            b = a.new_zeros(sum(map(len, parts.values())), len(a))
            for outputs, layer in zip(parts.values(), layers, strict=True):
                b[outputs] = layer.lora_B[ADAPTER].weight.detach().cpu()
            found[name] = (a, b)
        return found

    def save(self, directory: str | Path, *, base: str) -> Path:
        """Write the adapter as PEFT does; ``base`` is the base model as the files call it."""
        save_lora(plain_of(self.model), self.factors(), Path(directory), name=base, scale=self.scope.scale)
        return Path(directory)

    @classmethod
    def load(cls, directory: str | Path, model: Any) -> Lora:
        """Put what :meth:`save` wrote on a model, in place.

        Raises:
            SavedFileError: a file is missing or cannot be read.
            TuningError: as :class:`Lora`, or the adapter is that of another model.
        """
        place = Path(directory)
        config = read_json(place / "adapter_config.json")
        try:
            saved = load_file(place / "adapter_model.safetensors")
            scope = LoraScope(config["r"], config["lora_alpha"])
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise SavedFileError(f"{place} cannot be read as a LoRA ({type(error).__name__}: {error}).") from error
        lora = cls(model, scope)
        try:
            lora._take(saved)
        except BaseException:
            lora.detach()
            raise
        return lora

    def _take(self, saved: dict[str, Tensor]) -> None:
        due = {_KEY.format(name=name, factor=factor) for name in self.projections for factor in "AB"}
        if odd := sorted(set(saved) ^ due):
            raise TuningError(f"This LoRA is that of another model: {odd[0]} can be found on one side only.")
        state: dict[str, Tensor] = {}
        for name, parts in self.projections.items():
            state[f"{name}.A"], b = (saved[_KEY.format(name=name, factor=factor)] for factor in "AB")
            for number, outputs in enumerate(parts.values()):
                state[f"{name}.B{number if len(parts) > 1 else ''}"] = b[outputs]
        self.load_state(state)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Let the model compute as its base inside, bit for bit."""
        self._require_attached()
        on = [layer for layers in self._layers.values() for layer in layers if not layer.disable_adapters]
        for layer in on:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in on:
                layer.enable_adapters(True)

    def detach(self) -> None:
        """Leave the model as it was found, bit for bit; the trained parameters stay here."""
        if not self._as_found:
            return
        core = core_of(self.model)
        for module, path in self._found.items():
            home, _, name = path.rpartition(".")
            setattr(core.get_submodule(home), name, module)
        vars(core).pop("peft_config", None)
        super().detach()
        self._as_found = []


def require_lora(*, hooked: bool) -> None:
    """Refuse PEFT's LoRA where peft is not installed, or the model is a HookedTransformer.

    Raises:
        TuningError: it is so.
    """
    require_peft("The method 'lora'", "leave 'lora' out of the methods")
    if hooked:
        raise TuningError(
            "PEFT's LoRA wraps linear modules, of which a HookedTransformer has none: load the model as a bridge "
            "(backend='bridge'), or leave 'lora' out of the methods."
        )
