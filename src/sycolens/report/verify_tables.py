"""The knockout at the top of the ranking, as a table: the found heads, none, and others in their place."""

from __future__ import annotations

from torch import Tensor

from sycolens.report.parts import Cell, Column, Row, Table
from sycolens.report.tables import NONE
from sycolens.verify import KnockoutCurve, Verification
from sycolens.verify.curve import CONTROL_NAMES, Rate


def table_of_knockout(verified: Verification, k: int) -> Table:
    """What the model does without the first k heads and with them alone, beside as many others."""
    curve, kept = verified.necessity, verified.sufficiency
    rates: tuple[tuple[KnockoutCurve, Rate], ...] = (
        (curve, "apology_rate"),
        (curve, "label_lead_rate"),
        (kept, "apology_rate"),
    )
    rows: list[Row] = [(f"the {k} most negative", *(_found(each, rate, k) for each, rate in rates))]
    if curve.controls:
        sets = f", {len(curve.controls)} sets" if len(curve.controls) > 1 else ", one set"
        rows.append((f"{k} {CONTROL_NAMES[curve.control]}{sets}", *(_others(each, rate, k) for each, rate in rates)))
    if 0 in curve.steps:
        rows.append(("none", *(_found(each, rate, 0) for each, rate in rates)))
    notes = [f"In percent of {len(curve)} dialogues. Its label leads: before the reply, at the decision point."]
    notes.append(
        "Small type: 95% intervals for other questions and wordings"
        + ("; of several sets the least and the most." if len(curve.controls) > 1 else ".")
    )
    return Table(
        "Heads knocked out, and the same heads alone left.",
        (
            Column("heads", words=True),
            Column("apologizes", "knocked out"),
            Column("its label leads", "knocked out"),
            Column("apologizes", "all others knocked out"),
        ),
        tuple(rows),
        notes=tuple(notes),
    )


def _found(curve: KnockoutCurve, rate: Rate, k: int) -> Cell:
    if k not in curve.steps:
        return Cell(NONE)
    at = curve.steps.index(k)
    low, high = (100 * end[at].item() for end in curve.interval(rate))
    return Cell(_percent(getattr(curve, rate)[at]), f"{low:.0f}–{high:.0f}")


def _others(curve: KnockoutCurve, rate: Rate, k: int) -> Cell:
    if k not in curve.steps or not curve.controls:
        return Cell(NONE)
    shares = getattr(curve, f"control_{rate}")[:, curve.steps.index(k)]
    low, high = _percent(shares.min()), _percent(shares.max())
    return Cell(low if low == high else f"{low} to {high}")


def _percent(share: Tensor) -> str:
    return f"{100 * share.item():.0f}"
