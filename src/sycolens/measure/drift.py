"""KL divergence of a changed model from its base, on texts that have nothing to do with the change."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sycolens.compute import Compute
from sycolens.counts import check_counts
from sycolens.errors import ModelError, NotFiniteError, PromptError
from sycolens.model.batches import batches_that_fit, in_batches
from sycolens.model.hooked import as_found, require_none_knocked_out, steered_from
from sycolens.model.unembedding import read_before_unembedding, unembed
from sycolens.model.weights import shape_of
from sycolens.prompts.tokens import encode, start_tokens
from sycolens.statistics import ratio_interval

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOGIT_BYTES: Final = 2**25
"""Room for one model's log-probabilities at the positions that are compared at once; a handful of such tensors live."""
ACCELERATOR_FACTOR: Final = 8
"""How much more of it there is on an accelerator, where each part costs a pass and caches matter less."""
FEW: Final = Compute(batch_size=8, progress=False)
"""Texts at once unless said otherwise: logits of two models over the whole vocabulary take much memory."""


class Overlay(Protocol):
    """Something that lies over a model and can be off for a while, such as a ``Pinpoint``."""

    @property
    def model(self) -> Any: ...
    def off(self) -> AbstractContextManager[Any]: ...


@dataclass(frozen=True, eq=False, repr=False)
class Drift:
    """How far a model's next-token distributions are from its base's, text by text."""

    per_text: Float[Tensor, " text"]
    """KL(model || base) in nats, summed over the text's positions."""
    tokens: Int[Tensor, " text"]
    """How many positions the sums run over."""

    def __repr__(self) -> str:
        return f"Drift({self.mean:.4f} nats a token; {len(self)} texts, {int(self.tokens.sum()):,} tokens)"

    @property
    def mean(self) -> float:
        """KL(model || base) in nats per token, over all tokens of all texts."""
        return (self.per_text.double().sum() / self.tokens.sum()).item()

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of :attr:`mean` for other texts of the same kind.

        Raises:
            SampleError: there is one text only.
        """
        return ratio_interval(self.per_text, self.tokens)

    def __len__(self) -> int:
        return len(self.tokens)


def kl_drift(
    model: Any,
    base: Any,
    texts: Sequence[str],
    *,
    max_tokens: int = 128,
    tokenizer: PreTrainedTokenizerBase | None = None,
    compute: Compute = FEW,
) -> Drift:
    """KL(model || base) of the next-token distributions on texts, in nats per token.

    A text begins with the special tokens that the tokenizer puts before it, unless it brings them itself, and ends
    after ``max_tokens`` tokens. Every token counts, the last too: what the model expects behind it is a next-token
    distribution like the others. The paper takes 1000 texts of OpenWebText, cut to 128 tokens.

    Models are TransformerBridges, HookedTransformers or plain Hugging Face causal models. ``base`` is another model
    over the same vocabulary, or the ``Pinpoint`` or intervention that lies over ``model``, which is then off for the
    base's passes: one model in memory. A text has no decision point, so that an intervention acts on all its tokens.
    Logits are compared in float64 and some positions at a time, so that memory does not grow with the vocabulary.

    Raises:
        PromptError: no texts, one of fewer than two tokens or longer than a model reads, or ``max_tokens`` below two.
        ModelError: no tokenizer, two vocabularies, or a base that lies over another model.
        HookError: this is inside a block of ``ablate_heads``.
        NotFiniteError: logits are NaN or infinite.

    >>> with pinpoint(model, PinpointConfig(HeadSet(["L1H0"]))) as tuned:
    ...     _ = tuned.parameters["L1H0.O"].data.mul_(0.5)
    ...     drift = kl_drift(model, tuned, organism.texts(8))
    >>> 0 < drift.mean < 0.1
    True
    """
    other, off = _other(model, base)
    tokenizer = tokenizer or getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise ModelError(f"{type(model).__name__} has no tokenizer to read texts with; give one with tokenizer=.")
    prompts = _cut(texts, tokenizer, max_tokens)
    _check(prompts, texts, tokenizer, model, other)
    per_text = torch.empty(len(prompts), dtype=torch.float64)
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    lengths = [len(prompt) for prompt in prompts]
    batches = batches_that_fit(model, [by_length], lengths, compute=compute)

    def measure(batch: list[int]) -> Float[Tensor, " text"]:
        per_position = _divergences(model, other, off, [prompts[i] for i in batch])
        return torch.stack([each.sum() for each in torch.split(per_position, [len(prompts[i]) for i in batch])])

    with as_found(other):
        for batch, measured in in_batches(model, batches, lengths, measure, desc="drift", unit="text", compute=compute):
            per_text[batch] = measured
    return Drift(per_text.float(), torch.tensor(lengths))


def _other(model: Any, base: Any) -> tuple[Any, Any]:
    """The model that computes as the base, and the context manager in which it does."""
    if isinstance(base, nn.Module):
        return base, nullcontext
    if not hasattr(base, "off"):
        raise ModelError(f"base is a {type(base).__name__}; give a model, or the Pinpoint that lies over this one.")
    overlay: Overlay = base
    if overlay.model is not model:
        raise ModelError(
            f"base, a {type(base).__name__}, lies over another model than the one that is measured; give both the same."
        )
    with overlay.off():  # refuses before any compute what cannot be off
        return model, overlay.off


def _divergences(model: Any, other: Any, off: Any, prompts: Sequence[tuple[int, ...]]) -> Float[Tensor, " position"]:
    with off():
        others = read_before_unembedding(other, prompts)
    with steered_from(model, 0):
        own = read_before_unembedding(model, prompts)
    chunks = []
    room = LOGIT_BYTES * (1 if own.device.type == "cpu" else ACCELERATOR_FACTOR)
    size = max(1, room // (8 * shape_of(model).d_vocab))
    for states, other_states in zip(torch.split(own, size), torch.split(others, size), strict=True):
        with off():
            q = _log_probabilities(other, other_states)
        p = _log_probabilities(model, states)
        q = q.to(p.device)
        probability = p.exp()
        # What has no probability adds nothing, also where both have a logit of minus infinity.
        difference = p.sub_(q).masked_fill_(probability == 0, 0)
        chunks.append(difference.mul_(probability).sum(-1).clamp(min=0).cpu().double())
    found = torch.cat(chunks)
    if not found.isfinite().all():
        raise NotFiniteError(
            f"The drift of {shape_of(model).name} from its base is NaN or infinite at {int((~found.isfinite()).sum())} "
            f"of {len(found)} tokens. Check the weights of both, or load them in a wider dtype (float32 or bfloat16)."
        )
    return found


def _log_probabilities(model: Any, states: Tensor) -> Float[Tensor, "position d_vocab"]:
    logits = unembed(model, states)
    # In float32, the rounding of a logarithm would be as large as the drift of a model that hardly changed.
    return logits.log_softmax(-1, dtype=torch.float32 if logits.device.type == "mps" else torch.float64)


def _cut(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> list[tuple[int, ...]]:
    check_counts(PromptError, least=2, max_tokens=max_tokens)
    if isinstance(texts, str) or not texts:
        raise PromptError("There are no texts to look for drift in; give a sequence of at least one text.")
    return [(*start_tokens(tokenizer, text), *encode(tokenizer, text))[:max_tokens] for text in texts]


def _check(
    prompts: Sequence[tuple[int, ...]], texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, model: Any, other: Any
) -> None:
    for number, prompt in enumerate(prompts):
        if len(prompt) < 2:
            raise PromptError(
                f"Text {number}, {texts[number]!r}, has {len(prompt)} token{'' if prompt else 's'}, but needs at least "
                "two; leave it out."
            )
    shape, base = shape_of(model), shape_of(other)
    if shape.d_vocab != base.d_vocab:
        raise ModelError(
            f"{shape.name} has a vocabulary of {shape.d_vocab} tokens, but its base, {base.name}, one of "
            f"{base.d_vocab}; only models over the same vocabulary can be compared."
        )
    theirs = getattr(other, "tokenizer", None) or tokenizer
    if theirs is not tokenizer and any(encode(theirs, text) != encode(tokenizer, text) for text in texts):
        raise ModelError(
            f"The tokenizers of {shape.name} and its base, {base.name}, read these texts as other tokens; only models "
            "over the same vocabulary can be compared."
        )
    longest = max(map(len, prompts))
    for each, its in ((model, shape), (other, base)):
        if its.n_ctx and longest > its.n_ctx:
            raise PromptError(f"{its.name} reads at most {its.n_ctx} tokens, but a text has {longest}; set max_tokens.")
        if (largest := max(map(max, prompts))) >= its.d_vocab:
            raise PromptError(
                f"A text holds token id {largest}, but the vocabulary of {its.name} ends at {its.d_vocab - 1}; give "
                "the model's own tokenizer."
            )
        if hasattr(each, "cfg"):
            require_none_knocked_out(each, its)
