"""Rates against the number of heads ablated: the paper's Figure 2(b), with intervals and controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.plots.layout import (
    ENTRY,
    KEY,
    LEAST_INCHES,
    LINE,
    SMALL,
    Width,
    axis,
    by_width,
    legend,
    page,
    page_width,
    plot_height,
    text_width,
    tick_step,
    wrap,
)
from sycolens.plots.numbers import Numbers, check_shares, count_sentence, counted
from sycolens.plots.rates import LOOKS, RIM, Controls, Rate, share_axis

HEIGHT = (160, 240)
"""Of the plot."""
LEFT = 46
"""Room for the percentages and the axis name."""
EDGE = 9.0
"""From the frame to the first and the last point."""
NAME = (84, 130)
"""No name at a line's end is wider."""


def knockout_curve(
    steps: Sequence[int],
    rates: Mapping[str, Float[Tensor, "step"]],
    *,
    intervals: Mapping[str, tuple[Float[Tensor, "step"], Float[Tensor, "step"]]] | None = None,
    controls: Mapping[str, Float[Tensor, "control step"]] | None = None,
    control_name: str = "random heads",
    step_title: str = "Heads ablated",
    rate_title: str = "Share of dialogues",
    confidence: float = 0.95,
    n_dialogues: int | None = None,
    note: str | None = None,
    height: float | None = None,
    width: Width = "single",
) -> go.Figure:
    """Rates at each number of heads, equally spaced, with shaded intervals and the hatched range of the controls.

    Args:
        steps: numbers of heads, from the smallest to the largest.
        rates: up to four rates by name, such as "apologizes", each in [0, 1].
        intervals: low and high ends of a rate at ``confidence``, by the name of the rate.
        controls: the same rate under each set of other heads, by the name of the rate.
        control_name: what those heads are.
        step_title, rate_title: names of the axes.
        n_dialogues: how many dialogues the rates are shares of.
        note: a further sentence for the footnote.
        height: inches of the plot itself, legend included, such as those of a panel beside it.
        width: inches, or "single" (3.25), "double" (6.75), or a venue's, such as "neurips".

    Raises:
        FigureError: steps that do not increase, lengths or names that do not fit, numbers that are no shares.

    >>> import torch
    >>> figure = knockout_curve([0, 1, 2], {"apologizes": torch.tensor([1.0, 0.6, 0.2])}, n_dialogues=200)
    >>> figure.data[0].hovertext[1]
    'Heads ablated: 1<br>apologizes 60%<br>200 dialogues'
    """
    intervals, controls = intervals or {}, controls or {}
    n_controls = _check(steps, rates, intervals, controls)
    sample = counted(n_dialogues, "dialogue")
    points = [f"{step_title}: {step:,}" for step in steps]
    looks = dict(zip(rates, LOOKS, strict=False))
    drawn = {
        name: Rate(name, rate, intervals.get(name), Numbers(100.0, "%", confidence, "minus", name, sample), looks[name])
        for name, rate in rates.items()
    }
    beside = {
        name: Controls((control_name,) if len(rates) == 1 else (f"{name},", control_name), each, looks[name])
        for name, each in controls.items()
    }
    high = by_width(width, HEIGHT) if height is None else 96 * plot_height(height)
    names, tops = _place_names(list(drawn.values()), list(beside.values()), width, high)
    right = GAP + max(name.width for name in names) + 4 if names else 10.0
    wide = page_width(width) - LEFT - right
    apart = (wide - 2 * EDGE) / max(1, len(steps) - 1)
    beyond = EDGE / apart if len(steps) > 1 else 0.5
    texts = [f"{step:,}" for step in steps]
    every = tick_step(apart, apart=max(map(text_width, texts)) + 6)
    legend_names = {name: "<br>".join(wrap(name, wide - KEY)) for name in rates}
    above = 0.0 if names else sum(ENTRY + LINE * name.count("<br>") for name in legend_names.values())
    if height is not None:
        high -= above
    layout = page(
        width,
        plot=(wide, high),
        left=LEFT,
        content=(0, page_width(width)),
        footnote=[
            count_sentence(n_dialogues, "dialogue"),
            f"Shaded: {confidence * 100:g}% intervals." if intervals else None,
            _hatched_sentence(n_controls, control_name),
            note,
        ],
        above=above,
    )
    layout["annotations"] += [name.written(top) for name, top in zip(names, tops, strict=True)]
    return go.Figure(
        [
            *(each.band(apart) for each in drawn.values() if each.ends is not None),
            *(each.band(apart, high) for each in beside.values()),
            *(each.line(steps, points) for each in beside.values()),
            *(
                each.line(steps, points, legend_names[name], every=tick_step(apart, apart=9))
                for name, each in drawn.items()
            ),
        ],
        {
            **layout,
            "showlegend": not names,
            "legend": legend(x=0, y=1, yanchor="bottom"),
            "xaxis": axis(
                step_title,
                range=[-beyond, len(steps) - 1 + beyond],
                tickvals=list(range(0, len(steps), every)),
                ticktext=texts[::every],
            ),
            "yaxis": share_axis(rate_title, high),
        },
    )


def _place_names(
    rates: Sequence[Rate], controls: Sequence[Controls], width: Width, height: float
) -> tuple[list[LineName], list[float]]:
    """Names at the ends of all lines, or of the rates alone, or none, which calls for a legend."""
    if page_width(width) < 96 * LEAST_INCHES:
        return [], []
    room = by_width(width, NAME)

    def named(line: Rate | Controls) -> LineName:
        parts, ends = ((line.name,), line.values) if isinstance(line, Rate) else (line.name, line.middle)
        down = height - RIM - ends[-1].item() / 100 * (height - 2 * RIM)
        return LineName.broken(*parts, room=room, color=line.look.color, at=down)

    choices: tuple[Sequence[Rate | Controls], ...] = ([*rates, *controls], rates)
    for lines in choices:
        names = [named(line) for line in lines]
        tops = spread(names, height=height, room=room)
        if tops is not None:
            return names, tops
    return [], []


def _hatched_sentence(n_controls: int, control_name: str) -> str | None:
    if not n_controls:
        return None
    return f"Hatched: range of {counted(n_controls, 'set')} of {control_name}, thin line: median."


def _check(
    steps: Sequence[int],
    rates: Mapping[str, Tensor],
    intervals: Mapping[str, tuple[Tensor, Tensor]],
    controls: Mapping[str, Tensor],
) -> int:
    """Refuse what does not fit together; how many controls there are."""
    if not steps or any(after <= before for before, after in pairwise(steps)):
        raise FigureError(f"steps are {list(steps)}; they must increase, as in 0, 1, 2, 4.")
    if not 1 <= len(rates) <= len(LOOKS):
        raise FigureError(f"{len(rates)} rates were given; one figure holds 1 to {len(LOOKS)}.")
    for kind, named in (("intervals", intervals), ("controls", controls)):
        if unknown := [name for name in named if name not in rates]:
            raise FigureError(f"{kind} name {unknown[0]!r}, which is no rate; the rates are {', '.join(rates)}.")
    sets = {len(each) for each in controls.values()}
    if len(sets) > 1 or 0 in sets:
        raise FigureError(f"controls hold {sorted(sets)} sets of heads; give every rate the same, and at least one.")
    expected = (len(steps),)
    for name, rate in rates.items():
        _check_rate(name, rate, expected)
    for name, ends in intervals.items():
        for end in ends:
            _check_rate(name, end, expected)
    for name, others in controls.items():
        _check_rate(name, others, (len(others), *expected))
    return sets.pop() if sets else 0


def _check_rate(name: str, rate: Tensor, expected: tuple[int, ...]) -> None:
    if rate.shape != expected:
        raise FigureError(f"{name} has shape {tuple(rate.shape)}, not {expected}; give one number for each step.")
    if not rate.isfinite().all():
        raise FigureError(f"{name} holds NaN or infinite numbers; leave those steps out.")
    check_shares(rate, name)


GAP = 6.0
"""From the frame to a name."""


@dataclass(frozen=True)
class LineName:
    """A name in the color of its line."""

    text: str
    """Broken into lines by <br>."""
    color: str
    at: float
    """Where the line ends, in pixels from the plot's upper edge."""

    @classmethod
    def broken(cls, *parts: str, room: float, color: str, at: float) -> LineName:
        """A name that begins a new line with each part, and wherever the room ends."""
        return cls("<br>".join(line for part in parts for line in wrap(part, room)), color, at)

    @property
    def width(self) -> float:
        return max(map(text_width, self.text.split("<br>")))

    @property
    def height(self) -> float:
        return LINE * (self.text.count("<br>") + 1)

    def written(self, top: float) -> dict[str, Any]:
        """The name as an annotation whose upper edge is ``top`` pixels below the plot's."""
        return {
            "name": "line name",
            "text": self.text,
            "showarrow": False,
            "align": "left",
            "xref": "paper",
            "yref": "paper",
            "x": 1,
            "y": 1,
            "xanchor": "left",
            "yanchor": "middle",
            "xshift": GAP,
            "yshift": -(top + self.height / 2),
            "borderpad": 0,
            "font": {"size": SMALL, "color": self.color},
        }


def spread(names: Sequence[LineName], *, height: float, room: float) -> list[float] | None:
    """Upper edges of the names so that none overlaps; None if one is too wide or moves away from its line."""
    order = sorted(range(len(names)), key=lambda row: names[row].at)
    tops = [name.at - name.height / 2 for name in names]
    lowest = 0.0
    for row in order:
        tops[row] = max(tops[row], lowest)
        lowest = tops[row] + names[row].height
    highest = height
    for row in reversed(order):
        tops[row] = min(tops[row], highest - names[row].height)
        highest = tops[row]
    moved = max(abs(top + name.height / 2 - name.at) for top, name in zip(tops, names, strict=True))
    fits = highest >= 0 and moved <= LINE and max(name.width for name in names) <= room
    return tops if fits else None
