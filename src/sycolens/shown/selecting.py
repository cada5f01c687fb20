"""What another selection of heads came to: a small map of its scores, and the first heads of its ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sycolens.shown.maps import head_map
from sycolens.shown.page import page
from sycolens.shown.words import digits_of, written

if TYPE_CHECKING:
    from sycolens.find import HeadScores

TOP, MARKED = 5, 8
"""So many heads are in the key table, and outlined."""


def of_scores(scores: HeadScores) -> str:
    """A map around the score that means nothing, and the first heads."""
    factor, unit = (100, "%") if scores.unit == "%" else (1, f" {scores.unit}".rstrip())
    values = (scores.scores - scores.neutral) * factor
    decimals = digits_of(values.abs().max().item())

    def write(value: float) -> str:
        return written(value, decimals, plus=True) + unit

    ranked = scores.ranking()
    rows = [(str(head), write(values[head.layer, head.index].item())) for head in ranked[:TOP]]
    figure = head_map(
        values.tolist(),
        write,
        marked=[(head.layer, head.index) for head in ranked[:MARKED]],
        legend=f"Red: below 0, blue: above; full color at {write(values.abs().max().item()).lstrip('+')}.",
    )
    note = "Interactive: .plot(). More: .to_frame(), .top(k)."
    return page(repr(scores), figure=figure, columns=("head", scores.title), rows=rows, note=note)
