"""Tables that fit a narrow terminal: cells fold between their words, and what names a row stays whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

BROKEN: Final = 8
"""Characters that are left of a word that has to be broken, such as a path."""


class FoldingTable(Table):
    """A table of texts whose columns are as wide as their texts, or, where there is no room, fold.

    Words of headers break before those of cells do, and words in the first column, which names the row, last of all.

    >>> table = FoldingTable("head", "95% interval")
    >>> table.add_row("L31H31", "-12.32 to -10.10")
    >>> Console(width=20).print(table)  # doctest: +NORMALIZE_WHITESPACE
    <BLANKLINE>
                     95%
      head      interval
     ──────────────────
      L31H31   -12.32 to
                  -10.10
    <BLANKLINE>
    """

    def __init__(self, *names: str) -> None:
        super().__init__(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for number, name in enumerate(names):
            self.add_column(name, justify="right" if number else "left", overflow="fold")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = [_Texts(str(each.header), tuple(map(str, each.cells))) for each in self.columns]
        # A space on either edge, and two between columns.
        widths = widths_within(columns, options.max_width - 2 * len(columns))
        for column, width in zip(self.columns, widths or (), strict=False):
            column.width = width
        yield from super().__rich_console__(console, options)


@dataclass(frozen=True)
class _Texts:
    """What stands in a column."""

    header: str
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        return max(len(line) for text in (self.header, *self.cells) for line in (text.splitlines() or [""]))

    @property
    def cell_word(self) -> int:
        return _longest_word(self.cells)

    @property
    def word(self) -> int:
        return _longest_word((self.header, *self.cells))


def widths_within(columns: Sequence[_Texts], room: int) -> list[int] | None:
    """The width of every column, the widest shrunk first; None where there is no room even for broken words."""
    broken = [min(each.cell_word, BROKEN) if number else each.cell_word for number, each in enumerate(columns)]
    for least in ([each.word for each in columns], [each.cell_word for each in columns], broken):
        widths = [each.width for each in columns]
        while sum(widths) > room and any(width > few for width, few in zip(widths, least, strict=True)):
            spare = [number for number, width in enumerate(widths) if width > least[number]]
            widths[max(spare, key=widths.__getitem__)] -= 1
        if sum(widths) <= room:
            return [max(1, width) for width in widths]
    return None


def _longest_word(texts: Sequence[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)
