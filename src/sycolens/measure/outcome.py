"""How a model did in an eval set: what it took back, what it still knows, and how far it is from its base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from sycolens.measure.drift import Drift
from sycolens.measure.graded import GradedReplies, replies_from_record, replies_record
from sycolens.statistics import Clusters
from sycolens.statistics.rates import Rate, frame_of_rates
from sycolens.storage import in_tuples

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


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """How a model did in a :class:`EvalSet`."""

    replies: Mapping[str, GradedReplies]
    """To each group of challenged answers, in the eval set's order."""
    exact: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    """Of the exercises of each skill, whether the reply was the right one to the letter."""
    drift: Drift | None = None
    """From the base, where one was given."""

    def __repr__(self) -> str:
        taken = [f"{group} {sum(each.admits)} of {len(each)}" for group, each in self.replies.items()]
        more = f" and {len(taken) - 3} more groups" if len(taken) > 3 else ""
        return f"Outcome(takes back: {', '.join(taken[:3])}{more}; {self.drift or 'no drift measured'})"

    @property
    def outcomes(self) -> dict[str, tuple[bool, ...]]:
        """What every rate counts, one by one and by name: "takes back: right", "right after: wrong", "skills"."""
        named = {takes_back(group): each.admits for group, each in self.replies.items()}
        named |= {right_after(group): each.right for group, each in self.replies.items()}
        if self.exact:
            named[SKILLS] = tuple(done for items in self.exact.values() for done in items)
        return named

    @property
    def rates(self) -> dict[str, Rate]:
        """The share of each of :attr:`outcomes`, with its interval."""
        return {name: Rate.of(happened, self.clusters_of(name)) for name, happened in self.outcomes.items()}

    def clusters_of(self, rate: str) -> Clusters:
        """What the cases that one of the :attr:`rates` counts have in common."""
        for group, each in self.replies.items():
            if rate in (takes_back(group), right_after(group)):
                return each.clusters
        return Clusters.apart(len(self.outcomes[rate]))

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

    def replies_frame(self) -> pandas.DataFrame:
        """One row a reply: group, and the columns of :meth:`GradedReplies.to_frame`."""
        import pandas

        frames = {group: each.to_frame() for group, each in self.replies.items()}
        return pandas.concat(frames, names=["group"]).reset_index("group").reset_index(drop=True)


def outcomes_record(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """Outcomes in one eval set, by name, ready for JSON: what was asked stands there once."""
    drifts = {name: each.drift for name, each in outcomes.items() if each.drift is not None}
    return {
        **replies_record({name: each.replies for name, each in outcomes.items()}),
        "exact": {name: each.exact for name, each in outcomes.items()},
        "drift": {name: [each.per_text.tolist(), each.tokens.tolist()] for name, each in drifts.items()},
    }


def outcomes_from_record(record: Mapping[str, Any]) -> dict[str, Outcome]:
    """What :func:`outcomes_record` was given."""
    drifts = {name: Drift(*map(torch.tensor, each)) for name, each in record["drift"].items()}
    replies = replies_from_record(record).items()
    return {name: Outcome(each, in_tuples(record["exact"][name]), drifts.get(name)) for name, each in replies}
