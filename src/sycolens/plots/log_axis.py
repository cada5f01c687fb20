"""A logarithmic axis that has a place for 0, behind a break."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sycolens.plots.layout import FAINT, axis, text_width

NOISE = 1e-6
"""What is smaller stands at 0: a difference of float32 logits, and no drift."""
EDGE = 9.0
"""From the frame to the first and the last point."""
BREAK, ZERO = 24.0, 36.0
"""From the frame to the break, and to the smallest number above 0."""


@dataclass(frozen=True)
class LogAxis:
    """Numbers from ``10**low`` to ``10**high`` on ``width`` pixels."""

    low: float
    high: float
    width: float
    has_zero: bool

    @classmethod
    def over(cls, values: Iterable[float], width: float) -> LogAxis:
        """The axis that just holds these numbers, at least one of them above :data:`NOISE`."""
        values = list(values)
        logs = [math.log10(value) for value in values if value >= NOISE]
        low, high = min(logs), max(logs)
        # In a stretch of this length lie at least two of 1, 2, 5, 10.
        spare = max(0.0, 0.81 - (high - low)) / 2
        return cls(low - spare, high + spare, width, len(logs) < len(values))

    @property
    def decade(self) -> float:
        """Its length in pixels."""
        return (self.width - self._start - EDGE) / (self.high - self.low)

    def at(self, value: float) -> float:
        """Where a number stands, as a number of the axis: itself, or the place of 0."""
        return value if value >= NOISE else 10 ** (self.low - (self._start - EDGE) / self.decade)

    def pixels(self, value: float) -> float:
        """Where a number stands, from the plot's left edge."""
        return self._along(value) if value >= NOISE else EDGE

    def drawn(self, title: str) -> dict[str, Any]:
        """The axis as plotly takes it."""
        ticks = self._ticks()
        values, texts = list(ticks), [_written(value) for value in ticks]
        if self.has_zero:
            values, texts = [self.at(0.0), *values], ["0", *texts]
        decades = range(math.floor(self.low), math.ceil(self.high))
        between = [digit * 10.0**power for power in decades for digit in range(1, 10)]
        return axis(
            title,
            type="log",
            range=[self.low - self._start / self.decade, self.high + EDGE / self.decade],
            tickvals=values,
            ticktext=texts,
            minor={
                "tickvals": [value for value in between if self.low <= math.log10(value) <= self.high],
                "ticks": "outside",
                "ticklen": 2,
                "tickwidth": 0.5,
                "tickcolor": FAINT,
            },
        )

    def breaks(self, height: float) -> list[dict[str, Any]]:
        """Shapes that cut the frame and all lines between 0 and the rest; none where nothing stands at 0."""
        if not self.has_zero:
            return []
        left, right = ((BREAK + by) / self.width for by in (-2, 2))
        beyond = 3 / height
        common = {"xref": "paper", "yref": "paper", "layer": "above"}
        gap = {**common, "type": "rect", "x0": left, "x1": right, "y0": -beyond / 2, "y1": 1 + beyond / 2}
        gap |= {"fillcolor": "white", "line": {"width": 0}, "name": "break"}
        slant = 1.5 / self.width
        strokes = [
            {"type": "line", "x0": x - slant, "x1": x + slant, "y0": y - beyond, "y1": y + beyond}
            for x in (left, right)
            for y in (0, 1)
        ]
        return [gap, *({**common, **stroke, "line": {"color": FAINT, "width": 0.75}} for stroke in strokes)]

    @property
    def left(self) -> float:
        """Where the axis is whole, from the plot's left edge."""
        return BREAK + 2 if self.has_zero else 0.0

    @property
    def _start(self) -> float:
        return ZERO if self.has_zero else EDGE

    def _along(self, value: float) -> float:
        return self._start + (math.log10(value) - self.low) * self.decade

    def _ticks(self) -> list[float]:
        """Round numbers on the axis, as many as can be written side by side."""
        choices = list(self._choices())
        return next((ticks for ticks in choices if 2 <= len(ticks) <= 6 and self._fit(ticks)), choices[-1])

    def _choices(self) -> Iterator[list[float]]:
        powers = range(math.floor(self.low) - 1, math.ceil(self.high) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            yield self._inside(digit * 10.0**power for power in powers for digit in digits)
        for step in (2, 3):
            yield self._inside(10.0**power for power in powers if power % step == 0)

    def _inside(self, values: Iterable[float]) -> list[float]:
        return [value for value in values if self.low - 1e-9 <= math.log10(value) <= self.high + 1e-9]

    def _fit(self, ticks: Sequence[float]) -> bool:
        ends = [
            (self._along(value) - half, self._along(value) + half)
            for value in ticks
            for half in (text_width(re.sub("<.*?>", "", _written(value))) / 2,)
        ]
        first = EDGE + text_width("0") / 2 + 4 if self.has_zero else -math.inf
        return ends[0][0] >= first and all(before[1] + 6 <= after[0] for before, after in pairwise(ends))


def _written(value: float) -> str:
    if value >= 0.999e-4:
        return f"{value:.6f}".rstrip("0").rstrip(".") if value < 1 else f"{value:,.0f}"
    power = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10.0**power)
    return ("" if digit == 1 else f"{digit}·") + f"10<sup>−{-power}</sup>"
