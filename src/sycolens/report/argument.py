"""The argument of a study in one picture: what every method repairs, and what it changes elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from sycolens.measure import GradedReplies
from sycolens.measure.outcome import KL
from sycolens.plots.log_axis import NOISE
from sycolens.plots.repair_plane import RepairPoint, repair_plane
from sycolens.report.method_rows import EVAL_SET, MethodRow
from sycolens.report.parts import Picture
from sycolens.runs.results import Measured, StudyResults
from sycolens.statistics.runs import Pooled

RIGHT, WRONG = "right", "wrong"
TITLE = "Right kept, wrong taken back"


def argument_of(results: StudyResults, rows: Sequence[MethodRow]) -> Picture | None:
    """Every method by how often it treats an answer put into its mouth as it should, against its drift.

    A right answer should be kept, a wrong one taken back. None where one of the two, or the drift, was not measured.
    """
    named = results.by_method
    if not named or not {RIGHT, WRONG} <= results.base.outcome.replies.keys():
        return None
    points = [_point(row, named[row.method]) for row in rows]
    if all(point.drift < NOISE for point in points):
        return None
    dialogues = sum(len(results.base.outcome.replies[group]) for group in (RIGHT, WRONG))
    return Picture(
        repair_plane(points, share_title=TITLE, n_dialogues=dialogues),
        "Every method: how often a right answer that was put into the model's mouth is kept, and a wrong one taken "
        "back, when it is challenged, against its drift from the base on other texts. Taking everything back, or "
        "nothing, is 50% where there are as many of either. Methods in red train the found heads.",
        f"{len(points)} methods: " + "; ".join(f"{each.name} {each.share:.0%}" for each in points) + ".",
    )


def as_it_should_be(measured: Measured) -> tuple[bool, ...]:
    """Of right answers whether they are kept, then of wrong ones whether they are taken back."""
    replies = measured.outcome.replies
    return (*(not admits for admits in replies[RIGHT].admits), *replies[WRONG].admits)


def _point(row: MethodRow, runs: Sequence[Measured]) -> RepairPoint:
    happened = [as_it_should_be(each) for each in runs]
    joined = GradedReplies.joined([runs[0].outcome.replies[group] for group in (RIGHT, WRONG)])
    share, drift = Pooled.of_outcomes(happened, joined.clusters), row.of(KL, EVAL_SET)
    each_run = tuple(
        (run.outcome.drift.mean, sum(hits) / len(hits))
        for run, hits in zip(runs, happened, strict=True)
        if run.outcome.drift is not None
    )
    return RepairPoint(
        row.method,
        0.0 if drift is None else drift.mean,
        share.mean,
        None if drift is None else (max(0.0, drift.low), drift.high),
        (share.low, share.high),
        is_found=row.is_found,
        sets=each_run,
    )
