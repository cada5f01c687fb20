"""What a curve of rates is drawn with: lines with markers, shaded intervals, the hatched range of the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.plots.layout import GRID, axis
from sycolens.plots.numbers import Numbers, counted, interval_at, scaled

RIM = 5.0
"""From the frame to 0 and 100 %, in pixels."""


@dataclass(frozen=True)
class Look:
    """How a rate is drawn: its dash, marker and hatching remain where its color is lost."""

    color: str
    dash: str
    symbol: str
    slope: float
    """Of its hatching."""

    def fill(self, opacity: float) -> str:
        """The color as a transparent one."""
        return self.color.replace("rgb(", "rgba(").replace(")", f",{opacity})")


LOOKS = (
    Look("rgb(178,24,43)", "solid", "circle", 1.0),
    Look("rgb(33,102,172)", "dash", "square", -1.0),
    Look("rgb(64,64,64)", "dot", "diamond", 3.0),
    Look("rgb(118,42,131)", "dashdot", "triangle-up", -3.0),
)


def share_axis(title: str, height: float) -> dict[str, Any]:
    """The axis of a share, from nothing to everything, on a plot of ``height`` pixels."""
    percent = Numbers(100.0, "%", sign="minus")
    values, texts = percent.ticks(0, 100, most=5)
    rim = 100 * RIM / (height - 2 * RIM)
    return axis(
        percent.title(title),
        range=[-rim, 100 + rim],
        tickvals=values,
        ticktext=texts,
        showgrid=True,
        gridcolor=GRID,
        gridwidth=0.75,
    )


class Rate:
    """One rate: its line, and the shade of its interval."""

    def __init__(
        self, name: str, rate: Tensor, interval: tuple[Tensor, Tensor] | None, numbers: Numbers, look: Look
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

    def line(self, steps: Sequence[int], points: Sequence[str], legend_name: str, *, every: int) -> go.Scatter:
        return go.Scatter(
            name=legend_name,
            mode="lines+markers",
            x=list(range(len(points))),
            y=self.values.tolist(),
            # Steps are drawn equally far apart: these are the numbers themselves, for whoever takes them along.
            customdata=list(steps),
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


class Controls:
    """The same rate under other heads: their hatched range, and a thin line through their medians."""

    def __init__(self, name: tuple[str, ...], rates: Tensor, look: Look) -> None:
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

    def line(self, steps: Sequence[int], points: Sequence[str]) -> go.Scatter:
        name = " ".join(self.name)
        numbers = Numbers(100.0, "%", sign="minus", what=f"{name}: median")
        return go.Scatter(
            name=name,
            mode="lines",
            x=list(range(len(points))),
            y=self.middle.tolist(),
            customdata=list(steps),
            line={"color": self.look.color, "width": 1, "dash": self.look.dash},
            hovertext=[
                f"{numbers.hover(point, self.middle[row].item(), None)}<br>{self.sets}: "
                f"{numbers.write(self.least[row].item())} to {numbers.write(self.most[row].item())}"
                for row, point in enumerate(points)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,  # the footnote says what is hatched
        )


def _widened(low: Tensor, high: Tensor, apart: float) -> tuple[Tensor, Tensor, Tensor]:
    """Positions and ends of a band; that of a single step reaches ten pixels to either side, to be seen at all."""
    if len(low) == 1:
        return torch.tensor([-10 / apart, 10 / apart], dtype=low.dtype), low.expand(2), high.expand(2)
    return torch.arange(len(low), dtype=low.dtype), low, high


SPACING = 4.0
"""Between two strokes."""
SAMPLES = 2
"""Points a pixel at which a stroke is inside or outside."""

Path = tuple[list[float | None], list[float | None]]
"""x and y of strokes, each ended by None."""


def hatched(x: Float[Tensor, "point"], low: Tensor, high: Tensor, *, slope: float) -> Path:
    """The outline of the band between two lines over the same x, and parallel strokes inside it; all in pixels."""
    along = torch.linspace(x[0].item(), x[-1].item(), max(2, int(SAMPLES * (x[-1] - x[0]).item())), dtype=torch.float64)
    after = torch.searchsorted(x, along).clamp(1, len(x) - 1)
    share = (along - x[after - 1]) / (x[after] - x[after - 1])
    below, above = (each[after - 1] + share * (each[after] - each[after - 1]) for each in (low, high))
    apart = SPACING * (1 + slope**2) ** 0.5
    # A stroke is y = start + slope * x; it has to pass the band somewhere.
    starts = torch.arange((below - slope * along).min().item(), (above - slope * along).max().item(), apart)
    y = starts[:, None] + slope * along
    inside = torch.nn.functional.pad(((y >= below) & (y <= above)).int(), (1, 1)).diff(dim=1)
    path: Path = (
        [*x.tolist(), *x.flip(0).tolist(), x[0].item(), None],
        [*high.tolist(), *low.flip(0).tolist(), high[0].item(), None],
    )
    for (stroke, first), (_, end) in zip(
        (inside == 1).nonzero().tolist(), (inside == -1).nonzero().tolist(), strict=True
    ):
        if end - first > SAMPLES:
            path[0].extend([along[first].item(), along[end - 1].item(), None])
            path[1].extend([y[stroke, first].item(), y[stroke, end - 1].item(), None])
    return path
