"""Several figures as the panels of one, side by side, each as it is drawn by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import plotly.graph_objects as go

from sycolens.errors import FigureError
from sycolens.plots.caption import figure_caption
from sycolens.plots.layout import BODY, whole_points

LETTERS: Final = "abcdefgh"
STRIP: Final = 16.0
"""Room for the letters above the panels."""
_AXIS: Final = re.compile(r"([xy])axis(\d*)")


def side_by_side(figures: Sequence[go.Figure]) -> go.Figure:
    """One figure whose panels (a), (b), ... are these figures, their plots on one line.

    Widths add up; every panel keeps its size, its fonts and what the pointer shows. Small print belongs to a caption:
    leave it out with :func:`~sycolens.plots.without_footnote`.

    Raises:
        FigureError: no figures or more than eight, or one without a size, with its small print, or with a legend in
            columns.

    >>> import torch
    >>> from sycolens.plots import head_bars, heatmap
    >>> panels = [heatmap(torch.eye(2) - 1, width=3), head_bars(["L0H1"], torch.tensor([-1.0]), width=3)]
    >>> round(side_by_side(panels).layout.width)
    576
    """
    if not 1 <= len(figures) <= len(LETTERS):
        raise FigureError(f"{len(figures)} figures were given; one figure holds 1 to {len(LETTERS)} panels.")
    for letter, each in zip(LETTERS, figures, strict=False):
        if not each.layout.width or not each.layout.height:
            raise FigureError(f"Panel {letter} has no width or height of its own, so there is no room to leave for it.")
        if each.layout.showlegend and each.layout.legend.orientation == "h":
            raise FigureError(f"Panel {letter} has a legend in columns, which would run into its neighbor; widen it.")
        if figure_caption(each):
            raise FigureError(f"Panel {letter} has small print; leave it to the caption with without_footnote(figure).")
    wide = round(sum(each.layout.width for each in figures), 2)
    over = STRIP + max(each.layout.height - each.layout.margin.b for each in figures)
    high = whole_points(over + max(each.layout.margin.b for each in figures))
    whole = _Whole(wide, high)
    left = 0.0
    for letter, each in zip(LETTERS, figures, strict=False):
        whole.add(each, left, over - (each.layout.height - each.layout.margin.b), letter)
        left += each.layout.width
    first = figures[0].layout
    return go.Figure(
        whole.traces,
        {
            "width": wide,
            "height": high,
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0, "pad": 0, "autoexpand": False},
            **{name: first[name] for name in ("font", "paper_bgcolor", "plot_bgcolor", "hoverlabel")},
            "showlegend": True,
            **whole.layout,
            "annotations": whole.annotations,
            "shapes": whole.shapes,
        },
    )


@dataclass
class _Whole:
    """What the panels come to: parts of them are moved from their own pages to the whole one."""

    wide: float
    high: float
    traces: list[Any] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[dict[str, Any]] = field(default_factory=list)
    axes: int = 0

    def add(self, figure: go.Figure, left: float, top: float, letter: str) -> None:
        """One panel, whose page begins here."""
        drawn = figure.to_plotly_json()
        layout, margin = drawn["layout"], drawn["layout"]["margin"]
        plot = (layout["width"] - margin["l"] - margin["r"], layout["height"] - margin["t"] - margin["b"])

        def across(x: float) -> float:
            return float((left + margin["l"] + x * plot[0]) / self.wide)

        def up(y: float) -> float:
            return float(1 - (top + margin["t"] + (1 - y) * plot[1]) / self.high)

        names: dict[str, str] = {}
        for key in layout:
            if match := _AXIS.fullmatch(key):
                number = int(match[2] or 1) + self.axes
                names[match[1] + match[2]] = match[1] + (str(number) if number > 1 else "")
        self.axes += max((int(name[1:] or 1) for name in names), default=0)
        for old, new in names.items():
            moved = dict(layout[f"{old[0]}axis{old[1:]}"])
            start, end = moved.get("domain", (0.0, 1.0))
            moved["domain"] = [across(start), across(end)] if old[0] == "x" else [up(start), up(end)]
            other = moved.get("anchor", ("y" if old[0] == "x" else "x") + old[1:])
            moved["anchor"] = names.get(other, other)
            self.layout[f"{new[0]}axis{new[1:]}"] = moved

        def placed(each: Mapping[str, Any]) -> dict[str, Any]:
            moved = dict(each)
            for side, move in (("x", across), ("y", up)):
                over = moved.get(f"{side}ref", "paper" if "text" in moved else side)
                if over == "paper":
                    moved |= {name: move(moved[name]) for name in (side, f"{side}0", f"{side}1") if name in moved}
                else:
                    axis, _, domain = over.partition(" ")
                    moved[f"{side}ref"] = f"{names.get(axis, axis)} {domain}".strip()
            return moved

        self.annotations += map(placed, layout.get("annotations", ()))
        self.shapes += map(placed, layout.get("shapes", ()))
        self.annotations.append(_letter(left / self.wide, letter))
        legend = f"legend{len(self.annotations)}"
        if layout.get("showlegend"):
            own = layout.get("legend", {})
            self.layout[legend] = {**own, "x": across(own.get("x", 1.02)), "y": up(own.get("y", 1.0))}
        for trace in drawn["data"]:
            moved = dict(trace)
            moved |= {f"{side}axis": names[moved.get(f"{side}axis", side)] for side in "xy"}
            if layout.get("showlegend"):
                moved["legend"] = legend
            else:
                moved["showlegend"] = False
            if "colorbar" in moved:
                bar = moved["colorbar"]
                moved["colorbar"] = {**bar, "x": across(bar.get("x", 1.02)), "y": up(bar.get("y", 0.5))}
            self.traces.append(moved)


def _letter(x: float, letter: str) -> dict[str, Any]:
    return {
        "name": "panel",
        "text": f"<b>({letter})</b>",
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": x,
        "y": 1,
        "xanchor": "left",
        "yanchor": "top",
        "xshift": 4,
        "yshift": -2,
        "borderpad": 0,
        "font": {"size": BODY},
    }
