"""Whether a model keeps what it reads: tried once on short prompts, before anything is measured over cached keys.

A cache that loses tokens gives plausible numbers, so no architecture and no two versions are believed to have one that
works. Where it does not, prompts run whole, which is slower and right.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import CacheWarning, ModelError
from sycolens.memory import ran_out_of_memory
from sycolens.model.capture import capture_last_token, input_device, run, unembed_only
from sycolens.model.hooked import Geometry, HookedModel, as_found
from sycolens.model.kv_prefix import GrowingRows, run_and_keep
from sycolens.model.partial_forward import capture_suffixes, run_rows
from sycolens.model.versions import versions

LONGEST: Final = 12
"""Tokens of a trial's prompts."""

_kept: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def keeps_what_it_reads(model: HookedModel) -> bool:
    """Whether keys and values may be kept for this model object: tried at its first call, and warned of if not.

    Two random prompts run plainly, in two parts over the model's own cache, in rows that share one, and one generated
    token further; all must end in the same logits.

    Raises:
        ModelError: a token's logits depend on what comes after it, so that padded prompts cannot be measured at all.
        HookError, NotFiniteError: as :func:`~sycolens.model.capture.capture_last_token`.

    >>> keeps_what_it_reads(model)
    True
    """
    return passes_once(model, lambda: _failure(model))


def passes_once(model: Any, failure: Callable[[], str]) -> bool:
    """Whether a trial of this model object found no failure; it runs once, and warns once."""
    if model not in _kept:
        found = failure()
        _kept[model] = not found
        if found:
            warnings.warn(
                f"{found}, so nothing is kept from one pass to the next: slower, with the numbers of plain passes. "
                f"Installed are {versions()}; versions that sycolens admits keep what they read.",
                CacheWarning,
                stacklevel=4,
            )
    return _kept[model]


def trial_prompts(d_vocab: int, n_tokens: int) -> list[list[int]]:
    """Two prompts of random tokens, always the same."""
    return torch.randint(d_vocab, (2, n_tokens), generator=torch.Generator().manual_seed(0)).tolist()


def differ(found: Float[Tensor, "row d_vocab"], due: Float[Tensor, "row d_vocab"]) -> bool:
    """Whether logits are further apart than rounding takes them; a token that was not seen takes them much further."""
    due = due.to(found.device)
    error = (found.float() - due.float()).square().mean(-1).sqrt()
    return not bool((error <= torch.finfo(found.dtype).eps ** 0.5 * due.float().std(-1)).all())


def failure_of(name: str, attempt: Callable[[], bool]) -> str:
    """What is wrong where an attempt is False or breaks off, else nothing; running out of memory is no answer."""
    try:
        return "" if attempt() else f"{name} ends in other logits than a plain pass"
    except Exception as error:  # whatever it is, the plain way remains
        if ran_out_of_memory(error):
            raise
        return f"{name} fails ({type(error).__name__}: {error})"


def _failure(model: HookedModel) -> str:
    geometry = Geometry.of(model)
    length = min(LONGEST, (geometry.n_ctx or LONGEST + 1) - 1)
    if length < 4:
        return f"{geometry.name} reads too few tokens to try its cache"
    prompts = trial_prompts(geometry.d_vocab, length + 1)
    half, ends = length // 2, [prompt[:length] for prompt in prompts]
    with as_found(model):
        due = _plain(model, geometry, ends)
        further = capture_last_token(model, geometry, prompts).logits
        tokens = torch.tensor(prompts, device=input_device(model))

        def in_two_parts() -> bool:
            cache = run_and_keep(model, geometry, [prompt[:half] for prompt in prompts])
            with unembed_only(model, torch.full((2,), length - half - 1)):
                return not differ(run(model, tokens[:, half:length], cache=cache)[:, 0], due)

        def in_rows() -> bool:
            reference, counterfactual = capture_suffixes(model, geometry, ends, ends, [2, 2])
            rows = run_rows(model, geometry, reference, [0], {}, grow=False)
            return not any(differ(each, due) for each in (reference.logits, counterfactual.logits, *rows))

        def one_token_further() -> bool:
            store = GrowingRows(model, geometry, n_rows=4, n_tokens=length + 1)
            cache = store.begin(run_and_keep(model, geometry, [prompt[:half] for prompt in prompts]), 2)
            run(model, tokens[:, half:length].repeat_interleave(2, 0), cache=cache)
            store.keep(cache, torch.tensor([0, 3]))
            return not differ(run(model, tokens[:, length:], cache=cache)[:, 0], further)

        attempts = {"in two parts": in_two_parts, "in rows over a prefix": in_rows, "generating": one_token_further}
        found = (failure_of(name, attempt) for name, attempt in attempts.items())
        first = next(filter(None, found), "")
    return first and f"{geometry.name}: a prompt run {first}"


def _plain(model: HookedModel, geometry: Geometry, prompts: Sequence[Sequence[int]]) -> Float[Tensor, "row d_vocab"]:
    """Logits at the end of both prompts, once it is known that what comes after a prompt does not change them."""
    first, second = prompts
    due = capture_last_token(model, geometry, prompts).logits
    beside = capture_last_token(model, geometry, [first[:-2], second]).logits
    alone = capture_last_token(model, geometry, [first[:-2]]).logits
    if differ(beside[:1], alone) or differ(beside[1:], due[1:]):
        raise ModelError(
            f"{geometry.name}: a prompt ends in other logits where it is padded on the right, so its tokens see what "
            "comes after them, or its arithmetic depends on what else runs beside it (8-bit activations). Only causal "
            f"language models are supported, with activations of 16 bits or more; installed are {versions()}."
        )
    return due
