"""What can be read off a figure."""

from __future__ import annotations

from typing import Any

from sycolens.plots.layout import LINE, Box, text_width


def trace(figure: Any, name: str) -> Any:
    (found,) = (each for each in figure.data if each.name == name)
    return found


def footnote(figure: Any) -> str:
    texts = [
        each.text.replace("<br>", " ").replace("\u00a0", " ")
        for each in figure.layout.annotations
        if each.name == "footnote"
    ]
    return texts[0] if texts else ""


def plot_size(figure: Any) -> tuple[float, float]:
    """Width and height of the plot area in pixels."""
    layout = figure.layout
    return layout.width - layout.margin.l - layout.margin.r, layout.height - layout.margin.t - layout.margin.b


def in_pixels(figure: Any, x: float, y: float) -> tuple[float, float]:
    """A point of the axes, from the plot's upper left corner."""
    wide, high = plot_size(figure)
    (left, right), (bottom, top) = figure.layout.xaxis.range, figure.layout.yaxis.range
    return (x - left) / (right - left) * wide, (top - y) / (top - bottom) * high


def names_beside(figure: Any) -> dict[str, Box]:
    """The names right of the plot, each with its box from the plot's upper left corner."""
    wide, _ = plot_size(figure)
    boxes = {}
    for each in figure.layout.annotations:
        if each.name == "line name":
            lines = each.text.split("<br>")
            left, middle, half = wide + each.xshift, -each.yshift, LINE * len(lines) / 2
            right = left + max(map(text_width, lines))
            boxes[each.text.replace("<br>", " ")] = (left, middle - half, right, middle + half)
    return boxes


def check_page(figure: Any, inches: float) -> None:
    """No title, the print width, and the footnote under the axis and inside the page."""
    layout = figure.layout
    assert layout.title.text is None
    assert abs(layout.width - inches * 96) < 1
    assert layout.height <= 9 * 96
    wide, high = plot_size(figure)
    assert wide > 0.5 * layout.width or high > 200
    for note in (each for each in layout.annotations if each.name == "footnote"):
        lines = note.text.split("<br>")
        assert -note.yshift >= 34  # tick labels and axis name
        assert -note.yshift + LINE * len(lines) <= layout.margin.b
        left = layout.margin.l + note.xshift
        assert left >= 0
        assert all(left + text_width(line, note.font.size) <= layout.width for line in lines)
