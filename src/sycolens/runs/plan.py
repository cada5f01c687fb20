"""The stages of a run in their order, each with the settings and files that its result depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sycolens.choices import KNOWN_SETS, Selection
from sycolens.errors import QuestionError
from sycolens.runs.config import StudyConfig
from sycolens.runs.provenance import OWN_SETS, FileHashes, weights_of
from sycolens.runs.settings import AUTO
from sycolens.runs.stage import Made, Part, Stage
from sycolens.runs.trainings import DEPENDS, Training, settings_of, trainings_of, trials_of

if TYPE_CHECKING:
    from sycolens.runs.context import Context

LOOK, FIND, VERIFY, EXAMPLES, TUNE, MEASURE = "look", "find", "verify", "examples", "tune", "measure"
REPATCH: Final = "repatch"
SELECT: Final = "select"
JUDGE: Final = "judge"
SWEEP, COMPARISON = "sweep", "sweep/comparison"
BASE: Final = "measure/base"
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "look": ("look",),
    "find": ("find",),
    "verify": ("verify",),
    "tune": ("tune",),
    "measure": ("measure", "judge"),
    "sweep": ("sweep",),
    "study": ("find", "verify", "examples", "tune", "measure", "repatch", "judge"),
}
"""The stages that each command makes, beside those that they need."""
NAMES_FILES: Final = ("questions", "pairs", "source", "rehearsal", "texts", "task_folder")
"""Settings that may name a file or a folder."""
MOST_FILES: Final = 10_000
"""Of a folder that a setting names."""


def stages_of(
    config: StudyConfig, hashes: FileHashes, *, looks_first: bool = False, task: str | None = None
) -> tuple[Stage, ...]:
    """Look, find, verify, examples, other selections of heads, every training, the base and every tuned model measured,
    the found heads patched again, replies judged where a judge is named; then a sweep's trainings and their comparison.

    ``looks_first`` is whether look proposes the behavior that the other stages go by. ``task`` names one that was given
    from Python.

    >>> [stage.name for stage in stages_of(StudyConfig(), FileHashes())][:8]
    ['look', 'find', 'verify', 'examples', 'tune/spt-seed0', 'measure/base', 'measure/spt-seed0', 'repatch']
    """

    @cache
    def common() -> dict[str, Any]:
        model = config.model.model_dump()
        given = {} if task is None else {"task": task}
        return {**given, "model": model | weights_of(model["name"], model["revision"], hashes), "seed": config.seed}

    def looking(**sections: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: common() | {name: _with_files(each, hashes) for name, each in sections.items()}

    def settings(**sections: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: {"behavior": config.words.to_dict(), **looking(**sections)()}

    # What find leaves of its own questions is asked and taught, unless others are named.
    found_on = config.find.model_dump(include={"pairs", "questions", "subset", "split", "revision"})
    evaluation = config.measure.model_dump(include={"sources", "n"})
    find = settings(find=config.find.model_dump())
    verify = settings(found_on=found_on, verify=config.verify.model_dump())
    examples = settings(found_on=found_on, evaluation=evaluation, examples=config.examples.model_dump())
    measured = settings(found_on=found_on, measure=config.measure.model_dump(exclude={JUDGE}))
    words = {"behavior": AUTO if looks_first else config.words.to_dict()}
    look = looking(found_on=found_on, look=config.look.model_dump() | words)
    stages = [
        Stage(LOOK, look, _made_by("look")),
        Stage(FIND, find, _made_by("find"), {LOOK: "all"} if looks_first else {}),
        Stage(VERIFY, verify, _made_by("verify"), {FIND: "all"}),
        Stage(EXAMPLES, examples, _made_by("examples"), {FIND: "pairs"}),
    ]
    stages += _selecting(config, settings, hashes, found_on=found_on, evaluation=evaluation)
    runs = trainings_of(config)
    for run in runs:
        make = _made_by("tune" if run.heads is None else "steer", training=run)
        stages.append(Stage(run.stage, settings(tune=settings_of(config, run)), make, _read_by(config, run)))
    for run_or_base in (None, *runs):
        name = BASE if run_or_base is None else measured_as(run_or_base)
        after: dict[str, Part] = {FIND: "pairs"} if run_or_base is None else {FIND: "pairs", run_or_base.stage: "all"}
        stages.append(Stage(name, measured, _made_by("measure", training=run_or_base), after))
    if found := [run for run in runs if run.kind in ("spt", "spt_lora")]:
        repatch = settings(patch={"mlps": config.find.mlps})
        read: dict[str, Part] = {FIND: "pairs", found[0].stage: "all"}
        stages.append(Stage(REPATCH, repatch, _made_by("repatch", training=found[0]), read))
    # Last, so that nothing waits for an endpoint that does not answer.
    return (*stages, *_judging(config), *_sweep(config, settings, found_on))


def selected_by(selection: Selection) -> str:
    """The name of the stage that selects heads in another way.

    >>> selected_by("gradient")
    'select/gradient'
    """
    return f"{SELECT}/{selection}"


def _selecting(
    config: StudyConfig, settings: Callable[..., Any], hashes: FileHashes, **questions: Mapping[str, Any]
) -> list[Stage]:
    """The other ways to select heads, each with what it depends on beside find."""
    tune, base = config.tune, {} if config.tune.base is None else weights_of(config.tune.base, None, hashes)
    asked = config.examples.model_dump(include={"source", "subset", "split"})
    inputs: dict[Selection, dict[str, Mapping[str, Any]]] = {
        "gradient": {},
        "probes": {"examples": asked, **questions},
        "weights": {"base": {"name": tune.base, **base}},
    }
    return [
        Stage(
            selected_by(each),
            settings(select={"by": each, "k": tune.k}, **inputs[each]),
            _made_by("select", selection=each),
            {FIND: "all"},
        )
        for each in tune.selections
    ]


def measured_as(training: Training) -> str:
    """The name of the stage that measures what a training left."""
    return training.stage.replace("tune/", "measure/")


def judged_as(measured: str) -> str:
    """The name of the stage that judges what another heard.

    >>> judged_as("measure/base")
    'judge/base'
    """
    return measured.replace("measure/", "judge/")


def _judging(config: StudyConfig) -> list[Stage]:
    """The replies of every measured model, judged; where the judge is served changes nothing."""
    judge = config.measure.judge
    if judge is None:
        return []
    asked = {"judge": {"model": judge.model}}
    names = [BASE, *map(measured_as, trainings_of(config))]
    return [Stage(judged_as(name), lambda: asked, _made_by("judge", measured=name), {name: "all"}) for name in names]


def _sweep(config: StudyConfig, settings: Callable[..., Any], found_on: Mapping[str, Any]) -> list[Stage]:
    """Every training of a sweep, and their comparison."""
    asked: dict[str, Any] = {"sweep": config.sweep.model_dump(), "texts": config.measure.texts}
    asked |= config.measure.model_dump(include={"sources", "max_new_tokens", "paraphrases"})
    kept = {"learning_rates", "seeds", "ks"}
    own = {**asked, "sweep": config.sweep.model_dump(exclude=kept)}
    stages = []
    for run in trials_of(config):
        trained = settings_of(config, run) | {"steps": None}
        each = settings(found_on=found_on, evaluation=own, tune=trained)
        stages.append(Stage(run.stage, each, _made_by("sweep", training=run), _read_by(config, run)))
    after: dict[str, Part] = {FIND: "all", **{stage.name: "all" for stage in stages}}
    whole = settings(found_on=found_on, evaluation=asked)
    return [*stages, Stage(COMPARISON, whole, _made_by("comparison"), after)]


def _read_by(config: StudyConfig, run: Training) -> dict[str, Part]:
    # Which heads were found changes nothing for those who train all.
    ranked: dict[str, Part] = {FIND: "effects" if config.tune.k or run.k else "all"} if "k" in DEPENDS[run.kind] else {}
    if run.heads is not None:  # means are taken on its pairs
        ranked = {FIND: "all"}
    selected: dict[str, Part] = {} if run.by is None else {selected_by(run.by): "all"}
    return {**ranked, **selected, EXAMPLES: "all"}


def _made_by(module: str, **options: Any) -> Callable[[Context], Made]:
    """The function ``make`` of a module of :mod:`sycolens.runs.stages`, which is imported only to run."""

    def make(context: Context) -> Made:
        made: Made = partial(import_module(f"sycolens.runs.stages.{module}").make, **options)(context)
        return made

    return make


def _with_files(settings: Mapping[str, Any], hashes: FileHashes) -> dict[str, Any]:
    """Settings, and the SHA-256 of every file, and of every set that comes with the library, that they name."""
    return {**settings, "files": {name: hashes.of(path) for name, path in sorted(_files(settings).items())}}


def _files(settings: Mapping[str, Any]) -> dict[str, Path]:
    """Where the files lie, by what a record calls them, which is the same wherever the library is installed."""
    beside = (settings.get(name) for name in ("opinions", "feedback"))
    inside = [*settings.get("sources", ()), *(each for each in beside if each is not None)]
    found = {name: path for each in inside for name, path in _files(each).items()}
    for key in NAMES_FILES:
        value = settings.get(key)
        if value in OWN_SETS:
            found[f"sycolens:{value}"] = OWN_SETS[value]
        elif isinstance(value, str) and value not in KNOWN_SETS and (place := Path(value)).exists():
            found |= {str(path): path for path in ([place] if place.is_file() else _below(place))}
    return found


def _below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in folder.rglob("*"):
        if path.is_file():
            found.append(path)
        if len(found) > MOST_FILES:
            raise QuestionError(f"{folder} holds more than {MOST_FILES:,} files; name the one that is meant.")
    return found
