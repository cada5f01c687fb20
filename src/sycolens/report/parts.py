"""What a report is made of: words, numbers, tables, figures and conversations, each without a model behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import plotly.graph_objects as go

from sycolens.errors import FigureError
from sycolens.plots.shading import ShadedText

Tone = Literal["plain", "good", "bad"]


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A figure with what it shows under it.

    Raises:
        FigureError: there is no caption.
    """

    figure: go.Figure
    caption: str
    alt: str = ""
    """What a reader who cannot see it is told; by default the caption."""
    pdf: bytes = b""
    """The same for print, to be saved from the page."""

    def __post_init__(self) -> None:
        if not self.caption.strip():
            raise FigureError("A figure of a report has no caption; say what it shows.")


@dataclass(frozen=True)
class Gallery:
    """Small figures side by side, where the page is wide enough."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Cell:
    """One entry of a table, and in small type how sure it is."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class Column:
    """A column of numbers, or of words; neighbors with one ``group`` share a title above their own."""

    title: str
    group: str = ""
    words: bool = False


Row = tuple[Cell | str, ...]


@dataclass(frozen=True)
class Table:
    """Rows under columns; the first cell of a row names it.

    Raises:
        FigureError: there is no caption, no column or no row, or a row has more or fewer cells than there are columns.

    >>> Table("Rates.", (Column("method", words=True), Column("rate")), (("SPT", Cell("4", "1, 7")),)).spans
    [('', 1), ('', 1)]
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    rules: tuple[int, ...] = ()
    """Rows, counted from 0, that a line divides from the row before."""

    def __post_init__(self) -> None:
        if not self.caption.strip() or not self.columns or not self.rows:
            raise FigureError("A table of a report needs a caption, columns and rows.")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise FigureError(
                    f"A row of the table {self.caption!r} has {len(row)} cells for {len(self.columns)} columns; give "
                    "one for each."
                )

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The groups from left to right, and how many columns each has; columns without a group stand alone."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and column.group and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found

    @property
    def has_groups(self) -> bool:
        return any(column.group for column in self.columns)

    @property
    def bodies(self) -> list[tuple[Row, ...]]:
        """The rows between the lines."""
        ends = [0, *sorted(set(self.rules) & set(range(1, len(self.rows)))), len(self.rows)]
        return [self.rows[start:end] for start, end in pairwise(ends)]


def as_cell(entry: Cell | str) -> Cell:
    """A cell from a cell or a text."""
    return entry if isinstance(entry, Cell) else Cell(entry)


@dataclass(frozen=True)
class Facts:
    """Names and what they are, as a list of definitions."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class KeyNumber:
    """A number that a reader should not have to look for, and what it is."""

    value: str
    label: str
    interval: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class KeyNumbers:
    """A few of them in a row, and under them what they are numbers of."""

    items: tuple[KeyNumber, ...]
    note: str = ""


@dataclass(frozen=True)
class Notes:
    """Sentences to be heeded, such as warnings."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Tag:
    """A word or two about something that was said."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Speech:
    """What somebody said, and what is to be said of it."""

    speaker: str
    words: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """Turns one after the other; what several models said at the same point stands side by side."""

    title: str
    rounds: tuple[tuple[Speech, ...], ...]
    """In each round one turn, or one of every model."""


@dataclass(frozen=True)
class Code:
    """Lines to be shown as they are, such as a file of settings."""

    text: str


@dataclass(frozen=True)
class HeadPanel:
    """What is known of every head, as JSON; the page's scripts make of it a panel that opens for one of them."""

    data: Mapping[str, Any]


@dataclass(frozen=True)
class Dialogues:
    """Every dialogue with its replies, as JSON; the page's scripts make of it a list to filter and search."""

    data: Mapping[str, Any]


Part = (
    str
    | Heading
    | Picture
    | Gallery
    | Table
    | Facts
    | KeyNumbers
    | Notes
    | Conversation
    | Code
    | ShadedText
    | HeadPanel
    | Dialogues
)
"""A text is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading of its own; ``id`` is its address on the page.

    Raises:
        FigureError: the id is not made of small letters, digits and hyphens.
    """

    id: str
    title: str
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.id or not set(self.id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise FigureError(f"Section {self.title!r} has id {self.id!r}; use small letters, digits and hyphens.")
