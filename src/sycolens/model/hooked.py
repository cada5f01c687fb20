"""Models as the rest of the library sees them: their shape, guards, and leaving them as they were found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from sycolens.errors import HookError, ModelError, NoHeadOutputError, NoMLPOutputError, PromptError
from sycolens.model.names import plain_name

HookFunction = Callable[..., Tensor | None]
_knocked_out: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""How many blocks of ``ablate_heads`` each model is in."""
_steered: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""What steers each model at this moment (:mod:`sycolens.model.steering`)."""


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
        config = getattr(getattr(model, "original_model", None), "config", None)
        named = (getattr(config, name, "") for name in ("name_or_path", "model_type"))
        return cls(
            name=plain_name(cfg.model_name, *named),
            n_layers=cfg.n_layers,
            n_heads=cfg.n_heads,
            n_key_value_heads=getattr(cfg, "n_key_value_heads", None) or cfg.n_heads,
            d_model=cfg.d_model,
            d_head=cfg.d_head,
            d_mlp=getattr(cfg, "d_mlp", None) or 4 * cfg.d_model,
            n_ctx=getattr(cfg, "n_ctx", None) or 0,
            d_vocab=cfg.d_vocab,
        )


def require_head_outputs(model: HookedModel, geometry: Geometry) -> None:
    """Refuse a model in which some layer's heads cannot be reached.

    Raises:
        NoHeadOutputError: layers without ``hook_z`` exist; they are named.
    """
    if without := _layers_without(model, geometry, z_name):
        raise NoHeadOutputError(
            f"{geometry.name}: layer{'s' if len(without) > 1 else ''} {', '.join(map(str, without))} of "
            f"{geometry.n_layers} {'have' if len(without) > 1 else 'has'} no hook_z, as in state-space or "
            "linear-attention blocks. Head effects are defined only where every layer has attention heads."
        )


def require_whole(model: HookedModel, geometry: Geometry) -> None:
    """Refuse to measure a model while some of its heads are knocked out or steered.

    What measures divides and pads prompts as it sees fit, so that other tokens than meant would be overwritten.

    Raises:
        HookError: this is inside a block of ``ablate_heads``, or an intervention is attached.
    """
    require_none_knocked_out(model, geometry)
    if steering_of(model) is not None:
        raise HookError(
            f"Heads of {geometry.name} are steered at this moment, and this runs prompts in pieces, so that it cannot "
            "be told where to steer. Detach the intervention first; attached, measure replies, likelihoods or drift."
        )


def require_none_knocked_out(model: HookedModel, geometry: Geometry) -> None:
    """Refuse to measure a model while some of its heads are knocked out; for what knows where to steer.

    Raises:
        HookError: this is inside a block of ``ablate_heads``.
    """
    if knocked_out(model):
        raise HookError(
            f"Heads of {geometry.name} are knocked out at this moment, and this runs prompts in pieces, so that "
            "other tokens would be overwritten. Call it outside of ablate_heads; inside, run the model itself."
        )


def steering_of(model: Any) -> Any:
    """What steers a model at this moment; None if nothing does."""
    try:
        return _steered.get(model)
    except TypeError:  # no module, and nothing that could be steered
        return None


@contextmanager
def known_as_steered(model: Any, steering: Any) -> Iterator[None]:
    """For as long as an intervention is attached to a model."""
    _steered[model] = steering
    try:
        yield
    finally:
        del _steered[model]


@contextmanager
def steered_from(model: Any, first: int | Sequence[int]) -> Iterator[None]:
    """Passes over whole prompts are steered from this column on, of all rows or row by row, if the model is steered.

    Whoever runs a model says so, since nobody else knows where prompts end and how they are padded.
    """
    steering = steering_of(model)
    if steering is None:
        yield
        return
    found, steering.first = steering.first, first
    try:
        yield
    finally:
        steering.first = found


def knocked_out(model: HookedModel) -> bool:
    """Whether this is inside a block of ``ablate_heads``."""
    try:
        return _knocked_out.get(model, 0) > 0
    except TypeError:  # no module, and nothing that ablate_heads could have been given
        return False


@contextmanager
def known_as_knocked_out(model: HookedModel) -> Iterator[None]:
    """For as long as a block of ``ablate_heads`` lasts, which may be one of several."""
    _knocked_out[model] = _knocked_out.get(model, 0) + 1
    try:
        yield
    finally:
        _knocked_out[model] -= 1


def require_mlp_outputs(model: HookedModel, geometry: Geometry) -> None:
    """Refuse to freeze MLPs that have no output hook.

    Raises:
        NoMLPOutputError: layers without ``hook_mlp_out`` exist; they are named.
    """
    if without := _layers_without(model, geometry, mlp_name):
        raise NoMLPOutputError(
            f"{geometry.name}: no hook_mlp_out in layers {', '.join(map(str, without))}; use mlps='live' (Algorithm 1)."
        )


def require_head_inputs(model: HookedModel, geometry: Geometry, via: str, layers: Iterable[int]) -> None:
    """Refuse receivers whose queries, keys or values cannot be reached.

    Raises:
        ModelError: such layers without the hook exist; they are named.
    """
    known = model.hook_dict
    if without := [layer for layer in sorted(set(layers)) if input_name(via, layer) not in known]:
        raise ModelError(
            f"{geometry.name}: no hook_{via} in layers {', '.join(map(str, without))}, so heads there cannot receive "
            f"through {via}; choose other receivers, or another via."
        )


def _layers_without(model: HookedModel, geometry: Geometry, name: Callable[[int], str]) -> list[int]:
    known = model.hook_dict
    return [layer for layer in range(geometry.n_layers) if name(layer) not in known]


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
    """Whether logits are those of the original weights, not shifted by TransformerLens' centered unembedding."""
    unembedding = getattr(model, "W_U", None)
    # TransformerLens refuses to process weights that are kept elsewhere until they are needed.
    if not isinstance(unembedding, Tensor) or unembedding.is_meta:
        return True
    # A centered matrix has row means of rounding size; those of a trained or random one are far larger.
    return bool(unembedding.float().mean(-1).abs().amax() > 1e-5 * unembedding.float().std())


@contextmanager
def as_found(model: HookedModel) -> Iterator[None]:
    """Evaluation mode without gradients inside; every module's own mode restored after, also on an exception."""
    # In a bridge, dropout and attention read their mode in the Hugging Face model.
    training = [module for module in all_modules(model) if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def all_modules(model: Any) -> list[nn.Module]:
    """Every module of a model; a bridge keeps its Hugging Face model beside its own modules."""
    return [*model.modules(), *getattr(model, "original_model", nn.Module()).modules()]


def resid_name(layer: int) -> str:
    """Hook name of a layer's residual input."""
    return f"blocks.{layer}.hook_resid_pre"


def z_name(layer: int) -> str:
    """Hook name of a layer's head outputs: after attention, before W_O."""
    return f"blocks.{layer}.attn.hook_z"


def pattern_name(layer: int) -> str:
    """Hook name of a layer's attention probabilities."""
    return f"blocks.{layer}.attn.hook_pattern"


def input_name(via: str, layer: int) -> str:
    """Hook name of a layer's queries, keys or values (``via`` q, k or v), before rotation."""
    return f"blocks.{layer}.attn.hook_{via}"


def mlp_name(layer: int) -> str:
    """Hook name of a layer's MLP output."""
    return f"blocks.{layer}.hook_mlp_out"
