"""Logits of the labels: one for each side, whatever tokens may open it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sycolens.prompts.labels import TokenGroups

NONE = -1
"""Fills up the groups that are smaller than others."""


def label_tensor(labels: Sequence[TokenGroups]) -> Int[Tensor, "prompt side member"]:
    """The token ids of every prompt's labels, with ``NONE`` where a group is smaller than the largest.

    >>> label_tensor([((3,), (4, 5))])
    tensor([[[ 3, -1],
             [ 4,  5]]])
    """
    width = max(len(group) for both in labels for group in both)
    return torch.tensor([[[*group, *[NONE] * (width - len(group))] for group in both] for both in labels])


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
