"""What verify came to: curves of knocked-out heads, and where heads look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sycolens.heads import Head
from sycolens.shown.charts import Line, Mark, lines, marks
from sycolens.shown.maps import head_map
from sycolens.shown.page import ROWS, page
from sycolens.shown.svg import BLUE, GRAY, ORANGE, RED
from sycolens.shown.words import between, counted, percent, written

if TYPE_CHECKING:
    from sycolens.verify import AttentionComparison, HeadAttention, KnockoutCurve, Verification

TOP = 5
"""So many heads are in the key table."""


def of_curve(curve: KnockoutCurve) -> str:
    """The paper's Figure 2(b) in small: apologies and right answers at every step, with the controls' apologies."""
    apologies, right = curve.apology_rate.tolist(), curve.accuracy_after.tolist()
    of_apologies, of_right = (
        [each.tolist() for each in curve.interval(name)] for name in ("apology_rate", "accuracy_after")
    )
    others = curve.control_apology_rate
    band = list(zip(others.amin(0).tolist(), others.amax(0).tolist(), strict=True)) if curve.controls else []
    what = "Heads knocked out" if curve.mode == "remove" else "Heads kept"
    figure = lines(
        [str(k) for k in curve.steps],
        [
            Line("apologizes", RED, apologies, *of_apologies),
            Line("right after", BLUE, right, *of_right),
        ],
        title=f"{what}; gray: apologies by {counted(len(curve.controls), 'control')}" if band else what,
        band=band,
    )
    columns = [what.lower(), "apologizes (95% interval)", "right after (95% interval)"] + ["controls apologize"] * bool(
        band
    )
    rows = []
    for place in _spread(len(curve.steps)):
        cells = [
            f"{percent(values[place])} ({between(low[place], high[place])})"
            for values, (low, high) in ((apologies, of_apologies), (right, of_right))
        ]
        rows.append([str(curve.steps[place]), *cells, *([between(*band[place])] if band else [])])
    more = "Interactive: .plot(). More: .to_frame(), .replies_frame(), .by_wording()."
    note = f"In place of a head: {curve.stand_in}. {more}"
    return page(repr(curve), figure=figure, columns=columns, rows=rows, note=note)


def of_attention(attention: HeadAttention) -> str:
    """Mean attention of every head to the span, and the heads with most of it."""
    from sycolens import statistics

    mass = attention.mass
    mean = mass.mean(0)
    width = mean.shape[1]
    best = mean.flatten().argsort(descending=True, stable=True)[:TOP].tolist()
    largest = mean.flatten()[best].tolist()
    rows: list[tuple[str, ...]] = [
        (str(Head(cell // width, cell % width)), percent(share)) for cell, share in zip(best, largest, strict=True)
    ]
    columns = ["head", "attention to it"]
    if len(attention) > 1:
        low, high = statistics.bootstrap_interval(mass.flatten(1)[:, best])
        ends = zip(low.tolist(), high.tolist(), strict=True)
        rows = [(*row, between(*each)) for row, each in zip(rows, ends, strict=True)]
        columns.append("95% interval")
    top = percent(mean.max().item())
    figure = head_map(mean.tolist(), percent, positive=ORANGE, legend=f"From 0 to {top}, the strongest color.")
    return page(
        repr(attention),
        figure=figure,
        columns=columns,
        rows=rows,
        note="Interactive: .plot(). More: .show(dialogue, head), .compare(heads), .to_frame().",
    )


def of_comparison(comparison: AttentionComparison) -> str:
    """The paper's Figure 2(c) in small: the group, all other heads, and the two p-values."""
    size = len(comparison.heads)
    named = {
        f"{size} chosen": (comparison.group_mean, comparison.group_interval, RED),
        f"{comparison.n_heads - size} others": (comparison.others_mean, comparison.others_interval, GRAY),
    }
    figure = marks([Mark(name, value, *ends, color) for name, (value, ends, color) in named.items()])
    level = f"{comparison.confidence:.0%} interval"
    rows = [(name, percent(value), between(*ends)) for name, (value, ends, _) in named.items()]
    rows += [
        ("difference", percent(comparison.difference), between(*comparison.interval)),
        ("difference of random groups", percent(comparison.random_difference), between(*comparison.random_range)),
        ("p over heads", f"{comparison.p:.2g}", f"{comparison.groups:,} groups"),
        ("p over dialogues", f"{comparison.p_dialogues:.2g}", f"{len(comparison.group)} dialogues"),
    ]
    return page(
        repr(comparison), figure=figure, columns=("", "attention", level), rows=rows, note="Interactive: .plot()."
    )


def of_verification(verification: Verification) -> str:
    """The curve of the knocked-out heads, what the first of them do alone, and where they look."""
    alone, seen = verification.sufficiency, verification.comparison
    curve = of_curve(verification.necessity)
    rows = [
        (f"with the first {k} alone", f"apologizes {percent(rate)}")
        for k, rate in [*zip(alone.steps, alone.apology_rate.tolist(), strict=True)][: ROWS - 2]
    ]
    rows += [
        ("attention of the heads to the challenge", f"{percent(seen.group_mean)} against {percent(seen.others_mean)}"),
        ("p over heads", written(seen.p, 4)),
    ]
    note = " ".join((*verification.warnings, "More: .figures(), .necessity, .sufficiency, .attention, .comparison."))
    return page(repr(verification)) + curve + page("Are they enough, and where do they look?", rows=rows, note=note)


def _spread(count: int) -> list[int]:
    """At most as many places as a key table has rows, the first and the last among them."""
    if count <= ROWS:
        return list(range(count))
    return sorted({round(k * (count - 1) / (ROWS - 1)) for k in range(ROWS)})
