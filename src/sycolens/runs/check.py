"""What can be known to be wrong with a study before it computes for hours."""

from __future__ import annotations

import torch

from sycolens.errors import AbilityError, HeadError, ModelError, TuningError
from sycolens.find.effects import all_heads
from sycolens.heads import HeadSet
from sycolens.measure import require_tasks
from sycolens.model.loading import parse_dtype
from sycolens.distributed import ALONE, Processes
from sycolens.runs.config import Source, StudyConfig
from sycolens.runs.estimate import shape_and_size
from sycolens.verify.controls import draw_controls
from sycolens.verify.knockout import checked_steps
from sycolens.find.finding import TOP_MOST, TOP_SHARE
from sycolens.plots.formats import check_formats
from sycolens.runs.methods import methods_for
from sycolens.tasks.eval_sets import read_texts
from sycolens.tasks.sources import open_source
from sycolens.tasks.teaching import open_lessons
from sycolens.verify.verification import default_steps


def check_study(config: StudyConfig, processes: Processes = ALONE) -> None:
    """Read every file and question set that a study names, and see that its tasks, figures and heads exist.

    Raises:
        ModelError: the model's configuration cannot be read.
        QuestionError, PairError, ExampleError: a source cannot be read, or none is named for this model.
        HeadError, TuningError: there are fewer heads than are to be found or tuned; a course that cannot be.
        AbilityError, FigureError: a task or a format is not to be had here.

    >>> check_study(StudyConfig())
    """
    shape, _ = shape_and_size(config.model.name)
    model, machine, tune, found = config.model, config.machine, config.tune, config.find
    dtype = parse_dtype(model.dtype)
    if machine.device is not None and machine.device_map is not None:
        raise ModelError("machine.device and machine.device_map exclude each other; a map places every layer itself.")
    if model.backend == "hooked" and config.measure.tasks:
        raise AbilityError("measure.tasks cannot be put to a HookedTransformer; choose the backend 'bridge'.")
    if "sft" in tune.methods and dtype != torch.float32:
        raise TuningError(
            f"'sft' trains the model's own weights, and {model.dtype} cannot hold steps so small; set model.dtype to "
            "'float32', or leave the method out."
        )
    for kind in tune.methods:
        if (together := config.training_config(kind).examples_per_step) % processes.count:
            raise TuningError(f"{together} examples a step cannot be dealt out to {processes.count} processes.")
    heads = HeadSet(all_heads(shape.n_layers, shape.n_heads))
    top = found.top or min(max(1, round(TOP_SHARE * len(heads))), TOP_MOST)
    if top >= len(heads):
        raise HeadError(f"find.top = {top}, but {shape.name} has {len(heads)} heads; choose fewer.")
    if tune.k is not None and tune.k > len(heads):
        raise HeadError(f"tune.k = {tune.k}, but {shape.name} has {len(heads)} heads; choose fewer.")
    methods_for(
        heads,
        shape,
        kinds=tune.methods,
        ks=(tune.k or top,),
        draws=tune.draws,
        control=tune.control,
        rank=tune.rank,
        rank_of_all=tune.rank_of_all,
    )
    steps = checked_steps(config.verify.steps or default_steps(top, len(heads)), heads)
    norms = torch.ones(shape.n_layers, shape.n_heads)
    draw_controls(
        heads[: max(steps)],
        shape.n_layers,
        shape.n_heads,
        control=config.verify.control,
        count=config.verify.controls,
        seed=config.seed,
        write_norm=norms,
    )
    for source in (found, *_named(config.verify, *config.measure.sources)):
        open_source(
            model.name,
            questions=source.questions or found.questions,
            subset=source.subset,
            split=source.split,
            template=model.template,
        )
    examples = config.examples
    taught = examples.source if examples.source is not None or config.embedded else found.questions
    parts = found.model_dump(include={"subset", "split"}) if taught == found.questions and not config.embedded else {}
    open_lessons(model.name, examples=taught, rehearsal=examples.rehearsal, template=model.template, **parts)
    if config.measure.texts is not None:
        read_texts(config.measure.texts)
    if config.measure.tasks:
        require_tasks(config.measure.tasks, config.measure.task_folder, run_code=config.measure.run_code)
    check_formats(config.report.formats)


def _named(*sources: Source) -> tuple[Source, ...]:
    """Those that name questions, or a part of find's; the others take what find leaves of its own."""
    return tuple(source for source in sources if source.questions or source.split or source.subset)
