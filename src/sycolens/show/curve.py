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
from sycolens.show.layout import GRID, LINE, PAGE_WIDTH, SMALL, Width, axis, page, text_width, tick_step, wrap
from sycolens.show.numbers import Numbers, check_shares, count_sentence, counted, interval_at, scaled

HEIGHT: dict[Width, int] = {"single": 160, "double": 240}
"""Of the plot."""
LEFT = 46
"""Room for the percentages and the axis name."""
EDGE = 9.0
"""From the frame to the first and the last point."""
LABEL: dict[Width, int] = {"single": 84, "double": 130}
"""No label at a line's end is wider; longer names go into a legend."""
GAP = 6.0
"""From the frame to a label."""
ENTRY = 19.0
"""Height of one line of plotly's legend."""


@dataclass(frozen=True)
class _Look:
    """What tells a rate from the others: its dash, marker and hatching remain where its color is lost."""

    color: str
    dash: str
    symbol: str
    hatch: str

    def fill(self, opacity: float) -> str:
        """The color as a transparent one."""
        return self.color.replace("rgb(", "rgba(").replace(")", f",{opacity})")


LOOKS = (
    _Look("rgb(178,24,43)", "solid", "circle", "/"),
    _Look("rgb(33,102,172)", "dash", "square", "\\"),
    _Look("rgb(64,64,64)", "dot", "diamond", "|"),
    _Look("rgb(118,42,131)", "dashdot", "triangle-up", "-"),
)


@dataclass(frozen=True)
class _Label:
    """A name at the end of a line."""

    text: str
    """In lines."""
    color: str
    at: float
    """Where the line ends, in pixels from the plot's upper edge."""

    @property
    def height(self) -> float:
        return LINE * (self.text.count("<br>") + 1)

    @property
    def width(self) -> float:
        return max(map(text_width, self.text.split("<br>")))


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
    height = HEIGHT[width]
    labels: list[_Label] = []
    under: list[go.Scatter] = []
    lines: list[go.Scatter] = []
    positions = list(range(len(steps)))
    steps_named = [f"{step_title}: {step:,}" for step in steps]
    for (name, rate), look in zip(rates.items(), LOOKS, strict=False):
        low, high = intervals.get(name, (None, None))
        values, ends = scaled(rate, low, high, "%", name=name)
        numbers = Numbers(100.0, "%", confidence, sign="minus", what=name, sample=counted(n_dialogues, "dialogue"))
        if ends is not None:
            under.append(_band(f"{name}, interval", positions, *ends, fillcolor=look.fill(0.22)))
        lines.append(
            go.Scatter(
                name=name,
                mode="lines+markers",
                x=positions,
                y=values.tolist(),
                line={"color": look.color, "width": 1.75, "dash": look.dash},
                marker={
                    "symbol": look.symbol,
                    "size": 6,
                    "color": look.color if look is LOOKS[0] else "white",
                    "line": {"color": look.color, "width": 1.25},
                },
                hovertext=[
                    numbers.hover(step, value, interval_at(ends, row))
                    for row, (step, value) in enumerate(zip(steps_named, values.tolist(), strict=True))
                ],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
        labels.append(_Label(_broken(name, width), look.color, _down(values[-1].item(), height)))
        if name in controls:
            others, _ = scaled(controls[name], None, None, "%", name=name)
            least, middle, most = others.amin(0), others.quantile(0.5, dim=0), others.amax(0)
            what = control_name if len(rates) == 1 else f"{name}, {control_name}"
            under.append(_band(f"{what}, range", positions, least, most, fillpattern=_hatching(look)))
            of_sets = Numbers(100.0, "%", sign="minus", what=f"{what}: median")
            lines.insert(
                0,
                go.Scatter(
                    name=what,
                    mode="lines",
                    x=positions,
                    y=middle.tolist(),
                    line={"color": look.color, "width": 0.75, "dash": look.dash},
                    hovertext=[
                        f"{of_sets.hover(step, middle[row].item(), None)}<br>{counted(n_controls, 'set')}: "
                        f"{of_sets.write(least[row].item())} to {of_sets.write(most[row].item())}"
                        for row, step in enumerate(steps_named)
                    ],
                    hovertemplate="%{hovertext}<extra></extra>",
                ),
            )
            labels.append(_Label(_broken(what, width), look.color, _down(middle[-1].item(), height)))

    tops = _spread(labels, height) if max(label.width for label in labels) <= LABEL[width] else None
    right = 10.0 if tops is None else GAP + max(label.width for label in labels) + 4
    wide = PAGE_WIDTH[width] - LEFT - right
    apart = (wide - 2 * EDGE) / max(1, len(steps) - 1)
    texts = [f"{step:,}" for step in steps]
    every = tick_step(apart, apart=max(map(text_width, texts)) + 6)
    layout: dict[str, Any] = page(
        width,
        plot=(wide, height),
        left=LEFT,
        content=(0, PAGE_WIDTH[width]),
        footnote=[
            count_sentence(n_dialogues, "dialogue"),
            f"Shaded: {confidence * 100:g}% intervals." if intervals else None,
            f"Hatched: range of {counted(n_controls, 'set')} of {control_name}, thin line: median."
            if controls
            else None,
            note,
        ],
        above=ENTRY * len(labels) if tops is None else 0,
    )
    layout["annotations"] += (
        [] if tops is None else [_written(*each, height) for each in zip(labels, tops, strict=True)]
    )
    numbers = Numbers(100.0, "%", sign="minus")
    tick_values, tick_texts = numbers.ticks(0, 100, most=5)
    return go.Figure(
        [*under, *lines],
        {
            **layout,
            "showlegend": tops is None,
            "legend": {
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "font": {"size": SMALL},
                "traceorder": "normal",
            },
            "xaxis": axis(
                step_title,
                range=[-EDGE / apart, len(steps) - 1 + EDGE / apart],
                tickvals=positions[::every],
                ticktext=texts[::every],
            ),
            "yaxis": axis(
                numbers.title(rate_title),
                range=[100 * -EDGE / (height - 2 * EDGE), 100 * (1 + EDGE / (height - 2 * EDGE))],
                tickvals=tick_values,
                ticktext=tick_texts,
                showgrid=True,
                gridcolor=GRID,
                gridwidth=0.75,
            ),
        },
    )


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
    each = [*rates.items(), *((name, end) for name, ends in intervals.items() for end in ends)]
    for name, values in [*each, *controls.items()]:
        if values.shape[-1:] != (len(steps),) or values.ndim > 1 + (values is controls.get(name)):
            raise FigureError(
                f"{name} has shape {tuple(values.shape)}; give one number for each of {len(steps)} steps."
            )
        if not values.isfinite().all():
            raise FigureError(f"{name} holds NaN or infinite numbers; leave those steps out.")
        check_shares(values, name)
    return sets.pop() if sets else 0


def _band(name: str, x: Sequence[int], low: Tensor, high: Tensor, **fill: Any) -> go.Scatter:
    return go.Scatter(
        name=name,
        mode="lines",
        x=[*x, *reversed(x)],
        y=[*high.tolist(), *reversed(low.tolist())],
        line={"width": 0},
        fill="toself",
        hoverinfo="skip",
        showlegend=False,
        **fill,
    )


def _hatching(look: _Look) -> dict[str, Any]:
    # Hatched rather than shaded: where two bands cross, both can still be seen, in print too.
    return {"shape": look.hatch, "size": 4, "solidity": 0.12, "fgcolor": look.color, "bgcolor": "rgba(255,255,255,0)"}


def _down(value: float, height: float) -> float:
    return height - EDGE - value / 100 * (height - 2 * EDGE)


def _broken(name: str, width: Width) -> str:
    return "<br>".join(wrap(name, LABEL[width]))


def _spread(labels: Sequence[_Label], height: float) -> list[float] | None:
    """Upper edges of the labels so that none overlaps, or None if one would end up a line away from its own."""
    order = sorted(range(len(labels)), key=lambda row: labels[row].at)
    tops = [label.at - label.height / 2 for label in labels]
    floor = 0.0
    for row in order:
        tops[row] = floor = max(tops[row], floor)
        floor += labels[row].height
    ceiling = height
    for row in reversed(order):
        tops[row] = min(tops[row], ceiling - labels[row].height)
        ceiling = tops[row]
    moved = (abs(top + label.height / 2 - label.at) for top, label in zip(tops, labels, strict=True))
    return tops if ceiling >= 0 and max(moved) <= LINE else None


def _written(label: _Label, top: float, height: float) -> dict[str, Any]:
    return {
        "name": "label",
        "text": label.text,
        "showarrow": False,
        "align": "left",
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "y": 1,
        "xanchor": "left",
        "yanchor": "middle",
        "xshift": GAP,
        "yshift": -(top + label.height / 2),
        "borderpad": 0,
        "font": {"size": SMALL, "color": label.color},
    }
