"""Behavior against drift: what a repair wins and what it costs, a line a method through its training steps."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from sycolens.errors import FigureError
from sycolens.plots.families import SYMBOLS, FamilyLook, looks
from sycolens.plots.layout import (
    ENTRY,
    FAINT,
    KEY,
    LEAST_INCHES,
    LINE,
    SMALL,
    Box,
    Width,
    by_width,
    legend,
    overlap,
    page,
    page_width,
    text_width,
    wrap,
)
from sycolens.plots.log_axis import NOISE, LogAxis
from sycolens.plots.numbers import Numbers, count_sentence, counted
from sycolens.plots.rates import RIM, share_axis

HEIGHT = (180, 260)
"""Of the plot."""
LEFT = 46
"""Room for the percentages and the axis name."""
NAME = 130
"""No name in the legend is wider."""
PERCENT = Numbers(100.0, "%", sign="minus")


@dataclass(frozen=True)
class TradeoffPoint:
    """A method after some steps of training."""

    step: int
    drift: float
    """Kullback-Leibler divergence from the base, in nats per token."""
    share: float
    """Of what should no longer happen, in [0, 1]."""
    low: float | None = None
    high: float | None = None
    """Ends of the interval of ``share``, or the range of seeds."""


def tradeoff(
    lines: Mapping[str, Sequence[TradeoffPoint]],
    *,
    in_red: Collection[str] = (),
    goal: float | None = None,
    spread: str = "95% interval",
    drift_title: str = "KL from the base",
    share_title: str = "Right answers taken back",
    n_dialogues: int | None = None,
    note: str | None = None,
    width: Width = "double",
) -> go.Figure:
    """Share against drift on a logarithmic axis, a line a method; better is lower and further left.

    Points without drift, such as the base's own, stand at 0 behind a break of the axis.

    Args:
        lines: up to ten methods by name, each with its points in the order of their steps.
        in_red: names of the methods to draw in reds and with filled markers, such as those that tune found heads; the
            others are blue and hollow.
        goal: the share to reach, as a thin line.
        spread: what ``low`` and ``high`` of the points are.
        drift_title, share_title: names of the axes; the units are added.
        n_dialogues: how many dialogues each share is of.
        note: a further sentence for the footnote.
        width: inches, or "single" (3.25), "double" (6.75), or a venue's, such as "neurips".

    Raises:
        FigureError: no or too many methods, steps that do not increase, numbers that are no shares or no drifts.

    >>> points = [TradeoffPoint(0, 0.0, 1.0), TradeoffPoint(50, 0.002, 0.4), TradeoffPoint(100, 0.004, 0.05)]
    >>> figure = tradeoff({"8 heads": points}, in_red=["8 heads"], goal=0.1, n_dialogues=200)
    >>> figure.data[0].hovertext[1]
    '8 heads, step 50<br>right answers taken back 40%<br>KL from the base 0.002 nats per token<br>200 dialogues'
    """
    page_width(width, least=LEAST_INCHES)
    _check(lines, in_red, goal)
    names = [wrap(name, NAME) for name in lines]
    frame = Frame.of(names, width)
    drifts = LogAxis.over((point.drift for points in lines.values() for point in points), frame.wide)
    has_spread = any(point.low is not None for points in lines.values() for point in points)
    sample = counted(n_dialogues, "dialogue")

    def hover(name: str, point: TradeoffPoint) -> str:
        parts = [f"{name}, step {point.step:,}", f"{lowered(share_title)} {PERCENT.write(100 * point.share)}"]
        if point.low is not None and point.high is not None:
            parts.append(f"{spread} {100 * point.low:.0f} to {PERCENT.write(100 * point.high)}")
        parts.append(f"{drift_title} {point.drift:.3g} nats per token")
        return "<br>".join([*parts, sample] if sample else parts)

    layout = page(
        width,
        plot=(frame.wide, frame.high),
        left=LEFT,
        content=(0, page_width(width)),
        footnote=[count_sentence(n_dialogues, "dialogue"), f"Light bars: {spread}." if has_spread else None, note],
        above=frame.above,
    )
    shapes = drifts.breaks(frame.high)
    if goal is not None:
        shapes.append(_goal_line(goal))
        layout["annotations"].append(_goal_name(goal, lines, drifts, frame))
    return go.Figure(
        [
            _line("<br>".join(broken), points, look, [hover(name, point) for point in points], drifts)
            for (name, points), broken, look in zip(lines.items(), names, looks(list(lines), in_red), strict=True)
        ],
        {**layout, **frame.against_drift(drifts, drift_title, share_title), "shapes": shapes},
    )


@dataclass(frozen=True)
class Frame:
    """Size of the plot, and its legend: right of it on a wide page, above it in as many columns as fit on a narrow."""

    wide: float
    high: float
    above: float
    legend: dict[str, Any]

    @classmethod
    def of(cls, names: Sequence[Sequence[str]], width: Width) -> Frame:
        widest = max(text_width(line) for lines in names for line in lines)
        heights = [ENTRY + LINE * (len(lines) - 1) for lines in names]
        if by_width(width, (0, 1)):
            wide = page_width(width) - LEFT - KEY - widest - 10
            beside = legend(x=1 + 4 / wide, y=1, yanchor="top")
            return cls(wide, max(by_width(width, HEIGHT), sum(heights)), 0, beside)
        wide = page_width(width) - LEFT - 10
        room = page_width(width) - 8
        columns = max(1, min(len(names), int(room / (KEY + widest))))
        above = sum(max(heights[row : row + columns]) for row in range(0, len(heights), columns))
        return cls(
            wide,
            by_width(width, HEIGHT),
            above,
            legend(
                x=(4 - LEFT) / wide,
                y=1 + 4 / by_width(width, HEIGHT),
                yanchor="bottom",
                orientation="h",
                entrywidthmode="pixels",
                entrywidth=widest + 2,
            ),
        )

    def against_drift(self, drifts: LogAxis, drift_title: str, share_title: str) -> dict[str, Any]:
        """The axes of a share against a drift, broken at 0, and the legend."""
        return {
            "showlegend": True,
            "legend": self.legend,
            "shapes": drifts.breaks(self.high),
            "xaxis": drifts.drawn(Numbers(1.0, "nats per token").title(drift_title)),
            "yaxis": share_axis(share_title, self.high),
        }

    def down(self, share: float) -> float:
        """Where a share stands, from the plot's upper edge."""
        return self.high - RIM - share * (self.high - 2 * RIM)


def _line(
    name: str, points: Sequence[TradeoffPoint], look: FamilyLook, hover: Sequence[str], drifts: LogAxis
) -> go.Scatter:
    up = [100 * (point.share if point.high is None else point.high) - 100 * point.share for point in points]
    down = [100 * point.share - 100 * (point.share if point.low is None else point.low) for point in points]
    bars = {"type": "data", "array": up, "arrayminus": down, "width": 0, "thickness": 1.0, "color": look.rgb(0.4)}
    return go.Scatter(
        name=name,
        mode="lines+markers",
        x=[drifts.at(point.drift) for point in points],
        y=[100 * point.share for point in points],
        customdata=[point.drift for point in points],
        error_y=bars if any(up) or any(down) else None,
        line=look.line,
        marker=look.marker,
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _goal_line(goal: float) -> dict[str, Any]:
    return {
        "name": "goal",
        "type": "line",
        "xref": "paper",
        "yref": "y",
        "x0": 0,
        "x1": 1,
        "y0": 100 * goal,
        "y1": 100 * goal,
        "layer": "below",
        "line": {"color": FAINT, "width": 1, "dash": "4px,3px"},
    }


def _goal_name(
    goal: float, lines: Mapping[str, Sequence[TradeoffPoint]], drifts: LogAxis, frame: Frame
) -> dict[str, Any]:
    """Over or under the goal's line, at its left or right end: where it covers the fewest lines."""
    text = f"goal: {PERCENT.write(100 * goal)}"
    at, long = frame.down(goal), text_width(text)
    stretches = [
        (drifts.pixels(a.drift), frame.down(a.share), drifts.pixels(b.drift), frame.down(b.share))
        for points in lines.values()
        for a, b in pairwise([points[0], *points])
    ]

    def covered(box: Box) -> int:
        # Twenty places on each stretch are near enough to each other.
        parts = [part / 20 for part in range(21)]
        return sum(
            any(overlap(box, _dot(x0 + part * (x1 - x0), y0 + part * (y1 - y0))) for part in parts)
            for x0, y0, x1, y1 in stretches
        )

    places: list[tuple[bool, bool]] = [(False, False), (False, True), (True, False), (True, True)]

    def box_of(place: tuple[bool, bool]) -> Box:
        left = frame.wide - 4 - long if place[0] else drifts.left + 4
        top = at + 1 if place[1] else at - LINE - 1
        return (left, top, left + long, top + LINE)

    inside = [place for place in places if box_of(place)[1] >= 0 and box_of(place)[3] <= frame.high]
    best = box_of(min(inside, key=lambda place: covered(box_of(place))))
    return {
        "name": "goal",
        "text": text,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "top",
        "xshift": best[0],
        "yshift": -best[1],
        "borderpad": 0,
        "font": {"size": SMALL},
    }


def _dot(x: float, y: float) -> Box:
    return (x - 4, y - 4, x + 4, y + 4)


def lowered(title: str) -> str:
    """The name of an axis inside a sentence."""
    return title[:1].lower() + title[1:]


def _check(lines: Mapping[str, Sequence[TradeoffPoint]], in_red: Collection[str], goal: float | None) -> None:
    if not 1 <= len(lines) <= len(SYMBOLS):
        raise FigureError(f"{len(lines)} methods were given; one figure holds 1 to {len(SYMBOLS)}.")
    if unknown := [name for name in in_red if name not in lines]:
        raise FigureError(f"in_red names {unknown[0]!r}, which is no method; the methods are {', '.join(lines)}.")
    if goal is not None and not 0 <= goal <= 1:
        raise FigureError(f"goal is {goal}, which is no share; give a number from 0 to 1.")
    for name, points in lines.items():
        steps = [point.step for point in points]
        if not steps or any(after <= before for before, after in pairwise(steps)):
            raise FigureError(f"The steps of {name} are {steps}; they must increase, and there must be one.")
        for point in points:
            _check_point(name, point)
    if all(point.drift < NOISE for points in lines.values() for point in points):
        raise FigureError("No point has a drift above 0, so there is no axis to draw; give the points after training.")


def _check_point(name: str, point: TradeoffPoint) -> None:
    where = f"{name} at step {point.step:,}"
    if (point.low is None) != (point.high is None):
        raise FigureError(f"{where} has one end of an interval; give both low and high, or neither.")
    low, high = (each if each is not None else point.share for each in (point.low, point.high))
    # A comparison with NaN is false.
    if not -1e-6 <= low <= point.share + 1e-6 <= high + 2e-6 <= 1 + 3e-6:
        raise FigureError(f"{where} has share {point.share} in {low} to {high}; 0 <= low <= share <= high <= 1.")
    if not -NOISE <= point.drift < math.inf:
        raise FigureError(f"{where} has drift {point.drift}; a Kullback-Leibler divergence is 0 or more, and finite.")
