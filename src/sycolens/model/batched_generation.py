"""Greedy replies of any model: prompts of different lengths share a batch wherever padding changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from sycolens.compute import QUIET, Compute
from sycolens.errors import NotFiniteError
from sycolens.model.batches import batches_that_fit
from sycolens.model.cache_trial import LONGEST, differ, failure_of, passes_once, trial_prompts
from sycolens.model.capture import TokenIds
from sycolens.model.generation import Conditions, Reply, end_tokens, reply_under, require_room
from sycolens.model.hooked import Geometry, as_found, knocked_out, require_readable, steered_from
from sycolens.model.kv_cache import prompt_unknown, require_generated
from sycolens.model.threads import enough_threads
from sycolens.model.weights import shape_of

logger = logging.getLogger(__name__)


def generate(
    model: Any,
    prompts: Sequence[TokenIds],
    *,
    tokenizer: Any = None,
    max_new_tokens: int = 64,
    compute: Compute = QUIET,
) -> list[Reply]:
    """Greedy replies as token ids, without the token that ends them: at each place the most likely token of all.

    ``model`` is a TransformerBridge, a HookedTransformer or a plain Hugging Face causal model. Its generation settings
    for sampling, beams, penalties and forced tokens are ignored; a reply ends at the end tokens of the settings and of
    ``tokenizer`` (by default the model's own).

    Prompts of different lengths share a batch, padded on the left, once a trial on the shortest and the longest has
    shown that this changes nothing; else, and for a HookedTransformer, prompts of one length do. Batches are the same
    however many processes there are.

    Raises:
        PromptError: a prompt is empty, fills the context, or holds unknown token ids; ``max_new_tokens`` is
            below 1.
        NotFiniteError: the model gives NaN or infinity.
        ModelError: it is no such model.
        CacheError: a key-value cache that was found to work no longer does; or heads are knocked out by
            ``ablate_heads`` of a model that has none that works.

    >>> replies = generate(model, [pairs.reference[0]])
    >>> model.tokenizer.decode(replies[0]).startswith("Apologies")
    True
    """
    geometry = shape_of(model)
    require_readable(prompts, geometry)
    require_room(prompts, geometry, max_new_tokens)
    if (causal := causal_of(model)) is None:
        return _hooked_replies(model, prompts, max_new_tokens, compute)
    limits = [min(max_new_tokens, geometry.n_ctx - len(p)) if geometry.n_ctx else max_new_tokens for p in prompts]
    ends = end_tokens(model, tokenizer)
    replies: list[Reply] = [()] * len(prompts)
    longest = max(map(len, prompts), default=0)
    with as_found(model), enough_threads(model, min(compute.batch_size, len(prompts)) * longest):
        cached = keeps_while_generating(causal)
        if not cached and hasattr(model, "cfg") and knocked_out(model):
            raise prompt_unknown(geometry.name)
        lengths = [len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)]
        fit = partial(batches_that_fit, model, lengths=lengths, compute=compute, caches=2)
        batches = fit(_alike(prompts, limits, mixed=True))
        mixed = [prompts[i] for batch in batches if len({len(prompts[i]) for i in batch}) > 1 for i in batch]
        if not compute.processes.once(lambda: _padding_changes_nothing(causal, mixed, min(2, max_new_tokens), cached)):
            logger.info("padding changes what this model says, so only prompts of one length run together")
            batches = fit(_alike(prompts, limits, mixed=False))
        with compute.bar(sum(map(len, compute.processes.in_turn(batches))), "replies", "reply") as bar:

            def reply_to(batch: list[int]) -> list[Reply]:
                found = _replies(causal, [prompts[i] for i in batch], limits[batch[0]], ends, cached)
                bar.update(len(batch))
                return found

            for batch, found in zip(batches, compute.processes.each(batches, reply_to), strict=True):
                for i, reply in zip(batch, found, strict=True):
                    replies[i] = reply
    return replies


def causal_of(model: Any) -> Any:
    """The Hugging Face model that computes for a bridge (hooks and tuned heads included), or is the model itself.

    None for a HookedTransformer.
    """
    if hasattr(model, "cfg"):
        return getattr(model, "original_model", None)
    return model


def keeps_while_generating(causal: Any) -> bool:
    """Whether Hugging Face's own loop may keep keys and values for this model object; tried at its first call.

    The loop writes three tokens with its cache and three without one, and must find the same logits.

    Raises:
        NotFiniteError: the model gives NaN or infinity.

    >>> keeps_while_generating(causal_of(model))
    True
    """

    def failure() -> str:
        shape = shape_of(causal)
        length = min(LONGEST, (shape.n_ctx or LONGEST + 3) - 3)
        if length < 2:
            return f"{shape.name} reads too few tokens to try its cache"
        prompts = trial_prompts(shape.d_vocab, length)
        with as_found(causal):
            plain = _decode(causal, prompts, 3, frozenset(), False)

            def agrees() -> bool:
                kept = _decode(causal, prompts, 3, frozenset(), True)
                for step, (found, due) in enumerate(zip(kept.logits, plain.logits, strict=True)):
                    if differ(found, due):
                        return False
                    if not torch.equal(kept.sequences[:, length + step], plain.sequences[:, length + step]):
                        return True  # a tie, after which the two are not to be compared
                return True

            found = failure_of("generating", agrees)
        return found and f"{shape.name}: {found}"

    return passes_once(causal, failure)


def _alike(prompts: Sequence[TokenIds], limits: Sequence[int], *, mixed: bool) -> Iterator[list[int]]:
    """Prompts that may be run together, the longest first. Those of one limit below the others' are of one length."""
    together = limits if mixed else [len(prompt) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (together[i], -len(prompts[i])))
    for _, found in groupby(order, key=lambda i: together[i]):
        yield list(found)


def _padding_changes_nothing(causal: Any, prompts: Sequence[TokenIds], steps: int, cached: bool) -> bool:
    """Whether a short prompt leads to the same logits beside a long one: tried, not believed of an architecture."""
    if len({len(prompt) for prompt in prompts}) < 2:
        return True
    short, long = min(prompts, key=len), max(prompts, key=len)
    alone, beside = (_decode(causal, some, steps, frozenset(), cached) for some in ([short], [short, long]))
    for step, (expected, found) in enumerate(zip(alone.logits, beside.logits, strict=True)):
        # Rounding stays far below this in every dtype, and a wrong mask or position far above.
        allowed = torch.finfo(causal.dtype).eps ** 0.5 * expected.float().std()
        if (expected[0].float() - found[0].float()).abs().max() > allowed:
            return False
        place = len(long) + step
        if alone.sequences[0, len(short) + step] != beside.sequences[0, place]:
            return True  # a tie, after which the two are not to be compared
    return True


def _replies(causal: Any, prompts: Sequence[TokenIds], limit: int, ends: frozenset[int], cached: bool) -> list[Reply]:
    made = _decode(causal, prompts, limit, ends, cached).sequences[:, max(map(len, prompts)) :].tolist()
    stops = [next((k for k, token in enumerate(reply) if token in ends), len(reply)) for reply in made]
    return [tuple(reply[:stop]) for reply, stop in zip(made, stops, strict=True)]


def _decode(causal: Any, prompts: Sequence[TokenIds], limit: int, ends: frozenset[int], cached: bool) -> Any:
    """What Hugging Face's own loop makes of prompts that are padded on the left."""
    from transformers import GenerationConfig

    longest = max(map(len, prompts))
    gaps = [longest - len(prompt) for prompt in prompts]
    # Any token may stand in the gap, since nothing sees it.
    tokens = [[*[prompt[0]] * gap, *prompt] for prompt, gap in zip(prompts, gaps, strict=True)]
    mask = [[0] * gap + [1] * (longest - gap) for gap in gaps]
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=sorted(ends) or None,
        pad_token_id=min(ends, default=0),
        output_logits=not ends,
        use_cache=cached,
        return_dict_in_generate=True,
    )
    with _without_settings(causal), steered_from(causal, longest - 1):
        made = causal.generate(
            input_ids=torch.tensor(tokens, device=causal.device),
            attention_mask=torch.tensor(mask, device=causal.device),
            generation_config=settings,
            logits_processor=[_finite(shape_of(causal).name)],
        )
    if cached:
        require_generated(shape_of(causal).name, made)
    return made


@contextmanager
def _without_settings(causal: nn.Module) -> Iterator[None]:
    """Without the settings that came with the checkpoint, which would otherwise fill in whatever is left open."""
    from transformers import GenerationConfig

    holders = [module for module in causal.modules() if "generation_config" in vars(module)]
    found = [module.generation_config for module in holders]
    try:
        for module in holders:
            module.generation_config = GenerationConfig()
        yield
    finally:
        for module, settings in zip(holders, found, strict=True):
            module.generation_config = settings


def _finite(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    def check(tokens: Tensor, logits: Tensor) -> Tensor:
        if not logits.isfinite().all():
            raise NotFiniteError(f"{name}: logits are NaN or infinite. Load the model in a wider dtype.")
        return logits

    return check


def _hooked_replies(model: Any, prompts: Sequence[TokenIds], limit: int, compute: Compute) -> list[Reply]:
    geometry = Geometry.of(model)
    nothing = torch.zeros(1, geometry.n_layers, geometry.n_heads, dtype=torch.bool)
    # "all", so that a prompt is one pass: hooks of others, such as ablate_heads, find its end where it is.
    work = Conditions(nothing, torch.zeros(1, 1, geometry.n_layers, geometry.n_heads, geometry.d_head), "all")
    with compute.bar(len(prompts), "replies", "reply") as bar:
        found = reply_under(
            model,
            prompts,
            [((0,), (0,))] * len(prompts),
            work,
            max_new_tokens=limit,
            compute=replace(compute, max_rows=compute.batch_size),
            advance=lambda replies: bar.update(replies * compute.processes.count),
        )
    return [reply for (reply,) in found.tokens]
