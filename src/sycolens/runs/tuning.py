"""Fix as one run: the found heads trained, and what the model says before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from sycolens.errors import HeadError
from sycolens.find import EffectComparison, HeadEffects, patch_heads
from sycolens.measure import Outcome, EvalSet
from sycolens.model.hooked import Geometry
from sycolens.distributed import ALONE, Processes
from sycolens.prompts import ContrastPairs
from sycolens.prompts.dialogue import Template
from sycolens.prompts.training_example import TrainingExample
from sycolens.tune import TrainingConfig, HeadAdapter, PinpointConfig, refuse_leaks
from sycolens.runs.thresholds import doubts
from sycolens.runs.directory import whole_directory
from sycolens.plots.formats import check_formats
from sycolens.runs.saved import FormerFinding
from sycolens.runs.train import begun, encoded_for
from sycolens.runs.checkpoint_directory import TrainingDirectory

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

KIND: Final = "sycolens tune"


@dataclass(frozen=True, eq=False)
class Tuning:
    """Tuned heads, and what they changed."""

    adapter: HeadAdapter
    losses: tuple[float, ...]
    """Mean loss over the taught tokens of each step, in nats."""
    eval_set: EvalSet
    """What was asked."""
    before: Outcome
    """What the base answered."""
    after: Outcome
    """What the tuned model answers; its drift is that from the base."""
    effects: tuple[HeadEffects, HeadEffects] | None = None
    """Of every head before and after, where pairs were given."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to doubt the repair."""
        return doubts(self.before, self.after)

    @property
    def comparison(self) -> EffectComparison | None:
        """The heads' effects before and after, in logits: shares are relative to what tuning has changed."""
        if self.effects is None:
            return None
        before, after = self.effects
        k = max(1, len(self.adapter.config.heads))
        return before.compare(after, k=k, metric="logit_diff")

    def to_frame(self) -> pandas.DataFrame:
        """One row a measure: its value, interval and counts before, and after; the base has no drift."""
        before, after = (each.to_frame().set_index("measure") for each in (self.before, self.after))
        order = dict.fromkeys([*before.index, *after.index])
        both = before.add_suffix("_before").join(after.add_suffix("_after"), how="outer").loc[list(order)]
        counts = [f"{name}_{stage}" for name in ("n", "questions", "wordings") for stage in ("before", "after")]
        return both.astype(dict.fromkeys(counts, "Int64")).reset_index()

    def replies_frame(self) -> pandas.DataFrame:
        """One row a reply: group, question, wording, first answer, stage (before or after), reply and its grade."""
        import pandas

        rows = [
            (
                group,
                asked.question.id,
                asked.question.text,
                asked.wording,
                asked.first_answer,
                stage,
                outcome.replies[group][number],
                grade.admits,
                grade.answer,
                grade.right,
            )
            for group, everyone in self.eval_set.challenged.items()
            for number, asked in enumerate(everyone)
            for stage, outcome in (("before", self.before), ("after", self.after))
            for grade in (outcome.grades[group][number],)
        ]
        names = ["group", "question", "text", "wording", "first_answer", "stage", "reply", "admits", "answer", "right"]
        return pandas.DataFrame(rows, columns=names)

    def figures(self) -> dict[str, plotly.graph_objects.Figure]:
        """The paper's Figure 7(b), where pairs were given, by file name."""
        if (comparison := self.comparison) is None:
            return {}
        tuned = self.adapter.config.heads
        titles = {"first_title": "before tuning", "second_title": "after tuning"}
        return {"heads": comparison.plot_maps(**titles, marked=tuned, marked_as="tuned")}

    def record(self) -> dict[str, Any]:
        """What ``run.json`` says of the result, ready for JSON."""
        config = self.adapter.config
        return {
            "heads": [str(head) for head in config.heads],
            "matrices": config.matrices,
            "rank": config.rank,
            "alpha": config.alpha,
            "mlps": list(config.mlps),
            "parameters": sum(each.numel() for each in self.adapter.parameters.values()),
            "training": dict(self.adapter.training),
            "loss": {"first": self.losses[0], "last": self.losses[-1]},
            "before": _measured(self.before),
            "after": _measured(self.after),
            "warnings": list(self.warnings),
        }

    def save(
        self,
        directory: str | Path,
        *,
        formats: Sequence[str] = ("html",),
        overwrite: bool = False,
        record: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write adapter, losses, outcome, replies, effects, figures and run.json, all or nothing.

        ``record`` goes into run.json beside :meth:`record`, which wins where both have a key.

        Raises:
            RunError: the directory holds something else, or a former run and ``overwrite`` is False.
            FigureError: an unknown format, or one whose program is missing.
        """
        import pandas

        from sycolens.plots import save_figure

        check_formats(formats)
        with whole_directory(
            directory, kind=KIND, record={**(record or {}), **self.record()}, overwrite=overwrite
        ) as draft:
            self.adapter.save(draft / "adapter")
            steps = pandas.DataFrame({"step": range(1, len(self.losses) + 1), "loss": self.losses})
            steps.to_csv(draft / "loss.csv", index=False)
            self.to_frame().to_csv(draft / "outcome.csv", index=False)
            self.replies_frame().to_csv(draft / "replies.csv", index=False)
            for name, each in zip(("effects_before", "effects_after"), self.effects or (), strict=False):
                each.save(draft / name)
            for name, figure in self.figures().items():
                for kind in formats:
                    save_figure(figure, draft / f"{name}.{kind}")
        return Path(directory)


def tune_heads(
    model: Any,
    config: PinpointConfig,
    examples: Sequence[TrainingExample],
    eval_set: EvalSet,
    *,
    training_config: TrainingConfig,
    directory: str | Path,
    base: str | None = None,
    pairs: ContrastPairs | None = None,
    effects: HeadEffects | None = None,
    template: Template = "chat",
    max_new_tokens: int = 64,
    batch_size: int = 16,
    max_rows: int | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    processes: Processes = ALONE,
    progress: bool = True,
) -> Tuning:
    """Train what ``config`` names on examples, and ask the eval set before and after; the model is left as it was.

    ``directory`` keeps the training on its way, ten times in its course, and stays until the caller takes it away; a
    run that was killed goes on from there with ``resume``, to the same bits. ``base`` names the model for the adapter
    if it has another name than its own. With ``pairs`` every head's effect is measured after, and before unless
    ``effects`` are those. ``batch_size`` and ``max_rows`` are those of :func:`patch_heads` and of the eval set. Several
    ``processes`` take the steps together and share the rest.

    Raises:
        ExampleError: an example contains what the eval set asks, or as :func:`encode_examples`.
        RunError: the directory holds something else, a training that was cut off and neither ``resume`` nor
            ``overwrite`` is set, or one with other settings.
        HeadError, TuningError, ModelError: as :class:`PinpointTrainer`; the effects are another model's.
        NotFiniteError: the trained parameters are not finite; lower the learning rate.

    >>> import tempfile
    >>> from sycolens.measure import world_eval_set
    >>> tuning = tune_heads(
    ...     model,
    ...     PinpointConfig(effects.top(4)),
    ...     organism.examples("train", 64),
    ...     world_eval_set("held_out", n=4),
    ...     training_config=TrainingConfig(steps=2, examples_per_step=8),
    ...     directory=tempfile.mkdtemp(),
    ...     progress=False,
    ... )
    >>> len(tuning.losses), tuning.before.rates["takes back: right"].share
    (2, 1.0)
    """
    refuse_leaks(examples, eval_set.questions)
    geometry = Geometry.of(model)
    config.check(geometry)
    if effects is not None and effects.logits.shape[1:3] != (geometry.n_layers, geometry.n_heads):
        raise HeadError(f"The effects are of {effects.model_name}, which has other heads than {geometry.name}.")
    rows = encoded_for(model, examples, template)
    place = TrainingDirectory(Path(directory))
    processes.once(lambda: place.require_free(resume=resume, overwrite=overwrite))

    def patch(pairs: ContrastPairs) -> HeadEffects:
        return patch_heads(
            model, pairs, batch_size=batch_size, max_rows=max_rows, processes=processes, progress=progress
        )

    examination: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "template": template,
        "batch_size": batch_size,
        "processes": processes,
    }
    running: dict[str, Any] = {
        "seed": seed,
        "resume": resume,
        "overwrite": overwrite,
        "processes": processes,
        "progress": progress and processes.first,
    }
    with begun(model, config, rows, training_config=training_config, place=place, **running) as training:
        tuned = training.tuned
        # Before the training, so that what cannot be examined is told at once.
        with tuned.off():
            before = eval_set.examine(model, **examination)
            if pairs is not None and effects is None:
                effects = patch(pairs)
        losses = training.run()
        adapter = HeadAdapter.of(tuned, base=base, training=training.how)
        # Merged, since it runs at the base's speed.
        tuned.merge()
        after = eval_set.examine(model, base=tuned, **examination)
        effects_after = None if pairs is None else patch(pairs)
    both = None if effects is None or effects_after is None else (effects, effects_after)
    return Tuning(adapter, losses, eval_set, before, after, both)


def config_for(former: FormerFinding, *, k: int | None = None, **options: Any) -> PinpointConfig:
    """The first ``k`` heads of a former finding (its top unless given); ``options`` are :class:`PinpointConfig`'s.

    Their parameters are float32 over whatever base, since steps are smaller than bfloat16 can tell apart.

    Raises:
        HeadError: there are fewer heads than ``k``.
        TuningError: as :class:`PinpointConfig`.
    """
    heads = former.top if k is None else former.effects.top(k, metric=former.metric)
    return PinpointConfig(heads, dtype=torch.float32, **options)


def _measured(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: {
            "share": rate.share,
            "interval": list(rate.interval),
            "successes": rate.successes,
            "n": rate.n,
            "questions": rate.n_independent,
            "wordings": rate.wordings,
        }
        for name, rate in outcome.rates.items()
    }
    if outcome.drift is not None:
        found["drift"] = {
            "nats_per_token": outcome.drift.mean,
            "interval": list(outcome.drift.interval),
            "texts": len(outcome.drift),
        }
    return found
