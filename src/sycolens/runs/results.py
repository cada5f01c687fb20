"""What a study came to, read from its directory for whoever tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sycolens.choices import Metric
from sycolens.find import HeadEffects
from sycolens.heads import HeadSet
from sycolens.measure import AbilityResult, ChallengeResult, Outcome
from sycolens.prompts import ContrastPairs
from sycolens.runs.config import StudyConfig
from sycolens.runs.making import read_ability, read_outcome
from sycolens.runs.stages import stages_of
from sycolens.runs.context import BASE, FIND, REPATCH, VERIFY, Run, runs_of
from sycolens.verify import HeadAttention, KnockoutCurve
from sycolens.verify.comparison import AttentionComparison
from sycolens.runs.directory import read_record, require_unaltered
from sycolens.runs.saved import open_finding


@dataclass(frozen=True, eq=False)
class Measured:
    """One model, as it was found or as a training left it, and how it did."""

    method: str
    """"base", "SPT, 8 heads", "layer-matched, 8 heads", "LoRA", "SFT"."""
    run: Run | None
    """Which training; None for the base."""
    parameters: int
    """How many numbers were trained."""
    challenge: ChallengeResult
    """Two rounds, on its own first answers."""
    outcome: Outcome
    """Answers put into its mouth, right and wrong; other skills; drift from the base."""
    ability: AbilityResult | None = None


@dataclass(frozen=True, eq=False)
class StudyResults:
    """All that a study found, verified, trained and measured."""

    config: StudyConfig
    model: Mapping[str, Any]
    """Name, shape and weights."""
    records: Mapping[str, Mapping[str, Any]]
    """What every stage's ``run.json`` says, by stage."""
    effects: HeadEffects
    pairs: ContrastPairs
    top: HeadSet
    metric: Metric
    necessity: KnockoutCurve
    sufficiency: KnockoutCurve
    attention: HeadAttention
    comparison: AttentionComparison
    measured: tuple[Measured, ...]
    """The base first, then every training in the order of the study."""
    after: HeadEffects | None
    """Effects of every head once the found ones are tuned, in the first of their trainings."""

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
    def read(cls, directory: Path, config: StudyConfig) -> StudyResults:
        """What the stages wrote.

        Raises:
            SavedFileError, RunError: a stage's files are missing, cut or altered.
        """
        former = open_finding(directory / FIND)
        records = {stage.name: read_record(directory / stage.name) for stage in stages_of(config)}
        verified = directory / VERIFY
        attention = HeadAttention.load(verified / "attention")
        after = HeadEffects.load(directory / REPATCH / "effects") if REPATCH in records else None
        return cls(
            config=config,
            model=former.model,
            records=records,
            effects=former.effects,
            pairs=former.pairs,
            top=former.top,
            metric=former.metric,
            necessity=KnockoutCurve.load(verified / "necessity"),
            sufficiency=KnockoutCurve.load(verified / "sufficiency"),
            attention=attention,
            comparison=attention.compare(former.top, seed=config.seed),
            measured=(
                _measured(directory, None, records),
                *(_measured(directory, run, records) for run in runs_of(config)),
            ),
            after=after,
        )


def _measured(directory: Path, run: Run | None, records: Mapping[str, Mapping[str, Any]]) -> Measured:
    name = BASE if run is None else run.stage.removeprefix("tune/")
    place = directory / "measure" / name
    require_unaltered(place, records[f"measure/{name}"], "outcome.json", "ability.json")
    training = {} if run is None else records[run.stage]
    return Measured(
        method=training.get("method", BASE),
        run=run,
        parameters=training.get("parameters", 0),
        challenge=ChallengeResult.load(place / "challenge"),
        outcome=read_outcome(place),
        ability=read_ability(place),
    )
