"""Read checkpoints whole or not at all, and run none of their code."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sycolens.errors import ModelError, WeightsError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN = 4
"""How many tensors of a kind a message names."""


def read_config(place: str | Path, *, revision: str | None = None) -> Any:
    """The configuration of a checkpoint, by its directory or hub name; raises what transformers does."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(place, revision=revision or "main", trust_remote_code=False)


def read_tokenizer(place: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, by its directory or hub name; raises what transformers does."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    return tokenizer


def read_weights(place: str | Path, *, auto: Any = None, **options: Any) -> Any:
    """The Hugging Face model of a checkpoint, each of its weights as it was saved.

    transformers fills what a checkpoint lacks at random and drops what it does not know. What it knows to be left out
    rightly (tied embeddings, buffers of older versions) may be missing or too many. ``auto`` is the class that loads,
    by default AutoModelForCausalLM; ``options`` are its own.

    Raises:
        WeightsError: tensors are missing, unexpected, or of another shape than the configuration gives them.
        Exception: what transformers raises if there is nothing to read.
    """
    from transformers import AutoModelForCausalLM

    known = {"trust_remote_code": False, "output_loading_info": True, "ignore_mismatched_sizes": True}
    model, found = (auto or AutoModelForCausalLM).from_pretrained(place, **{**options, **known})
    odd = {
        "missing": sorted(found["missing_keys"]),
        "unexpected": sorted(found["unexpected_keys"]),
        "of another shape": [
            f"{name} {tuple(saved)}, not {tuple(due)}" for name, saved, due in sorted(found["mismatched_keys"])
        ],
    }
    if any(odd.values()):
        faults = "; ".join(f"{len(names)} {kind} ({_first(names)})" for kind, names in odd.items() if names)
        raise WeightsError(
            f"{_shown(place)}: the weights are not those of a {type(model).__name__} as its config.json describes it: "
            f"{faults}. Fetch or save the checkpoint again, whole and with its own config.json."
        )
    return model


class WholeWeights:
    """Stands in for the class with which TransformerBridge loads the weights that it wraps."""

    @staticmethod
    def from_pretrained(place: str, *, config: Any, **options: Any) -> Any:
        """As :func:`read_weights`."""
        from transformer_lens.utilities.architectures import MULTIMODAL_ARCHITECTURES
        from transformers import AutoModelForImageTextToText

        seeing = not set(config.architectures or ()).isdisjoint(MULTIMODAL_ARCHITECTURES)
        return read_weights(place, auto=AutoModelForImageTextToText if seeing else None, config=config, **options)


def require_own_architecture(place: str | Path, *, revision: str | None = None) -> None:
    """Refuse a checkpoint for whose architecture TransformerLens would import code that comes with it, unasked.

    Raises:
        ModelError: it names such an architecture.
        Exception: what transformers raises if the configuration cannot be read.
    """
    import transformers
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES

    config = read_config(place, revision=revision)
    named = [getattr(config, "original_architecture", None), *(config.architectures or ())]
    for name in named:
        if name in SUPPORTED_ARCHITECTURES and not hasattr(transformers, name):
            raise ModelError(
                f"{_shown(place)} is a {name}, which transformers does not have: its code comes with the checkpoint, "
                "and sycolens runs none of that. Choose a model that transformers knows by itself."
            )


def brings_code(model: Any, tokenizer: Any) -> bool:
    """Whether a checkpoint names code of its own for its model or tokenizer."""
    return bool(getattr(model.config, "auto_map", None) or tokenizer.init_kwargs.get("auto_map"))


def _first(names: Collection[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return ", ".join([*names][:SHOWN]) + more


def _shown(place: str | Path) -> str:
    return Path(place).name if Path(place).is_dir() else str(place)
