"""What a study will cost: forward passes counted stage by stage, and a rough time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import torch

from sycolens.errors import ModelError
from sycolens.find.finding import TOP_MOST, TOP_SHARE
from sycolens.hub import in_words, way_out
from sycolens.measure.known import FIRST_ANSWER
from sycolens.memory import ran_out_of_memory
from sycolens.model.checkpoint import read_config
from sycolens.model.hooked import Geometry
from sycolens.model.loading import parse_dtype, resolve
from sycolens.model.weights import shape_of
from sycolens.runs.config import StudyConfig
from sycolens.runs.context import LOOKED_AT, task_of
from sycolens.runs.plan import (
    BASE,
    COMPARISON,
    EXAMPLES,
    FIND,
    LOOK,
    REPATCH,
    VERIFY,
    judged_as,
    measured_as,
    selected_by,
)
from sycolens.runs.settings import AUTO
from sycolens.runs.train import training_config_for
from sycolens.runs.trainings import trainings_of, trials_of
from sycolens.steer import CHOSEN_ON, STRENGTHS
from sycolens.tasks import Task
from sycolens.tasks.task import EXAMPLES as TAUGHT
from sycolens.tasks.task import PAIRS, QUESTIONS
from sycolens.verify.verification import default_steps

COMPARED: Final = 3
"""Passes that compare the answers to one question, as a rule of thumb."""
EFFICIENCY: Final = 0.4
"""Share of the speed of one large product of matrices that a model reaches on a prompt, as a rule of thumb."""


@dataclass(frozen=True)
class Cost:
    """What a stage computes."""

    prompts: int = 0
    """Prompts that are read whole."""
    rows: int = 0
    """Single tokens that are replayed with one head patched."""
    replies: int = 0
    """Replies that are written."""
    longest: int = 0
    """Tokens that each of them may have."""
    own_prompts: bool = True
    """Whether each reply reads a prompt of its own; knockouts of a dialogue share it."""
    examples: int = 0
    """Examples that are read forward and backward."""


@dataclass(frozen=True)
class Estimate:
    """The cost of every stage of a study, and the seconds that it may take, right to a factor of about three."""

    config: StudyConfig
    shape: Geometry
    parameters: int
    costs: Mapping[str, Cost]
    """By stage."""
    operations: Mapping[str, float]
    """By stage, of arithmetic; what is drawn, or computes elsewhere, has none."""

    @cached_property
    def seconds(self) -> dict[str, float]:
        """By stage, on one device of the kind that is here; one product of matrices is timed for it."""
        rate = _flops(self.config) * EFFICIENCY
        return {name: operations / rate for name, operations in self.operations.items()}

    @classmethod
    def of(cls, config: StudyConfig, task: Task | None = None) -> Estimate:
        """Count; only the model's configuration is read.

        Raises:
            ModelError: the configuration cannot be read.

        >>> Estimate.of(StudyConfig()).costs["find"]
        Cost(prompts=600, rows=14400, replies=0, longest=0, own_prompts=True, examples=0)
        """
        shape, parameters = shape_and_size(config.model.name, config.model.revision)
        task = task or task_of(config, config.find, pairs=config.find.pairs)
        costs = costs_of(config, shape, task)
        tokens = task.cost.prompt_tokens
        operations = {
            # Two operations a parameter and token forward, as many again twice backward. A reply's tokens come one by
            # one, in batches that leave most of the arithmetic idle.
            name: 2.0
            * parameters
            * (
                cost.prompts * tokens
                + cost.rows
                + cost.replies * (tokens * cost.own_prompts + 3 * cost.longest)
                + 3 * cost.examples * 2 * tokens
            )
            for name, cost in costs.items()
        }
        return cls(config, shape, parameters, costs, operations)


def costs_of(config: StudyConfig, shape: Geometry, task: Task) -> dict[str, Cost]:
    """What every stage computes; sets that turn out smaller than asked for cost less."""
    n_heads = shape.n_layers * shape.n_heads
    pairs, draws = config.find.n or PAIRS, config.find.draws or task.draws
    find = Cost(prompts=2 * pairs * draws, rows=pairs * draws * n_heads)
    top = config.find.top or min(max(1, round(TOP_SHARE * n_heads)), TOP_MOST)
    steps = config.verify.steps or default_steps(top, n_heads)
    sets = len(steps) + sum(step > 0 for step in steps) * config.verify.controls
    dialogues = config.verify.n or QUESTIONS
    # A final answer reads the whole dialogue for each of the answers on offer that begin in another way.
    scorer = config.look.scorer if config.behavior == AUTO else config.words.scorer
    compared = COMPARED if scorer == "likelihood" else 0
    replies = 2 * dialogues * sets
    verify = Cost(
        prompts=2 * pairs + 2 * dialogues + compared * replies,
        replies=replies,
        longest=config.verify.max_new_tokens,
        own_prompts=False,
    )
    asked, own = _questions(config), task.cost.exercises
    texts = 2 * (asked if own else 1000 if config.measure.texts else 0)
    # Own answers are challenged further, and given wrong ones anew.
    turns = config.measure.turns
    again = (2 * turns - 1) * asked if turns > 1 else 0
    beside = [each for each in (config.measure.opinions, config.measure.feedback) if each is not None]
    base = Cost(
        prompts=compared * ((2 + task.cost.groups) * asked + again),
        replies=2 * asked
        + task.cost.groups * asked
        + (asked if own else 0)
        + again
        # A text is commented on plainly and in up to four framings.
        + sum((each.n or QUESTIONS) * (5 if each is config.measure.feedback else 1) for each in beside),
        longest=config.measure.max_new_tokens,
    )
    n_looked = config.look.n or LOOKED_AT
    asked_first = n_looked * (config.look.wordings if config.behavior == AUTO else 1)
    look = Cost(prompts=n_looked, replies=n_looked + 4 * asked_first, longest=config.look.max_new_tokens)
    # As if the model knew every other question.
    taught = 2 * (config.examples.n or TAUGHT) if config.examples.known else 0
    examples = Cost(replies=taught, longest=FIRST_ANSWER)
    costs = {LOOK: look, FIND: find, VERIFY: verify, EXAMPLES: examples, BASE: base}
    taught = config.examples.n or TAUGHT
    for run in trainings_of(config):
        costs[measured_as(run)] = replace(base, prompts=base.prompts + texts)
        if run.heads is not None:
            costs[run.stage] = Cost(prompts=2 * taught + 2 * CHOSEN_ON * (1 + max(map(len, STRENGTHS.values()))))
            continue
        training = training_config_for(config, run.kind)
        costs[run.stage] = Cost(examples=training.steps * training.examples_per_step)
    sweep = config.sweep
    for trial in trials_of(config):
        together = training_config_for(config, trial.kind).examples_per_step
        costs[trial.stage] = Cost(
            replies=len(sweep.steps) * 2 * sweep.n_validation,
            longest=config.measure.max_new_tokens,
            examples=max(sweep.steps) * together,
        )
    costs[COMPARISON] = Cost(
        replies=2 * len(config.tune.methods) * sweep.seeds * task.cost.groups * sweep.n,
        longest=config.measure.max_new_tokens,
    )
    if config.measure.judge is not None:  # it computes elsewhere
        costs |= {judged_as(name): Cost() for name in (BASE, *map(measured_as, trainings_of(config)))}
    costs |= {
        selected_by(each): Cost(prompts={"gradient": 2 * pairs, "probes": 2 * QUESTIONS, "weights": 0}[each])
        for each in config.tune.selections
    }
    return costs | {REPATCH: Cost(prompts=2 * pairs, rows=pairs * n_heads)}


def shape_and_size(name: str, revision: str | None = None) -> tuple[Geometry, int]:
    """A model's shape and number of parameters, without its weights.

    Raises:
        ModelError: its configuration cannot be read.

    >>> shape_and_size("organism")[1]
    1042560
    """
    from transformers import AutoModelForCausalLM

    place = resolve(name, revision)
    try:
        config = read_config(place, revision=revision)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # whatever transformers raises on what it cannot read
        if ran_out_of_memory(error):
            raise
        raise ModelError(
            f"The configuration of {name!r} cannot be read ({in_words(error)}). "
            + way_out(error, "Give 'organism', a hub name you can reach, a directory with config.json, or a GGUF file.")
        ) from error
    return shape_of(model), sum(parameter.numel() for parameter in model.parameters())


def _questions(config: StudyConfig) -> int:
    measure = config.measure
    counts = [each.n or measure.n or QUESTIONS for each in measure.sources]
    return sum(counts) if counts else measure.n or QUESTIONS


def _flops(config: StudyConfig) -> float:
    """Operations a second in one large product of matrices, where the study will run."""
    device = config.compute.device or ("cuda" if torch.cuda.is_available() else "cpu")
    side = 1024 if device == "cpu" else 8192
    a: Any = torch.ones(side, side, dtype=parse_dtype(config.model.dtype), device=device)
    a @ a
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < 0.2:
        (a @ a)[0, 0].item()
        count += 1
    return 2 * side**3 * count / (time.perf_counter() - started)
