"""Logits of the labels: one for each side, whatever tokens may open it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sycolens.prompts.labels import TokenGroups

NONE = -1
"""Fills up the groups that are smaller than others."""
WITNESSES = 64
"""How many tokens besides the labels are read, by which the model's own logits are recognized."""


def label_tensor(labels: Sequence[TokenGroups]) -> Int[Tensor, "prompt side member"]:
    """The token ids of every prompt's labels, with ``NONE`` where a group is smaller than the largest.

    >>> label_tensor([((3,), (4, 5))])
    tensor([[[ 3, -1],
             [ 4,  5]]])
    """
    width = max(len(group) for both in labels for group in both)
    return torch.tensor([[[*group, *[NONE] * (width - len(group))] for group in both] for both in labels])


def tokens_to_read(
    labels: Int[Tensor, "prompt side member"], d_vocab: int
) -> tuple[Int[Tensor, " token"], Int[Tensor, "prompt side member"]]:
    """The labels and some tokens spread over the vocabulary, each once; and the labels by their places among these.

    >>> tokens, places = tokens_to_read(label_tensor([((3,), (4, 5))]), 1000)
    >>> tokens[places[0, 1]]
    tensor([4, 5])
    """
    spread = torch.linspace(0, d_vocab - 1, min(WITNESSES, d_vocab)).long()
    tokens = torch.tensor(sorted({*labels[labels != NONE].tolist(), *spread.tolist()}))
    return tokens, torch.searchsorted(tokens, labels).masked_fill(labels == NONE, NONE)


def label_logits(
    logits: Float[Tensor, "*block prompt d_vocab"], labels: Int[Tensor, "prompt side member"]
) -> Float[Tensor, "*block prompt side"]:
    """The logit of either side: of a single label its own, of a group the log-sum-exp of its members'.

    On the CPU in float32. The softmax over both sides is then that over all members, those of a side added up.

    >>> label_logits(torch.tensor([[0.0, 1.0, 2.0]]), label_tensor([((1,), (2,))]))
    tensor([[1., 2.]])
    """
    n_prompts, sides, members = labels.shape
    places = labels.clamp(min=0).view(n_prompts, sides * members).to(logits.device)
    picked = logits.gather(-1, places.expand(*logits.shape[:-1], sides * members)).float().cpu()
    by_side = picked.view(*picked.shape[:-1], sides, members).masked_fill(labels == NONE, -torch.inf)
    return torch.logsumexp(by_side, -1)
