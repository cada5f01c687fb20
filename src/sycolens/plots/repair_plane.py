"""What is repaired against what it costs: a point a method with intervals on both axes, and each of its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from sycolens.errors import FigureError
from sycolens.plots.families import SYMBOLS, FamilyLook, looks
from sycolens.plots.layout import LEAST_INCHES, Width, page, page_width, wrap
from sycolens.plots.log_axis import NOISE, LogAxis
from sycolens.plots.numbers import count_sentence, counted
from sycolens.plots.tradeoff import LEFT, NAME, PERCENT, Frame, lowered

Ends = tuple[float, float]


@dataclass(frozen=True)
class RepairPoint:
    """One method."""

    name: str
    drift: float
    """Kullback-Leibler divergence from the base, in nats per token; 0 for the base itself."""
    share: float
    """Of what is as it should be, in [0, 1]."""
    drift_ends: Ends | None = None
    share_ends: Ends | None = None
    """The interval of each."""
    is_found: bool = False
    """Whether it trains the heads that were found: drawn in red and filled."""
    sets: tuple[tuple[float, float], ...] = ()
    """Drift and share of each run, such as one for each set of other heads."""


def repair_plane(
    points: Sequence[RepairPoint],
    *,
    confidence: float = 0.95,
    drift_title: str = "KL from the base",
    share_title: str = "As it should be",
    n_dialogues: int | None = None,
    note: str | None = None,
    width: Width = "double",
) -> go.Figure:
    """Share against drift on a logarithmic axis, a point a method; better is higher and further left.

    Args:
        points: up to ten methods, each named once.
        drift_title, share_title: names of the axes; the units are added.
        n_dialogues: how many dialogues each share is of.
        note: a further sentence for the footnote.
        width: inches, or "single" (3.25), "double" (6.75), or a venue's, such as "neurips".

    Raises:
        FigureError: no or too many methods, one named twice, no drift above 0, or what is no share or no drift.

    >>> base, tuned = RepairPoint("base", 0.0, 0.5), RepairPoint("SPT", 0.01, 0.9, (0.008, 0.012), (0.8, 0.95))
    >>> figure = repair_plane([base, tuned], n_dialogues=48)
    >>> figure.data[1].hovertext[0]
    'SPT<br>as it should be 90%, 80 to 95%<br>KL from the base 0.01, 0.008 to 0.012 nats per token<br>48 dialogues'
    """
    page_width(width, least=LEAST_INCHES)
    _check(points)
    names = [wrap(each.name, NAME) for each in points]
    frame = Frame.of(names, width)
    ends = [
        end for each in points for end in (each.drift, *(each.drift_ends or ()), *(drift for drift, _ in each.sets))
    ]
    drifts = LogAxis.over(ends, frame.wide)
    found = [each.name for each in points if each.is_found]
    drawn = list(zip(points, names, looks([each.name for each in points], found), strict=True))
    sample = counted(n_dialogues, "dialogue")
    layout = page(
        width,
        plot=(frame.wide, frame.high),
        left=LEFT,
        content=(0, page_width(width)),
        footnote=[
            count_sentence(n_dialogues, "dialogue"),
            f"Lines: {100 * confidence:g}% intervals." if any(each.share_ends for each in points) else None,
            "Small: one run each." if any(len(each.sets) > 1 for each in points) else None,
            note,
        ],
        above=frame.above,
    )
    return go.Figure(
        [
            *(_set(each, look, drifts) for each, _, look in drawn if len(each.sets) > 1),
            *(
                _point(each, "<br>".join(name), look, drifts, _hover(each, drift_title, share_title, sample))
                for each, name, look in drawn
            ),
        ],
        {**layout, **frame.against_drift(drifts, drift_title, share_title)},
    )


def _point(each: RepairPoint, name: str, look: FamilyLook, drifts: LogAxis, hover: str) -> go.Scatter:
    share, at = 100 * each.share, drifts.at(each.drift)
    low, high = each.share_ends or (each.share, each.share)
    least, most = each.drift_ends or (each.drift, each.drift)
    bars = {"type": "data", "width": 0, "thickness": 1.0, "color": look.rgb(0.6)}
    return go.Scatter(
        name=name,
        mode="markers",
        x=[at],
        y=[share],
        customdata=[each.drift],
        error_y={**bars, "array": [100 * high - share], "arrayminus": [share - 100 * low]} if each.share_ends else None,
        error_x=(
            {**bars, "array": [drifts.at(most) - at], "arrayminus": [at - drifts.at(least)]}
            if each.drift_ends
            else None
        ),
        marker={**look.marker, "size": 9},
        cliponaxis=False,
        hovertext=[hover],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _set(each: RepairPoint, look: FamilyLook, drifts: LogAxis) -> go.Scatter:
    marker: dict[str, Any] = {**look.marker, "size": 4.5, "opacity": 0.65}
    return go.Scatter(
        name=f"{each.name}, each run",
        mode="markers",
        showlegend=False,
        x=[drifts.at(drift) for drift, _ in each.sets],
        y=[100 * share for _, share in each.sets],
        customdata=[drift for drift, _ in each.sets],
        marker=marker,
        cliponaxis=False,
        hovertext=[
            f"{each.name}, run {row}<br>{PERCENT.write(100 * share)}" for row, (_, share) in enumerate(each.sets, 1)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _hover(each: RepairPoint, drift_title: str, share_title: str, sample: str | None) -> str:
    share = f"{lowered(share_title)} {PERCENT.write(100 * each.share)}"
    if each.share_ends is not None:
        low, high = each.share_ends
        share += f", {100 * low:.0f} to {PERCENT.write(100 * high)}"
    drift = f"{drift_title} {each.drift:.3g}"
    if each.drift_ends is not None:
        drift += ", {:.3g} to {:.3g}".format(*each.drift_ends)
    lines = [each.name, share, f"{drift} nats per token"]
    return "<br>".join([*lines, sample] if sample else lines)


def _check(points: Sequence[RepairPoint]) -> None:
    names = [each.name for each in points]
    if not 1 <= len(points) <= len(SYMBOLS) or len(set(names)) < len(names):
        raise FigureError(f"The methods are {names}; one figure holds 1 to {len(SYMBOLS)}, each named once.")
    for each in points:
        shares = (each.share, *(each.share_ends or ()), *(share for _, share in each.sets))
        drifts = (each.drift, *(each.drift_ends or ()), *(drift for drift, _ in each.sets))
        # A comparison with NaN is false.
        if not all(-1e-6 <= share <= 1 + 1e-6 for share in shares):
            raise FigureError(f"{each.name} has shares {shares}; give numbers from 0 to 1.")
        if not all(-NOISE <= drift < math.inf for drift in drifts):
            raise FigureError(
                f"{each.name} has drifts {drifts}; a Kullback-Leibler divergence is 0 or more, and finite."
            )
    if all(each.drift < NOISE for each in points):
        raise FigureError("No method has a drift above 0, so there is no axis to draw.")
