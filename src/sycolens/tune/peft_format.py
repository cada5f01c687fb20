"""Tuned heads as a LoRA adapter: files that PEFT, and servers that load LoRA, put on the unchanged base."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sycolens.errors import TuningError
from sycolens.model.layouts import Slot
from sycolens.model.loading import load_hugging_face
from sycolens.tune.exporting import draft_of
from sycolens.tune.pinpoint import Pinpoint
from sycolens.tune.slices import ends_of

Factors = tuple[Float[Tensor, "rank d_in"], Float[Tensor, "d_out rank"]]


def export_peft(
    base: str | Path, directory: str | Path, *, apply: Callable[[Any], Pinpoint], tuned_in: torch.dtype, name: str
) -> Path:
    """Load a base anew, let ``apply`` attach tuned heads to it, and save what they add to its weights as a LoRA.

    Each slice's update is factored by an SVD and padded with zeros to its projection, whose rank is the sum of those of
    its slices (``rank_pattern``); the scale is 1 everywhere. ``name`` is the base as the files call it.

    Raises:
        RunError: the directory holds something, or cannot be written.
        ModelError: the base cannot be loaded.
        TuningError: peft is not installed, whole MLPs are tuned, or nothing is.
    """
    require_peft("a LoRA", "export a checkpoint")
    with draft_of(Path(directory).expanduser().resolve()) as draft:
        model, _ = load_hugging_face(base, dtype=tuned_in)
        factors = lora_of(apply(model), model)
        save_lora(model, factors, draft, name=name)
    return Path(directory)


def require_peft(what: str, instead: str) -> None:
    """Refuse what takes peft where it is not installed.

    Raises:
        TuningError: it is not.
    """
    if importlib.util.find_spec("peft") is None:
        raise TuningError(f"{what} takes peft, which is not installed: pip install 'sycolens[peft]', or {instead}.")


def save_lora(
    model: nn.Module, factors: Mapping[str, Factors], directory: Path, *, name: str, scale: float = 1.0
) -> None:
    """Write factors of updates, times ``scale``, as PEFT writes a LoRA of a plain Hugging Face model.

    ``factors`` are by the module's name in the model, which may be without data and keeps the LoRA; ``name`` is the
    base as the files call it.
    """
    import peft

    ranks = {module: len(a) for module, (a, _) in factors.items()}
    alphas = {module: _whole(scale * rank) for module, rank in ranks.items()}
    uneven, most = len(set(ranks.values())) > 1, max(ranks.values())
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=most,
        lora_alpha=_whole(scale * most),
        target_modules=list(ranks),
        rank_pattern=ranks if uneven else {},
        alpha_pattern=alphas if uneven else {},
        fan_in_fan_out=isinstance(model.get_submodule(next(iter(ranks))), Conv1D),
        bias="none",
    )
    wrapped = peft.get_peft_model(model, config)
    for module, (a, b) in factors.items():
        layer: Any = wrapped.base_model.model.get_submodule(module)
        layer.lora_A["default"].weight = nn.Parameter(a)
        layer.lora_B["default"].weight = nn.Parameter(b)
    written = wrapped.peft_config["default"]
    written.base_model_name_or_path = name
    written.target_modules = sorted(written.target_modules)  # a set is written in another order each time
    # Embeddings are never trained here; "auto" would ask the hub whether the base's have changed.
    wrapped.save_pretrained(directory, save_embedding_layers=False)


def _whole(number: float) -> float:
    """A number as an integer where it is one: servers read alpha as such."""
    return int(number) if number == int(number) else number


def lora_of(tuned: Pinpoint, model: nn.Module) -> dict[str, Factors]:
    """What tuned heads add to each projection of a plain Hugging Face model, as factors by the module's name.

    The heads are taken out again.

    Raises:
        TuningError: whole MLPs are tuned, or nothing is changed.
    """
    before, after = tuned.base(), tuned.tuned()
    tuned.detach()
    names = {module: name for name, module in model.named_modules()}
    parts: dict[str, list[Factors]] = defaultdict(list)
    for name, slot in tuned.slots.items():
        if name.startswith("M"):
            raise TuningError(
                f"{name} is a whole matrix of an MLP, whose update has no low rank; export a checkpoint instead."
            )
        factors = _factored(after[name].double() - before[name].double())
        if len(factors[0]):
            parts[names[slot.module]].append(_padded(factors, slot))
    if not parts:
        raise TuningError("The tuned heads are those of the base, so there is no update to write; train them first.")
    return {name: (torch.cat([a for a, _ in each]), torch.cat([b for _, b in each], 1)) for name, each in parts.items()}


def _factored(update: Float[Tensor, "d_in d_out"]) -> Factors:
    """The factors of an update, as few as it has singular values that are more than rounding."""
    left, values, right = torch.linalg.svd(update, full_matrices=False)
    kept = (
        int((values > values.max() * max(update.shape) * torch.finfo(torch.float32).eps).sum()) if values.any() else 0
    )
    root = values[:kept].sqrt()
    return (left[:, :kept] * root).T, (root[:, None] * right[:kept]).T


def _padded(factors: Factors, slot: Slot) -> Factors:
    """The factors of a slice as those of the whole projection, zero elsewhere."""
    weight = slot.module.get_parameter(slot.name)
    d_in, d_out = weight.shape if not slot.transposed else weight.shape[::-1]
    a, b = factors
    inputs, outputs = ends_of(slot)
    whole_a, whole_b = a.new_zeros(len(a), d_in), b.new_zeros(d_out, len(a))
    whole_a[:, inputs], whole_b[outputs] = a, b
    return whole_a.float().contiguous(), whole_b.float().contiguous()
