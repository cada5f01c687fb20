"""What a study is asked to do: one TOML file, checked whole before anything is computed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from sycolens.errors import StudyError
from sycolens.find import Metric
from sycolens.model.loading import EMBEDDED, Backend
from sycolens.model.interventions import Positions
from sycolens.prompts.dialogue import Template
from sycolens.tune.training_config import TrainingConfig, Schedule
from sycolens.verify.ablation import Method
from sycolens.verify.controls import Control
from sycolens.runs.methods import Kind, OtherHeads
from sycolens.runs.train import training_config_for

CONFIG = "study.toml"
NAMED = ("organism", "organism-gqa")
Count = Annotated[int, Field(ge=2)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelSection(_Section):
    """Which model, and how it reads dialogues."""

    name: str = "organism"
    dtype: str | None = None
    backend: Backend = "bridge"
    template: Template = "chat"


class Source(_Section):
    """A question set: named as for :func:`sycolens.load_questions`, or "organism" for the embedded model's world."""

    questions: str | None = None
    subset: str | None = None
    split: str | None = None


class FindSection(Source):
    """On which pairs heads are found, and by which metric they are ranked."""

    n: Count | None = None
    seeds: PositiveInt | None = None
    metric: Metric = "logit_share"
    mlps: Literal["live", "frozen"] = "live"
    top: PositiveInt | None = None


class VerifySection(Source):
    """On which questions heads are knocked out, and with what they are compared."""

    n: Count | None = None
    steps: list[int] | None = None
    controls: PositiveInt = 20
    control: Control = "layer_matched"
    method: Method = "mean"
    positions: Positions = "last"
    max_new_tokens: PositiveInt = 64


class LessonsSection(_Section):
    """What is taught."""

    source: str | None = None
    n: PositiveInt | None = None
    rehearsal: str | PositiveInt | None = None


class TrainingSection(_Section):
    """The course of one kind of method, where it is not that of all."""

    learning_rate: Rate | None = None
    steps: PositiveInt | None = None


class TuneSection(_Section):
    """Which methods repair the model, and how each is trained."""

    methods: Annotated[list[Kind], Field(min_length=1)] = ["spt"]
    k: PositiveInt | None = None
    rank: PositiveInt = 4
    rank_of_all: PositiveInt = 1
    draws: PositiveInt = 3
    control: OtherHeads = "layer_matched"
    seeds: PositiveInt = 1
    examples_per_step: PositiveInt | None = None
    at_once: PositiveInt | None = None
    schedule: Schedule | None = None
    training_configs: dict[Kind, TrainingSection] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_once(self) -> TuneSection:
        if len(set(self.methods)) != len(self.methods):
            raise ValueError("a method is named twice; name each once")
        return self


class EvaluationSource(Source):
    """A set that is asked in two rounds, and how many of it."""

    n: Count | None = None


class MeasureSection(_Section):
    """What every model is asked, before and after."""

    sources: list[EvaluationSource] = Field(default_factory=list)
    n: Count | None = None
    max_new_tokens: PositiveInt = 64
    texts: str | None = None
    tasks: list[str] = Field(default_factory=list)
    task_folder: str | None = None
    task_limit: PositiveInt | None = None
    task_prompt: Literal["task", "chat"] = "task"
    run_code: bool = False


class ReportSection(_Section):
    """What the page is called, and which figures are written beside it."""

    title: str | None = None
    examples: Annotated[int, Field(ge=0)] = 3
    formats: list[Literal["pdf", "svg", "png"]] = Field(default_factory=list)


class MachineSection(_Section):
    """Where and how much at once: what changes speed and memory, not results."""

    device: str | None = None
    device_map: str | None = None
    batch_size: PositiveInt = 16
    max_rows: Annotated[int, Field(ge=2)] | None = None


class StudyConfig(_Section):
    """All that a study depends on.

    >>> StudyConfig().tune.methods
    ['spt']
    """

    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelSection = ModelSection()
    find: FindSection = FindSection()
    verify: VerifySection = VerifySection()
    examples: LessonsSection = LessonsSection()
    tune: TuneSection = TuneSection()
    measure: MeasureSection = MeasureSection()
    report: ReportSection = ReportSection()
    machine: MachineSection = MachineSection()

    @classmethod
    def read(cls, path: str | Path) -> StudyConfig:
        """The study that a TOML file describes; file names in it are as seen from the current folder.

        Raises:
            StudyError: the file cannot be read, or something in it is unknown, missing or out of range; all such
                places are named.
        """
        try:
            return cls.of(tomllib.loads(Path(path).read_text(encoding="utf-8")), where=str(path))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise StudyError(
                f"{path} cannot be read as a study: {error}. 'sycolens init' writes one to start from."
            ) from error

    @classmethod
    def of(cls, content: dict[str, Any], *, where: str = "the study") -> StudyConfig:
        """The study that nested dictionaries describe.

        Raises:
            StudyError: as :meth:`read`.

        >>> StudyConfig.of({"find": {"n": 32}}).find.n
        32
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            told = "; ".join(_told(each) for each in error.errors())
            raise StudyError(f"{where}: {told}.") from error

    @property
    def embedded(self) -> bool:
        """Whether the model is one of those that sycolens brings, which have a world of their own."""
        return self.model.name in EMBEDDED

    def training_config(self, kind: Kind) -> TrainingConfig:
        """How a kind of method is trained.

        Raises:
            TuningError: as :class:`TrainingConfig`.

        >>> StudyConfig().training_config("sft").learning_rate
        0.001
        """
        tune, own = self.tune, self.tune.training_configs.get(kind, TrainingSection())
        return training_config_for(
            self.model.name,
            at_once=tune.at_once,
            steps=own.steps,
            learning_rate=own.learning_rate,
            examples_per_step=tune.examples_per_step,
            schedule=tune.schedule,
        )


def _told(error: Any) -> str:
    place = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        section = error["loc"][0] if len(error["loc"]) > 1 else None
        fields = StudyConfig.model_fields
        known = fields[section].annotation.model_fields if section in fields else fields  # type: ignore[union-attr]
        return f"{place} is no setting; there are {', '.join(known)}"
    if error["type"] == "missing":
        return f"{place} is missing"
    return f"{place} = {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


KINDS: tuple[Kind, ...] = get_args(Kind)
"""All kinds of methods, in the order in which a study tells of them."""
