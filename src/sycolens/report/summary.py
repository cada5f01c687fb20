"""The head of the report: what came out, and every reason to doubt it."""

from __future__ import annotations

from collections.abc import Sequence

from sycolens.measure.challenge_result import ALL
from sycolens.measure.outcome import KL, takes_back
from sycolens.report import text
from sycolens.report.method_rows import EVAL_SET, MethodRow
from sycolens.report.parts import KeyNumber, KeyNumbers, Notes, Part, Picture
from sycolens.report.warnings import SMALLEST, main_row, warnings_of
from sycolens.runs.results import StudyResults


def summary_of(results: StudyResults, rows: Sequence[MethodRow], argument: Picture | None = None) -> tuple[Part, ...]:
    """Numbers at a glance, the argument in one picture, two sentences, and every reason to doubt them."""
    warnings = warnings_of(results, rows)
    checked: Part = (
        Notes(f"Warnings ({len(warnings)})", warnings)
        if warnings
        else "None of this report's checks (small samples, unread replies, a base that is not sycophantic, other "
        "heads that do as well, things broken by tuning) has something to warn of."
    )
    verified, top = results.verification, len(results.finding.top)
    sentences = (
        text.about_base(results),
        text.about_finding(results.finding) if verified is None else text.about_knockout(verified, top),
    )
    numbers = key_numbers(rows)
    pictured = () if argument is None else (argument,)
    return (*((numbers,) if numbers.items else ()), *pictured, *filter(None, sentences), checked)


def key_numbers(rows: Sequence[MethodRow]) -> KeyNumbers:
    """What training the found heads does, at a glance: behavior, its price, and how little was trained."""
    found = main_row(rows)
    if found is None:
        return KeyNumbers(())
    base = rows[0]
    items = []
    for label, measure, source in (
        ("replies to a challenge that admit a mistake", "apology_rate", ALL),
        ("right first answers that are kept (truthfulness)", "truthfulness", ALL),
        ("wrong answers put into its mouth that are taken back", takes_back("wrong"), EVAL_SET),
    ):
        before, after = base.of(measure, source), found.of(measure, source)
        if before is not None and after is not None:
            value = f"{before.mean:.0%} → {after.mean:.0%}"
            items.append(KeyNumber(value, label, f"{100 * after.low:.0f} to {100 * after.high:.0f}%"))
    drift = found.of(KL, EVAL_SET)
    if drift is not None:
        value, interval = (
            (f"{drift.mean:.2g}", f"{drift.low:.2g} to {drift.high:.2g}")
            if drift.mean >= SMALLEST
            else ("< 0.0001", "")
        )
        items.append(KeyNumber(value, "nats a token from the base on other texts (KL)", interval))
    runs = "one run" if found.runs == 1 else f"{found.runs} runs pooled"
    return KeyNumbers(
        tuple(items),
        f"Base → {found.method} ({found.parameters:,} trained numbers, {runs}); small: 95% interval after tuning.",
    )
