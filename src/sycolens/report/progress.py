"""Lines that tell how far a run is: one before every stage and one after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sycolens.report.states import in_words
from sycolens.runs.estimate import Cost
from sycolens.runs.plan import COMPARISON, EXAMPLES, FIND, JUDGE, LOOK, MEASURE, REPATCH, SWEEP, TUNE, VERIFY

DOES: Final[Mapping[str, str]] = {
    LOOK: "sees what the model says",
    FIND: "patches every head",
    VERIFY: "knocks heads out",
    EXAMPLES: "draws training examples",
    TUNE: "trains",
    MEASURE: "asks the model",
    REPATCH: "patches every head again",
    JUDGE: "asks the judge",
    SWEEP: "trains and examines",
    COMPARISON: "compares the methods",
}
"""What a stage does, by its name or group."""


def opening_line(
    stage: str, number: int, count: int, *, cost: Cost | None = None, elapsed: float = 0.0, left: float | None = None
) -> str:
    """What a run says before a stage: which of how many it is, what it does, and the time so far and left in seconds.

    >>> opening_line("verify", 2, 9, cost=Cost(prompts=240, replies=5200), elapsed=130, left=290)
    '[2/9] verify: knocks heads out, 240 prompts, 5,200 replies (2 min so far, about 5 min left)'
    >>> opening_line("examples", 3, 9, elapsed=130)
    '[3/9] examples: draws training examples (2 min so far)'
    """
    work = [DOES[stage] if stage in DOES else DOES[stage.split("/")[0]]]
    work += [] if cost is None else counts_of(cost)
    times = [f"{in_words(elapsed)} so far"] if elapsed >= 1 else []
    times += [f"about {in_words(left)} left"] if left is not None and left >= 1 else []
    known = f" ({', '.join(times)})" if times else ""
    return f"[{number}/{count}] {stage}: {', '.join(work)}{known}"


def counts_of(cost: Cost) -> list[str]:
    """What a stage computes, in words.

    >>> counts_of(Cost(prompts=600, rows=14400))
    ['600 prompts', '14,400 patched rows']
    """
    named = {"prompts": cost.prompts, "patched rows": cost.rows, "replies": cost.replies}
    named["training examples"] = cost.examples
    return [f"{count:,} {name}" for name, count in named.items() if count]


def closing_line(stage: str, finding: str | None, seconds: float) -> str:
    """What a run says after a stage.

    >>> closing_line("examples", "1,600 examples", 3.2)
    'examples: 1,600 examples (3 s)'
    """
    return f"{stage}: {finding or 'done'} ({in_words(seconds)})"
