"""Next-token logits of many positions, some at a time, or of few tokens: all of them never exist at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from sycolens.errors import HookError, ModelError
from sycolens.model.capture import TokenIds, input_device, run
from sycolens.model.hooked import HookedModel, steered_from


def read_before_unembedding(model: Any, prompts: Sequence[TokenIds]) -> Float[Tensor, "position d_model"]:
    """What the unembedding reads at every token of prompts of any lengths, one prompt behind the other.

    Shorter prompts are padded on the right, where a causal model cannot see; what stands there is left out.
    ``model`` is a TransformerBridge, a HookedTransformer or a plain Hugging Face causal model.

    Raises:
        HookError, ModelError: the unembedding did not run, or cannot be found.
    """
    longest = max(map(len, prompts))
    tokens = torch.tensor([[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in prompts])
    real = torch.tensor([[place < len(prompt) for place in range(longest)] for prompt in prompts])
    read: list[Tensor] = []

    def keep(states: Tensor) -> Tensor:
        read.append(states[real.to(states.device)])
        return states[:1, :1]

    with _unembedding_reads(model, keep):
        _run(model, tokens)
    _require_once(model, len(read))
    return read[0]


def unembed(model: Any, states: Float[Tensor, "position d_model"]) -> Float[Tensor, "position d_vocab"]:
    """The model's logits where its unembedding reads these states.

    The model itself does it, in a pass over one token whose state is replaced by these: whatever it does to the
    logits afterwards (soft-caps, scales) is done, for the price of a pass over one more token.

    Raises:
        ModelError: the model does not give logits for each of them.
    """
    with _unembedding_reads(model, lambda _: states[None]), steered_from(model, 0):
        logits = _run(model, torch.zeros(1, 1, dtype=torch.long))
    if logits.shape[:2] != (1, len(states)):
        raise ModelError(
            f"{type(model).__name__} gives logits {tuple(logits.shape)} where {len(states)} positions are unembedded; "
            "this architecture is not supported."
        )
    return logits[0]


@contextmanager
def logits_of(model: HookedModel, tokens: Int[Tensor, " token"] | None) -> Iterator[None]:
    """Inside, a pass gives the logits of these tokens alone, in this order (None: of the whole vocabulary).

    Every row is multiplied with their columns of the unembedding; whatever the model does to logits afterwards
    (soft-caps, scales), it does to these. That this is the model's own number is for the caller to check.

    Raises:
        ModelError: the unembedding is no matrix that could be read, e.g. a quantized one.
    """
    if tokens is None:
        yield
        return
    unembedding: Any = model.unembed  # type: ignore[attr-defined]
    read: list[Tensor] = []

    def keep(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        read.append(args[0])
        return (args[0][:1, :1], *args[1:])

    def multiply(module: Any, args: Any, output: Tensor) -> Tensor:
        matrix, bias = module.W_U, module.b_U
        states = read.pop()
        if matrix.dim() != 2 or len(matrix) != states.shape[-1] or not matrix.is_floating_point() or matrix.is_meta:
            raise ModelError(f"{type(module).__name__} holds no matrix of {states.shape[-1]} rows that can be read.")
        # A 16-bit model would round a logit near 20 to an eighth.
        wide = torch.promote_types(states.dtype, torch.float32)
        columns = (each[tokens.to(each.device)].to(matrix.device, wide) for each in (matrix.T, bias))
        return functional.linear(states.to(matrix.device, wide), *columns)

    handles = unembedding.register_forward_pre_hook(keep), unembedding.register_forward_hook(multiply)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def unembedded_at(model: Any, chosen: Bool[Tensor, "row position"]) -> Iterator[None]:
    """Let a model's forward pass inside give logits [1, chosen, d_vocab] at chosen positions alone, row by row.

    Gradients pass as they would through all logits of which only these are read. ``model`` as for
    :func:`read_before_unembedding`.

    Raises:
        HookError, ModelError: as there.
    """
    rows = chosen.flatten().nonzero()[:, 0]
    passes = 0

    def choose(states: Tensor) -> Tensor:
        nonlocal passes
        passes += 1
        if states.shape[:-1] != chosen.shape:
            raise HookError(
                f"{type(model).__name__}: its unembedding reads {tuple(states.shape)} where {tuple(chosen.shape)} "
                "tokens were given. This architecture is not supported."
            )
        return states.flatten(0, 1).index_select(0, rows.to(states.device))[None]

    with _unembedding_reads(model, choose):
        yield
    _require_once(model, passes)


def _require_once(model: Any, passes: int) -> None:
    if passes != 1:
        raise HookError(
            f"{type(model).__name__}: its unembedding ran {passes} times in a forward pass instead of once, so its "
            "logits cannot be taken in parts. This architecture is not supported."
        )


@contextmanager
def _unembedding_reads(model: Any, replace: Callable[[Tensor], Tensor]) -> Iterator[None]:
    head = model.unembed if hasattr(model, "cfg") else model.get_output_embeddings()
    if not isinstance(head, nn.Module):
        raise ModelError(f"{type(model).__name__} has no unembedding; give a causal language model.")
    handle = head.register_forward_pre_hook(lambda module, args: (replace(args[0]), *args[1:]))
    try:
        yield
    finally:
        handle.remove()


def _run(model: Any, tokens: Tensor) -> Tensor:
    if hasattr(model, "cfg"):
        return run(model, tokens.to(input_device(model)))
    parameters = inspect.signature(model.forward).parameters
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in parameters else {}
    logits: Tensor = model(tokens.to(model.get_input_embeddings().weight.device), **options).logits
    return logits
