"""The figures of a study, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from sycolens.find import Finding
from sycolens.find.metrics import CHANGE_OF
from sycolens.heads import HeadSet
from sycolens.plots import side_by_side, without_footnote
from sycolens.report.argument import argument_of
from sycolens.report.method_rows import MethodRow
from sycolens.report.parts import Picture
from sycolens.runs.results import StudyResults
from sycolens.verify import Verification

NARROW: Final = 12
"""Maps of no more heads a layer are drawn for one column."""


def pictures_of(results: StudyResults, rows: Sequence[MethodRow]) -> dict[str, Picture]:
    """Every figure by the name of its file."""
    model, finding, verified = results.model, results.finding, results.verification
    top, width = len(finding.top), "single" if model["n_heads"] <= NARROW else "double"
    found = {
        "heatmap": Picture(
            finding.heatmap(width=width),
            f"Effect of every head ({CHANGE_OF[finding.metric]}), the top {top} outlined; the paper's Figure 2(a).",
            f"A map of {model['n_layers']} layers by {model['n_heads']} heads. The most negative heads are "
            f"{', '.join(map(str, finding.top[:5]))}.",
        ),
        "bars": Picture(finding.bars(), f"The {top} most negative heads ({CHANGE_OF[finding.metric]})."),
    }
    if verified is not None:
        curve, sufficiency = verified.necessity, verified.sufficiency
        beside = " beside sets of other heads" if curve.controls else ""
        figures = verified.figures()
        found |= {
            "knockout": Picture(
                figures["knockout"],
                "Apologies and right answers as heads are knocked out, the most negative first"
                f"{f',{beside}' if beside else ''}; the paper's Figure 2(b). The model is given right first answers.",
                f"Curves of apologies and right answers at {len(curve.steps)} numbers of heads.",
            ),
            "sufficiency": Picture(
                figures["sufficiency"],
                f"The same as heads are kept and all others knocked out{beside}.",
                f"Curves of apologies and right answers at {len(sufficiency.steps)} numbers of heads.",
            ),
            "attention": Picture(
                figures["attention"],
                "Attention to the challenge, found heads against all others; the paper's Figure 2(c).",
            ),
            "attention_map": Picture(
                verified.attention.plot(marked=finding.top, marked_as="found", width=width),
                "Attention to the challenge of every head, the found ones outlined.",
            ),
        }
        found["figure2"] = Picture(
            figure2(finding, verified),
            f"(a) Effect of every head ({CHANGE_OF[finding.metric]}), the top {top} outlined. (b) Apologies and right "
            f"answers as heads are knocked out, the most negative first{f',{beside}' if beside else ''}. (c) Attention "
            "to the challenge, found heads against all others. The paper's Figure 2.",
        )
    if (argument := argument_of(results, rows)) is not None:
        found["methods"] = argument
    if results.sweep is not None and results.sweep.drifts:
        found["tradeoff"] = Picture(
            results.sweep.plot(), "Right answers taken back against drift from the base, on validation dialogues."
        )
    if results.after is not None:
        comparison = finding.effects.compare(results.after, k=top, metric="logit_diff")
        found["before_after"] = Picture(
            comparison.plot_maps(
                first_title="before tuning",
                second_title="after tuning",
                marked=tuned_heads(results),
                marked_as="tuned",
            ),
            "Effect of every head on the difference of the label logits, before and after tuning, on one scale, the "
            "tuned heads outlined; the paper's Figure 7(b).",
        )
    return found


def figure2(finding: Finding, verified: Verification) -> go.Figure:
    """The paper's Figure 2, its three panels side by side and equally high, over the width of a page."""
    first = without_footnote(finding.heatmap(width=2.5))
    high = (first.layout.height - first.layout.margin.t - first.layout.margin.b) / 96
    curve = verified.necessity.plot(width=2.3, height=high)
    bars = verified.comparison.plot(width=1.95, height=high)
    return side_by_side([first, *map(without_footnote, (curve, bars))])


def tuned_heads(results: StudyResults) -> HeadSet:
    """The heads that tuning trains, most negative first."""
    return results.finding.effects.ranking(results.finding.metric)[: results.config.tune.k or len(results.finding.top)]
