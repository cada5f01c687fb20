"""Runs as a terminal tells them: tables of heads and rates, and notes on how far to trust them."""

from __future__ import annotations

from rich.table import Table

from sycolens.find.finding import Finding
from sycolens.find.metrics import RELATIVE
from sycolens.report.folding import FoldingTable
from sycolens.statistics.rates import in_clusters
from sycolens.verify import KnockoutCurve
from sycolens.verify.curve import CONTROL_NAMES
from sycolens.verify.verification import Verification

METRICS = {
    "logit_share": "Eq. 2 on the raw label logits",
    "prob_share": "Eq. 2 on the two-way softmax of the label logits",
    "logit_diff": "the difference of the label logits",
}


def table_of(finding: Finding) -> Table:
    """The top heads: effect, interval, q, share of resamplings that rank a head in the top, effect on other pairs."""
    relative = finding.metric in RELATIVE
    factor, digits = (100.0, 2) if relative else (1.0, 3)

    def written(value: float) -> str:
        return f"{factor * value:+.{digits}f}"

    names = ["", "head", "effect (%)" if relative else "effect", "95% interval", "q", f"in top {len(finding.top)}"]
    table = FoldingTable(*names, *(["other pairs"] if finding.redraws else []))
    table.columns[0].justify, table.columns[1].justify = "right", "left"
    for place, row in enumerate(finding.table.head(len(finding.top)).itertuples(), start=1):
        star = "*" if row.q <= finding.fdr else " "
        table.add_row(
            str(place),
            row.head,
            written(row.score),
            f"{written(row.low)} to {written(row.high)}",
            f"{row.q:.2g}{star}",
            f"{row.top_frequency:.0%}",
            *([written(row.other_pairs)] if finding.redraws else []),
        )
    return table


def notes_of(finding: Finding) -> Table:
    """What was measured, whether the model shows the behavior, and how stable the ranking is."""
    effects, seen, halves, k = finding.effects, finding.preference, finding.halves, len(finding.top)
    first, second = _labels(finding)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row(
        "Effect",
        f"mean change of {METRICS[finding.metric]} over {len(effects)} pairs when one head gets its output from the "
        "affirmed prompt; negative: the head carries the behavior",
    )
    table.add_row(
        "Behavior",
        f"{first} is ahead after the challenge in {seen.challenged} of {seen.pairs} pairs, {second} after the "
        f"affirmation in {seen.affirmed}; both in {seen.both}",
    )
    beyond = int((finding.table["score"].abs() > 0.01).sum())
    more = f"; {beyond} move the metric by more than 1%" if finding.metric in RELATIVE else ""
    table.add_row(
        "Heads",
        f"{len(finding.significant)} of {len(effects.heads)} differ from zero at a false-discovery rate of "
        f"{finding.fdr:g} (*){more}",
    )
    table.add_row(
        "Stability",
        f"random halves of the pairs: rank correlation {halves.correlation:.2f}, {halves.overlap:.0%} of the top {k} "
        f"shared (by chance {halves.chance_overlap:.0%})",
    )
    for number, other in enumerate(finding.redraws, start=1):
        twice = f", of which {other.shared_pairs} are the same" if other.shared_pairs else ""
        table.add_row(
            "",
            f"other pairs, draw {number}{twice}: rank correlation {other.correlation:.2f}, {other.overlap} of the top "
            f"{k} shared",
        )
    if finding.redraws:
        table.add_row("", "the column 'other pairs' is the mean effect on those, which did not pick these heads")
    else:
        table.add_row("", "other pairs were not drawn (find.draws)")
    return table


def table_of_curve(curve: KnockoutCurve) -> Table:
    """Rates at every step with their 95 % intervals, and the range of the same rates under the controls."""
    names = ["\nk", "label\nleads", "\napologizes", "\nevades", "\nright after"]
    table = FoldingTable(*names, *(["controls:\nleads", "controls:\napologizes"] if curve.controls else []))
    table.columns[0].justify = "right"
    bounds = [curve.interval("apology_rate"), curve.interval("accuracy_after")]
    rates = [curve.apology_rate, curve.accuracy_after]
    evades = curve.evades.float().mean(-1)
    others = [curve.control_label_lead_rate, curve.control_apology_rate]
    for step, k in enumerate(curve.steps):
        cells = [str(k), f"{curve.label_lead_rate[step]:.0%}"]
        for rate, (low, high) in zip(rates, bounds, strict=True):
            cells.append(f"{rate[step]:.0%} ({_range(low[step].item(), high[step].item(), sign='')})")
        cells.insert(3, f"{evades[step]:.0%}")
        if curve.controls:
            cells += [_range(other[:, step].min().item(), other[:, step].max().item()) for other in others]
        table.add_row(*cells)
    return table


def _range(low: float, high: float, sign: str = "%") -> str:
    least, most = (f"{100 * end:.0f}{sign}" for end in (low, high))
    return f"{least} to {most}" if least != most else least


def verification_notes(verified: Verification, source: str) -> Table:
    """On which dialogues, what was done, what the controls are, whether wordings differ, and where the heads look."""
    curve, seen = verified.necessity, verified.comparison
    steps = ", ".join(map(str, curve.steps))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    where = {
        "last": "the last token of the prompt",
        "generated": "the last token of the prompt and every token of the reply",
        "all": "every token",
    }
    clusters = curve.clusters
    about = "" if clusters.are_apart else in_clusters(clusters.n_questions, clusters.n_wordings)
    table.add_row("Dialogues", f"{len(curve)}{about}, from {source}")
    table.add_row("Knockout", f"a head puts out {curve.stand_in}, at {where[curve.positions]}")
    table.add_row("Order", ", ".join(map(str, curve.ranking)))
    if curve.controls:
        table.add_row(
            "Controls",
            f"lowest to highest of {len(curve.controls)} sets of k {CONTROL_NAMES[curve.control]}, none of them above",
        )
    wordings = curve.by_wording()
    for number, (name, part) in enumerate(wordings.items() if len(wordings) > 1 else ()):
        rates = ", ".join(f"{rate:.0%}" for rate in part.apology_rate.tolist())
        table.add_row(
            "" if number else "By wording",
            f"{name or 'unnamed'} ({len(part)} dialogues): without k = {steps} heads apologizes {rates}",
        )
    for name, each in (("without", verified.necessity), ("with", verified.sufficiency)):
        unparsed, evades = (counts.sum(-1).tolist() for counts in (each.unparsed, each.evades))
        if any(unparsed):
            table.add_row(
                "Unparsed",
                f"{name} k = {steps} heads {', '.join(map(str, unparsed))} of {len(each)} replies hold no answer, and "
                f"{', '.join(map(str, evades))} take nothing back either (they evade); none counts as right",
            )
    low, high = seen.interval
    table.add_row(
        "Attention",
        f"the top {len(seen.heads)} put {seen.group_mean:.2f} on the challenge, all others {seen.others_mean:.2f}: "
        f"difference {seen.difference:+.2f} ({low:+.2f} to {high:+.2f}); p = {seen.p:.2g} against random heads, "
        f"{seen.p_dialogues:.2g} over dialogues",
    )
    return table


def _labels(finding: Finding) -> tuple[str, str]:
    if len(set(finding.pairs.label_words)) > 1:
        return "the first label", "the second"
    return finding.pairs[0].label_texts
