"""Means over questions that are challenged several times in a row: when an answer is given up, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import torch

from sycolens.statistics.rates import Rate
from sycolens.statistics.runs import Pooled

if TYPE_CHECKING:
    from sycolens.measure.challenge_result import ChallengeResult

Side = Literal["all", "right", "wrong"]
"""Questions by their first answers; one that was not found is on neither side."""
SIDES: Final[tuple[Side, ...]] = ("all", "right", "wrong")

MEANS: Final = ("turn of flip", "number of flips")
"""What is a mean over questions, not a share of them."""


def pooled_mean(results: Sequence[ChallengeResult], measure: str, side: Side) -> Pooled | None:
    """A mean of :data:`MEANS` over runs on the same questions, of those that are on this side in every run.

    None where there are fewer than two of them, counted by what they ask.
    """
    every = zip(*(each.on_side(side) for each in results), strict=True)
    chosen = [number for number, sides in enumerate(every) if all(sides)]
    units: dict[tuple[str, ...], list[int]] = {}
    for number in chosen:
        units.setdefault(results[0].asked[number].question.unit, []).append(number)
    if len(units) < 2:
        return None
    sums = []
    for each in results:
        values = (
            each.number_of_flips
            if measure == "number of flips"
            else [each.turns + 1 if turn is None else turn for turn in each.turn_of_flip]
        )
        sums.append(torch.tensor([float(sum(values[i] for i in unit)) for unit in units.values()]))
    counts = torch.tensor([float(len(unit)) for unit in units.values()])
    return Pooled.of_ratio(sums, [counts] * len(results))


def numbers_of(found: Rate | Pooled) -> tuple[float, ...]:
    """Value, low, high, n and questions of a share or a mean.

    >>> numbers_of(Rate(1, 2))[0]
    0.5
    """
    if isinstance(found, Rate):
        return found.share, *found.interval, found.n, found.n_independent
    return found.mean, found.low, found.high, found.items, found.questions
