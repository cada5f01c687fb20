"""Small charts of a page: lines over steps, values with their intervals, squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sycolens.shown.svg import BLUE, CHARACTER, FONT, GRAY, svg, text, titled
from sycolens.shown.words import between, percent, shortened


@dataclass(frozen=True)
class Line:
    """Shares in [0, 1] at every step, with the ends of their intervals."""

    name: str
    color: str
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """A share with its interval; not a number where there is none."""

    name: str
    value: float
    low: float
    high: float
    color: str = BLUE


def lines(steps: Sequence[str], drawn: Sequence[Line], *, title: str, band: Sequence[tuple[float, float]] = ()) -> str:
    """Shares against steps at equal distances, each with its interval, over a gray band from least to most.

    >>> once = Line("apologizes", "#d1443f", [1.0, 0.0], [0.9, 0.0], [1.0, 0.1])
    >>> lines(["0", "4"], [once], title="Heads knocked out").count("<circle")
    2
    """
    left, top, high = 34.0, 22.0, 120.0
    apart = max(34.0, min(60.0, 260 / max(1, len(steps) - 1)))
    x = [left + 10 + apart * k for k in range(len(steps))]
    right = x[-1] + 10

    def y(share: float) -> float:
        return top + high * (1 - share)

    parts = [
        f'<path d="M{left},{y(tick):g}h{right - left:g}" stroke="currentColor" stroke-opacity="0.2"/>'
        f"{text(left - 4, y(tick) + FONT / 3, f'{tick:.0%}', anchor='end')}"
        for tick in (0, 0.5, 1)
    ]
    if band:
        there = [f"{a:g},{y(most):g}" for a, (_, most) in zip(x, band, strict=True)]
        back = [f"{a:g},{y(least):g}" for a, (least, _) in zip(x, band, strict=True)]
        edge = f'stroke="{GRAY}" stroke-width="3" stroke-opacity="0.45"'
        parts.append(f'<polygon points="{" ".join([*there, *back[::-1]])}" fill="{GRAY}" fill-opacity="0.25" {edge}/>')
    for number, each in enumerate(drawn):
        # Side by side, where lines lie on each other.
        shift = 2.0 * number
        points = [(a + shift, y(b)) for a, b in zip(x, each.values, strict=True)]
        path = "L".join(f"{a:g},{b:.1f}" for a, b in points)
        dash = ' stroke-dasharray="5,3"' if number else ""
        parts.append(f'<path d="M{path}" fill="none" stroke="{each.color}" stroke-width="1.5"{dash}/>')
        for step, (a, b), value, low, high_end in zip(steps, points, each.values, each.low, each.high, strict=True):
            point = (
                f'<path d="M{a:g},{y(low):.1f}V{y(high_end):.1f}" stroke="{each.color}"/>'
                f'<circle cx="{a:g}" cy="{b:.1f}" r="3.5" fill="{each.color}"/>'
            )
            parts.append(titled(point, f"{each.name} {percent(value)} ({between(low, high_end)}) at {step}"))
    ticks = "".join(text(a, top + high + FONT + 4, step, anchor="middle") for a, step in zip(x, steps, strict=True))
    parts.append(ticks + text(left, top + high + 2.4 * FONT + 4, title))
    keys, at = [], left
    for number, each in enumerate(drawn):
        dash = ' stroke-dasharray="5,3"' if number else ""
        keys.append(f'<path d="M{at:g},8h16" stroke="{each.color}" stroke-width="2"{dash}/>')
        keys.append(text(at + 20, 8 + FONT / 3, each.name))
        at += 34 + CHARACTER * len(each.name)
    return svg(max(right, at, left + CHARACTER * len(title)), top + high + 2.4 * FONT + 10, "".join([*keys, *parts]))


def marks(drawn: Sequence[Mark]) -> str:
    """Shares from 0 to 1, a row each, with their intervals; what has no number has a row without a dot.

    >>> marks([Mark("truthfulness", 0.5, 0.4, 0.6)]).count("<circle")
    1
    """
    names = [shortened(each.name, 30) for each in drawn]
    left, wide, row = 10 + CHARACTER * max(map(len, names)), 220, 20
    bottom = row * len(drawn)
    parts = [
        f'<path d="M{left + wide * tick:g},2V{bottom + 2}" stroke="currentColor" stroke-opacity="0.2"/>'
        f"{text(left + wide * tick, bottom + FONT + 4, f'{tick:.0%}', anchor='middle')}"
        for tick in (0, 0.5, 1)
    ]
    for number, (each, name) in enumerate(zip(drawn, names, strict=True)):
        y = row * (number + 0.5) + 2
        parts.append(text(left - 8, y + FONT / 3, name, anchor="end"))
        if math.isnan(each.value):
            continue
        low, value, high = (left + wide * share for share in (each.low, each.value, each.high))
        dot = (
            f'<path d="M{low:.1f},{y:g}H{high:.1f}" stroke="{each.color}" stroke-width="2"/>'
            f'<circle cx="{value:.1f}" cy="{y:g}" r="4" fill="{each.color}"/>'
        )
        parts.append(titled(dot, f"{each.name} {percent(each.value)} ({between(each.low, each.high)})"))
    return svg(left + wide + 28, bottom + FONT + 10, "".join(parts))


def squares(names: Sequence[tuple[str, str]]) -> str:
    """A square for everything, in the color that is given with its name.

    >>> squares([("find: done", BLUE), ("verify: to do", GRAY)]).count("<rect")
    2
    """
    size = 16
    drawn = "".join(
        titled(
            f'<rect x="{size * (k % 20) + 1}" y="{size * (k // 20) + 1}" width="{size - 3}" height="{size - 3}" '
            f'fill="{color}"/>',
            name,
        )
        for k, (name, color) in enumerate(names)
    )
    return svg(size * min(20, len(names)) + 1, size * math.ceil(len(names) / 20) + 1, drawn)
