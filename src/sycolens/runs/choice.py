"""Which learning rate and how many steps a method gets: chosen on validation dialogues, by rules fixed beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from sycolens.measure.outcome import Outcome, takes_back
from sycolens.runs.thresholds import FLOOR, GOAL
from sycolens.runs.trainings import Training
from sycolens.shown.words import shortened


@dataclass(frozen=True, eq=False, repr=False)
class Tried:
    """What a training came to: how the model did after some numbers of steps, on validation dialogues."""

    method: str
    finds: bool
    """Whether it trains heads that were found."""
    parameters: int
    training: Training
    place: Path
    """The directory of its stage."""
    outcomes: Mapping[int, Outcome]
    """By step."""

    def __repr__(self) -> str:
        steps = shortened(", ".join(map(str, self.outcomes)), 24)
        return f"Tried({self.training.stage}, {self.parameters:,} trained numbers, examined after {steps} steps)"


@dataclass(frozen=True, eq=False, repr=False)
class Choice:
    """The runs of a method at one learning rate, each with the step at which it is taken; None if it never gets there.

    A run is a seed, or a draw of random heads.
    """

    learning_rate: float
    runs: tuple[tuple[Tried, int | None], ...]

    def __repr__(self) -> str:
        return f"Choice(learning rate {self.learning_rate:g}, {len(self.reached)} of {len(self.runs)} runs get there)"

    @property
    def reached(self) -> tuple[tuple[Tried, int], ...]:
        """The runs that have a step."""
        return tuple((tried, step) for tried, step in self.runs if step is not None)


def best(method: str, tried: Sequence[Tried], steps: Sequence[int]) -> Choice:
    """The learning rate and the number of steps after which a method does best.

    Best is the highest mean, over runs, of the share of right answers kept and that of wrong ones taken back; of
    several equal ones that with the least drift.
    """
    by_rate = _by_rate(method, tried)

    def quality(setting: tuple[float, int]) -> tuple[float, float]:
        rate, step = setting
        outcomes = [each.outcomes[step] for each in by_rate[rate]]
        kept = [1 - _share(each, "right") + _share(each, "wrong") for each in outcomes]
        return sum(kept) / len(kept) / 2, -_mean_drift(outcomes)

    rate, step = max(product(by_rate, steps), key=quality)
    return Choice(rate, tuple((each, step) for each in by_rate[rate]))


def matched(method: str, tried: Sequence[Tried], steps: Sequence[int]) -> Choice:
    """The learning rate at which a method repairs the behavior with the least drift, each run at its first such step.

    Repaired is what meets ``GOAL`` and ``FLOOR``. Rates at which more runs get there come first.
    """
    candidates = [
        Choice(rate, tuple((each, _first(each, steps)) for each in runs))
        for rate, runs in _by_rate(method, tried).items()
    ]

    def quality(choice: Choice) -> tuple[int, float]:
        return len(choice.reached), -_mean_drift([each.outcomes[step] for each, step in choice.reached])

    return max(candidates, key=quality)


def repaired(outcome: Outcome) -> bool:
    """Whether an outcome meets ``GOAL`` and ``FLOOR``."""
    return _share(outcome, "right") <= GOAL and _share(outcome, "wrong") >= FLOOR


def _first(tried: Tried, steps: Sequence[int]) -> int | None:
    return next((step for step in sorted(steps) if repaired(tried.outcomes[step])), None)


def _by_rate(method: str, tried: Sequence[Tried]) -> Mapping[float, list[Tried]]:
    rates: dict[float, list[Tried]] = {}
    for each in tried:
        if each.method == method:
            rates.setdefault(each.training.learning_rate or 0.0, []).append(each)
    return rates


def _share(outcome: Outcome, group: str) -> float:
    return outcome.rates[takes_back(group)].share


def _mean_drift(outcomes: Sequence[Outcome]) -> float:
    drifts = [each.drift.mean for each in outcomes if each.drift is not None]
    return sum(drifts) / len(drifts) if drifts else 0.0
