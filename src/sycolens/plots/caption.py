"""The small print under a figure: as text for a caption, and a figure without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sycolens.plots.layout import LINE, NOTE_GAP, whole_points

if TYPE_CHECKING:
    import plotly.graph_objects as go

FOOTNOTE = "footnote"


def figure_caption(figure: go.Figure) -> str:
    """What stands in small print under a figure of this library, in one line; empty if there is nothing.

    >>> import torch
    >>> from sycolens.plots import heatmap
    >>> figure_caption(heatmap(torch.tensor([[-0.1, 0.0]]), n_pairs=100))
    '100 pairs.'
    """
    notes = [note.text for note in figure.layout.annotations if note.name == FOOTNOTE]
    return " ".join(notes).replace("<br>", " ")


def without_footnote(figure: go.Figure) -> go.Figure:
    """A copy of a figure whose small print is left to the caption, and which is lower by as much.

    >>> import torch
    >>> from sycolens.plots import heatmap
    >>> figure = heatmap(torch.tensor([[-0.1, 0.0]]), n_pairs=100)
    >>> bare = without_footnote(figure)
    >>> figure.layout.height - bare.layout.height, figure_caption(bare)
    (16, '')
    """
    import plotly.graph_objects as go

    notes = [note for note in figure.layout.annotations if note.name == FOOTNOTE]
    lines = sum(note.text.count("<br>") + 1 for note in notes)
    bare = go.Figure(figure)
    bare.layout.annotations = [note for note in figure.layout.annotations if note.name != FOOTNOTE]
    if lines:
        height = whole_points(figure.layout.height - LINE * lines - NOTE_GAP)
        bare.update_layout(height=height, margin_b=figure.layout.margin.b - (figure.layout.height - height))
    return bare
