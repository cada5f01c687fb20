"""The sections of a run's settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sycolens.choices import (
    STEERINGS,
    Ablation,
    AnswerPlace,
    Backend,
    Contrast,
    Control,
    Direction,
    FigureFormat,
    Kind,
    Metric,
    Mlps,
    OtherHeads,
    Positions,
    Schedule,
    Selection,
    Strong,
    TaskPrompt,
    Template,
)
from sycolens.endpoint import KEY_VARIABLE, check_url
from sycolens.prompts.behavior import PARAPHRASES, Scorer
from sycolens.runs.section import MOST, Amount, OtherSection, Rate, Rising, Sample, Section, Share


def _address(base_url: str) -> str:
    check_url(base_url)
    return base_url


_Words = Annotated[list[Annotated[str, Field(pattern=r"\S")]], Field(min_length=1)]


class OpeningsSection(Section):
    """The words with which taught replies begin, or go on from the answer."""

    defend: _Words
    """They stand firm."""
    concede: _Words
    """They take back."""


class JudgeSection(Section):
    """A model behind an OpenAI-compatible endpoint, which grades replies to the challenge beside the rules."""

    base_url: Annotated[str, AfterValidator(_address)]
    """Where it is served, as far as /v1; may change without anything being made anew."""
    model: Annotated[str, Field(min_length=1)]
    """As the endpoint calls it."""
    key_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = KEY_VARIABLE
    """Environment variable that holds the API key, which is written nowhere."""
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    at_once: Annotated[int, Field(ge=1, le=1000)] = 4
    """Requests at a time."""


class ModelSection(Section):
    """Which model, and how it reads dialogues."""

    name: Annotated[str, Field(min_length=1)] = "organism"
    revision: str | None = None
    """Of a model on the hub: branch, tag or commit."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    backend: Backend = "bridge"
    template: Template = "chat"
    template_options: dict[str, bool | int | Annotated[float, Field(allow_inf_nan=False)] | str] = Field(
        default_factory=dict
    )
    """Given to the chat template, such as ``enable_thinking = false``."""


class Source(Section):
    """A question set, named as for :func:`sycolens.load_questions`, or "organism" for the embedded model's world."""

    questions: str | None = None
    subset: str | None = None
    split: str | None = None
    revision: str | None = None
    """Of a set on the hub."""

    @property
    def is_named(self) -> bool:
        """Whether anything is asked for."""
        return any((self.questions, self.subset, self.split))


class LookSection(Source):
    """On which questions replies are looked at before anything is patched, and in how many wordings."""

    n: Annotated[int, Field(ge=4, le=MOST)] | None = None
    wordings: Annotated[int, Field(ge=1, le=1 + len(PARAPHRASES))] = 4
    """The paper's words and paraphrases of them, where the behavior is "auto"."""
    scorer: Scorer = "replies"
    """What tells answers in all later stages, where the behavior is "auto"."""
    max_new_tokens: Amount = 16


class FindSection(Source):
    """On which pairs heads are found, and by which metric they are ranked."""

    pairs: str | None = None
    """Finished pairs instead of questions: JSON lines in the authors' form, or a directory of saved pairs."""
    n: Sample | None = None
    draws: Annotated[int, Field(ge=1, le=100)] | None = None
    """How often pairs are drawn: the first draw ranks the heads, the others tell how stable that is."""
    metric: Metric = "logit_share"
    mlps: Mlps = "live"
    top: Amount | None = None
    fdr: Share = 0.05

    @model_validator(mode="after")
    def _one_source(self) -> FindSection:
        if self.pairs is not None and self.is_named:
            raise ValueError("pairs need no questions, subset or split; name one or the other")
        return self


class VerifySection(Source):
    """On which questions heads are knocked out, and with what they are compared."""

    n: Sample | None = None
    steps: Rising | None = None
    controls: Annotated[int, Field(ge=1, le=10_000)] = 20
    control: Control = "layer_matched"
    method: Ablation = "mean"
    positions: Positions = "last"
    max_new_tokens: Amount = 64


class ExamplesSection(Section):
    """What is taught."""

    source: str | None = None
    """Questions to make examples of, or a .jsonl file of dialogues; find's questions unless given."""
    subset: str | None = None
    split: str | None = None
    n: Amount | None = None
    concede: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.5
    """Share of examples in which the first answer is wrong and is taken back; the others defend a right one."""
    answer: AnswerPlace = "last"
    """Where a taught reply names the answer: behind the words that stand firm or take back, or before them."""
    openings: OpeningsSection | None = None
    """With which words taught replies stand firm and take back; ten of either kind unless given."""
    known: bool = False
    """Teach only on questions that the model answers rightly by itself."""
    rehearsal: str | Amount | None = None
    """Plain dialogues to mix in: a file, or, of the embedded model's world, how many."""

    @property
    def questions(self) -> Source:
        """Of which examples are made."""
        return Source(questions=self.source, subset=self.subset, split=self.split)


class TrainingSection(Section):
    """Learning rate and steps of one kind of method, where they are not those of all."""

    learning_rate: Rate | None = None
    steps: Amount | None = None


class TuneSection(Section):
    """Which methods repair the model, and how each is trained."""

    methods: Annotated[list[Kind], Field(min_length=1)] = Field(default=["spt"])
    k: Amount | None = None
    matrices: Annotated[str, Field(pattern=r"^(auto|[QKVO]{1,4})$")] = "auto"
    mlps: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    """Layers whose MLP is trained with the found heads (Table 3)."""
    rank: Amount = 4
    alpha: Rate | None = None
    rank_of_all: Amount = 8
    """Of "lora", PEFT's LoRA on every attention projection; 8 is PEFT's own default."""
    draws: Annotated[int, Field(ge=1, le=1000)] = 3
    control: OtherHeads = "layer_matched"
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    selections: list[Selection] = Field(default_factory=list)
    """Other ways to select as many heads, which are then trained as those of "spt" are."""
    base: str | None = None
    """The checkpoint that the model was tuned from, with which "weights" compares it."""
    learning_rate: Rate | None = None
    steps: Amount | None = None
    examples_per_step: Amount | None = None
    at_once: Amount | None = None
    schedule: Schedule | None = None
    by_method: dict[Kind, TrainingSection] = Field(default_factory=dict)
    contrast: Contrast = "replies"
    """Between what iti, caa and projection find a direction."""
    direction: Direction = "mass_mean"
    """Along which iti and projection steer."""
    strength: dict[Strong, Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]] = Field(default_factory=dict)
    """How strongly iti and caa steer; chosen on training examples unless given."""

    @model_validator(mode="after")
    def _each_once(self) -> TuneSection:
        if len(set(self.methods)) != len(self.methods):
            raise ValueError("a method is named twice; name each once")
        if len(set(self.selections)) != len(self.selections):
            raise ValueError("a selection is named twice; name each once")
        if self.selections and "spt" not in self.methods:
            raise ValueError("selections are trained as 'spt' is and compared with it; name it among the methods")
        if ("weights" in self.selections) != (self.base is not None):
            raise ValueError("the selection 'weights' and base, the checkpoint to compare with, need each other")
        if steered := [kind for kind in self.by_method if kind in STEERINGS]:
            raise ValueError(f"{steered[0]} trains nothing, so that it has no learning rate and no steps")
        return self


class EvaluationSource(Source):
    """A set that is asked in two rounds, and how many of it."""

    n: Sample | None = None


class MeasureSection(Section):
    """What every model is asked, before and after."""

    sources: list[EvaluationSource] = Field(default_factory=list)
    n: Sample | None = None
    paraphrases: Annotated[int, Field(ge=0, le=len(PARAPHRASES))] = 0
    """In how many paraphrases models are challenged, none of which look tries; 0: in the behavior's own words."""
    turns: Annotated[int, Field(ge=1, le=20)] = 1
    """How many challenges follow each other, on the model's own answers and on given wrong ones."""
    max_new_tokens: Amount = 64
    texts: str | None = None
    tasks: list[str] = Field(default_factory=list)
    task_folder: str | None = None
    task_limit: Amount | None = None
    task_prompt: TaskPrompt = "task"
    run_code: bool = False
    judge: JudgeSection | None = None
    """Who grades the replies to the challenge beside the rules, and compares comments (feedback)."""
    opinions: OtherSection | None = None
    """Whether the model chooses the user's view, beside the challenge."""
    feedback: OtherSection | None = None
    """Whether its comments turn with the user's word; the judge compares them."""

    @model_validator(mode="after")
    def _compared(self) -> MeasureSection:
        if self.feedback is not None and self.judge is None:
            raise ValueError("feedback needs a judge that compares comments; name one (measure.judge)")
        if self.feedback is not None and self.feedback.subset is not None:
            raise ValueError("feedback has no subsets; leave feedback.subset out")
        return self


class SweepSection(Section):
    """Settings at which every method of "tune" is trained; the best is chosen on validation dialogues."""

    learning_rates: Annotated[list[Rate], Field(min_length=1)] = Field(default=[1e-4, 3e-4, 1e-3])
    steps: Rising = Field(default=[20, 40, 80, 120])
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    ks: Rising | None = None
    """Numbers of found heads; that of "tune" unless given."""
    n_validation: Sample = 100
    n: Sample = 200

    @model_validator(mode="after")
    def _rise(self) -> SweepSection:
        for name in ("steps", "ks", "learning_rates"):
            values = getattr(self, name)
            if values is not None and (sorted(set(values)) != values or values[0] <= 0):
                raise ValueError(f"{name} = {values}; give rising positive numbers")
        return self


class ReportSection(Section):
    """What the page is called, and as what its figures are written beside it."""

    title: str | None = None
    examples: Annotated[int, Field(ge=0, le=1000)] = 3
    formats: list[FigureFormat] | None = None
    """Of the figures in report/figures; PDF where there is what draws it unless given."""


class ComputeSection(Section):
    """Where and how much at once: what changes speed and memory, not results."""

    device: str | None = None
    device_map: str | None = None
    batch_size: Amount = 16
    max_rows: Sample | None = None
    report_to: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    """Trackers that follow every training, by their names in transformers: "tensorboard", "wandb", "trackio", ..."""

    @model_validator(mode="after")
    def _one_place(self) -> ComputeSection:
        if self.device is not None and self.device_map is not None:
            raise ValueError("device and device_map exclude each other; a map places every layer itself")
        return self
