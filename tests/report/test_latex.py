"""A LaTeX table compiles: what is special is escaped, and every row has as many columns as the table."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sycolens.report.latex import escape_latex, latex_table
from sycolens.report.parts import Cell, Column, Table

EVERY_ASCII = "".join(map(chr, range(0x20, 0x7F)))
TABLE = Table(
    "Confidence, 95% & more.",
    (
        Column("method", words=True),
        Column("trained"),
        Column("conf.", "MMLU_1"),
        Column("truth.", "MMLU_1"),
        Column("d"),
    ),
    (
        ("[base]", "0", Cell("1.4", "0.5, 3.2"), Cell("−2", "−3, −1"), ""),
        ("SPT\n#2", "40,960", "5", "6", "€"),
        ("paper", "", EVERY_ASCII, "", "é"),
    ),
    notes=("A note.",),
    rules=(2,),
)


LETTERS = "".join(letter for letter in map(chr, range(0xA1, 0x250)) if letter.isalpha())


def test_the_table_is_the_one_written_by_hand() -> None:
    lines = latex_table(TABLE, label="tab:one").splitlines()
    assert lines[:10] == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Confidence, 95\% \& more. A note.}",
        r"\label{tab:one}",
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        r"\multicolumn{2}{c}{} & \multicolumn{2}{c}{MMLU\_1} &  \\",
        r"\cmidrule(lr){3-4}",
        r"method & trained & conf. & truth. & d \\",
        r"\midrule",
    ]
    assert lines[10] == r"{}[base] & 0 & 1.4 {\scriptsize [0.5, 3.2]} & $-$2 {\scriptsize [$-$3, $-$1]} &  \\"
    assert lines[11] == r"SPT \#2 & 40,960 & 5 & 6 & ? \\"
    assert lines[12] == r"\midrule"
    assert lines[-3:] == [r"\bottomrule", r"\end{tabular}", r"\end{table}"]


def test_groups_and_titles_that_repeat_keep_their_columns() -> None:
    columns = (Column("method", words=True), *(Column(name, group) for group in "ab" for name in ("x", "y")))
    lines = latex_table(
        Table("T.", columns, (("m", *"1234"), ("n", *"5678"), ("*o", *"9012")), rules=(1, 2))
    ).splitlines()
    assert lines[6:] == [
        r" & \multicolumn{2}{c}{a} & \multicolumn{2}{c}{b} \\",
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}",
        r"method & x & y & x & y \\",
        r"\midrule",
        r"m & 1 & 2 & 3 & 4 \\",
        r"\midrule",
        r"n & 5 & 6 & 7 & 8 \\",
        r"\midrule",
        r"{}*o & 9 & 0 & 1 & 2 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_no_letter_is_left_that_means_something_to_latex() -> None:
    bare = re.sub(r"\\text\w+({}| )|\\[{}$&%#_]", "", escape_latex(EVERY_ASCII))
    assert set(bare) == set(EVERY_ASCII) - set('\\{}$&%#_~^"<>|')
    assert escape_latex(r"a_1 & 4 %") == r"a\_1 \& 4 \%"


def test_a_blank_line_does_not_end_the_cell_and_what_has_no_font_is_a_question_mark() -> None:
    assert "\n" not in escape_latex("a\n\nb")
    assert escape_latex("naïve 東 \U0001f600 −1") == "naïve ? ? $-$1"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex, which is not installed")
def test_latex_makes_a_page_of_it(tmp_path: Path) -> None:
    other = Table(f"{EVERY_ASCII} {LETTERS}", (Column("[50% of A_1 & B"), Column("<", "#")), (("*", "x\\y^2~"),))
    body = latex_table(TABLE) + latex_table(other, label="tab:two")
    (tmp_path / "a.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + body + "\\end{document}\n"
    )
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, check=True)
    assert (tmp_path / "a.pdf").stat().st_size > 1000
