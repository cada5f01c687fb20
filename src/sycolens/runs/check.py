"""What can be known to be wrong with a run before it computes for hours."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch

from sycolens.distributed import ALONE, Processes
from sycolens.errors import AbilityError, HeadError, ModelError, StudyError, TuningError
from sycolens.find.effects import all_heads
from sycolens.find.finding import TOP_MOST, TOP_SHARE
from sycolens.heads import HeadSet
from sycolens.measure import require_tasks
from sycolens.model.hooked import Geometry
from sycolens.model.loading import check_device, parse_dtype
from sycolens.plots.export import check_formats
from sycolens.runs.config import Source, StudyConfig
from sycolens.runs.context import task_of
from sycolens.runs.estimate import shape_and_size
from sycolens.runs.methods import methods_for
from sycolens.runs.train import training_config_for
from sycolens.tasks import read_texts
from sycolens.verify.controls import draw_controls
from sycolens.verify.knockout import checked_steps
from sycolens.verify.verification import default_steps

if TYPE_CHECKING:
    from sycolens.tasks import Task

ALL = ("find", "verify", "examples", "tune", "measure", "repatch")


def check_study(
    config: StudyConfig, processes: Processes = ALONE, *, task: Task | None = None, groups: Collection[str] = ALL
) -> None:
    """Read every file and question set that the settings name, and see that tasks, figures and heads exist.

    ``groups`` are the kinds of stages that are to be made; ``task`` is a task from Python.

    Raises:
        ModelError: the model's configuration cannot be read, or the device is absent.
        QuestionError, PairError, ExampleError: a source cannot be read, or none is named for this model.
        HeadError, TuningError: fewer heads than are to be found or tuned; a training that cannot be.
        AbilityError, FigureError: a task or a format is not to be had here.

    >>> check_study(StudyConfig())
    """
    shape, _ = shape_and_size(config.model.name, config.model.revision)
    check_device(config.compute.device)
    if config.model.backend == "hooked" and config.model.revision is not None:
        raise ModelError("model.revision needs model.backend = 'bridge'.")
    if config.model.backend == "hooked" and config.measure.tasks:
        raise AbilityError("measure.tasks cannot be put to a HookedTransformer; choose the backend 'bridge'.")
    check_formats(config.report.formats)
    _check_sources(config, task, groups)
    heads = HeadSet(all_heads(shape.n_layers, shape.n_heads))
    top = config.find.top or min(max(1, round(TOP_SHARE * len(heads))), TOP_MOST)
    if top > len(heads) or (top == len(heads) and "verify" in groups):
        raise HeadError(f"find.top = {top}, but {shape.name} has {len(heads)} heads; choose fewer.")
    if "verify" in groups:
        _check_verify(config, shape, heads, top)
    if not {"tune", "sweep"}.isdisjoint(groups):
        _check_tune(config, processes, shape, heads, top)
    if "measure" in groups and config.measure.tasks:
        require_tasks(config.measure.tasks, config.measure.task_folder, run_code=config.measure.run_code)


def _check_verify(config: StudyConfig, shape: Geometry, heads: HeadSet, top: int) -> None:
    steps = checked_steps(config.verify.steps or default_steps(top, len(heads)), heads)
    draw_controls(
        heads[: max(steps)],
        shape.n_layers,
        shape.n_heads,
        control=config.verify.control,
        count=config.verify.controls,
        seed=config.seed,
        write_norm=torch.ones(shape.n_layers, shape.n_heads),
    )


def _check_tune(config: StudyConfig, processes: Processes, shape: Geometry, heads: HeadSet, top: int) -> None:
    tune, dtype = config.tune, parse_dtype(config.model.dtype)
    if "sft" in tune.methods and dtype != torch.float32:
        raise TuningError(
            f"'sft' trains the model's own weights, and {config.model.dtype} cannot hold steps so small; set "
            "model.dtype to 'float32', or leave the method out."
        )
    for kind in tune.methods:
        if (together := training_config_for(config, kind).examples_per_step) % processes.count:
            raise TuningError(f"{together} examples a step cannot be dealt out to {processes.count} processes.")
    if tune.k is not None and tune.k > len(heads):
        raise HeadError(f"tune.k = {tune.k}, but {shape.name} has {len(heads)} heads; choose fewer.")
    if odd := [layer for layer in tune.mlps if layer >= shape.n_layers]:
        raise TuningError(f"tune.mlps names layer {odd[0]}, but {shape.name} has {shape.n_layers} layers.")
    methods_for(
        heads,
        shape,
        kinds=tune.methods,
        ks=(tune.k or top,),
        draws=tune.draws,
        control=tune.control,
        matrices=tune.matrices,
        mlps=tune.mlps,
        rank=tune.rank,
        alpha=tune.alpha,
        rank_of_all=tune.rank_of_all,
    )


def _check_sources(config: StudyConfig, given: Task | None, groups: Collection[str]) -> None:
    """Read what is named for the stages that are to be made, and see that there is enough of it."""
    found, measure, examples = config.find, config.measure, config.examples
    task = given or task_of(config, found, pairs=found.pairs)
    draws = found.draws or task.draws
    judged: list[Source] = [config.verify, *measure.sources]
    for source in judged if not {"verify", "measure", "examples"}.isdisjoint(groups) else []:
        if given is None or source.is_named:
            _require_judging(task_of(config, source), source, config)
    if "examples" in groups and (given is None or examples.source is not None):
        task_of(config, Source(questions=examples.source), rehearsal=examples.rehearsal)
    if measure.texts is not None:
        read_texts(measure.texts)
    available = getattr(task, "all_questions", None)
    if available is not None:
        needed = draws * (found.n or 1) + (2 if "verify" in groups else 0)
        if needed > len(available):
            raise StudyError(
                f"{task.name} has {len(available)} different questions, fewer than the {needed} that finding and "
                "verifying heads need (find.n, find.draws); ask for fewer."
            )


def _require_judging(task: Task, source: Source, config: StudyConfig) -> None:
    """Refuse a part of a set that finds the heads to judge them too."""
    split = getattr(task, "split", None)
    if split is not None and split == (config.find.split or "train") and source.questions in (None, "organism"):
        raise StudyError(
            f"{task.name} finds the heads, so that it cannot judge them; name another split, or leave it out."
        )
