"""Sentences about a study, every number in them computed: what was found, what it changes, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from sycolens.choices import STEERINGS
from sycolens.find import Finding
from sycolens.find.metrics import CHANGE_OF, RELATIVE
from sycolens.heads import HeadSet
from sycolens.measure.outcome import KL, takes_back
from sycolens.prompts.behavior import PAPER, PARAPHRASES
from sycolens.report.method_rows import EVAL_SET, MethodRow
from sycolens.report.warnings import drift_in_words, main_row, overlap
from sycolens.runs.results import StudyResults
from sycolens.runs.train import training_config_for
from sycolens.statistics.runs import Pooled
from sycolens.verify import Verification
from sycolens.verify.curve import CONTROL_NAMES


def about_base(results: StudyResults) -> str:
    """How the model reacts to a challenge before anything is done to it; empty before it was asked."""
    if not results.measured:
        return ""
    rates = results.base.challenge.summary()
    return (
        f"Challenged on its own first answers, right or wrong, {short_name(results)} takes back "
        f"{_percent(rates['apology_rate'].share)} and ends up with another answer in "
        f"{_percent(rates['switch_rate'].share)}."
    )


def about_finding(finding: Finding) -> str:
    """How many heads have an effect, which has the largest, and how stable the ranking is."""
    first, halves, k = finding.top[0], finding.halves, len(finding.top)
    score = finding.effects.scores(finding.metric)[first.layer, first.index].item()
    effect = f"{_signed(100 * score, 2)}%" if finding.metric in RELATIVE else f"{_signed(score, 3)} logits"
    heads = len(finding.significant)
    text = (
        f"Of {len(finding.effects.heads)} heads {heads or 'none'} {'has' if heads < 2 else 'have'} an effect of either "
        f"sign at a false-discovery rate of {finding.fdr:.0%}. The most negative is {first} "
        f"({CHANGE_OF[finding.metric]}: {effect}). Random halves of the pairs share {halves.overlap:.0%} of the top "
        f"{k} (by chance {halves.chance_overlap:.0%})."
    )
    again = [each.overlap for each in finding.redraws]
    if not again:
        return text
    least, most = min(again), max(again)
    return f"{text} On other pairs {least if least == most else f'{least} to {most}'} of these are among them again."


def about_knockout(verified: Verification, top: int) -> str:
    """What the model does without the found heads, and with other heads gone in their place."""
    curve, at = verified.necessity, step_of(verified, top)
    k = curve.steps[at]
    text = f"With the {k} most negative heads knocked out the model apologizes in {_percent(curve.apology_rate[at])}"
    text += f", with none in {_percent(curve.apology_rate[0])}. " if curve.steps[0] == 0 else ". "
    if curve.controls:
        others = curve.control_apology_rate[:, at]
        text += f"With as many {CONTROL_NAMES[curve.control]} in their place it does in {_range(others)}. "
    return text.rstrip()


def about_attention(verified: Verification) -> str:
    """How much of their attention the found heads put on the challenge, and whether any heads would."""
    seen = verified.comparison
    low, high = seen.interval
    return (
        f"From the last token before the reply the {len(seen.heads)} found heads put {_percent(seen.group_mean)} of "
        f"their attention on the challenge, all others {_percent(seen.others_mean)}. The difference is "
        f"{_signed(100 * seen.difference, 1)} points ({_signed(100 * low, 1)} to {_signed(100 * high, 1)}). "
        f"Of random groups of as many heads {100 * seen.p:.2g}% differ at least as much."
    )


def about_repair(rows: Sequence[MethodRow]) -> tuple[str, ...]:
    """What training the found heads changes, in numbers whose intervals are in the tables."""
    base, found = rows[0], main_row(rows)
    if found is None:
        return ("The found heads were not trained in this study.",)
    runs = "one run" if found.runs == 1 else f"{found.runs} runs pooled"
    sentences = [f"{found.method} trains {found.parameters:,} numbers ({runs})."]
    for name, measure, source in (
        ("Confidence", "confidence", None),
        ("Truthfulness", "truthfulness", None),
        ("Of right answers put into its mouth it takes back", takes_back("right"), EVAL_SET),
        ("Of wrong ones, which it should take back,", takes_back("wrong"), EVAL_SET),
    ):
        before, after = (row.of(measure, source) if source else row.of(measure) for row in (base, found))
        if before is not None and after is not None:
            sentences.append(_change(name, before, after))
    texts = [" ".join(sentences)]
    drift = found.of(KL, EVAL_SET)
    if drift is not None:
        texts.append(f"On other texts its drift from the base is {drift_in_words(drift)}.")
    return tuple(texts)


def about_repatch(results: StudyResults, tuned: HeadSet) -> str:
    """How the labels stand, and what the tuned heads do to them, before and after."""
    assert results.after is not None
    both = (results.finding.effects, results.after)
    leans = [(each.reference_logits[:, 0] - each.reference_logits[:, 1]).mean().item() for each in both]
    cells = [head.layer for head in tuned], [head.index for head in tuned]
    sizes = [each.scores("logit_diff")[cells].abs().mean().item() for each in both]
    (first, before), (then, after) = (
        (each.ranking("logit_diff")[0], each.scores("logit_diff").nan_to_num().min().item()) for each in both
    )
    verdict = "so their effects have faded" if sizes[1] < sizes[0] / 2 else "so the heads were not silenced"
    return (
        f"On the pairs that found the heads, the first label leads the second by {_signed(leans[0], 2)} logits before "
        f"tuning and by {_signed(leans[1], 2)} after. The most negative effect of a single head is "
        f"{_signed(before, 2)} logits ({first}) before and {_signed(after, 2)} ({then}) after. The {len(tuned)} tuned "
        f"heads move the labels by {sizes[0]:.2f} logits each before and {sizes[1]:.2f} after, on average and in "
        f"either direction, {verdict}. Maps are in logits, since a share relative to an F that tuning has made tiny "
        "would blow up."
    )


def courses_of(results: StudyResults) -> Iterator[tuple[str, str]]:
    """Every method that trains once, with its course; and how every intervention acts."""
    kinds = {each.method: each.run.kind for each in results.measured if each.run is not None}
    for method, kind in kinds.items():
        if kind in STEERINGS:
            yield method, _acting(results, method)
            continue
        config = training_config_for(results.config, kind)
        schedule = "falling" if config.schedule == "linear" else "constant after a warm-up"
        yield (
            method,
            f"{config.steps} steps of {config.examples_per_step} examples, learning rate {config.learning_rate:g}, "
            f"{schedule}; weight decay {config.weight_decay:g}",
        )


def _acting(results: StudyResults, method: str) -> str:
    """What an intervention adds, with which strengths, and where."""
    runs = [record for record in results.records.values() if record.get("method") == method]
    strengths = sorted({record["intervention"]["strength"] for record in runs} - {None})
    strong = f", strength {' and '.join(f'{each:g}' for each in strengths)}" if strengths else ""
    return f"nothing is trained{strong}; acts on the last token of the prompt and every token of the reply"


def _change(name: str, before: Pooled, after: Pooled) -> str:
    joint = ":" if name.endswith(("back", ",")) else ""
    text = f"{name.rstrip(',')}{joint} {_percent(before.mean)} before, {_percent(after.mean)} after"
    return f"{text}; the intervals overlap." if overlap(before, after) else f"{text}."


def step_of(verified: Verification, top: int) -> int:
    """The first step that covers the top, or the last."""
    steps = verified.necessity.steps
    return next((at for at, k in enumerate(steps) if k >= top), len(steps) - 1)


def _percent(share: object) -> str:
    return f"{100 * float(share):.0f}%"  # type: ignore[arg-type]


def short_name(results: StudyResults) -> str:
    """The model's name without the folder or owner before it."""
    return str(results.model["name"]).rstrip("/").rsplit("/", 1)[-1]


def _range(shares: Tensor) -> str:
    low, high = _percent(shares.min()), _percent(shares.max())
    return low if low == high else f"{low} to {high}"


def _signed(number: float, digits: int) -> str:
    return f"{number:+.{digits}f}".replace("-", "−")


def behavior_of(results: StudyResults) -> str:
    """What is studied, in a word for the title."""
    behavior = results.config.words
    paper = {each.challenge for each in (PAPER, *PARAPHRASES)}
    return "Sycophancy" if behavior.challenge in paper or not behavior.name else behavior.name.capitalize()


def after_opening(results: StudyResults) -> str:
    """Where the labels are read, to stand behind them; empty where that is at the first token."""
    opening = results.config.words.opening
    return f", after {opening!r}" if opening else ""
