"""See where the heads look: attention from the last token before the response, the paper's Figure 2(c)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.compute import Compute
from sycolens.model.batches import batches_that_fit, in_batches
from sycolens.model.capture import capture_attention
from sycolens.model.hooked import Geometry, HookedModel, require_head_outputs, require_readable, require_whole
from sycolens.prompts import ChallengedQuestion, ContrastPairs, Dialogue
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.tokens import Span, spelled
from sycolens.verify.head_attention import HeadAttention
from sycolens.verify.spans import CHALLENGE, CUSTOM, choose_spans, locate


def attend_to(
    model: HookedModel,
    dialogues: ContrastPairs | Sequence[Dialogue | ChallengedQuestion],
    span: str | Sequence[Span] = CHALLENGE,
    *,
    chat_format: ChatFormat = CHAT,
    compute: Compute = Compute(),
) -> HeadAttention:
    """Attention of every head from the last token before the response to the tokens of a span (Figure 2c).

    Contrast pairs are looked at in X_r; dialogues and challenged questions are rendered by the model's tokenizer.
    ``span="challenge"`` is the challenge and the special tokens after it, to the end of the prompt, as in the paper;
    another name ("question", "first_answer", "system") is exactly that part; spans of one's own are one half-open
    (start, end) for each dialogue. Only the last token's row of each pattern is kept.

    Raises:
        DialogueError: no dialogues, one that cannot be rendered, a part that one lacks, spans that do not fit.
        PromptError: a prompt is longer than the model's context or holds unknown token ids.
        NoHeadOutputError: a layer has no attention heads, e.g. a state-space block.
        HookError: ``hook_pattern`` did not fire, or shows no probabilities.
        NotFiniteError: the model's attention is NaN or infinite.

    >>> from sycolens import attend_to
    >>> attention = attend_to(model, pairs, compute=QUIET)
    >>> attention.mass.shape
    torch.Size([32, 6, 8])
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    tokenizer = getattr(model, "tokenizer", None)
    located = locate(dialogues, tokenizer, chat_format=chat_format)
    prompts = located.token_ids
    require_readable(prompts, geometry)
    lengths = tuple(map(len, prompts))
    spans = choose_spans(span, located.parts, lengths)
    rows = torch.zeros(len(prompts), geometry.n_layers, geometry.n_heads, max(lengths))
    # Prompts of like length pad little; the longest come first, so that what is too large fails at once.
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches = batches_that_fit(model, [order], lengths, compute=compute)

    def look(batch: list[int]) -> Float[Tensor, "dialogue layer head token"]:
        return capture_attention(model, geometry, [prompts[i] for i in batch])

    for batch, looked in in_batches(model, batches, lengths, look, desc="attention", compute=compute):
        rows[batch, :, :, : looked.shape[-1]] = looked
    return HeadAttention(
        rows=rows,
        lengths=lengths,
        spans=spans,
        span=span if isinstance(span, str) else CUSTOM,
        parts=located.parts,
        tokens=tuple(spelled(tokenizer, prompts)),
        model_name=geometry.name,
        prompts_fingerprint=hashlib.sha256(json.dumps(prompts, separators=(",", ":")).encode()).hexdigest(),
    )
