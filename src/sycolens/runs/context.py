"""What the stages of a run work with: the model, loaded once, the tasks, and what earlier stages made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sycolens.choices import TRAINED, Kind, Selection
from sycolens.compute import Compute
from sycolens.distributed import Processes
from sycolens.errors import PairError, StudyError
from sycolens.find import Finding
from sycolens.measure import Judge
from sycolens.measure.eval_set import EvalSet, question_eval_set
from sycolens.model import load_model
from sycolens.model.hooked import Geometry
from sycolens.prompts import ChallengedQuestion, Question, challenge_questions
from sycolens.prompts.behavior import Behavior, paraphrased
from sycolens.prompts.chat_format import ChatFormat
from sycolens.prompts.training_example import TrainingExample
from sycolens.runs.config import StudyConfig
from sycolens.runs.methods import Method, Trial, methods_for, selected_ranking
from sycolens.runs.plan import EXAMPLES, FIND
from sycolens.runs.provenance import FileHashes, identity, weights_of
from sycolens.runs.sections import EvaluationSource, Source
from sycolens.runs.train import encoded_for, training_config_for
from sycolens.runs.trainings import Training
from sycolens.tasks import HeldOut, QuestionSet, Task, open_task, read_examples, read_texts
from sycolens.tasks.question_set import question_texts
from sycolens.tune.training_config import TrainingConfig

if TYPE_CHECKING:
    from datasets import Dataset

LOOKED_AT: Final = 48
"""Questions on which replies are looked at unless said otherwise."""
IN_PROGRESS = ".in_progress"
"""Where trainings leave their checkpoints until they are done."""
VERDICTS: Final = "verdicts.jsonl"
"""Where what a judge said is kept, beside the stages, so that it is asked nothing twice."""


@dataclass(frozen=True)
class Context:
    """A run in one of its processes."""

    directory: Path
    config: StudyConfig
    hashes: FileHashes
    processes: Processes
    progress: bool
    """Whether bars are shown."""
    given_task: Task | None = None
    """A task from Python, for whatever the settings name no questions."""
    looks_first: bool = False
    """Whether look proposes the behavior, so that it tries several wordings."""

    @cached_property
    def loaded(self) -> tuple[Any, dict[str, Any]]:
        """The model, and its identity."""
        asked, compute = self.config.model, self.config.compute
        weights = weights_of(asked.name, asked.revision, self.hashes)
        model = load_model(
            asked.name,
            revision=weights.get("commit") or asked.revision,
            device=compute.device,
            dtype=asked.dtype,
            device_map=compute.device_map,
            backend=asked.backend,
        )
        return model, identity(model, asked.name, weights)

    @property
    def model(self) -> Any:
        return self.loaded[0]

    @property
    def chat_format(self) -> ChatFormat:
        """How the model reads dialogues."""
        return chat_format_of(self.config)

    def compute(self, stage: str) -> Compute:
        """What every call of a stage that computes takes."""
        asked = self.config.compute
        return Compute(asked.batch_size, asked.max_rows, self.processes, self.progress, work=stage)

    @cached_property
    def task(self) -> Task:
        """Where the pairs come from that find heads."""
        return self.task_of(self.config.find, pairs=self.config.find.pairs)

    @cached_property
    def finding(self) -> Finding:
        """What the stage "find" came to."""
        return Finding.load(self.directory / FIND)

    def task_of(self, source: Source, *, pairs: str | None = None, **options: Any) -> Task:
        """The task that a section of the settings names; that of find where it names none."""
        if self.given_task is not None and not source.is_named and pairs is None:
            return self.given_task
        return task_of(self.config, source, pairs=pairs, **options)

    def hold_out(self, source: Source, n: int | None, *, taught: frozenset[str] = frozenset()) -> tuple[Task, HeldOut]:
        """Questions of a source that did not find the heads and are not taught, and the task that they come from.

        Raises:
            PairError: the heads were found on token ids, which do not tell what was asked.
        """
        task, spent = self.task_of(source), self.finding.spent | self._looked_at_texts
        if "" in spent:
            raise PairError(
                "The heads were found on token ids, which do not tell what was asked, so no question can be known to "
                "be another; find them on pairs with texts (find.pairs)."
            )
        paraphrases = self.config.measure.paraphrases
        if paraphrases and isinstance(task, QuestionSet):
            task = replace(task, asked_in=paraphrased(task.behavior, paraphrases))
        return task, task.questions(spent | taught, n=n, seed=self.config.seed)

    @property
    def asked_in(self) -> tuple[Behavior, ...]:
        """The words in which every model is challenged before and after it is tuned."""
        words, n = self.config.words, self.config.measure.paraphrases
        return paraphrased(words, n) if n else (words,)

    @cached_property
    def looked_at(self) -> HeldOut:
        """The questions on which the stage "look" looks at replies."""
        asked = self.config.look
        return questions_to_look_at(self.task_of(asked), asked.n, self.config.seed)

    @property
    def _looked_at_texts(self) -> frozenset[str]:
        """What proposed the behavior may not judge it."""
        return question_texts(self.looked_at.asked) if self.looks_first else frozenset()

    @cached_property
    def evaluations(self) -> tuple[tuple[Task, HeldOut], ...]:
        """What every model is asked in two rounds, set by set."""
        measure = self.config.measure
        drawn = [self.hold_out(each, each.n or measure.n) for each in measure.sources or [EvaluationSource()]]
        if len(drawn) == 1:
            return tuple(drawn)
        names = _different_names([each for _, each in drawn])
        return tuple((task, each.named(name)) for (task, each), name in zip(drawn, names, strict=True))

    def challenged(self, held_out: HeldOut) -> tuple[ChallengedQuestion, ...]:
        """Questions with a right answer in the assistant's mouth, challenged as the behavior says."""
        plain = [each for each in held_out.questions if isinstance(each, Question)]
        if not plain:
            return tuple(each for each in held_out.questions if isinstance(each, ChallengedQuestion))
        config = self.config
        return challenge_questions(plain, self.model.tokenizer, behavior=config.words, chat_format=self.chat_format)

    @property
    def questions(self) -> tuple[Question | ChallengedQuestion, ...]:
        """All that is asked in two rounds."""
        return tuple(question for _, each in self.evaluations for question in each.questions)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Those on which the drift is measured, if any are named."""
        return () if self.config.measure.texts is None else read_texts(self.config.measure.texts)

    @cached_property
    def eval_set(self) -> EvalSet:
        """Answers put into every model's mouth, other skills, texts for the drift."""
        (task, held_out), *others = self.evaluations
        drawn: dict[str, Any] = {"texts": self.texts, "seed": self.config.seed}
        if not others:
            return task.eval_set(held_out, self.model.tokenizer, **drawn)
        asked = [question for _, each in self.evaluations for question in each.asked]
        drawn |= {"behavior": self.asked_in, "chat_format": self.chat_format}
        return question_eval_set(asked, self.model.tokenizer, **drawn)

    @cached_property
    def judge(self) -> Judge:
        """Who grades replies beside the rules.

        Raises:
            StudyError: the settings name nobody.
            JudgeError: the verdicts so far cannot be read.
        """
        asked = self.config.measure.judge
        if asked is None:
            raise StudyError("No judge is named; give measure.judge a base_url and a model.")
        return Judge(cache=self.directory / VERDICTS, **asked.model_dump())

    @cached_property
    def examples(self) -> tuple[TrainingExample, ...]:
        """What the stage "examples" came to."""
        return read_examples(self.directory / EXAMPLES / "examples.jsonl")

    @cached_property
    def rows(self) -> Dataset:
        """The examples as tokens."""
        return encoded_for(self.model, self.examples, self.chat_format)

    def training_config(self, kind: Kind) -> TrainingConfig:
        """How a kind of method is trained."""
        return training_config_for(self.config, kind)

    def methods(self, ks: Sequence[int] | None = None, by: Selection | None = None) -> dict[str, Method]:
        """What every kind of method trains, by kind, or kind and number; ``by`` another selection "spt" alone."""
        finding, tune = self.finding, self.config.tune
        chosen = tuple(ks or (tune.k or len(finding.top),))
        ranking = finding.effects.ranking(finding.metric) if by is None else selected_ranking(self.directory, by)
        kinds: Sequence[Kind] = tune.methods if by is None else ("spt",)
        made = methods_for(
            ranking,
            Geometry.of(self.model),
            kinds=kinds,
            by=by,
            ks=chosen,
            draws=tune.draws,
            control=tune.control,
            matrices=tune.matrices,
            mlps=tune.mlps,
            rank=tune.rank,
            alpha=tune.alpha,
            rank_of_all=tune.rank_of_all,
            seed=self.config.seed,
        )
        names: list[str] = []
        for kind in (kind for kind in TRAINED if kind in kinds):
            names += [f"{kind}{k}" for k in chosen] if kind == "spt" and ks else [kind]
        return dict(zip(names, made, strict=True))

    def trial(self, training: Training) -> Trial:
        """What a training trains, and how fast."""
        ks = self.config.sweep.ks if training.learning_rate is not None else None
        methods = self.methods(ks, training.by)
        method = methods[f"{training.kind}{training.k or ''}"] if ks else methods[training.kind]
        rate = training.learning_rate or self.training_config(training.kind).learning_rate
        return Trial(method, training.draw, rate, training.seed)

    def in_progress(self, stage: str, inputs: object) -> Path:
        """Where a training leaves its checkpoints; another place for other inputs."""
        words = json.dumps(inputs, sort_keys=True).encode()
        return self.directory / IN_PROGRESS / stage / hashlib.sha256(words).hexdigest()[:16]


def chat_format_of(config: StudyConfig) -> ChatFormat:
    """How the model of a run reads dialogues.

    Raises:
        DialogueError: plain lines are given options.
    """
    return ChatFormat(config.model.template, config.model.template_options)


def task_of(config: StudyConfig, source: Source, *, pairs: str | None = None, rehearsal: Any = None) -> Task:
    """The task that a section of the settings names; that of find where it names none.

    Subset, split and revision of find's questions go with them.
    """
    found = config.find
    inherited = source.questions is None and pairs is None and found.questions is not None
    return open_task(
        config.model.name,
        questions=source.questions or found.questions if pairs is None else None,
        pairs=pairs or (found.pairs if found.pairs is not None and source.questions is None else None),
        subset=source.subset or (found.subset if inherited else None),
        split=source.split or (found.split if inherited and found.questions != "organism" else None),
        revision=source.revision or (found.revision if inherited else None),
        rehearsal=rehearsal,
        chat_format=chat_format_of(config),
        behavior=config.words,
    )


def questions_to_look_at(task: Task, n: int | None, seed: int) -> HeldOut:
    """``n`` questions of a task, or a few: at most a third of what there is, so that others are left to judge.

    Raises:
        PairError: the task has not so many, or knows no right answers.
    """
    if n is not None:
        return task.questions(frozenset(), n=n, seed=seed)
    every = task.questions(frozenset(), n=None, seed=seed)
    count = min(LOOKED_AT, max(4, len(every.questions) // 3))
    return replace(every, questions=every.questions[:count])


def _different_names(drawn: Sequence[HeldOut]) -> list[str]:
    """A name for every set, so that rates can be told by set."""
    names: list[str] = []
    for each in drawn:
        own = {question.source for question in each.asked}
        name = next(iter(own)) if len(own) == 1 and own != {""} else Path(each.source).stem
        taken = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({taken + 1})" if taken else name)
    return names
