"""What a reader must know before believing the results of a run, computed from its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sycolens.heads import HeadSet
from sycolens.measure.challenge_result import ALL
from sycolens.measure.outcome import KL, SKILLS, takes_back
from sycolens.report.method_rows import EVAL_SET, MethodRow, other_groups, rows_of
from sycolens.runs.results import StudyResults
from sycolens.runs.thresholds import FALLS, FAR, FLOOR, GOAL, LOW_RATE, MANY_UNPARSED
from sycolens.statistics.runs import Pooled
from sycolens.verify import Verification
from sycolens.verify.controls import short_layers

FEW_PAIRS: Final = 50
FEW_DIALOGUES: Final = 50
FEW_QUESTIONS: Final = 100
"""Below it a share is known to about ten points in either direction at best."""
FEW_RIGHT: Final = 30
"""Truthfulness is a share of the right first answers; fewer than these say little."""
SMALLEST: Final = 1e-4
"""Drifts below this many nats a token are not told apart."""
NEARLY: Final = 0.8
"""Other heads that win this share of what the found heads win are said to be nearly as good."""


def warnings_of(results: StudyResults, rows: Sequence[MethodRow] | None = None) -> tuple[str, ...]:
    """What a reader must know before believing the page; ``rows`` spare a second pooling.

    The warnings of find and verify come first, then small samples, replies that could not be read, the base, what
    tuning broke, and other heads.
    """
    rows = rows_of(results) if rows is None else rows
    verified = results.verification
    return (
        *results.finding.warnings,
        *(verified.warnings if verified is not None else ()),
        *_few_pairs(results),
        *(_measurements(results, rows) if rows else ()),
        *(_knockout(results, verified) if verified is not None else ()),
        *_versions(results),
    )


def _measurements(results: StudyResults, rows: Sequence[MethodRow]) -> Iterator[str]:
    yield from _few_questions(results)
    yield from _unread(results)
    yield from _base(results)
    for row in rows[1:]:
        yield from _broken(rows[0], row)
    yield from _elsewhere(rows)
    yield from _trained_others(results)
    yield from _random(rows)


def _few_pairs(results: StudyResults) -> Iterator[str]:
    pairs, verified = len(results.finding.effects), results.verification
    if pairs < FEW_PAIRS:
        yield f"Heads were found on {pairs} pairs only; the paper's authors used 100."
    if verified is not None and len(verified.necessity) < FEW_DIALOGUES:
        yield f"Heads were knocked out in {len(verified.necessity)} dialogues only."
    again, k = [each.overlap for each in results.finding.redraws], len(results.finding.top)
    if low := [str(each) for each in again if 2 * each < k]:
        yield f"On other pairs the top {k} is another one: only {', '.join(low)} of them are in it again."


def _few_questions(results: StudyResults) -> Iterator[str]:
    asked = results.base.challenge
    distinct = asked.clusters.n_questions
    if distinct < FEW_QUESTIONS:
        different = "different " if distinct < len(asked) else ""
        yield f"Every model was asked {distinct} {different}questions only; see how wide the intervals are."
    elif few := [f"{name} {n}" for name in asked.sources if (n := len(asked.of_source(name))) < FEW_QUESTIONS]:
        yield f"Some sets hold few questions ({', '.join(few)}); see how wide their intervals are."
    right = sum(asked.right_before)
    if right < FEW_RIGHT:
        yield (
            f"The base answers only {right} of {len(asked)} questions right before the challenge, and truthfulness is "
            "a share of those."
        )


def _unread(results: StudyResults) -> Iterator[str]:
    for view, when in (("unparsed_before", "first replies"), ("unparsed", "replies to the challenge")):
        many = []
        for method, runs in results.by_method.items():
            replies = sum(len(each.challenge) for each in runs)
            unread = sum(sum(getattr(each.challenge, view)) for each in runs)
            # Counts, since shares of 0.1 are a hair more or less than that in floating point.
            if unread > MANY_UNPARSED * replies:
                many.append(f"{unread} of {replies} by {_named(method)}")
        if many:
            yield (
                f"In many {when} no answer was found ({', '.join(many)}); they count as not right. Look "
                "at the transcripts: replies may be cut off (give max_new_tokens more room), or answer in sentences, "
                "which the grader cannot compare (choose another set)."
            )


def _base(results: StudyResults) -> Iterator[str]:
    rate = results.base.challenge.summary()["apology_rate"]
    if rate.share < LOW_RATE:
        yield (
            f"The base takes back only {rate.successes} of its {rate.n} first answers, so there is little sycophancy "
            "to find or to mend."
        )


def _knockout(results: StudyResults, verified: Verification) -> Iterator[str]:
    curve = verified.necessity
    # Where the whole model seldom apologizes, verify itself says so.
    if curve.controls and curve.steps[0] == 0 and curve.apology_rate[0] >= LOW_RATE:
        last, step = -1, curve.steps[-1]
        rate, least = curve.apology_rate[last].item(), curve.control_apology_rate[:, last].min().item()
        if rate >= least:
            yield (
                f"Without {step} of the found heads the model still apologizes in {rate:.0%} of the dialogues; without "
                f"as many others in {least:.0%} at the least. The knockout does not set the found heads apart."
            )
    if curve.controls and curve.control == "layer_matched":
        yield from _unmatched("knocked out", curve.ranking[: max(curve.steps)], results)


def _broken(base: MethodRow, row: MethodRow) -> Iterator[str]:
    name = _named(row.method)
    right, wrong = row.of(takes_back("right"), EVAL_SET), row.of(takes_back("wrong"), EVAL_SET)
    before = base.of(takes_back("wrong"), EVAL_SET)
    if right is not None and right.mean > GOAL:
        yield f"{name} still takes back {right.mean:.0%} of the right answers it is given; it is not repaired."
    if wrong is not None and before is not None and wrong.mean < min(FLOOR, before.mean):
        yield (
            f"{name} takes back only {wrong.mean:.0%} of the wrong answers it is given, the base {before.mean:.0%}: it "
            "has learned to insist."
        )
    for what, measure, source in (
        ("exercises of other skills are done right", SKILLS, EVAL_SET),
        ("questions are answered right before any challenge", "accuracy_before", ALL),
    ):
        first, then = base.of(measure, source), row.of(measure, source)
        if first is not None and then is not None and first.mean - then.mean > FALLS:
            yield f"With {name} {then.mean:.0%} of the {what}, with the base {first.mean:.0%}."
    drift = row.of(KL, EVAL_SET)
    if drift is not None and drift.mean > FAR:
        yield f"{name} is {nats(drift.mean)} a token away from the base on other texts, which is much."


def _elsewhere(rows: Sequence[MethodRow]) -> Iterator[str]:
    """Of further groups of given answers, such as sums that no example mentions: what became of them."""
    base, others = rows[0], rows[1:]
    for group in other_groups(base):
        before = base.of(takes_back(group), EVAL_SET)
        after = [(row, row.of(takes_back(group), EVAL_SET)) for row in others]
        known = [(row.method, each.mean) for row, each in after if each is not None]
        if before is None or not known:
            continue
        fewer = [(method, mean) for method, mean in known if before.mean - mean > FALLS]
        if group.endswith("wrong") and fewer:
            yield (
                f"Of the answers '{group}', which should be taken back, the base takes back {before.mean:.0%}, but "
                f"{_each(fewer)}: there these have learned to insist, not to check."
            )
        still = [(method, mean) for method, mean in known if mean > GOAL]
        if group.endswith("right") and before.mean > GOAL and still:
            yield f"Of the answers '{group}' many are still taken back: {_each(still)}. The repair does not carry over."
        more = [(method, mean) for method, mean in known if mean - before.mean > FALLS]
        if group.endswith("right") and more:
            yield f"Of the answers '{group}' more are taken back than by the base ({before.mean:.0%}): {_each(more)}."


def _each(known: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{_named(method)} {mean:.0%}" for method, mean in known)


def _trained_others(results: StudyResults) -> Iterator[str]:
    """Where layers do not have as many other heads as found ones that are trained."""
    tune, finding = results.config.tune, results.finding
    if "random" in tune.methods and tune.control == "layer_matched":
        found = finding.effects.ranking(finding.metric)[: tune.k or len(finding.top)]
        yield from _unmatched("trained", found, results)


def _unmatched(what: str, found: HeadSet, results: StudyResults) -> Iterator[str]:
    if short := short_layers(found, results.model["n_heads"]):
        yield (
            f"More than half of the heads of layer {', '.join(map(str, short))} are among the {len(found)} found ones "
            f"that are {what}, so some that stand against them are of neighboring layers."
        )


def _random(rows: Sequence[MethodRow]) -> Iterator[str]:
    base, found, others = rows[0], main_row(rows), [row for row in rows if row.is_random]
    if found is None:
        return
    for row in others:
        alike, better = [], True
        for measure in ("confidence", "truthfulness"):
            start, ours, theirs = (each.of(measure) for each in (base, found, row))
            if start is None or ours is None or theirs is None or ours.mean <= start.mean:
                continue
            won = (theirs.mean - start.mean) / (ours.mean - start.mean)
            if won >= NEARLY or overlap(ours, theirs):
                joint = ", with overlapping intervals" if overlap(ours, theirs) else ""
                alike.append(f"{measure} {theirs.mean:.0%} against {ours.mean:.0%}{joint}")
                better &= theirs.low > ours.high
        if alike:
            how = "better than" if better else "about as well as"
            ours, theirs = found.of(KL, EVAL_SET), row.of(KL, EVAL_SET)
            # What is not clearly further from the base speaks against the found heads, too.
            drift = ""
            if ours is not None and theirs is not None and theirs.low <= ours.high:
                drift = f" Nor do their drifts stand apart: {nats(theirs.mean)} against {nats(ours.mean)} a token."
            yield f"{_named(row.method)} does {how} {_named(found.method)}: {'; '.join(alike)}.{drift}"


def _versions(results: StudyResults) -> Iterator[str]:
    for package, found in results.versions.items():
        if len(found) > 1:
            yield f"Stages were made with different versions of {package}: {', '.join(found)}."


def main_row(rows: Sequence[MethodRow]) -> MethodRow | None:
    """The first method that trains the found heads; None if there is none."""
    return next((row for row in rows if row.is_found), None)


def overlap(one: Pooled, other: Pooled) -> bool:
    """Whether two intervals have a number in common."""
    return one.low <= other.high and other.low <= one.high


def nats(drift: float) -> str:
    """A drift, for a sentence."""
    return "less than 0.0001 nats" if drift < SMALLEST else f"{drift:.2g} nats"


def drift_in_words(each: Pooled) -> str:
    """A drift with its interval, for a sentence."""
    interval = f" ({each.low:.2g} to {each.high:.2g})" if each.mean >= SMALLEST else ""
    return f"{nats(each.mean)} a token{interval}"


def _named(method: str) -> str:
    return "the base" if method == "base" else f"'{method}'"
