"""What can be known to be wrong with a run before it computes for hours."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch

from sycolens.choices import STEERINGS, TRAINED
from sycolens.distributed import ALONE, Processes
from sycolens.endpoint import require_openai
from sycolens.errors import AbilityError, ExampleError, HeadError, ModelError, StudyError, TuningError
from sycolens.find.effects import all_heads
from sycolens.find.finding import TOP_MOST, TOP_SHARE
from sycolens.find.metrics import require_metric
from sycolens.heads import HeadSet
from sycolens.measure import require_tasks
from sycolens.model.hooked import Geometry
from sycolens.model.loading import check_device, parse_dtype
from sycolens.plots.export import check_formats
from sycolens.prompts import Question
from sycolens.prompts.behavior import paraphrased
from sycolens.runs.beside import feedback_of, opinions_of
from sycolens.runs.config import StudyConfig
from sycolens.runs.context import questions_to_look_at, task_of
from sycolens.runs.estimate import shape_and_size
from sycolens.runs.methods import methods_for, steered_heads
from sycolens.runs.sections import EvaluationSource, ExamplesSection, Source
from sycolens.runs.settings import AUTO
from sycolens.runs.tracking import require_trackers
from sycolens.runs.train import openings_of, training_config_for
from sycolens.tasks import QuestionSet, UserFiles, read_texts
from sycolens.tasks.question_set import question_texts
from sycolens.tune.examples import deal_first_answers
from sycolens.tune.lora import require_lora
from sycolens.verify.controls import draw_controls
from sycolens.verify.knockout import checked_steps
from sycolens.verify.verification import default_steps

if TYPE_CHECKING:
    from sycolens.tasks import Task

ALL = ("find", "verify", "examples", "tune", "measure", "repatch", "judge")


def check_study(
    config: StudyConfig, processes: Processes = ALONE, *, task: Task | None = None, groups: Collection[str] = ALL
) -> None:
    """Read every file and question set that the settings name, and see that tasks, figures and heads exist.

    ``groups`` are the kinds of stages that are to be made; ``task`` is a task from Python.

    Raises:
        ModelError: the model's configuration cannot be read, or the device is absent.
        QuestionError, PairError, ExampleError: a source cannot be read, none is named for this model, or there are too
            few questions for what is asked of them.
        MetricError: Eq. 2 is asked for, and the behavior has groups of labels.
        HeadError, TuningError: fewer heads than are to be found or tuned; a training that cannot be.
        AbilityError, FigureError: a task or a format is not to be had here.
        JudgeError: a judge is named, and the package that asks it is not installed.

    >>> check_study(StudyConfig())
    """
    shape, _ = shape_and_size(config.model.name, config.model.revision)
    check_device(config.compute.device)
    if config.model.backend == "hooked" and config.model.revision is not None:
        raise ModelError("model.revision needs model.backend = 'bridge'.")
    if config.model.backend == "hooked" and config.measure.tasks:
        raise AbilityError("measure.tasks cannot be put to a HookedTransformer; choose the backend 'bridge'.")
    check_formats(config.report.formats)
    single = all(len(group) == 1 for group in config.words.labels)
    require_metric(config.find.metric, single_labels=single or config.find.pairs is not None)
    _check_sources(config, task, groups)
    heads = HeadSet(all_heads(shape.n_layers, shape.n_heads))
    top = config.find.top or min(max(1, round(TOP_SHARE * len(heads))), TOP_MOST)
    if top > len(heads) or (top == len(heads) and "verify" in groups):
        raise HeadError(f"find.top = {top}, but {shape.name} has {len(heads)} heads; choose fewer.")
    if "verify" in groups:
        _check_verify(config, shape, heads, top)
    if "lora" in config.tune.methods and not {"tune", "measure", "sweep"}.isdisjoint(groups):
        require_lora(hooked=config.model.backend == "hooked")
    if not {"tune", "sweep"}.isdisjoint(groups):
        require_trackers(config.compute.report_to)
        _check_tune(config, processes, shape, heads, top)
    if "sweep" in groups and not set(config.tune.methods) - set(STEERINGS):
        raise TuningError(
            f"A sweep compares trainings, but tune.methods = {config.tune.methods} train nothing; name one that does."
        )
    if "judge" in groups and config.measure.judge is not None:
        require_openai()
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
    for kind in (kind for kind in TRAINED if kind in tune.methods):
        if (together := training_config_for(config, kind).examples_per_step) % processes.count:
            raise TuningError(f"{together} examples a step cannot be dealt out to {processes.count} processes.")
    if tune.k is not None and tune.k > len(heads):
        raise HeadError(f"tune.k = {tune.k}, but {shape.name} has {len(heads)} heads; choose fewer.")
    if odd := [layer for layer in tune.mlps if layer >= shape.n_layers]:
        raise TuningError(f"tune.mlps names layer {odd[0]}, but {shape.name} has {shape.n_layers} layers.")
    if tune.base is not None:
        base, _ = shape_and_size(tune.base)
        if (base.n_layers, base.n_heads, base.d_model) != (shape.n_layers, shape.n_heads, shape.d_model):
            raise ModelError(f"tune.base, {base.name}, has another shape than {shape.name}, so it was not made of it.")
    for kind in (kind for kind in STEERINGS if kind in tune.methods):
        steered_heads(kind, heads, shape, k=tune.k or top, draws=tune.draws, control=tune.control)
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
    """Read what is named for the stages that are to be made, and see that there is enough of it for all of them."""
    found, measure, seed = config.find, config.measure, config.seed
    task = given or task_of(config, found, pairs=found.pairs)
    draws = found.draws or task.draws
    spent = task.spent_on_pairs(n=found.n, seed=seed, draws=draws) if isinstance(task, QuestionSet) else frozenset()
    if measure.texts is not None:
        read_texts(measure.texts)
    if "measure" in groups:
        opinions_of(config)
        feedback_of(config)

    def named_by(source: Source) -> Task:
        return given if given is not None and not source.is_named else task_of(config, source)

    if "look" in groups:
        looked_at = questions_to_look_at(named_by(config.look), config.look.n, seed)
        spent |= question_texts(looked_at.asked) if config.behavior == AUTO else frozenset()
    judged: list[tuple[Source, int | None]] = []
    if "verify" in groups:
        judged.append((config.verify, config.verify.n))
    evaluated = measure.sources or [EvaluationSource()]
    if not {"examples", "measure"}.isdisjoint(groups):
        judged += [(each, each.n or measure.n) for each in evaluated]
    if measure.paraphrases and not {"examples", "measure", "sweep"}.isdisjoint(groups):
        for each in evaluated:
            _require_paraphrases(named_by(each), config)
    asked: list[Question] = []
    for source, n in judged:
        other = named_by(source)
        _require_judging(other, source, config)
        if isinstance(other, QuestionSet | UserFiles):
            asked += other.questions(spent, n=n, seed=seed).asked
    if "select" in groups and "probes" in config.tune.selections:
        probed = named_by(config.examples.questions)
        if isinstance(probed, QuestionSet | UserFiles):
            probed.questions(spent | question_texts(asked), n=None, seed=seed)
    if "examples" in groups:
        _check_examples(config, given, asked)


def _check_examples(config: StudyConfig, given: Task | None, asked: Sequence[Question]) -> None:
    examples, own = config.examples, given is not None and not config.examples.questions.is_named
    task = task_of(config, examples.questions, rehearsal=examples.rehearsal) if not own else given
    if isinstance(task, QuestionSet):
        taught = task.not_evaluated(asked) if own else task.taught(asked, n=examples.n, seed=config.seed)
        openings_of(examples)
        deal_first_answers(taught, random.Random(config.seed), concede=examples.concede)
    elif task is not None:
        usual = ExamplesSection()
        for name in ("known", "concede", "answer", "openings"):
            if getattr(examples, name) != getattr(usual, name):
                raise ExampleError(
                    f"examples.{name} = {getattr(examples, name)!r} needs questions to make examples of, but those of "
                    f"{task.name} are made already; name questions (examples.source), or leave it out."
                )


def _require_paraphrases(task: Task, config: StudyConfig) -> None:
    """Refuse paraphrases where dialogues, or the behavior, have words of their own."""
    n = config.measure.paraphrases
    if not isinstance(task, QuestionSet):
        raise StudyError(
            f"measure.paraphrases = {n}, but the dialogues of {task.name} are challenged in words of their own; name "
            "questions (measure.sources), or leave it out."
        )
    paraphrased(task.behavior, n)


def _require_judging(task: Task, source: Source, config: StudyConfig) -> None:
    """Refuse a part of a set that finds the heads to judge them too."""
    split = getattr(task, "split", None)
    if split is not None and split == (config.find.split or "train") and source.questions in (None, "organism"):
        raise StudyError(
            f"{task.name} finds the heads, so that it cannot judge them; name another split, or leave it out."
        )
