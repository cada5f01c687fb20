"""A table of the report as LaTeX, for the booktabs package."""

from __future__ import annotations

import re
from typing import Final

from sycolens.report.parts import Row, Table, as_cell

_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
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
_SPECIAL_OR_NOT_ASCII: Final = re.compile("[" + re.escape("".join(_SPECIAL)) + r"]|[^\x20-\x7e\n]")


def escape_latex(text: str) -> str:
    r"""The text as LaTeX prints it; letters with accents stay as they are (UTF-8), line breaks become spaces.

    >>> escape_latex("4 % of A_1 & B")
    '4 \\% of A\\_1 \\& B'
    """
    # A blank line would end a cell's paragraph.
    return " ".join(_SPECIAL_OR_NOT_ASCII.sub(_written, text).split("\n"))


def _written(match: re.Match[str]) -> str:
    letter = match[0]
    # Emoji and other scripts need fonts that nobody can count on; nothing in a table of results should have them.
    return _SPECIAL.get(letter, letter if letter.isalpha() and letter < "\u0250" else "?")


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
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{' '.join(map(escape_latex, (table.caption, *table.notes)))}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{''.join('l' if column.words else 'r' for column in table.columns)}}}",
        r"\toprule",
        *(_groups(table) if table.has_groups else ()),
        _row(tuple(column.title for column in table.columns)),
    ]
    for body in table.bodies:
        lines += [r"\midrule", *map(_row, body)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _groups(table: Table) -> list[str]:
    """The titles above the columns' own, and the lines under them."""
    titles, lines, first = [], [], 1
    for name, width in table.spans:
        titles.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(name)}}}" if name else "")
        if name:
            lines.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [" & ".join(titles) + r" \\", " ".join(lines)]


def _row(row: Row) -> str:
    entries = []
    for cell in map(as_cell, row):
        small = rf" {{\scriptsize [{escape_latex(cell.interval)}]}}" if cell.interval else ""
        entries.append(escape_latex(cell.text) + small)
    # A bracket or star at the start of a row would be taken for an option of the line break before it.
    entries[0] = f"{{}}{entries[0]}" if entries[0][:1] in ("[", "*") else entries[0]
    return " & ".join(entries) + r" \\"
