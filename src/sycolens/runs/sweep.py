"""Many tunings in one process, compared as a reviewer would ask: equal budgets, seeds, controls, and equal effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from sycolens.errors import TuningError
from sycolens.measure.outcome import KL, Outcome, takes_back
from sycolens.measure.eval_set import EvalSet
from sycolens.model.hooked import Geometry
from sycolens.statistics.pooled import Pooled
from sycolens.distributed import ALONE, Processes
from sycolens.prompts.dialogue import Template
from sycolens.prompts.training_example import TrainingExample
from sycolens.plots.tradeoff import TradeoffPoint
from sycolens.tune import TrainingConfig, HeadAdapter, refuse_leaks
from sycolens.runs.choice import Choice, best, matched
from sycolens.runs.thresholds import GOAL
from sycolens.runs.directory import whole_directory
from sycolens.plots.formats import check_formats
from sycolens.runs.methods import Method, in_path, trials_of
from sycolens.runs.train import encoded_for, hash_of_rows
from sycolens.runs.checkpoint_directory import TrainingDirectory
from sycolens.runs.trials import Tried, adapter_of, examine_again, try_out

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

KIND = "sycolens sweep"
NEVER = "never repaired"


@dataclass(frozen=True, eq=False)
class Compared:
    """A method at the setting that validation chose, on held-out dialogues."""

    method: Method
    parameters: int
    """How many numbers are trained."""
    choice: Choice
    outcomes: tuple[Outcome, ...]
    """Of the runs that reached it."""

    @property
    def measures(self) -> dict[str, Pooled]:
        """Every rate and the drift, over the runs."""
        return pooled(self.outcomes)


@dataclass(frozen=True, eq=False)
class Sweep:
    """Methods to repair a model, compared twice: each at its best, and each where it first repairs the behavior."""

    base: Outcome
    """The model as it was, on the held-out dialogues."""
    best: tuple[Compared, ...]
    matched: tuple[Compared, ...]
    tried: tuple[Tried, ...]
    adapters: Mapping[str, HeadAdapter]
    """The first run of each method at its best, by the method's name; none where all weights were trained."""

    @property
    def steps(self) -> tuple[int, ...]:
        """After which every training was examined."""
        return tuple(self.tried[0].outcomes)

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
                    "method": each.method.name,
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
                "method": each.trial.method.name,
                "draw": each.trial.draw,
                "learning_rate": each.trial.learning_rate,
                "seed": each.trial.seed,
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

        asked = len(self.tried[0].outcomes[self.steps[0]].grades["right"])
        return tradeoff(
            {each.method.name: _line(each.choice, self.steps) for each in self.matched},
            **{
                "in_red": [each.method.name for each in self.matched if each.method.finds],
                "goal": GOAL,
                "spread": "range of the runs",
                "n_dialogues": asked,
                **options,
            },
        )

    def save(
        self,
        directory: str | Path,
        *,
        formats: Sequence[str] = ("html",),
        overwrite: bool = False,
        record: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the comparison, all trainings, the figure, the adapters of the best runs and run.json, all or nothing.

        ``record`` goes into run.json.

        Raises:
            RunError: the directory holds something else, or a former run and ``overwrite`` is False.
            FigureError: an unknown format, or one whose program is missing.
        """
        from sycolens.plots import save_figure

        check_formats(formats)
        with whole_directory(directory, kind=KIND, record=record or {}, overwrite=overwrite) as draft:
            self.to_frame().to_csv(draft / "comparison.csv", index=False)
            self.trials_frame().to_csv(draft / "trainings.csv", index=False)
            for kind in formats:
                save_figure(self.plot(), draft / f"tradeoff.{kind}")
            for method, adapter in self.adapters.items():
                adapter.save(draft / "adapters" / in_path(method))
        return Path(directory)


def sweep_methods(
    model: Any,
    methods: Sequence[Method],
    examples: Sequence[TrainingExample],
    *,
    validation: EvalSet,
    held_out: EvalSet,
    directory: str | Path,
    learning_rates: Sequence[float],
    steps: Sequence[int],
    training_config: TrainingConfig,
    seeds: int = 3,
    base: str | None = None,
    max_new_tokens: int = 64,
    template: Template = "chat",
    batch_size: int = 16,
    resume: bool = False,
    overwrite: bool = False,
    processes: Processes = ALONE,
    progress: bool = True,
) -> Sweep:
    """Tune a model by every method, learning rate and seed; choose on ``validation``, and report on ``held_out``.

    Every method gets the same learning rates and is examined after the same numbers of ``steps``. ``training_config`` says all
    else; a constant learning rate makes every number of steps a training of its own. ``directory`` keeps each finished
    training until the caller takes it away: a sweep that was killed goes on from there with ``resume``. The model is
    left as it was found. Several ``processes`` share the examples of a step and the dialogues of an eval set.

    Raises:
        ExampleError: an example holds a question of an eval set, or as :func:`encode_examples`.
        TuningError: steps that do not rise, or as :func:`trials_of`.
        RunError: the directory holds something else, a sweep that was cut off and neither ``resume`` nor ``overwrite``
            is set, or one with other settings.
    """
    if not steps or list(steps) != sorted(set(steps)) or steps[0] < 1:
        raise TuningError(f"steps={list(steps)!r}; give rising numbers of steps from 1.")
    trials = trials_of(methods, learning_rates=learning_rates, seeds=seeds)
    for eval_set in (validation, held_out):
        refuse_leaks(examples, eval_set.questions)
    rows = encoded_for(model, examples, template)
    place = TrainingDirectory(Path(directory))
    settings = {
        "base": Geometry.of(model).name,
        "training_config": asdict(training_config),
        "steps": list(steps),
        "examples_sha256": hash_of_rows(rows),
        "validation": validation.fingerprint,
        "held_out": held_out.fingerprint,
    }
    processes.once(lambda: place.begin(settings, resume=resume, overwrite=overwrite))
    examination: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "template": template,
        "batch_size": batch_size,
        "processes": processes,
    }
    shown = progress and processes.first
    tried = tuple(
        try_out(model, trial, rows, validation, place.path, training_config=training_config, steps=steps, **examination)
        for trial in tqdm(trials, desc="Trainings", disable=not shown)
    )
    chosen = [(method, best(method, tried, steps), matched(method, tried, steps)) for method in methods]
    needed = {run: None for _, *choices in chosen for choice in choices for run in choice.reached}
    examined = {
        (each, step): examine_again(model, each, step, held_out, **examination)
        for each, step in tqdm(needed, desc="Held-out dialogues", disable=not shown)
    }
    core = getattr(model, "original_model", model)
    total = sum(parameter.numel() for parameter in core.parameters())
    shape = Geometry.of(model)

    def compared(method: Method, choice: Choice) -> Compared:
        outcomes = tuple(examined[run] for run in choice.reached)
        return Compared(method, method.count_parameters(shape, total), choice, outcomes)

    adapters = {method.name: adapter_of(model, *choice.reached[0], base=base) for method, choice, _ in chosen}
    return Sweep(
        base=held_out.examine(model, **examination),
        best=tuple(compared(method, choice) for method, choice, _ in chosen),
        matched=tuple(compared(method, choice) for method, _, choice in chosen),
        tried=tried,
        adapters={name: adapter for name, adapter in adapters.items() if adapter is not None},
    )


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
