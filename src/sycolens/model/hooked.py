"""Models as the rest of the library sees them: loading, shape, guards, and leaving them as they were found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from sycolens.errors import ModelError, NoHeadOutputError, NoMLPOutputError, PromptError

HookFunction = Callable[..., Tensor | None]
Backend = Literal["bridge", "hooked"]
EMBEDDED = {"organism": "mha", "organism-gqa": "gqa"}


class HookedModel(Protocol):
    """What sycolens asks of a model: TransformerBridge and HookedTransformer both have it."""

    @property
    def cfg(self) -> Any: ...
    @property
    def hook_dict(self) -> Any: ...
    def hooks(self, fwd_hooks: list[tuple[str, HookFunction]]) -> AbstractContextManager[Any]: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True)
class Geometry:
    """The shape of a model, as far as heads are concerned."""

    name: str
    n_layers: int
    n_heads: int
    n_key_value_heads: int
    """Fewer than ``n_heads`` where queries share keys and values in groups."""
    d_model: int
    d_head: int
    d_mlp: int
    n_ctx: int
    """Longest prompt in tokens; 0 where the model states none."""
    d_vocab: int

    @classmethod
    def of(cls, model: HookedModel) -> Geometry:
        """Read the shape off a TransformerLens model.

        Raises:
            ModelError: the object is no TransformerLens model.
        """
        cfg = getattr(model, "cfg", None)
        if cfg is None or not hasattr(model, "hooks") or not isinstance(getattr(cfg, "n_heads", None), int):
            raise ModelError(
                f"{type(model).__name__} is not a TransformerLens model; load it with sycolens.load_model, or wrap a "
                "Hugging Face model with TransformerBridge.boot_transformers(name, hf_model=...)."
            )
        return cls(
            name=str(cfg.model_name),
            n_layers=cfg.n_layers,
            n_heads=cfg.n_heads,
            n_key_value_heads=getattr(cfg, "n_key_value_heads", None) or cfg.n_heads,
            d_model=cfg.d_model,
            d_head=cfg.d_head,
            d_mlp=getattr(cfg, "d_mlp", None) or 4 * cfg.d_model,
            n_ctx=getattr(cfg, "n_ctx", None) or 0,
            d_vocab=cfg.d_vocab,
        )


def load_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: str | dict[str, str | int] | None = None,
    backend: Backend = "bridge",
) -> Any:
    """A TransformerLens model with raw (unfolded) weights, in evaluation mode.

    ``name_or_path`` is ``"organism"`` or ``"organism-gqa"`` (the models shipped with sycolens), a Hugging Face hub
    name, or a local checkpoint directory. ``dtype`` is float32 unless said otherwise. ``backend="hooked"`` gives a
    HookedTransformer, which TransformerLens has before 4.0 only. Nothing but the named model is fetched, and no
    remote code is run.

    Raises:
        ModelError: the checkpoint cannot be read, or this TransformerLens has no such backend.

    >>> model = load_model("organism")
    >>> model.cfg.n_layers, model.cfg.n_heads
    (6, 8)
    """
    if device is not None and device_map is not None:
        raise ModelError("Give either device or device_map, not both: a device_map places every layer itself.")
    name = _resolve(name_or_path)
    torch_dtype = _dtype(dtype)
    try:
        if backend == "hooked":
            model = _boot_hooked(name, device, torch_dtype, device_map)
        elif backend == "bridge":
            from transformer_lens.model_bridge import TransformerBridge

            placement = {"device_map": device_map} if device_map is not None else {"device": device}
            model = TransformerBridge.boot_transformers(name, dtype=torch_dtype, **placement)
        else:
            raise ModelError(f"backend={backend!r} is unknown; choose 'bridge' or 'hooked'.")
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{str(name_or_path)!r} could not be loaded as a {backend} model ({type(error).__name__}: {error}). "
            "Give 'organism', a hub name you can reach, or a directory with config.json, weights and tokenizer."
        ) from error
    if str(name_or_path) in EMBEDDED or Path(name).is_dir():
        # Names end up in figures and records, which should not tell where things lie on one machine.
        model.cfg.model_name = str(name_or_path) if str(name_or_path) in EMBEDDED else Path(name).resolve().name
    return model.eval()


def _resolve(name_or_path: str | Path) -> str:
    if str(name_or_path) in EMBEDDED:
        from sycolens import organism

        return str(organism.directory(cast(Any, EMBEDDED[str(name_or_path)])))
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path} is a directory without config.json, so it is no Hugging Face checkpoint.")
        return str(path)
    if path.exists() or isinstance(name_or_path, Path):
        raise ModelError(f"{path} is not a checkpoint directory.")
    return name_or_path


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    if dtype is None:
        return torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype={dtype!r} is not a floating-point type; write 'float32', 'bfloat16' or 'float16'.")
    return found


def _boot_hooked(name: str, device: Any, dtype: torch.dtype, device_map: Any) -> Any:
    if device_map is not None:
        raise ModelError("HookedTransformer takes no device_map; use backend='bridge' for models over several devices.")
    try:
        hooked = import_module("transformer_lens").HookedTransformer
    except (ImportError, AttributeError) as error:
        raise ModelError(
            "This TransformerLens has no HookedTransformer (it left in 4.0). Use backend='bridge', or install "
            "'transformer-lens>=3.9,<4'."
        ) from error
    if not Path(name).is_dir():
        return hooked.from_pretrained_no_processing(name, device=device, dtype=dtype)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loading = import_module("transformer_lens.loading_from_pretrained")
    with TemporaryDirectory() as folder:
        # TransformerLens guesses the architecture from words such as "llama" in the path; a neutral one stops that.
        path = Path(folder) / "checkpoint"
        path.symlink_to(Path(name).resolve(), target_is_directory=True)
        cfg = loading.get_pretrained_model_config(str(path), device=device, dtype=dtype)
        weights = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
        state = loading.get_pretrained_state_dict(str(path), cfg, weights, dtype=dtype)
    cfg.model_name = Path(name).name
    model = hooked(cfg, AutoTokenizer.from_pretrained(name), move_to_device=False)
    unprocessed = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
    model.load_and_process_state_dict(state, **dict.fromkeys(unprocessed, False))
    model.move_model_modules_to_device()
    return model


def require_head_outputs(model: HookedModel, geometry: Geometry) -> None:
    """Refuse a model in which some layer's heads cannot be reached.

    Raises:
        NoHeadOutputError: layers without ``hook_z`` exist; they are named.
    """
    known = model.hook_dict
    without = [layer for layer in range(geometry.n_layers) if z_name(layer) not in known]
    if without:
        raise NoHeadOutputError(
            f"{geometry.name}: layer{'s' if len(without) > 1 else ''} {', '.join(map(str, without))} of "
            f"{geometry.n_layers} {'have' if len(without) > 1 else 'has'} no hook_z, as in state-space or "
            "linear-attention blocks. Head effects are defined only where every layer has attention heads."
        )


def require_mlp_outputs(model: HookedModel, geometry: Geometry) -> None:
    """Refuse to freeze MLPs that have no output hook.

    Raises:
        NoMLPOutputError: layers without ``hook_mlp_out`` exist; they are named.
    """
    known = model.hook_dict
    without = [layer for layer in range(geometry.n_layers) if mlp_name(layer) not in known]
    if without:
        raise NoMLPOutputError(
            f"{geometry.name}: no hook_mlp_out in layers {', '.join(map(str, without))}; use mlps='live' (Algorithm 1)."
        )


def require_readable(prompts: Sequence[Sequence[int]], geometry: Geometry) -> None:
    """Refuse prompts that the model cannot read.

    Raises:
        PromptError: a prompt is empty or longer than the context, or a token id is outside the vocabulary.
    """
    for number, prompt in enumerate(prompts):
        if not prompt:
            raise PromptError(f"Prompt {number} is empty.")
        if geometry.n_ctx and len(prompt) > geometry.n_ctx:
            raise PromptError(
                f"Prompt {number} has {len(prompt)} tokens, but {geometry.name} reads at most {geometry.n_ctx}; "
                "leave out long questions (max_characters in ContrastPairs.from_questions)."
            )
        if min(prompt) < 0 or max(prompt) >= geometry.d_vocab:
            wrong = next(token for token in prompt if not 0 <= token < geometry.d_vocab)
            raise PromptError(
                f"Prompt {number} holds token id {wrong}, but the vocabulary of {geometry.name} ends at "
                f"{geometry.d_vocab - 1}; the pairs were made with another model's tokenizer."
            )


def gives_raw_logits(model: Any) -> bool:
    """Whether logits are those of the original weights, not shifted by TransformerLens' centred unembedding."""
    unembedding = getattr(model, "W_U", None)
    if not isinstance(unembedding, Tensor):
        return True
    # A centred matrix has row means of rounding size; those of a trained or random one are far larger.
    return bool(unembedding.float().mean(-1).abs().amax() > 1e-5 * unembedding.float().std())


@contextmanager
def as_found(model: HookedModel) -> Iterator[None]:
    """Evaluation mode without gradients inside; every module's own mode restored after, also on an exception."""
    # A bridge keeps the Hugging Face model beside its own modules; dropout and attention read their mode there.
    everything = [*model.modules(), *getattr(model, "original_model", nn.Module()).modules()]
    training = [module for module in everything if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def resid_name(layer: int) -> str:
    """Hook name of a layer's residual input."""
    return f"blocks.{layer}.hook_resid_pre"


def z_name(layer: int) -> str:
    """Hook name of a layer's head outputs: after attention, before W_O."""
    return f"blocks.{layer}.attn.hook_z"


def mlp_name(layer: int) -> str:
    """Hook name of a layer's MLP output."""
    return f"blocks.{layer}.hook_mlp_out"
