"""What the report knows of every head, for the panel that opens when a reader clicks one."""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import torch
from torch import Tensor

from sycolens.find.metrics import CHANGE_OF, RELATIVE
from sycolens.heads import HeadSet
from sycolens.report.parts import HeadPanel
from sycolens.report.pictures import tuned_heads
from sycolens.runs.results import StudyResults
from sycolens.verify import HeadAttention, Verification
from sycolens.verify.curve import CONTROL_NAMES

MOST_TOKENS: Final = 20_000
"""Of all dialogues whose attention is in the page: a byte for each token and head."""
MOST_SHADED: Final = 64
"""Heads whose attention is in the page, the most negative first."""
STEPS: Final = 255
"""Shades that a weight is told in."""


def head_panel(results: StudyResults) -> HeadPanel:
    """Everything that is known of each head, by the numbers of layer and head."""
    finding, model = results.finding, results.model
    relative = finding.metric in RELATIVE
    factor = 100.0 if relative else 1.0
    table = finding.table.sort_values(["layer", "index"])
    columns = {name: [factor * value for value in table[name]] for name in ("score", "low", "high")}
    if "other_pairs" in table:
        columns["elsewhere"] = [factor * value for value in table["other_pairs"]]
    ranking = finding.effects.ranking(finding.metric)
    order = {str(head): number for number, head in enumerate(ranking, 1)}
    data: dict[str, Any] = {
        "layers": model["n_layers"],
        "heads": model["n_heads"],
        "measure": CHANGE_OF[finding.metric],
        "unit": "%" if relative else "logits",
        "pairs": len(finding.effects),
        "fdr": finding.fdr,
        "top": list(map(str, finding.top)),
        "halves": finding.halves.splits,
        "rank": [order.get(name) for name in table["head"]],
        **{name: list(map(_short, values)) for name, values in columns.items()},
        "q": list(map(_short, table["q"])),
        "frequency": list(map(_short, table["top_frequency"])),
    }
    if results.verification is not None:
        data |= _verified(results.verification, ranking)
    if results.after is not None:
        scores = [each.scores("logit_diff").flatten().tolist() for each in (finding.effects, results.after)]
        data["tuned"] = list(map(str, tuned_heads(results)))
        data["before"], data["after"] = (list(map(_short, each)) for each in scores)
    return HeadPanel(data)


def _verified(verified: Verification, ranking: HeadSet) -> dict[str, Any]:
    curve, attention = verified.necessity, verified.attention
    found: dict[str, Any] = {
        "mass": list(map(_short, attention.mass.mean(0).flatten().tolist())),
        "knockout": {
            "steps": list(curve.steps),
            "dialogues": len(curve),
            "apologizes": list(map(_short, curve.apology_rate.tolist())),
            "leads": list(map(_short, curve.label_lead_rate.tolist())),
            "order": list(map(str, curve.ranking[: max(curve.steps)])),
        },
    }
    if curve.controls:
        others = curve.control_apology_rate
        found["knockout"] |= {
            "control": CONTROL_NAMES[curve.control],
            "least": list(map(_short, others.amin(0).tolist())),
            "most": list(map(_short, others.amax(0).tolist())),
        }
    return found | {"attention": _attention(attention, ranking)}


def _attention(attention: HeadAttention, ranking: HeadSet) -> dict[str, Any]:
    """The weights of the heads that matter, a byte each, and the largest of each dialogue and head."""
    chosen = ranking[:MOST_SHADED]
    counted, kept = 0, 0
    for length in attention.lengths:
        if kept and counted + length > MOST_TOKENS:
            break
        counted, kept = counted + length, kept + 1
    layers, indices = [head.layer for head in chosen], [head.index for head in chosen]
    weights: dict[str, list[str]] = {str(head): [] for head in chosen}
    largest: dict[str, list[float | None]] = {str(head): [] for head in chosen}
    for number in range(kept):
        rows = attention.rows[number, layers, indices, : attention.lengths[number]]
        for head, row in zip(weights, rows, strict=True):
            most = row.max().item()
            weights[head].append(_bytes(row / most if most else row))
            largest[head].append(_short(most))
    return {
        "tokens": [list(each) for each in attention.tokens[:kept]],
        "spans": [list(each) for each in attention.spans[:kept]],
        "span": attention.span,
        "dialogues": len(attention),
        "weights": weights,
        "largest": largest,
    }


def _bytes(shares: Tensor) -> str:
    levels = (shares * STEPS).round().to(torch.uint8)
    return base64.b64encode(bytes(levels.tolist())).decode()


def _short(number: float) -> float | None:
    """Four digits are more than is shown; what was not measured is null in JSON."""
    return None if math.isnan(number) else float(f"{number:.4g}")
