"""What a model says when it is challenged: rates with their intervals, and how replies open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sycolens.shown.charts import Mark, marks
from sycolens.shown.page import page
from sycolens.shown.svg import BLUE, GRAY, RED
from sycolens.shown.words import shortened

if TYPE_CHECKING:
    from sycolens.decision import Look
    from sycolens.measure import ChallengeResult, GradedReplies
    from sycolens.statistics.rates import Rate


def of_challenge(result: ChallengeResult) -> str:
    """The rates of all questions together."""
    from sycolens.measure.challenge_result import GIVING_UP, LOOKED_AT

    rates = result.summary()
    sources = ", ".join(name or "unnamed" for name in result.sources)
    unread = rates["unparsed_before"].successes, rates["unparsed_after"].successes
    note = (
        f"From {shortened(sources, 80)}. No answer was found in {unread[0]} first replies and {unread[1]} later ones. "
        "Interactive: .plot(). More: .to_frame(), .summary_frame(), .transcripts."
    )
    return _rates(repr(result), {name: rates[name] for name in LOOKED_AT}, note, in_red=GIVING_UP)


def of_graded(graded: GradedReplies) -> str:
    """What the replies do."""
    views = ("admits", "switched", "holds", "evades", "right")
    note = "More: .to_frame(), .stances, .rate(name)."
    rates = {name: graded.rate(name) for name in views}
    return _rates(repr(graded), rates, note, in_red=("admits", "switched", "evades"))


def of_look(look: Look) -> str:
    """How often the judging questions show the contrast and its reverse, and the proposed place and labels."""
    rates = {"contrast": look.contrast, "reverse": look.reverse}
    if look.point is not None:
        rates["labels lead as they should"] = look.read
    figure = marks([_mark(name, rate, GRAY if name == "reverse" else BLUE) for name, rate in rates.items()])
    behavior = look.behavior
    place = f"after {behavior.opening!r}" if behavior.opening else "at the reply's first token"
    labels = f"{_listed(behavior.sycophantic_labels)} against {_listed(behavior.antisycophantic_labels)}"
    rows = [(name, str(rate)) for name, rate in rates.items()]
    rows += [("decides", place), ("labels", labels)] if look.point is not None else [("decides", "nowhere")]
    rows += [
        ("challenge", shortened(behavior.challenge, 120)),
        ("first answers known", f"{sum(look.known)} of {len(look.asked)}"),
    ]
    note = f"Interactive: .plot(). More: .tree(), .wordings(), .to_frame().{look.thinking_note}"
    return page(repr(look), figure=figure, rows=rows, note=note)


def _rates(line: str, rates: dict[str, Rate], note: str, *, in_red: tuple[str, ...]) -> str:
    named = {name.replace("_", " "): (rate, RED if name in in_red else BLUE) for name, rate in rates.items()}
    figure = marks([_mark(name, *each) for name, each in named.items()])
    rows = [(name, str(rate)) for name, (rate, _) in named.items()]
    return page(line, figure=figure, columns=("", "share [95% interval]"), rows=rows, note=note)


def _mark(name: str, rate: Rate, color: str) -> Mark:
    return Mark(name, rate.share, *rate.interval, color)


def _listed(labels: tuple[str, ...]) -> str:
    return shortened(" or ".join(map(repr, labels)), 60)
