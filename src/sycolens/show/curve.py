"""Rates against the number of heads ablated: the paper's Figure 2(b), with intervals and controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.show.hatching import hatched
from sycolens.show.layout import GRID, LINE, PAGE_WIDTH, SMALL, Width, axis, page, text_width, tick_step, wrap
from sycolens.show.line_names import GAP, LineName, spread
from sycolens.show.numbers import Numbers, check_shares, count_sentence, counted, interval_at, scaled

HEIGHT: dict[Width, int] = {"single": 160, "double": 240}
"""Of the plot."""
LEFT = 46
"""Room for the percentages and the axis name."""
EDGE, RIM = 9.0, 5.0
"""From the frame to the first and the last point, and to 0 and 100 %."""
NAME: dict[Width, int] = {"single": 84, "double": 130}
"""No name at a line's end is wider."""
ENTRY, KEY = 19.0, 50.0
"""Height of an entry of plotly's legend, and the width of its picture."""


@dataclass(frozen=True)
class _Look:
    """What tells a rate from the others: its dash, marker and hatching remain where its color is lost."""

    color: str
    dash: str
    symbol: str
    slope: float
    """Of its hatching."""

    def fill(self, opacity: float) -> str:
        """The color as a transparent one."""
        return self.color.replace("rgb(", "rgba(").replace(")", f",{opacity})")


LOOKS = (
    _Look("rgb(178,24,43)", "solid", "circle", 1.0),
    _Look("rgb(33,102,172)", "dash", "square", -1.0),
    _Look("rgb(64,64,64)", "dot", "diamond", 3.0),
    _Look("rgb(118,42,131)", "dashdot", "triangle-up", -3.0),
)


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
        width: "single" (3.3 inches) or "double" (6.75 inches).

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
        name: _Rate(
            name, rate, intervals.get(name), Numbers(100.0, "%", confidence, "minus", name, sample), looks[name]
        )
        for name, rate in rates.items()
    }
    beside = {
        name: _Controls((control_name,) if len(rates) == 1 else (f"{name},", control_name), each, looks[name])
        for name, each in controls.items()
    }
    names, tops = _place_names(list(drawn.values()), list(beside.values()), width)
    right = GAP + max(name.width for name in names) + 4 if names else 10.0
    wide = PAGE_WIDTH[width] - LEFT - right
    apart = (wide - 2 * EDGE) / max(1, len(steps) - 1)
    beyond = EDGE / apart if len(steps) > 1 else 0.5
    texts = [f"{step:,}" for step in steps]
    every = tick_step(apart, apart=max(map(text_width, texts)) + 6)
    legend_names = {name: "<br>".join(wrap(name, wide - KEY)) for name in rates}
    layout = page(
        width,
        plot=(wide, HEIGHT[width]),
        left=LEFT,
        content=(0, PAGE_WIDTH[width]),
        footnote=[
            count_sentence(n_dialogues, "dialogue"),
            f"Shaded: {confidence * 100:g}% intervals." if intervals else None,
            _hatched_sentence(n_controls, control_name),
            note,
        ],
        above=0 if names else sum(ENTRY + LINE * name.count("<br>") for name in legend_names.values()),
    )
    layout["annotations"] += [name.written(top) for name, top in zip(names, tops, strict=True)]
    percent = Numbers(100.0, "%", sign="minus")
    tick_values, tick_texts = percent.ticks(0, 100, most=5)
    return go.Figure(
        [
            *(each.band(apart) for each in drawn.values() if each.ends is not None),
            *(each.band(apart, HEIGHT[width]) for each in beside.values()),
            *(each.line(points) for each in beside.values()),
            *(each.line(points, legend_names[name], every=tick_step(apart, apart=9)) for name, each in drawn.items()),
        ],
        {
            **layout,
            "showlegend": not names,
            "legend": {
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "font": {"size": SMALL},
                "bgcolor": "rgba(255,255,255,0)",
            },
            "xaxis": axis(
                step_title,
                range=[-beyond, len(steps) - 1 + beyond],
                tickvals=list(range(0, len(steps), every)),
                ticktext=texts[::every],
            ),
            "yaxis": axis(
                percent.title(rate_title),
                range=[100 * -RIM / (HEIGHT[width] - 2 * RIM), 100 * (1 + RIM / (HEIGHT[width] - 2 * RIM))],
                tickvals=tick_values,
                ticktext=tick_texts,
                showgrid=True,
                gridcolor=GRID,
                gridwidth=0.75,
            ),
        },
    )


class _Rate:
    """One rate: its line, and the shade of its interval."""

    def __init__(
        self, name: str, rate: Tensor, interval: tuple[Tensor, Tensor] | None, numbers: Numbers, look: _Look
    ) -> None:
        low, high = interval or (None, None)
        self.values, self.ends = scaled(rate, low, high, "%", name=name)
        self.name, self.numbers, self.look = name, numbers, look

    def band(self, apart: float) -> go.Scatter:
        assert self.ends is not None
        steps, low, high = _widened(*self.ends, apart)
        return go.Scatter(
            name=f"{self.name}, interval",
            mode="lines",
            x=[*steps.tolist(), *steps.flip(0).tolist()],
            y=[*high.tolist(), *low.flip(0).tolist()],
            line={"width": 0},
            fill="toself",
            fillcolor=self.look.fill(0.22),
            hoverinfo="skip",
            showlegend=False,
        )

    def line(self, points: Sequence[str], legend_name: str, *, every: int) -> go.Scatter:
        return go.Scatter(
            name=legend_name,
            mode="lines+markers",
            x=list(range(len(points))),
            y=self.values.tolist(),
            line={"color": self.look.color, "width": 1.75, "dash": self.look.dash},
            marker={
                "symbol": self.look.symbol,
                "size": [0 if row % every else 6 for row in range(len(points))],
                "opacity": 1,
                "color": self.look.color if self.look is LOOKS[0] else "white",
                "line": {"color": self.look.color, "width": 1.25},
            },
            hovertext=[
                self.numbers.hover(point, value, interval_at(self.ends, row))
                for row, (point, value) in enumerate(zip(points, self.values.tolist(), strict=True))
            ],
            hovertemplate="%{hovertext}<extra></extra>",
        )


class _Controls:
    """The same rate under other heads: their hatched range, and a thin line through their medians."""

    def __init__(self, name: tuple[str, ...], rates: Tensor, look: _Look) -> None:
        others, _ = scaled(rates, None, None, "%")
        self.name, self.look, self.sets = name, look, counted(len(others), "set")
        self.least, self.middle, self.most = others.amin(0), others.quantile(0.5, dim=0), others.amax(0)

    def band(self, apart: float, height: float) -> go.Scatter:
        # Hatched rather than shaded: where two bands cross, both can still be seen, in print too.
        steps, least, most = _widened(self.least, self.most, apart)
        up = (height - 2 * RIM) / 100
        x, y = hatched(steps * apart, least * up, most * up, slope=self.look.slope)
        return go.Scatter(
            name=f"{' '.join(self.name)}, range",
            mode="lines",
            x=[each if each is None else each / apart for each in x],
            y=[each if each is None else each / up for each in y],
            line={"color": self.look.fill(0.75), "width": 0.5},
            hoverinfo="skip",
            showlegend=False,
        )

    def line(self, points: Sequence[str]) -> go.Scatter:
        name = " ".join(self.name)
        numbers = Numbers(100.0, "%", sign="minus", what=f"{name}: median")
        return go.Scatter(
            name=name,
            mode="lines",
            x=list(range(len(points))),
            y=self.middle.tolist(),
            line={"color": self.look.color, "width": 1, "dash": self.look.dash},
            hovertext=[
                f"{numbers.hover(point, self.middle[row].item(), None)}<br>{self.sets}: "
                f"{numbers.write(self.least[row].item())} to {numbers.write(self.most[row].item())}"
                for row, point in enumerate(points)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,  # the footnote says what is hatched
        )


def _place_names(
    rates: Sequence[_Rate], controls: Sequence[_Controls], width: Width
) -> tuple[list[LineName], list[float]]:
    """Names at the ends of all lines, or of the rates alone, or none, which calls for a legend."""
    height, room = HEIGHT[width], NAME[width]

    def named(line: _Rate | _Controls) -> LineName:
        parts, ends = ((line.name,), line.values) if isinstance(line, _Rate) else (line.name, line.middle)
        down = height - RIM - ends[-1].item() / 100 * (height - 2 * RIM)
        return LineName.broken(*parts, room=room, color=line.look.color, at=down)

    choices: tuple[Sequence[_Rate | _Controls], ...] = ([*rates, *controls], rates)
    for lines in choices:
        names = [named(line) for line in lines]
        tops = spread(names, height=height, room=room)
        if tops is not None:
            return names, tops
    return [], []


def _widened(low: Tensor, high: Tensor, apart: float) -> tuple[Tensor, Tensor, Tensor]:
    """Positions and ends of a band; that of a single step reaches ten pixels to either side, to be seen at all."""
    if len(low) == 1:
        return torch.tensor([-10 / apart, 10 / apart], dtype=low.dtype), low.expand(2), high.expand(2)
    return torch.arange(len(low), dtype=low.dtype), low, high


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
