"""See where the heads look: attention from the last token before the response, the paper's Figure 2(c)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.choices import Template
from sycolens.counts import check_counts
from sycolens.distributed import ALONE, Processes
from sycolens.errors import PromptError
from sycolens.model.batches import batches_that_fit, in_batches
from sycolens.model.capture import capture_attention
from sycolens.model.hooked import Geometry, HookedModel, require_head_outputs, require_readable, require_whole
from sycolens.prompts import ChallengedQuestion, ContrastPairs, Dialogue
from sycolens.prompts.tokens import Span, spelled
from sycolens.verify.head_attention import HeadAttention
from sycolens.verify.spans import CHALLENGE, CUSTOM, choose_spans, locate


def attend_to(
    model: HookedModel,
    dialogues: ContrastPairs | Sequence[Dialogue | ChallengedQuestion],
    span: str | Sequence[Span] = CHALLENGE,
    *,
    template: Template = "chat",
    template_options: Mapping[str, Any] | None = None,
    batch_size: int = 16,
    processes: Processes = ALONE,
    progress: bool = True,
) -> HeadAttention:
    """Attention of every head from the last token before the response to the tokens of a span (Figure 2c).

    Contrast pairs are looked at in X_r; dialogues and challenged questions are rendered by the model's tokenizer, with
    ``template`` and ``template_options`` as in :meth:`Dialogue.render`. ``span="challenge"`` is the challenge and the
    special tokens after it, to the end of the prompt, as in the paper; another name ("question", "first_answer",
    "system") is exactly that part; spans of one's own are one half-open (start, end) for each dialogue.

    Only the last token's row of each pattern is kept. ``batch_size`` is how many dialogues run at once at most, fewer
    where their patterns would be large; it does not change the result. Several ``processes`` share the dialogues.

    Raises:
        DialogueError: no dialogues, one that cannot be rendered, a part that one lacks, spans that do not fit.
        PromptError: a prompt is longer than the model's context or holds unknown token ids.
        NoHeadOutputError: a layer has no attention heads, e.g. a state-space block.
        HookError: ``hook_pattern`` did not fire, or shows no probabilities.
        NotFiniteError: the model's attention is NaN or infinite.

    >>> from sycolens import attend_to
    >>> attention = attend_to(model, pairs, progress=False)
    >>> attention.mass.shape
    torch.Size([32, 6, 8])
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    tokenizer = getattr(model, "tokenizer", None)
    located = locate(dialogues, tokenizer, template=template, template_options=template_options)
    prompts = located.token_ids
    require_readable(prompts, geometry)
    lengths = tuple(map(len, prompts))
    spans = choose_spans(span, located.parts, lengths)
    check_counts(PromptError, batch_size=batch_size)
    rows = torch.zeros(len(prompts), geometry.n_layers, geometry.n_heads, max(lengths))
    # Prompts of like length pad little; the longest come first, so that what is too large fails at once.
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches = batches_that_fit(model, [order], lengths, batch_size=batch_size, processes=processes)

    def look(batch: list[int]) -> Float[Tensor, "dialogue layer head token"]:
        return capture_attention(model, geometry, [prompts[i] for i in batch])

    shown: dict[str, Any] = {"desc": "attention", "processes": processes, "progress": progress}
    for batch, looked in in_batches(model, batches, lengths, look, **shown):
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
