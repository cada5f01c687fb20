"""A table of the report as LaTeX, for the booktabs package."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

from sycolens.report.parts import Table, as_cell

# pandas escapes what breaks LaTeX. These compile and print as something else in LaTeX's default font, or not at all.
_SYMBOLS: Final = {
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "‖": r"$\Vert$",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\u2009": r"\,",
}
_NOT_IN_FONT: Final = frozenset("ÐðÞþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
_SYMBOL_OR_NOT_ASCII: Final = re.compile(r'[<>|"]|[^\x20-\x7e\n]')


def escape_latex(text: str) -> str:
    r"""The text as LaTeX prints it; letters with accents stay as they are (UTF-8), line breaks become spaces.

    >>> escape_latex("4 % of A_1 & B")
    '4 \\% of A\\_1 \\& B'
    """
    import pandas

    # pandas escapes cells and column heads, but no caption: here the text is a table of one cell.
    cell = pandas.DataFrame([[_one_line(text)]]).style.format(_print_symbols, escape="latex")
    return str(cell.hide(axis="index").hide(axis="columns").to_string()).strip("\n")


def latex_table(table: Table, *, label: str = "tab:results") -> str:
    r"""The table in a ``table`` environment: ``\usepackage{booktabs}``, nothing else; intervals in small type behind.

    >>> from sycolens.report.parts import Cell, Column
    >>> print(latex_table(Table("Rates.", (Column("method", words=True), Column("%")), (("SPT", Cell("4", "1, 7")),))))
    \begin{table}
    \centering
    \caption{Rates.}
    \label{tab:results}
    \begin{tabular}{lr}
    \toprule
    method & \% \\
    \midrule
    SPT & 4 {\scriptsize [1, 7]} \\
    \bottomrule
    \end{tabular}
    \end{table}
    <BLANKLINE>
    """
    import pandas

    heads = [(_one_line(column.group), _one_line(column.title)) for column in table.columns]
    frame = pandas.DataFrame(
        [[f"{_one_line(cell.text)}\n{_one_line(cell.interval)}" for cell in map(as_cell, row)] for row in table.rows],
        columns=pandas.MultiIndex.from_tuples(heads) if table.has_groups else [title for _, title in heads],
    )
    style = frame.style.format(_entry, escape="latex").format_index(_entry, escape="latex", axis="columns")
    lines = (
        style.hide(axis="index")
        .to_latex(
            hrules=True,
            position_float="centering",
            caption=" ".join(map(escape_latex, (table.caption, *table.notes))),
            label=label,
            column_format="".join("l" if column.words else "r" for column in table.columns),
            multicol_align="c",
            sparse_columns=True,
        )
        .splitlines()
    )
    # pandas draws no line under a group of columns, and none between groups of rows.
    first = lines.index(r"\midrule") + 1
    for row in reversed([*accumulate(map(len, table.bodies))][:-1]):
        lines.insert(first + row, r"\midrule")
    if table.has_groups:
        lines.insert(lines.index(r"\toprule") + 2, _lines_under_groups(table))
    return "\n".join([*lines, ""])


def _lines_under_groups(table: Table) -> str:
    found, first = [], 1
    for name, width in table.spans:
        if name:
            found.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return " ".join(found)


def _one_line(text: str) -> str:
    # A blank line would end a cell's paragraph.
    return text.replace("\n", " ")


def _entry(escaped: str) -> str:
    """A cell or a head that pandas has escaped; a cell has its interval behind a line break."""
    text, _, interval = _print_symbols(escaped).partition("\n")
    # A bracket or star at the start of a row would be taken for an option of the line break before it.
    start = "{}" if text[:1] in ("[", "*") else ""
    return start + text + (rf" {{\scriptsize [{interval}]}}" if interval else "")


def _print_symbols(escaped: str) -> str:
    return _SYMBOL_OR_NOT_ASCII.sub(_printed, escaped)


def _printed(match: re.Match[str]) -> str:
    letter = match[0]
    # Emoji and other scripts need fonts that nobody can count on; nothing in a table of results should have them.
    is_known = letter.isalpha() and letter < "\u0180" and letter not in _NOT_IN_FONT
    return _SYMBOLS.get(letter, letter if is_known else "?")
