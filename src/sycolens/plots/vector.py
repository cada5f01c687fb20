"""Maps whose cells are drawn as they are printed: plotly makes of a heatmap a picture of 96 dots to the inch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any


def with_cells_as_shapes(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """A figure, as JSON, in which every cell of a map is a rectangle, and the color bar stays as it is.

    Maps on axes of their own numbers are left alone.

    >>> import plotly.graph_objects as go
    >>> scale = [[0, "rgb(0,0,0)"], [1, "rgb(255,0,0)"]]
    >>> figure = go.Figure(go.Heatmap(z=[[0.0, 1.0]], zmin=0, zmax=1, colorscale=scale))
    >>> [each["fillcolor"] for each in with_cells_as_shapes(figure.to_plotly_json())["layout"]["shapes"]]
    ['rgb(0, 0, 0)', 'rgb(255, 0, 0)']
    """
    layout = dict(drawn["layout"])
    shapes: list[Any] = []
    traces: list[Any] = []
    for trace in drawn["data"]:
        if trace.get("type") == "heatmap" and "x" not in trace and "y" not in trace and "zmin" in trace:
            shapes += _cells(trace, layout.get("plot_bgcolor", "white"))
            traces.append(_color_bar(trace))
        else:
            traces.append(trace)
    # The cells lie under whatever else is drawn below the traces.
    return {**drawn, "data": traces, "layout": {**layout, "shapes": [*shapes, *layout.get("shapes", ())]}}


def _cells(trace: Mapping[str, Any], between: str) -> Iterator[dict[str, Any]]:
    from plotly.colors import sample_colorscale

    low, high = trace["zmin"], trace["zmax"]
    # Neighbors share an edge, on which a line in the color of the ground leaves as much free as the map's gap.
    gap = trace.get("xgap", 0)
    for row, values in enumerate(trace["z"]):
        for column, value in enumerate(values):
            if value is None or math.isnan(value):
                continue
            share = min(1.0, max(0.0, (value - low) / (high - low)))
            yield {
                "type": "rect",
                "layer": "below",
                "xref": trace.get("xaxis", "x"),
                "yref": trace.get("yaxis", "y"),
                "x0": column - 0.5,
                "x1": column + 0.5,
                "y0": row - 0.5,
                "y1": row + 0.5,
                "fillcolor": sample_colorscale(trace["colorscale"], [share])[0],
                "line": {"width": gap, "color": between},
            }


def _color_bar(trace: Mapping[str, Any]) -> dict[str, Any]:
    """What the map is besides its cells: points that are nowhere, and the bar that says what colors mean."""
    shown = trace.get("showscale", True)
    scale = {"cmin": trace["zmin"], "cmax": trace["zmax"], "colorscale": trace["colorscale"], "color": [trace["zmin"]]}
    bar = {"showscale": shown, "colorbar": trace.get("colorbar", {})} if shown else {"showscale": False}
    axes = {name: trace[name] for name in ("xaxis", "yaxis") if name in trace}
    nowhere = {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "showlegend": False}
    return {**nowhere, "marker": {**scale, **bar}, **axes}
