"""Read checkpoints whole or not at all, and run none of their code."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sycolens.errors import ModelError, WeightsError
from sycolens.model.gguf import dense_weights, is_gguf, settle, source_of
from sycolens.model.names import plain_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN = 4
"""How many tensors of a kind a message names."""


def read_config(place: str | Path, *, revision: str | None = None) -> Any:
    """The configuration of a checkpoint, by its directory, GGUF file or hub name; raises what transformers does."""
    from transformers import AutoConfig

    source, options = source_of(place)
    config = AutoConfig.from_pretrained(source, revision=revision or "main", trust_remote_code=False, **options)
    if options:
        config.name_or_path = str(place)
    return config


def read_tokenizer(place: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, by its directory, GGUF file or hub name; raises what transformers does."""
    from transformers import AutoTokenizer

    source, options = source_of(place)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    if options:
        tokenizer.name_or_path = str(place)
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
    source, also = source_of(place)
    if also:
        also |= dense_weights()
    model, found = (auto or AutoModelForCausalLM).from_pretrained(source, **{**options, **also, **known})
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
            f"{plain_name(place)}: the weights are not those of a {type(model).__name__} as its configuration says: "
            f"{faults}. Fetch or save the checkpoint again, whole and with its own config.json."
        )
    if also:
        settle(model, place)
    return model


@contextmanager
def described(place: str) -> Iterator[str]:
    """Where TransformerLens finds a checkpoint's configuration and tokenizer; a folder is made of a GGUF file's."""
    if not is_gguf(place):
        yield place
        return
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    with TemporaryDirectory() as folder:
        config = read_config(place)
        config.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type]]
        config.save_pretrained(folder)
        read_tokenizer(place).save_pretrained(folder)
        yield folder


@dataclass(frozen=True)
class WholeWeights:
    """Stands in for the class with which TransformerBridge loads the weights that it wraps."""

    place: str
    """Where they are, whatever the bridge believes."""

    def from_pretrained(self, described: str, *, config: Any, **options: Any) -> Any:
        """As :func:`read_weights`."""
        from transformer_lens.utilities.architectures import MULTIMODAL_ARCHITECTURES
        from transformers import AutoModelForImageTextToText

        seeing = not set(config.architectures or ()).isdisjoint(MULTIMODAL_ARCHITECTURES)
        auto = AutoModelForImageTextToText if seeing else None
        return read_weights(self.place, auto=auto, config=config, **options)


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
                f"{plain_name(place)} is a {name}, which transformers does not have: its code comes with the "
                "checkpoint, and sycolens runs none of that. Choose a model that transformers knows by itself."
            )


def brings_code(model: Any, tokenizer: Any) -> bool:
    """Whether a checkpoint names code of its own for its model or tokenizer."""
    return bool(getattr(model.config, "auto_map", None) or tokenizer.init_kwargs.get("auto_map"))


def _first(names: Collection[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return ", ".join([*names][:SHOWN]) + more
