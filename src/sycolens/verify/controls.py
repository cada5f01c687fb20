"""Heads to compare with: sets as large as the found one, drawn from all the others."""

from __future__ import annotations

import random
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from sycolens.choices import Control
from sycolens.counts import check_choice, check_counts
from sycolens.errors import HeadError
from sycolens.find.effects import all_heads
from sycolens.heads import Head, HeadSet

NEIGHBORS = 8
"""A norm-matched head is drawn from so many whose write norm is closest."""


def draw_controls(
    top: HeadSet,
    n_layers: int,
    n_heads: int,
    *,
    control: Control,
    count: int,
    seed: int,
    write_norm: Float[Tensor, "layer head"] | None = None,
) -> tuple[HeadSet, ...]:
    """Sets of as many heads as ``top``, none of them in it; the n-th head of a set stands against the n-th of ``top``.

    Raises:
        HeadError: an unknown kind, norms are needed and missing, or too few other heads.

    >>> draw_controls(HeadSet(["L1H1", "L0H0"]), 2, 4, control="layer_matched", count=1, seed=0)
    (HeadSet(L1H2, L0H2),)
    """
    check_choice(HeadError, Control, control=control)
    check_counts(HeadError, least=0, controls=count)
    if control == "norm_matched" and write_norm is None and count:
        raise HeadError("control='norm_matched' needs means=mean_activations(model, pairs), which holds the norms.")
    others = [head for head in all_heads(n_layers, n_heads) if head not in set(top)]
    rng = random.Random(seed)
    return tuple(HeadSet(_draw(rng, top, others, control, write_norm)) for _ in range(count))


def short_layers(top: HeadSet, n_heads: int) -> tuple[int, ...]:
    """Layers that cannot match all of their heads in ``top``, since fewer others are left in them.

    >>> short_layers(HeadSet(["L1H0", "L1H1", "L0H3"]), 3)
    (1,)
    """
    layers = [head.layer for head in top]
    return tuple(layer for layer in sorted(set(layers)) if 2 * layers.count(layer) > n_heads)


def _draw(
    rng: random.Random, top: HeadSet, others: Sequence[Head], control: Control, write_norm: Tensor | None
) -> list[Head]:
    drawn: list[Head] = []
    for head in top:
        free = [other for other in others if other not in drawn]
        if control == "layer_matched":
            nearest = min((abs(other.layer - head.layer) for other in free), default=0)
            free = [other for other in free if abs(other.layer - head.layer) == nearest]
        elif control == "norm_matched" and write_norm is not None:
            norms = write_norm
            wanted = norms[head.layer, head.index]
            free = sorted(free, key=lambda other: abs(norms[other.layer, other.index] - wanted).item())[:NEIGHBORS]
        if not free:
            raise HeadError(
                f"Outside the top {len(top)} heads the model has too few others to draw a control set of {len(top)} "
                "from; choose fewer heads or smaller steps, or controls=0."
            )
        drawn.append(rng.choice(free))
    return drawn
