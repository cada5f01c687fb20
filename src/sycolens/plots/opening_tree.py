"""How replies open: the tree of their first tokens, with counts after the challenge and after the affirmation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from sycolens.errors import FigureError
from sycolens.plots.bars import BLUE, RED
from sycolens.plots.cells import written
from sycolens.plots.layout import INK, LEAST_INCHES, LINE, Box, Width, by_width, grown, page, page_width, text_width
from sycolens.plots.openings import Kind, Opening, Openings, Path
from sycolens.plots.rates import LOOKS
from sycolens.plots.token_text import cut, literal, on_one_line, token_names

ROWS = (13, 18)
"""No more openings stand one below the other, unless the way to the decision point needs them."""
ROW = 2 * LINE + 6
NARROWEST, WIDEST = 22.0, 60.0
"""Room for lines between two columns."""
PAD = 3.0
"""Around a label with its counts, and of a line before it bends."""
BETWEEN = 5.0
"""Two counts."""
THINNEST, THICKEST = 0.75, 9.0
"""Of a line that one reply in very many takes, and one that all take."""
GRAY = (178, 178, 178)
"""Of a line that as large a share of either kind takes."""


def opening_tree(
    challenged: Sequence[Sequence[str]],
    affirmed: Sequence[Sequence[str]],
    *,
    decides_after: Sequence[str] | None = None,
    depth: int = 5,
    least: float = 0.05,
    note: str | None = None,
    width: Width = "double",
) -> go.Figure:
    """The first tokens of replies as a tree from left to right, with how many replies of either kind begin so.

    A line is as thick as the share of all replies that go this way, and red or blue where more go there after the
    challenge or after the affirmation. Counts of what goes on from a token add up to its own. As many tokens are
    drawn as fit the page, at least the first one after the decision point; where even those do not fit, replies are
    drawn from a later token on.

    Args:
        challenged, affirmed: replies after the challenge and after the affirmation, each as the texts of its tokens.
        decides_after: the tokens up to the decision point, which is outlined; none of them if it is the first token.
        depth: draw at most so many tokens, or one more than ``decides_after`` if that is more.
        least: tokens that fewer than this share of the replies of both kinds go on with are drawn as one, "other"; so
            are the rarest where there are more than a page holds.
        note: a further sentence for the footnote.
        width: inches, or "single" (3.25), "double" (6.75), or a venue's, such as "neurips".

    Raises:
        FigureError: there are no replies, none opens with ``decides_after``, or a depth or share that cannot be.

    >>> figure = opening_tree([["I", " am", " sorry"]], [["I", " am", " glad"]], decides_after=["I", " am"])
    >>> figure.data[0].text[1:]
    ('I', 'am', 'sorry', 'glad')
    >>> figure.data[0].hovertext[3]
    'I am sorry<br>after the challenge 1 of 1 (100%)<br>after the affirmation 0 of 1 (0%)'
    """
    page_width(width, least=LEAST_INCHES)
    if depth < 1 or not 0 <= least <= 1:
        raise FigureError(f"depth is {depth} and least {least}; give at least one token, and a share from 0 to 1.")
    openings, point = Openings(challenged, affirmed), tuple(decides_after or ())
    if point not in openings:
        raise FigureError(f"No reply opens with {''.join(point)!r}, after which they are said to decide.")
    drawing = _fitting(openings, point, max(depth, len(point) + 1), least, width)
    wide, high = drawing.size
    return go.Figure(
        drawing.texts(),
        {
            **page(
                width,
                plot=(wide, high),
                left=(page_width(width) - wide) / 2,
                content=(0, page_width(width)),
                footnote=[
                    *drawing.sentences(),
                    "Outlined: the decision point, where they part." if decides_after is not None else None,
                    note,
                ],
                below=8,
            ),
            "xaxis": {"range": [0, wide], "visible": False},
            "yaxis": {"range": [high, 0], "visible": False},
            "shapes": [*drawing.lines(), *([] if decides_after is None else [drawing.outline(point)])],
        },
    )


def _fitting(openings: Openings, point: Path, depth: int, least: float, width: Width) -> _Drawing:
    """As many tokens as fit the page from the first on, or else those around the decision point."""
    needed = len(point) + 1
    from_the_first = [(0, each) for each in range(depth, needed, -1)]
    for start, deepest in [*from_the_first, *((each, needed) for each in range(needed))]:
        tree = openings.tree(point[:start], depth=deepest, least=least, rows=by_width(width, ROWS), kept=point)
        drawing = _Drawing(tree, openings.sizes, width)
        if drawing.fits:
            break
    return drawing


@dataclass(frozen=True)
class _Place:
    """Where an opening stands, and what is written there."""

    opening: Opening
    column: int
    middle: float
    """In pixels from the plot's upper edge."""
    label: str

    @property
    def is_no_token(self) -> bool:
        return self.column == 0 or self.opening.kind != "token"

    @property
    def lines(self) -> list[list[tuple[str, str]]]:
        """Its label and counts, each with what it is; in the first column the counts say so."""
        names = ("challenged", "affirmed")
        counts = [f"{count:,}" for count in (self.opening.challenged, self.opening.affirmed)]
        if self.column == 0:
            return [
                [("label", self.label)],
                *([(name, f"{count} {name}")] for name, count in zip(names, counts, strict=True)),
            ]
        return [[("label", self.label)], list(zip(names, counts, strict=True))]

    @property
    def wide(self) -> float:
        return max(sum(text_width(text) + BETWEEN for _, text in line) for line in self.lines) - BETWEEN


class _Drawing:
    """A tree on a page: a column for each token, a row for each opening that goes no further."""

    def __init__(self, tree: Opening, sizes: tuple[int, int], width: Width) -> None:
        self.tree, self.sizes = tree, sizes
        self.places: dict[tuple[Path, Kind], _Place] = {}
        high = max(ROW * tree.rows, 3 * LINE + 2 * PAD)
        begin = cut(on_one_line("".join(tree.tokens)).strip(), keep="end")
        self._put(tree, begin or "all replies", 0, (high - ROW * tree.rows) / 2)
        columns = range(1 + max(place.column for place in self.places.values()))
        wides = [max(each.wide for each in self.places.values() if each.column == column) for column in columns]
        room, gaps = page_width(width) - 8 - 2 * PAD - sum(wides), len(columns) - 1
        self.fits = room >= NARROWEST * gaps
        gap = min(WIDEST, room / gaps) if gaps else 0.0
        self.lefts = [PAD + sum(wides[:column]) + gap * column for column in columns]
        self.rights = [left + wide for left, wide in zip(self.lefts, wides, strict=True)]
        self.size = (self.rights[-1] + PAD, high)

    def _put(self, opening: Opening, label: str, column: int, top: float) -> float:
        """Its middle; those that it goes on with stand from ``top`` down."""
        middles, down = [], top
        tokens = [each.tokens[-1] if each.kind == "token" else None for each in opening.goes_on]
        for each, name in zip(opening.goes_on, token_names(tokens), strict=True):
            middles.append(self._put(each, name or each.kind, column + 1, down))
            down += ROW * each.rows
        middle = (middles[0] + middles[-1]) / 2 if middles else top + ROW / 2
        self.places[opening.tokens, opening.kind] = _Place(opening, column, middle, label)
        return middle

    def _at(self, opening: Opening) -> _Place:
        return self.places[opening.tokens, opening.kind]

    def box(self, place: _Place) -> Box:
        """Around what is written there."""
        left, half = self.lefts[place.column], LINE * len(place.lines) / 2
        return (left, place.middle - half, left + place.wide, place.middle + half)

    def texts(self) -> list[go.Scatter]:
        """The labels, and the counts of either kind in its color."""
        found: dict[str, list[tuple[str, tuple[float, float]]]] = {"label": [], "challenged": [], "affirmed": []}
        places = list(map(self._at, self.tree.walk()))
        for place in places:
            left, top, _, _ = self.box(place)
            for row, line in enumerate(place.lines):
                start = left
                for name, text in line:
                    found[name].append((text, (start, top + LINE * (row + 0.5))))
                    start += text_width(text) + BETWEEN
        traces = []
        for (name, entries), ink in zip(found.items(), (INK, LOOKS[0].color, LOOKS[1].color), strict=True):
            trace = written([text for text, _ in entries], [place for _, place in entries], ink)
            traces.append(trace.update(name=name, textposition="middle right"))
        texts = [literal(place.label, italic=place.is_no_token) for place in places]
        hover = list(map(self._hover, places))
        traces[0].update(text=texts, hovertext=hover, hoverinfo=None, hovertemplate="%{hovertext}<extra></extra>")
        return traces

    def _hover(self, place: _Place) -> str:
        each = place.opening
        begin = on_one_line("".join(each.tokens)).strip() or "all replies"
        ending = {"token": "", "other": f", then one of {each.folded} others", "end": ", then nothing"}[each.kind]
        lines = [literal(begin) + ending]
        for turn, count, size in zip(
            ("challenge", "affirmation"), (each.challenged, each.affirmed), self.sizes, strict=True
        ):
            lines.append(f"after the {turn} {count:,} of {size:,} ({count / max(1, size):.0%})")
        return "<br>".join(lines)

    def lines(self) -> list[dict[str, Any]]:
        """From each opening to those that it goes on with, side by side where they leave it."""
        found = []
        for place in self.places.values():
            ways = [self._at(each) for each in place.opening.goes_on]
            thick = [self._thickness(way.opening) for way in ways]
            start, bend = self.box(place)[2] + PAD, self.rights[place.column] + 2 * PAD
            down = place.middle - sum(thick) / 2
            for way, line in zip(ways, thick, strict=True):
                stop, y, to = self.lefts[way.column] - PAD, down + line / 2, way.middle
                half = (bend + stop) / 2 - PAD / 2
                found.append(
                    {
                        "name": "line",
                        "type": "path",
                        "path": f"M {start},{y} H {bend} C {half},{y} {half},{to} {stop - PAD},{to} H {stop}",
                        "line": {"color": self._color(way.opening), "width": line},
                        "layer": "below",
                    }
                )
                down += line
        return found

    def _thickness(self, each: Opening) -> float:
        return max(THINNEST, THICKEST * (each.challenged + each.affirmed) / sum(self.sizes))

    def _color(self, each: Opening) -> str:
        red, blue = (
            count / max(1, size) for count, size in zip((each.challenged, each.affirmed), self.sizes, strict=True)
        )
        lean = (blue - red) / (blue + red)
        full = map(int, (BLUE if lean > 0 else RED)[4:-1].split(","))
        parts = [round(gray + abs(lean) * (part - gray)) for gray, part in zip(GRAY, full, strict=True)]
        return f"rgb({','.join(map(str, parts))})"

    def outline(self, point: Path) -> dict[str, Any]:
        """A frame around a token."""
        x0, y0, x1, y1 = grown(self.box(self.places[point, "token"]), PAD - 0.5)
        frame = {"name": "decision point", "type": "rect", "line": {"color": INK, "width": 1}}
        return {**frame, "x0": x0, "y0": y0, "x1": x1, "y1": y1}

    def sentences(self) -> list[str]:
        """What a reader of the figure should know."""
        kinds = {kind for _, kind in self.places}
        begin = "".join(self.tree.tokens)
        return [
            "Replies that begin so: red (left) after the challenge, blue (right) after the affirmation. "
            "Thickness of lines: share of all replies.",
            *([f"All that is drawn begins with “{literal(on_one_line(begin))}”."] if begin else []),
            *(["Other: several rarer tokens."] if "other" in kinds else []),
            *(["End: no further token."] if "end" in kinds else []),
        ]
