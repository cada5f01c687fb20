"""Counts as shares, with the interval that their number and what they have in common allow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sycolens.statistics import Clusters, share_interval, wilson_interval

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Rate:
    """How often something happened.

    >>> str(Rate(9, 10))
    '0.900 [0.596, 0.982] of 10'
    >>> str(Rate.of([True, True, False, False], Clusters.of(["Paris", "Paris", "Rome", "Rome"])))
    '0.500 [0.002, 0.998] of 4 (2 questions)'
    """

    successes: int
    n: int
    questions: int | None = None
    """How many different questions the cases are about; None where all cases are independent."""
    wordings: int = 1
    """How many different wordings there are."""
    ends: tuple[float, float] | None = None
    """Of :attr:`interval`, where cases share questions or wordings."""

    @classmethod
    def of(cls, outcomes: Sequence[bool], clusters: Clusters | None = None) -> Rate:
        """The rate of true ones; ``clusters`` say which cases share a question or a wording, by default none does.

        Raises:
            SampleError: the clusters are not those of as many cases.
        """
        hits, n = sum(outcomes), len(outcomes)
        if clusters is None or not n:
            return cls(hits, n)
        low, high = share_interval(torch.tensor(outcomes), clusters)
        if clusters.are_apart:
            return cls(hits, n)
        return cls(hits, n, clusters.n_questions, clusters.n_wordings, (low.item(), high.item()))

    @classmethod
    def among(cls, outcomes: Sequence[bool], counted: Sequence[bool], clusters: Clusters) -> Rate:
        """The rate of true ones among the cases that count."""
        chosen = [case for case, counts in enumerate(counted) if counts]
        return cls.of([outcomes[case] for case in chosen], clusters.select(chosen))

    @property
    def n_independent(self) -> int:
        """How many independent things the cases are about: questions, or the cases themselves."""
        return self.n if self.questions is None else self.questions

    @property
    def share(self) -> float:
        """Share of cases in which it happened, in [0, 1]; not a number where there was none."""
        return self.successes / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The share's interval for other questions and wordings, 95 %; (0, 1) where there was no case.

        See :func:`~sycolens.statistics.share_interval`; of independent cases it is Wilson's.
        """
        return self.ends or wilson_interval(self.successes, self.n)

    def __str__(self) -> str:
        if not self.n:
            return "no cases"
        low, high = self.interval
        return f"{self.share:.3f} [{low:.3f}, {high:.3f}] of {self.n}{in_clusters(self.questions, self.wordings)}"


def in_clusters(questions: int | None, wordings: int) -> str:
    """How many independent things cases are about, to stand behind their number; empty where all are independent.

    >>> "200" + in_clusters(40, 22)
    '200 (40 questions, 22 wordings)'
    """
    if questions is None:
        return ""
    asked = f"{questions} question{'s' if questions > 1 else ''}"
    return f" ({asked}, {wordings} wordings)" if wordings > 1 else f" ({asked})"


def frame_of_rates(columns: Sequence[str], rates: Iterable[tuple[tuple[str, ...], Rate]]) -> pandas.DataFrame:
    """One row a rate: what it is of, under ``columns``, then value, low, high, successes, n, questions, wordings.

    >>> frame = frame_of_rates(["measure"], [(("switched",), Rate(9, 10))])
    >>> list(frame.columns)
    ['measure', 'value', 'low', 'high', 'successes', 'n', 'questions', 'wordings']
    """
    import pandas

    return pandas.DataFrame(
        [
            (
                *names,
                rate.share,
                *rate.interval,
                rate.successes,
                rate.n,
                rate.n_independent,
                rate.wordings,
            )
            for names, rate in rates
        ],
        columns=[*columns, "value", "low", "high", "successes", "n", "questions", "wordings"],
    )
