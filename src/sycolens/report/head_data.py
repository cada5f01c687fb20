"""What the report knows of every head, for the panel that opens when a reader clicks one."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from sycolens.choices import Metric
from sycolens.find import HeadEffects
from sycolens.find.metrics import CHANGE_OF, RELATIVE
from sycolens.heads import HeadSet
from sycolens.report.parts import HeadPanel
from sycolens.report.pictures import tuned_heads
from sycolens.runs.results import StudyResults
from sycolens.shown.words import legible
from sycolens.verify import HeadAttention, Verification
from sycolens.verify.curve import CONTROL_NAMES

if TYPE_CHECKING:
    import pandas

MOST_TOKENS: Final = 20_000
"""Of all dialogues whose attention is in the page: a byte for each token and head."""
MOST_SHADED: Final = 64
"""Heads whose attention is in the page, the most negative first."""
STEPS: Final = 255
"""Shades that a weight is told in."""


def head_panel(results: StudyResults) -> HeadPanel:
    """Everything that is known of each head, by the numbers of layer and head."""
    finding = results.finding
    table = finding.table.sort_values(["layer", "index"])
    data = head_numbers(finding.effects, finding.table, finding.metric, fdr=finding.fdr)
    data |= {
        "top": list(map(str, finding.top)),
        "halves": finding.halves.splits,
        "frequency": list(map(short, table["top_frequency"])),
    }
    if "other_pairs" in table:
        factor = 100.0 if finding.metric in RELATIVE else 1.0
        data["elsewhere"] = [short(factor * value) for value in table["other_pairs"]]
    if results.verification is not None:
        data |= _verified(results.verification, finding.effects.ranking(finding.metric))
    if results.after is not None:
        scores = [each.scores("logit_diff").flatten().tolist() for each in (finding.effects, results.after)]
        data["tuned"] = list(map(str, tuned_heads(results)))
        data["before"], data["after"] = (list(map(short, each)) for each in scores)
    return HeadPanel(data)


def head_numbers(effects: HeadEffects, table: pandas.DataFrame | None, metric: Metric, *, fdr: float) -> dict[str, Any]:
    """Effect, interval, rank and q of every head, a list each by layer and head, null where one was not patched.

    ``table`` is what :meth:`HeadEffects.to_frame` gives; None where a single pair has no statistics.
    """
    _, layers, heads, _ = effects.logits.shape
    factor = 100.0 if metric in RELATIVE else 1.0
    grid = {name: torch.full((layers, heads), torch.nan) for name in ("low", "high", "q", "rank")}
    for rank, head in enumerate(effects.ranking(metric), 1):
        grid["rank"][head.layer, head.index] = rank
    if table is not None:
        for name in ("low", "high", "q"):
            grid[name][table["layer"].tolist(), table["index"].tolist()] = torch.tensor(table[name].tolist())

    def flat(numbers: Tensor) -> list[float | None]:
        return list(map(short, numbers.flatten().tolist()))

    return {
        "layers": layers,
        "heads": heads,
        "measure": CHANGE_OF[metric],
        "unit": "%" if metric in RELATIVE else "logits",
        "pairs": len(effects),
        "fdr": fdr,
        "score": flat(factor * effects.scores(metric)),
        "low": flat(factor * grid["low"]),
        "high": flat(factor * grid["high"]),
        "q": flat(grid["q"]),
        "rank": [None if math.isnan(rank) else int(rank) for rank in grid["rank"].flatten().tolist()],
    }


def _verified(verified: Verification, ranking: HeadSet) -> dict[str, Any]:
    curve, attention = verified.necessity, verified.attention
    found: dict[str, Any] = {
        "mass": list(map(short, attention.mass.mean(0).flatten().tolist())),
        "knockout": {
            "steps": list(curve.steps),
            "dialogues": len(curve),
            "apologizes": list(map(short, curve.apology_rate.tolist())),
            "leads": list(map(short, curve.label_lead_rate.tolist())),
            "order": list(map(str, curve.ranking[: max(curve.steps)])),
        },
    }
    if curve.controls:
        others = curve.control_apology_rate
        found["knockout"] |= {
            "control": CONTROL_NAMES[curve.control],
            "least": list(map(short, others.amin(0).tolist())),
            "most": list(map(short, others.amax(0).tolist())),
        }
    return found | {"attention": shaded_attention(attention, ranking)}


def shaded_attention(attention: HeadAttention, ranking: HeadSet) -> dict[str, Any]:
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
            largest[head].append(short(most))
    return {
        "tokens": [list(map(legible, each)) for each in attention.tokens[:kept]],
        "spans": [list(each) for each in attention.spans[:kept]],
        "span": attention.span,
        "dialogues": len(attention),
        "weights": weights,
        "largest": largest,
    }


def _bytes(shares: Tensor) -> str:
    levels = (shares * STEPS).round().to(torch.uint8)
    return base64.b64encode(bytes(levels.tolist())).decode()


def short(number: float) -> float | None:
    """More digits than are shown, so that none is rounded twice; what was not measured is null in JSON."""
    return None if math.isnan(number) else float(f"{number:.7g}")
