"""One figure for several runs over the same items, with an interval that knows both are samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sycolens.errors import SampleError
from sycolens.statistics import Clusters, pooled_ratio_interval, pooled_share_interval


@dataclass(frozen=True)
class Pooled:
    """A mean over runs and items, its 95 % interval, and the least and the most of the runs."""

    mean: float
    low: float
    high: float
    least: float
    most: float
    runs: int
    items: int
    questions: int
    """How many different questions (or texts) the items are about."""
    wordings: int

    @classmethod
    def of_outcomes(
        cls,
        outcomes: Sequence[Sequence[bool]],
        clusters: Clusters | None = None,
        *,
        counted: Sequence[Sequence[bool]] | None = None,
    ) -> Pooled:
        """Of a share: ``outcomes`` [run, item], true or false.

        The interval is for other runs, questions and wordings (:func:`~sycolens.statistics.pooled_share_interval`);
        ``clusters`` say which items share a question or a wording, by default none does. It counts what is
        ``counted``, by default everything; a run or an item that never is says nothing, and is left out.

        Raises:
            SampleError: there is nothing, or the runs differ in length.

        >>> Pooled.of_outcomes([[True, False, True, True], [True, True, True, True]]).mean
        0.875
        """
        hits = _matrix(outcomes) > 0
        among = torch.ones_like(hits) if counted is None else _matrix(counted) > 0
        clusters = Clusters.apart(hits.shape[1]) if clusters is None else clusters
        runs, items = among.any(1), among.any(0)
        if not runs.any():
            raise SampleError("No item of any run is counted; count at least one.")
        hits, among = hits[runs][:, items], among[runs][:, items]
        clusters = clusters.select(items.nonzero().flatten().tolist())
        ends = pooled_share_interval(hits, clusters, counted=among)
        kept = (hits & among).double()
        return cls._of(kept, among.double(), ends, clusters)

    @classmethod
    def of_ratio(cls, sums: Sequence[Tensor], counts: Sequence[Tensor]) -> Pooled:
        """Of a sum over a count, such as nats over tokens: both [run][item], each item independent.

        The interval is for other runs and items (:func:`~sycolens.statistics.pooled_ratio_interval`).

        Raises:
            SampleError: there is nothing, the runs differ in length, or there is a single item.

        >>> Pooled.of_ratio([torch.tensor([1.0, 2.0])], [torch.tensor([10, 20])]).mean
        0.1
        """
        above, below = _matrix(sums), _matrix(counts)
        return cls._of(above, below, pooled_ratio_interval(above, below), Clusters.apart(above.shape[1]))

    @classmethod
    def _of(cls, sums: Tensor, counts: Tensor, ends: tuple[float, float], clusters: Clusters) -> Pooled:
        by_run = sums.sum(1) / counts.sum(1)
        mean, least, most = float(sums.sum() / counts.sum()), float(by_run.min()), float(by_run.max())
        runs, items = sums.shape
        return cls(mean, *ends, least, most, runs, items, clusters.n_questions, clusters.n_wordings)


def _matrix(rows: Sequence[Sequence[bool]] | Sequence[Tensor]) -> Tensor:
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise SampleError(f"Runs over {sorted(lengths)} items cannot be pooled; give runs over the same items.")
    return torch.stack([torch.as_tensor(row, dtype=torch.float64) for row in rows])
