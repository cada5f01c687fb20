"""The stages of a study in their order, each with the settings and files that its result depends on."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any, Final

from sycolens.data.question_sets import HUB
from sycolens.runs import making
from sycolens.runs.config import StudyConfig
from sycolens.runs.stage import Part, Stage
from sycolens.runs.context import BASE, FIND, EXAMPLES, REPATCH, VERIFY, runs_of
from sycolens.find.finding import KIND as FOUND
from sycolens.runs.provenance import files_of, weights_hash
from sycolens.runs.methods import Kind
from sycolens.verify.verification import KIND as VERIFIED

DEPENDS: Final[dict[Kind, tuple[str, ...]]] = {
    "spt": ("k",),
    "spt_lora": ("k", "rank"),
    "random": ("k", "control"),
    "lora": ("rank_of_all",),
    "sft": (),
}
"""Settings of "tune" on which a kind of method depends."""
NAMES_FILES: Final = ("questions", "source", "rehearsal", "texts", "task_folder")
"""Settings that may name a file or a folder."""


def stages_of(config: StudyConfig) -> tuple[Stage, ...]:
    """Find, verify, examples, every training, the base and every tuned model measured, the found heads patched again.

    >>> [stage.name for stage in stages_of(StudyConfig())]
    ['find', 'verify', 'examples', 'tune/spt-seed0', 'measure/base', 'measure/spt-seed0', 'repatch']
    """
    model = {**config.model.model_dump(), "weights": weights_hash(config.model.name), **files_of(config.model.name)}
    common = {"model": model, "seed": config.seed}
    # What find leaves of its own questions is asked and taught, unless others are named.
    own = {**common, "found_on": _with_files(config.find.model_dump(include={"questions", "subset", "split"}))}
    measured = {**own, "measure": _with_files(config.measure.model_dump())}
    # Examples keep clear of what is asked.
    asked = {"evaluation": _with_files(config.measure.model_dump(include={"sources", "n"}))}
    taught = {**own, **asked, "examples": _with_files(config.examples.model_dump())}
    verified = {**own, "verify": _with_files(config.verify.model_dump())}
    stages = [
        Stage(FIND, {**common, "find": _with_files(config.find.model_dump())}, making.find, kind=FOUND),
        Stage(VERIFY, verified, making.verify, {FIND: "all"}, kind=VERIFIED),
        Stage(EXAMPLES, taught, making.examples, {FIND: "pairs"}, kind=making.kind_of(EXAMPLES)),
    ]
    runs = runs_of(config)
    for run in runs:
        training_config = {name: value for name, value in vars(config.training_config(run.kind)).items() if name != "at_once"}
        heads = {name: getattr(config.tune, name) for name in DEPENDS[run.kind]}
        settings = {**common, "heads": heads, "training_config": training_config, "draw": run.draw, "training_seed": run.seed}
        # Which heads were found changes nothing for those who train all.
        ranked: dict[str, Part] = {FIND: "effects" if config.tune.k else "all"} if "k" in heads else {}
        make = partial(making.tune, name=run.stage)
        stages.append(Stage(run.stage, settings, make, {**ranked, EXAMPLES: "all"}, kind=making.kind_of("tune")))
    for name in (BASE, *(run.stage for run in runs)):
        before: dict[str, Part] = {FIND: "pairs"} if name == BASE else {FIND: "pairs", name: "all"}
        make = partial(making.measure, name=name)
        place = f"measure/{name.removeprefix('tune/')}"
        stages.append(Stage(place, measured, make, before, kind=making.kind_of("measure")))
    if found := [run.stage for run in runs if run.kind in ("spt", "spt_lora")]:
        settings = {**common, "mlps": config.find.mlps}
        make = partial(making.repatch, name=found[0])
        stages.append(Stage(REPATCH, settings, make, {FIND: "pairs", found[0]: "all"}, kind=making.kind_of(REPATCH)))
    return tuple(stages)


def _with_files(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings, and the SHA-256 of every file that they name."""
    return {**settings, "files": {str(path): _hash(path) for path in sorted(set(_files(settings)))}}


def _files(settings: dict[str, Any]) -> list[Path]:
    found = [path for each in settings.get("sources", ()) for path in _files(each)]
    for name in NAMES_FILES:
        value = settings.get(name)
        if isinstance(value, str) and value not in HUB and Path(value).exists():
            path = Path(value)
            found += [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return found


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
