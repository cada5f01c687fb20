"""Heads by weights, without data: how far each head's moved from another checkpoint's (ALPS, Chen et al. 2025)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sycolens.choices import WeightDistance
from sycolens.counts import check_choice
from sycolens.errors import ModelError
from sycolens.find.effects import all_heads
from sycolens.find.selection.scores import HeadScores
from sycolens.heads import Head
from sycolens.model.weights import head_weights, require_raw_weights, shape_of


def compare_weights(model: Any, base: Any, *, distance: WeightDistance = "wasserstein") -> HeadScores:
    """Distance between every head's weights and those of the same head in ``base``, the checkpoint before tuning.

    ``distance="wasserstein"`` follows the code that the authors of ALPS released: the head's rows of W_Q, W_K and W_V
    are written one behind the other as one long vector, a softmax over all its entries makes a distribution of it, and
    the score is the Wasserstein-1 distance between both, entries standing in that order at equal steps from 0 to 1. So
    it depends on the order in which entries are written. ``"change"`` is the norm of the change over that of the
    base, of the same entries (Frobenius), which depends on no order.

    Differences from that code: float64, not bfloat16; where query heads share keys and values, those of the head's
    group (it takes rows that do not exist there). The paper's text was not at hand and may differ from its code.
    ``base`` must be given: without the checkpoint that a model was tuned from there is nothing to compare, and neither
    another model nor random weights can stand in. Both are TransformerLens or Hugging Face models.

    Raises:
        ModelError: the two differ in shape, one was processed by TransformerLens, or no head's weights differ.

    >>> compare_weights(model, model)
    Traceback (most recent call last):
    sycolens.errors.ModelError: organism and organism have the same attention weights, so no head moved; give ...
    """
    check_choice(ModelError, WeightDistance, distance=distance)
    shape, other = shape_of(model), shape_of(base)
    sizes = [(s.n_layers, s.n_heads, s.n_key_value_heads, s.d_model, s.d_head) for s in (shape, other)]
    if sizes[0] != sizes[1]:
        raise ModelError(
            f"{shape.name} has layers, heads, key-value heads, width and width of a head of {sizes[0]}, {other.name} "
            f"of {sizes[1]}; compare a model with the checkpoint that it was tuned from."
        )
    require_raw_weights(model)
    require_raw_weights(base)
    measure = wasserstein if distance == "wasserstein" else relative_change
    scores = torch.zeros(shape.n_layers, shape.n_heads)
    for head in all_heads(shape.n_layers, shape.n_heads):
        scores[head.layer, head.index] = measure(_written(model, head), _written(base, head))
    if not scores.any():
        raise ModelError(
            f"{shape.name} and {other.name} have the same attention weights, so no head moved; give the checkpoint "
            "that the model was tuned from."
        )
    return HeadScores.of_samples(
        torch.empty(0, *scores.shape),
        scores=scores,
        selection="weights",
        model_name=shape.name,
        options={"distance": distance, "base": other.name},
    )


def wasserstein(first: Tensor, second: Tensor) -> float:
    """Wasserstein-1 distance of two softmaxes over entries that stand at equal steps from 0 to 1.

    >>> wasserstein(torch.tensor([100.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 100.0]))  # all mass, from 0 to 1
    1.0
    """
    apart = (first.double().softmax(0) - second.double().softmax(0)).cumsum(0)
    return float(apart[:-1].abs().sum() / (len(apart) - 1))


def relative_change(first: Tensor, second: Tensor) -> float:
    """Norm of the difference over the norm of the second.

    >>> relative_change(torch.tensor([3.0, 5.0]), torch.tensor([3.0, 4.0]))
    0.2
    """
    return float((first.double() - second.double()).norm() / second.double().norm())


def _written(model: Any, head: Head) -> Tensor:
    """The head's rows of W_Q, W_K, W_V as checkpoints hold them, outputs first, one behind the other."""
    weights = head_weights(model, head)
    return torch.cat([weights[name].T.flatten() for name in "QKV"])
