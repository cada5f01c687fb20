"""What the stages of a study work with: the model, loaded once, the questions, and what earlier stages made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sycolens.measure import EvalSet, question_eval_set
from sycolens.model import load_model
from sycolens.model.hooked import Geometry
from sycolens.distributed import Processes
from sycolens.prompts import ChallengedQuestion, Question
from sycolens.runs.config import KINDS, EvaluationSource, Source, StudyConfig
from sycolens.runs.saved import FormerFinding, open_finding
from sycolens.tasks.held_out import HeldOut, hold_out
from sycolens.runs.provenance import identity
from sycolens.runs.methods import Kind, Trial, methods_for
from sycolens.tasks.eval_sets import panel_for, read_texts
from sycolens.tasks.teaching import read_examples
from sycolens.runs.train import encoded_for

if TYPE_CHECKING:
    from datasets import Dataset

FIND, VERIFY, EXAMPLES, REPATCH, REPORT = "find", "verify", "examples", "repatch", "report"
BASE = "base"
UNDER_WAY = ".under_way"
"""Where trainings leave their checkpoints until they are done."""


@dataclass(frozen=True)
class Workshop:
    """A study under way, in one of its processes."""

    directory: Path
    config: StudyConfig
    processes: Processes
    progress: bool
    """Whether bars are shown."""

    @cached_property
    def loaded(self) -> tuple[Any, dict[str, Any]]:
        """The model, and its identity."""
        asked, machine = self.config.model, self.config.machine
        model = load_model(
            asked.name,
            device=machine.device,
            dtype=asked.dtype,
            device_map=machine.device_map,
            backend=asked.backend,
        )
        return model, identity(model, asked.name)

    @property
    def model(self) -> Any:
        return self.loaded[0]

    @property
    def options(self) -> dict[str, Any]:
        """What every call that asks the model takes."""
        return {"template": self.config.model.template, "batch_size": self.config.machine.batch_size}

    @cached_property
    def former(self) -> FormerFinding:
        """What the stage "find" came to, with this model."""
        found = open_finding(self.directory / FIND)
        found.require_model(self.loaded[1])
        return found

    def hold_out(self, source: Source, n: int | None) -> HeldOut:
        """Questions of a source that did not find the heads."""
        return hold_out(
            self.former,
            self.config.model.name,
            questions=source.questions,
            subset=source.subset,
            split=source.split,
            n=n,
            seed=self.config.seed,
        )

    @cached_property
    def evaluations(self) -> tuple[HeldOut, ...]:
        """What every model is asked in two rounds, set by set."""
        measure = self.config.measure
        sources = measure.sources or [EvaluationSource()]
        drawn = [self.hold_out(each, each.n or measure.n) for each in sources]
        return _told_apart(drawn) if len(drawn) > 1 else tuple(drawn)

    @property
    def questions(self) -> tuple[Question | ChallengedQuestion, ...]:
        """All that is asked in two rounds."""
        return tuple(question for each in self.evaluations for question in each.questions)

    @cached_property
    def eval_set(self) -> EvalSet:
        """What every model is examined with: answers put into its mouth, other skills, texts for the drift."""
        tokenizer, measure, seed = self.model.tokenizer, self.config.measure, self.config.seed
        texts = () if measure.texts is None else read_texts(measure.texts)
        first, *others = self.evaluations
        if first.split is not None and not others:
            # Other dialogues than those of the two rounds, or a model that answers rightly would say the same twice.
            return panel_for(first, tokenizer, n=len(first.questions), texts=texts, seed=seed + 1)
        asked = [question for each in self.evaluations for question in each.asked]
        return question_eval_set(asked, tokenizer, texts=texts, template=self.config.model.template, seed=seed)

    @cached_property
    def rows(self) -> Dataset:
        """What the stage "examples" came to, as tokens."""
        examples = read_examples(self.directory / EXAMPLES / "examples.jsonl")
        return encoded_for(self.model, examples, self.config.model.template)

    @cached_property
    def trials(self) -> dict[str, Trial]:
        """Every training by the name of its stage."""
        former, config, tune = self.former, self.config, self.config.tune
        methods = methods_for(
            former.effects.ranking(former.metric),
            Geometry.of(self.model),
            kinds=tune.methods,
            ks=(tune.k or len(former.top),),
            draws=tune.draws,
            control=tune.control,
            rank=tune.rank,
            rank_of_all=tune.rank_of_all,
            seed=config.seed,
        )
        by_kind = dict(zip((kind for kind in KINDS if kind in tune.methods), methods, strict=True))
        return {
            run.stage: Trial(by_kind[run.kind], run.draw, config.training_config(run.kind).learning_rate, run.seed)
            for run in runs_of(config)
        }

    def under_way(self, stage: str, inputs: object) -> Path:
        """Where a training leaves its checkpoints; another place for other inputs."""
        told = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        return self.directory / UNDER_WAY / stage / told[:16]


def _told_apart(drawn: Sequence[HeldOut]) -> tuple[HeldOut, ...]:
    """Sets whose questions say where they come from, each by a name of its own, so that rates can be told by set."""
    names: list[str] = []
    for each in drawn:
        own = {question.source for question in each.asked}
        name = next(iter(own)) if len(own) == 1 and own != {""} else Path(each.source).stem
        taken = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({taken + 1})" if taken else name)
    return tuple(
        each
        if each.split is not None
        else replace(each, questions=tuple(replace(question, source=name) for question in each.asked))
        for each, name in zip(drawn, names, strict=True)
    )


@dataclass(frozen=True)
class Run:
    """One training of a study."""

    kind: Kind
    draw: int
    seed: int

    @property
    def stage(self) -> str:
        """The name of its stage."""
        number = f"draw{self.draw}" if self.kind == "random" else f"seed{self.seed}"
        return f"tune/{self.kind.replace('_', '-')}-{number}"


def runs_of(config: StudyConfig) -> tuple[Run, ...]:
    """The trainings of a study: every method with every seed, but every draw of random heads with one.

    >>> [run.stage for run in runs_of(StudyConfig.of({"tune": {"methods": ["spt", "random"], "draws": 2}}))]
    ['tune/spt-seed0', 'tune/random-draw0', 'tune/random-draw1']
    """
    tune, first = config.tune, config.seed
    runs: list[Run] = []
    for kind in KINDS:
        if kind == "random" and kind in tune.methods:
            runs += [Run(kind, draw, first + draw) for draw in range(tune.draws)]
        elif kind in tune.methods:
            runs += [Run(kind, 0, first + number) for number in range(tune.seeds)]
    return tuple(runs)
