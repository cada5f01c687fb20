r"""Every figure of a study as files for a paper, and the LaTeX that includes them.

\input{figures}    % in the preamble: \usepackage{graphicx}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sycolens.choices import FigureFormat
from sycolens.plots import figure_caption, save_figures, without_footnote
from sycolens.plots.layout import BROAD
from sycolens.report.latex import escape_latex
from sycolens.report.parts import Picture
from sycolens.storage import write_text

FOLDER: Final = "figures"


def write_gallery(
    pictures: Mapping[str, Picture], directory: Path, formats: Sequence[FigureFormat]
) -> dict[str, Picture]:
    """Write every figure in these formats into ``figures/``, and figures.tex where PDFs are among them.

    A PDF leaves its small print to the caption in figures.tex. What comes back are the pictures, with their PDFs.

    Raises:
        FigureError: a figure cannot be drawn in a format.
    """
    folder = directory / FOLDER
    save_figures(
        {
            folder / f"{name}.{kind}": without_footnote(each.figure) if kind == "pdf" else each.figure
            for name, each in pictures.items()
            for kind in formats
        }
    )
    if "pdf" not in formats:
        return dict(pictures)
    write_text(directory / f"{FOLDER}.tex", "\n".join(latex_figure(name, each) for name, each in pictures.items()))
    return {name: replace(each, pdf=(folder / f"{name}.pdf").read_bytes()) for name, each in pictures.items()}


def latex_figure(name: str, picture: Picture) -> str:
    r"""The figure in its environment, ``figure*`` where it is wider than a column.

    >>> import torch
    >>> from sycolens.plots import heatmap
    >>> figure = heatmap(torch.tensor([[-0.1, 0.0]]), n_pairs=100, width="single")
    >>> print(latex_figure("heatmap", Picture(figure, "Effect of 2 heads.")))
    \begin{figure}
    \centering
    \includegraphics{figures/heatmap.pdf}
    \caption{Effect of 2 heads. 100 pairs.}
    \label{fig:heatmap}
    \end{figure}
    <BLANKLINE>
    """
    kind = "figure*" if picture.figure.layout.width >= 96 * BROAD else "figure"
    caption = escape_latex(f"{picture.caption} {figure_caption(picture.figure)}".strip())
    return "\n".join(
        (
            rf"\begin{{{kind}}}",
            r"\centering",
            rf"\includegraphics{{{FOLDER}/{name}.pdf}}",
            rf"\caption{{{caption}}}",
            rf"\label{{fig:{name}}}",
            rf"\end{{{kind}}}",
            "",
        )
    )
