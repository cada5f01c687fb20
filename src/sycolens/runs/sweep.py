"""Many trainings compared as a reviewer would ask: equal budgets, seeds, controls, and equal effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sycolens.measure.outcome import KL, Outcome, outcomes_from_record, takes_back
from sycolens.plots.tradeoff import TradeoffPoint
from sycolens.runs.choice import Choice, Tried, best, matched
from sycolens.runs.config import StudyConfig
from sycolens.runs.directory import RECORD
from sycolens.runs.plan import COMPARISON
from sycolens.runs.thresholds import GOAL
from sycolens.runs.trainings import trials_of
from sycolens.statistics.runs import Pooled
from sycolens.storage import read_json, saved_file

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

NEVER: Final = "never repaired"
OUTCOMES, HELD_OUT = "outcomes.json", "held_out.json"
"""How a training did on validation dialogues, by step; how the chosen ones did on held-out ones."""


@dataclass(frozen=True, eq=False, repr=False)
class Compared:
    """A method at the setting that validation chose, on held-out dialogues."""

    method: str
    finds: bool
    """Whether it trains heads that were found."""
    parameters: int
    """How many numbers are trained."""
    choice: Choice
    outcomes: tuple[Outcome, ...]
    """Of the runs that reached it."""

    def __repr__(self) -> str:
        return f"Compared({self.method}, {self.parameters:,} trained numbers, {len(self.outcomes)} runs)"

    @property
    def measures(self) -> dict[str, Pooled]:
        """Every rate and the drift, over the runs."""
        return pooled(self.outcomes)


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """Methods to repair a model, compared twice: each at its best, and each where it first repairs the behavior."""

    base: Outcome
    """The model as it was, on the held-out dialogues."""
    best: tuple[Compared, ...]
    matched: tuple[Compared, ...]
    tried: tuple[Tried, ...]

    def __repr__(self) -> str:
        return f"Sweep({len(self.best)} methods, {len(self.tried)} trainings, examined after {len(self.steps)} steps)"

    @property
    def steps(self) -> tuple[int, ...]:
        """After which every training was examined."""
        return tuple(self.tried[0].outcomes)

    @property
    def drifts(self) -> bool:
        """Whether a drift from the base was measured, against which the rates can be drawn."""
        outcomes = (outcome for each in self.tried for outcome in each.outcomes.values())
        return any(each.drift is not None and each.drift.mean > 0 for each in outcomes)

    @classmethod
    def read(cls, directory: Path, config: StudyConfig) -> Sweep:
        """What the trainings of a sweep and their comparison wrote.

        Raises:
            SavedFileError: a file is missing, cut or altered.
        """
        tried = read_tried(directory, config)
        with saved_file(directory / COMPARISON):
            held_out = outcomes_from_record(read_json(directory / COMPARISON / HELD_OUT))

            def compared(choice: Choice) -> Compared:
                first = choice.runs[0][0]
                outcomes = tuple(held_out[key_of(run, step)] for run, step in choice.reached)
                return Compared(first.method, first.finds, first.parameters, choice, outcomes)

            chosen = choices(tried)
            return cls(
                held_out["base"],
                tuple(compared(choice) for choice, _ in chosen.values()),
                tuple(compared(choice) for _, choice in chosen.values()),
                tried,
            )

    def to_frame(self) -> pandas.DataFrame:
        """One row a comparison, method and measure, with the setting that was chosen and the interval over runs.

        A method of which no run repairs the behavior has a single row there, "never repaired".
        """
        import pandas

        rows = [
            {"comparison": "base", "method": "base", "parameters": 0, "measure": name, **asdict(each)}
            for name, each in pooled([self.base]).items()
        ]
        for comparison, group in (("best", self.best), ("matched", self.matched)):
            for each in group:
                reached = each.choice.reached
                setting = {
                    "comparison": comparison,
                    "method": each.method,
                    "parameters": each.parameters,
                    "learning_rate": each.choice.learning_rate,
                    "steps": ", ".join(str(step) for _, step in reached),
                    "runs_in_all": len(each.choice.runs),
                }
                measured = [{**setting, "measure": name, **asdict(value)} for name, value in each.measures.items()]
                rows += measured or [{**setting, "measure": NEVER, "runs": 0}]
        return pandas.DataFrame(rows)

    def trials_frame(self) -> pandas.DataFrame:
        """One row a training and step, on the validation dialogues: what the choice was made from."""
        import pandas

        return pandas.DataFrame(
            {
                "method": each.method,
                "draw": each.training.draw,
                "learning_rate": each.training.learning_rate,
                "seed": each.training.seed,
                "step": step,
                **{name: rate.share for name, rate in outcome.rates.items()},
                **({} if outcome.drift is None else {KL: outcome.drift.mean}),
            }
            for each in self.tried
            for step, outcome in each.outcomes.items()
        )

    def plot(self, **options: Any) -> plotly.graph_objects.Figure:
        """Right answers taken back against drift, step by step: means over runs, on the validation dialogues.

        Every method is at the learning rate at which it repairs the behavior with the least drift. ``options`` go to
        :func:`sycolens.plots.tradeoff`.
        """
        from sycolens.plots import tradeoff

        return tradeoff(
            {each.method: _line(each.choice, self.steps) for each in self.matched},
            **{
                "in_red": [each.method for each in self.matched if each.finds],
                "goal": GOAL,
                "spread": "range of the runs",
                "n_dialogues": len(self.tried[0].outcomes[self.steps[0]].replies["right"]),
                **options,
            },
        )


def read_tried(directory: Path, config: StudyConfig) -> tuple[Tried, ...]:
    """What every training of a sweep came to on validation dialogues.

    Raises:
        SavedFileError: a file is missing, cut or altered.
    """
    found = []
    for training in trials_of(config):
        place = directory / training.stage
        with saved_file(place):
            record, outcomes = read_json(place / RECORD), outcomes_from_record(read_json(place / OUTCOMES))
            by_step = {int(step): each for step, each in outcomes.items()}
            found.append(Tried(record["method"], record["finds"], record["parameters"], training, place, by_step))
    return tuple(found)


def choices(tried: Sequence[Tried]) -> dict[str, tuple[Choice, Choice]]:
    """By method: the setting at which it does best, and the one at which it first repairs the behavior."""
    steps = tuple(tried[0].outcomes)
    names = dict.fromkeys(each.method for each in tried)
    return {name: (best(name, tried, steps), matched(name, tried, steps)) for name in names}


def key_of(tried: Tried, step: int) -> str:
    """What a run after some steps is called among the held-out results."""
    return f"{tried.training.stage} after {step}"


def _line(choice: Choice, steps: Sequence[int]) -> list[TradeoffPoint]:
    points = []
    for step in steps:
        measures = pooled([each.outcomes[step] for each, _ in choice.runs])
        taken = measures[takes_back("right")]
        drift = measures[KL].mean if KL in measures else 0.0
        points.append(TradeoffPoint(step, drift, taken.mean, taken.least, taken.most))
    return points


def pooled(outcomes: Sequence[Outcome]) -> dict[str, Pooled]:
    """Rates and drift over runs on the same eval set."""
    if not outcomes:
        return {}
    by_run, first = [each.outcomes for each in outcomes], outcomes[0]
    found = {name: Pooled.of_outcomes([run[name] for run in by_run], first.clusters_of(name)) for name in by_run[0]}
    drifts = [each.drift for each in outcomes if each.drift is not None]
    if len(drifts) == len(outcomes):
        found[KL] = Pooled.of_ratio([each.per_text for each in drifts], [each.tokens for each in drifts])
    return found
