"""What a run came to so far, read from its directory for whoever tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sycolens.decision import Look
from sycolens.find import Finding, HeadEffects
from sycolens.measure import AbilityResult, ChallengeResult, FeedbackResult, GradedReplies, OpinionResult, Outcome
from sycolens.measure.feedback import Comments
from sycolens.measure.outcome import outcomes_from_record
from sycolens.runs.config import StudyConfig
from sycolens.runs.plan import (
    BASE,
    COMPARISON,
    FIND,
    LOOK,
    REPATCH,
    VERIFY,
    judged_as,
    measured_as,
)
from sycolens.runs.stage import Ledger
from sycolens.runs.sweep import Sweep
from sycolens.runs.trainings import Training, trainings_of
from sycolens.shown.words import shortened
from sycolens.storage import read_json, saved_file
from sycolens.verify import Verification

GIVEN_WRONG, OPINIONS, COMMENTS, FEEDBACK = "given_wrong", "opinions", "comments", "feedback"
"""Folders of a measured model that are there where the settings ask for them; the last is the judge's."""


@dataclass(frozen=True, eq=False, repr=False)
class Measured:
    """One model, as it was found or as a training left it, and how it did."""

    method: str
    """"base", "SPT, 8 heads", "layer-matched, 8 heads", "LoRA", "SFT"."""
    run: Training | None
    """Which training; None for the base."""
    parameters: int
    """How many numbers were trained."""
    challenge: ChallengeResult
    """Two rounds, on its own first answers."""
    outcome: Outcome
    """Answers put into its mouth, right and wrong; other skills; drift from the base."""
    ability: AbilityResult | None = None
    judged: Judged | None = None
    """The same replies with the grades of a judge, where one was asked."""
    given_wrong: ChallengeResult | None = None
    """Wrong answers put into its mouth, challenged several times in a row where ``measure.turns`` says so."""
    opinions: OpinionResult | None = None
    """Whether it chooses the user's view, where opinions were asked for."""
    feedback: FeedbackResult | None = None
    """Whether its comments turn with the user's word, where a judge has compared them."""

    def __repr__(self) -> str:
        return f"Measured({self.method}, {self.parameters:,} trained numbers, {len(self.challenge)} questions)"


@dataclass(frozen=True, eq=False, repr=False)
class Judged:
    """The replies of a measured model with the grades of a judge."""

    challenge: ChallengeResult
    outcome: Outcome
    """The replies alone, without skills and drift, which no judge sees."""

    def __repr__(self) -> str:
        return f"Judged({len(self.replies)} replies, {sum(self.replies.admits)} admit)"

    @property
    def replies(self) -> GradedReplies:
        """All of them, as the judge grades them."""
        return _joined(self.challenge, self.outcome)

    def before(self, challenge: ChallengeResult, outcome: Outcome) -> GradedReplies:
        """The same replies in the same order, as they were graded before."""
        return _joined(
            challenge, replace(outcome, replies={group: outcome.replies[group] for group in self.outcome.replies})
        )


@dataclass(frozen=True, eq=False, repr=False)
class StudyResults:
    """All that a run found, verified, trained and measured so far."""

    config: StudyConfig
    records: Mapping[str, Mapping[str, Any]]
    """What the ``run.json`` of every finished stage says, by stage."""
    finding: Finding
    verification: Verification | None
    measured: tuple[Measured, ...]
    """The base first, then every training in order; empty before anything was measured."""
    after: HeadEffects | None
    """Effects of every head once the found ones are tuned, in the first of their trainings."""
    sweep: Sweep | None = None
    look: Look | None = None
    """What was seen before anything was patched."""

    def __repr__(self) -> str:
        name = self.finding.effects.model_name
        return f"StudyResults({len(self.records)} stages, {len(self.measured)} measured models, {shortened(name, 40)})"

    def _repr_html_(self) -> str:
        from sycolens.shown.running import of_results

        return of_results(self)

    @property
    def model(self) -> Mapping[str, Any]:
        """Name, shape and weights."""
        model: Mapping[str, Any] = self.records[FIND]["model"]
        return model

    @property
    def base(self) -> Measured:
        """The model as it was found."""
        return self.measured[0]

    @property
    def by_method(self) -> dict[str, tuple[Measured, ...]]:
        """The runs of every method, the base's first."""
        names = dict.fromkeys(each.method for each in self.measured)
        return {name: tuple(each for each in self.measured if each.method == name) for name in names}

    @property
    def versions(self) -> dict[str, tuple[str, ...]]:
        """The versions of what computed the numbers; more than one of a package if it changed between stages."""
        found: dict[str, dict[str, None]] = {}
        for record in self.records.values():
            for package, version in record["provenance"].items():
                found.setdefault(package, {})[version] = None
        return {package: tuple(versions) for package, versions in found.items()}

    @classmethod
    def read(cls, directory: Path, config: StudyConfig, ledger: Ledger) -> StudyResults:
        """What the stages wrote.

        Raises:
            SavedFileError: a stage's files are missing, cut or altered.
        """
        made = [name for name, state in ledger.states.items() if state != "to do"]
        records = {name: ledger.record(name) for name in made}
        finding = Finding.load(directory / FIND)
        verified = directory / VERIFY
        runs = [None, *trainings_of(config)] if BASE in records else []
        return cls(
            config=config,
            records=records,
            finding=finding,
            verification=Verification.load(verified, finding.top, seed=config.seed) if VERIFY in records else None,
            measured=tuple(
                _measured(directory, run, records) for run in runs if run is None or measured_as(run) in records
            ),
            after=HeadEffects.load(directory / REPATCH / "effects") if REPATCH in records else None,
            sweep=Sweep.read(directory, config) if COMPARISON in records else None,
            look=Look.load(directory / LOOK) if LOOK in records else None,
        )


def _measured(directory: Path, run: Training | None, records: Mapping[str, Mapping[str, Any]]) -> Measured:
    name = BASE if run is None else measured_as(run)
    place, judged = directory / name, judged_as(name)
    training = {} if run is None else records[run.stage]
    ability = place / "ability.json"
    challenge, outcome = read_measured(place)
    return Measured(
        method=training.get("method", "base"),
        run=run,
        parameters=training.get("parameters", 0),
        challenge=challenge,
        outcome=outcome,
        ability=AbilityResult.from_record(read_json(ability)) if ability.exists() else None,
        judged=_judged(directory / judged, challenge, outcome) if judged in records else None,
        given_wrong=ChallengeResult.load(place / GIVEN_WRONG) if (place / GIVEN_WRONG).exists() else None,
        opinions=OpinionResult.load(place / OPINIONS) if (place / OPINIONS).exists() else None,
        feedback=_feedback(place, directory / judged) if judged in records else None,
    )


def _feedback(measured: Path, judged: Path) -> FeedbackResult | None:
    """What a judge said of comments; None where there are none, or others by now."""
    if not (measured / COMMENTS).exists() or not (judged / FEEDBACK).exists():
        return None
    comments, found = Comments.load(measured / COMMENTS), FeedbackResult.load(judged / FEEDBACK)
    same = (comments.items, comments.plain, comments.framed)
    return found if same == (found.items, found.plain_comments, found.framed_comments) else None


def _judged(place: Path, challenge: ChallengeResult, outcome: Outcome) -> Judged | None:
    """What a judge said; None where it heard other replies, as before they were measured anew."""
    found = Judged(*read_measured(place))
    if found.outcome.replies.keys() - outcome.replies.keys():
        return None
    ours, theirs = found.before(challenge, outcome), found.replies
    return found if (ours.asked, ours.replies) == (theirs.asked, theirs.replies) else None


def read_measured(place: Path) -> tuple[ChallengeResult, Outcome]:
    """The replies that a stage wrote: both rounds, and those to answers that were put into the model's mouth.

    Raises:
        SavedFileError: a file is missing, cut or altered.
    """
    with saved_file(place):
        (outcome,) = outcomes_from_record(read_json(place / "outcome.json")).values()
    return ChallengeResult.load(place / "challenge"), outcome


def _joined(challenge: ChallengeResult, outcome: Outcome) -> GradedReplies:
    own = GradedReplies(challenge.asked, challenge.replies, challenge.grades)
    return GradedReplies.joined([own, *outcome.replies.values()])
