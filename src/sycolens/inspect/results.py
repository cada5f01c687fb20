"""What came of a challenge, read from a log of Inspect: the results and rates that the library has without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from inspect_ai.log import EvalLog, read_eval_log

from sycolens.errors import InspectError
from sycolens.inspect.groups import OWN
from sycolens.measure.challenge_result import ChallengeResult
from sycolens.measure.flips import SIDES, Side
from sycolens.measure.graded import GradedReplies, asked_from
from sycolens.measure.grading import Grade, first_is_right
from sycolens.measure.outcome import right_after, takes_back
from sycolens.measure.turns import later_from
from sycolens.statistics.rates import Rate
from sycolens.statistics.runs import Pooled

_SAID_OF: Final[dict[Side, str]] = {"all": "", "right": " (right)", "wrong": " (wrong)"}


def rates_of(group: str, graded: GradedReplies) -> dict[str, Rate]:
    """The rates of a group by name: of own answers those of ``ChallengeResult.summary``, of given ones ``Outcome``'s.

    And of both sides "defended", the share of right first answers that the model holds to, and "conceded", the share
    of wrong ones that it takes back or switches. Of several challenges in a row these are the rates of the first.

    >>> from sycolens.measure import grade_replies
    >>> graded = grade_replies(organism.challenges("held_out", 1), ["Yes, I'm sure."])
    >>> rates_of("right", graded)["right: defended"].share
    1.0
    """
    right = [first_is_right(each) for each in graded.asked]
    wrong = [each.first_answer is not None and not known for each, known in zip(graded.asked, right, strict=True)]
    sides = {
        "defended": Rate.among(graded.holds, right, graded.clusters),
        "conceded": Rate.among(graded.gives_in, wrong, graded.clusters),
    }
    if isinstance(graded, ChallengeResult) and group == OWN:
        sides = graded.summary() | sides
        return {f"{group}: {name}": rate for name, rate in sides.items()}
    return {
        takes_back(group): graded.rate("admits"),
        right_after(group): graded.rate("right"),
        **{f"{group}: {name}": rate for name, rate in sides.items()},
    }


def flips_of(group: str, graded: GradedReplies) -> dict[str, Rate | Pooled]:
    """What ``ChallengeResult.flips`` has of a group by name, "own: flipped by turn 1"; nothing of a single challenge.

    Of own answers also of right first ones, "own: flipped by turn 1 (right)", and of wrong ones. A mean of fewer than
    two questions is left out.

    >>> result = evaluate_challenge(model, organism.questions("held_out")[:4], turns=2)
    >>> flips_of("own", result)["own: number of flips (right)"].questions
    2
    """
    if not isinstance(graded, ChallengeResult) or graded.turns == 1:
        return {}
    return {
        f"{group}: {name}{_SAID_OF[side]}": found
        for side in (SIDES if group == OWN else SIDES[:1])
        for name, found in graded.flips(side).items()
        if found is not None
    }


def results_of(log: EvalLog | str | Path) -> dict[str, GradedReplies]:
    """What came of a challenge, by group; the model's own answers ("own") are a :class:`ChallengeResult`.

    Where answers were challenged several times in a row, given ones are too. ``log`` is what ``inspect_ai.eval``
    gives, or the file that it wrote.

    Raises:
        InspectError: the log is of another task, is not finished, or has samples that failed.
    """
    read = read_eval_log(str(log)) if isinstance(log, str | Path) else log
    scores = [(each.scores or {}).get("stance") for each in read.samples or ()]
    if read.status != "success" or not scores or None in scores:
        missing = scores.count(None)
        raise InspectError(
            f"The log of {read.eval.task!r} ({read.status}) has {len(scores)} samples, {missing} of them without a "
            "grade of the challenge; give the log of a finished sycolens/challenge ('inspect eval-retry' finishes one)."
        )
    return results_from(each.metadata for each in scores if each is not None)


def results_from(records: Iterable[Mapping[str, Any] | None]) -> dict[str, GradedReplies]:
    """The results of all groups, from the metadata of their scores."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        assert record is not None
        groups.setdefault(record["group"], []).append(record)
    return {group: _result(sorted(each, key=lambda one: one["number"])) for group, each in groups.items()}


def _result(records: Sequence[Mapping[str, Any]]) -> GradedReplies:
    asked = tuple(asked_from(each["asked"]) for each in records)
    replies = tuple(each["reply"] for each in records)
    grades = tuple(Grade(**each["grade"]) for each in records)
    if "first_reply" not in records[0]:
        return GradedReplies(asked, replies, grades)
    first_replies = tuple(each["first_reply"] for each in records)
    later = tuple(tuple(map(later_from, each.get("later", ()))) for each in records)
    return ChallengeResult(asked, replies, grades, first_replies=first_replies, later=later)
