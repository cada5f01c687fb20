"""What find came to: maps of effects, and the heads with the most negative ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sycolens.choices import Metric
from sycolens.errors import MetricError
from sycolens.heads import HeadSet
from sycolens.shown.maps import head_map
from sycolens.shown.page import page
from sycolens.shown.words import digits_of, shortened, written

if TYPE_CHECKING:
    from sycolens.find import EffectComparison, Finding, HeadEffects

TOP = 5
"""So many heads are in the key table."""
MARKED = 8
"""So many are outlined unless others are named."""


def of_effects(effects: HeadEffects) -> str:
    """The paper's Figure 2(a) in small, and the most negative heads with their intervals."""
    metric = _metric(effects)
    marked = effects.ranking(metric)[:MARKED]
    return _effects(
        effects, metric, marked, line=repr(effects), note="Interactive: .plot(). More: .to_frame(), .top(k)."
    )


def of_finding(finding: Finding) -> str:
    """Its effects with the top outlined, and what to know before trusting them."""
    note = " ".join((*finding.warnings, finding.stability_note, "Interactive: .heatmap(), .bars(). More: .table."))
    return _effects(finding.effects, finding.metric, finding.top, line=repr(finding), note=note)


def _effects(effects: HeadEffects, metric: Metric, marked: HeadSet, *, line: str, note: str) -> str:
    from sycolens.find.metrics import CHANGE_OF

    scores = effects.scores(metric)
    numbers = _Written(metric, scores.nan_to_num().abs().max().item())
    shown = effects.ranking(metric)[:TOP]
    layers, indices = [head.layer for head in shown], [head.index for head in shown]
    rows: list[tuple[str, ...]] = [(str(head), numbers(scores[head.layer, head.index].item())) for head in shown]
    columns = ["head", CHANGE_OF[metric]]
    if len(effects) > 1:
        low, high = (each[layers, indices].tolist() for each in effects.confidence_interval(metric))
        rows = [(*row, f"{numbers(a)} to {numbers(b)}") for row, a, b in zip(rows, low, high, strict=True)]
        columns.append("95% interval")
    figure = head_map(
        scores.tolist(),
        numbers,
        marked=[(head.layer, head.index) for head in marked],
        legend=f"Red: below 0, blue: above; full color at {numbers(numbers.top).lstrip('+')}.",
    )
    return page(line, figure=figure, columns=columns, rows=rows, note=note)


def of_comparison(comparison: EffectComparison) -> str:
    """Both maps on one color scale, and how far they agree."""
    pair = (comparison.first, comparison.second)
    numbers = _Written(comparison.metric, max(each.nan_to_num().abs().max().item() for each in pair))
    figure = "".join(
        head_map(
            scores.tolist(),
            numbers,
            marked=[(head.layer, head.index) for head in top],
            limit=numbers.top or None,
            legend=f"{name}; full color at {numbers(numbers.top).lstrip('+')}.",
        )
        for name, scores, top in zip(
            ("First", "Second"), pair, (comparison.first_top, comparison.second_top), strict=True
        )
    )
    rows = [
        ("rank correlation", f"{written(comparison.correlation, 2, plus=True)} over {len(comparison.heads)} heads"),
        (f"in both tops of {comparison.k}", f"{len(comparison.shared)} (p = {comparison.p:.2g})"),
        ("which", shortened(", ".join(map(str, comparison.shared)), 120) or "none"),
        ("metric", comparison.metric),
    ]
    return page(
        repr(comparison),
        figure=f"<div>{figure}</div>",
        rows=rows,
        note="Interactive: .plot(), .plot_maps(). More: .to_frame().",
    )


def _metric(effects: HeadEffects) -> Metric:
    """The paper's, where it is defined."""
    try:
        effects.scores("logit_share")
    except MetricError:
        return "prob_share"
    return "logit_share"


class _Written:
    """Writes scores of a metric with three digits at the largest: changes of a share as percentages."""

    def __init__(self, metric: Metric, top: float) -> None:
        from sycolens.find.metrics import RELATIVE

        self.top, self.factor, self.unit = (top, 100, "%") if metric in RELATIVE else (top, 1, " logits")
        self.decimals = digits_of(top * self.factor)

    def __call__(self, value: float) -> str:
        return written(value * self.factor, self.decimals, plus=True) + self.unit
