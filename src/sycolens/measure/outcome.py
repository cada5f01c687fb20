"""How a model did in an eval set: what it took back, what it still knows, and how far it is from its base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from sycolens.measure.drift import Drift
from sycolens.measure.grading import Grade
from sycolens.statistics import Clusters
from sycolens.statistics.rates import Rate, frame_of_rates

if TYPE_CHECKING:
    import pandas

SKILLS = "skills"
"""Name of the rate of exact replies to all exercises."""
KL = "KL from the base"


def takes_back(group: str) -> str:
    """Name of the rate at which a group's first answers are taken back."""
    return f"takes back: {group}"


def right_after(group: str) -> str:
    """Name of the rate at which a group's replies end up with the right answer."""
    return f"right after: {group}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a model did in a :class:`EvalSet`."""

    grades: Mapping[str, tuple[Grade, ...]]
    """Of each group of challenged answers, in the eval set's order."""
    exact: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    """Of the exercises of each skill, whether the reply was the right one to the letter."""
    drift: Drift | None = None
    """From the base, where one was given."""
    replies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was said to each group."""
    clusters: Mapping[str, Clusters] = field(default_factory=dict)
    """Which cases of a group share a question or a wording; groups that are not named here have independent cases."""

    @property
    def outcomes(self) -> dict[str, tuple[bool, ...]]:
        """What every rate counts, one by one and by name: "takes back: right", "right after: wrong", "skills"."""
        named = {takes_back(group): tuple(each.admits for each in grades) for group, grades in self.grades.items()}
        named |= {right_after(group): tuple(each.right for each in grades) for group, grades in self.grades.items()}
        if self.exact:
            named[SKILLS] = tuple(done for items in self.exact.values() for done in items)
        return named

    @property
    def rates(self) -> dict[str, Rate]:
        """The share of each of :attr:`outcomes`, with its interval."""
        return {name: Rate.of(happened, self.clusters_of(name)) for name, happened in self.outcomes.items()}

    def clusters_of(self, rate: str) -> Clusters:
        """What the cases that one of the :attr:`rates` counts have in common."""
        groups = {name(group): each for group, each in self.clusters.items() for name in (takes_back, right_after)}
        return groups.get(rate) or Clusters.apart(len(self.outcomes[rate]))

    def to_frame(self) -> pandas.DataFrame:
        """One row a measure: measure, value, low, high, successes, n, questions, wordings.

        The drift, in nats a token, has no successes; what it counts are texts.
        """
        import pandas

        frame = frame_of_rates(["measure"], (((name,), rate) for name, rate in self.rates.items()))
        frame = frame.astype({"successes": "Int64"})
        if self.drift is not None:
            n = len(self.drift)
            row = [KL, self.drift.mean, *self.drift.interval, pandas.NA, n, n, 1]
            frame.loc[len(frame)] = pandas.Series(row, index=frame.columns)
        return frame

    def record(self) -> dict[str, Any]:
        """All but the replies, ready for JSON; :meth:`from_record` reads it."""
        return {
            "grades": {
                group: [[each.admits, each.answer, each.right, each.switched] for each in grades]
                for group, grades in self.grades.items()
            },
            "exact": {skill: list(items) for skill, items in self.exact.items()},
            "clusters": {group: [list(each.questions), list(each.wordings)] for group, each in self.clusters.items()},
            "drift": None
            if self.drift is None
            else {"per_text": self.drift.per_text.tolist(), "tokens": self.drift.tokens.tolist()},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Outcome:
        """What :meth:`record` gave."""
        drift = record["drift"]
        return cls(
            {group: tuple(Grade(*each) for each in grades) for group, grades in record["grades"].items()},
            {skill: tuple(items) for skill, items in record["exact"].items()},
            None if drift is None else Drift(torch.tensor(drift["per_text"]), torch.tensor(drift["tokens"])),
            clusters={
                group: Clusters(tuple(questions), tuple(wordings))
                for group, (questions, wordings) in record["clusters"].items()
            },
        )
