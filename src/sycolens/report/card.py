"""What a run has to say in the model card of one of its adapters: data, results beside the base's, settings, limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sycolens.data.question_sets import HUB
from sycolens.errors import StudyError
from sycolens.measure.challenge_result import ALL
from sycolens.measure.outcome import KL, takes_back
from sycolens.model.names import plain_name
from sycolens.report.method_rows import EVAL_SET, rows_of
from sycolens.report.warnings import warnings_of
from sycolens.runs.config import CONFIG, StudyConfig
from sycolens.runs.plan import EXAMPLES, FIND, TUNE
from sycolens.runs.results import StudyResults
from sycolens.runs.study import Study
from sycolens.runs.train import ADAPTER
from sycolens.statistics.runs import Pooled
from sycolens.tune.sharing import listed

MEASURES: Final = (
    ("keeps its answer when it is challenged (confidence)", "confidence", ALL),
    ("names no answer then (evades)", "evasion_rate", ALL),
    ("of right first answers, still right (truthfulness)", "truthfulness", ALL),
    ("takes a right answer back that was put into its mouth", takes_back("right"), EVAL_SET),
    ("takes a wrong one back, as it should", takes_back("wrong"), EVAL_SET),
)


@dataclass(frozen=True)
class RunCard:
    """What a run adds to a model card."""

    sections: dict[str, str]
    """Markdown by title."""
    datasets: tuple[str, ...]
    """Of the hub, on which heads were found, trained or measured."""


def card_of_run(adapter: Path) -> RunCard | None:
    """What the run that an adapter lies in says of it; None where it lies in none.

    Raises:
        StudyError, SavedFileError: the run's results cannot be read.
    """
    place = adapter.expanduser().resolve()
    stage, run = place.parent, place.parents[2] if len(place.parents) > 2 else place
    if place.name != ADAPTER or stage.parent.name != TUNE or not (run / CONFIG).is_file():
        return None
    study = Study(run)
    name = f"{TUNE}/{stage.name}"
    if study.ledger.states.get(name) in (None, "to do"):
        raise StudyError(
            f"{run} has no finished {name} any more; give its settings back, or copy the adapter elsewhere."
        )
    results = study.results()
    own = next((each for each in results.measured if each.run is not None and each.run.stage == name), None)
    # The rates are this adapter's alone, whatever other seeds its method has.
    results = replace(results, measured=() if own is None else (results.base, own))
    return RunCard(_sections(results, name), tuple(dict.fromkeys(_datasets(results.config))))


def _sections(results: StudyResults, name: str) -> dict[str, str]:
    training, model = results.records[name], results.model
    base = {
        "name": plain_name(model["name"]),
        "revision": model["commit"] or "none: a local copy",
        **{f"SHA-256 of {file}": digest for file, digest in (model["weights_sha256"] or {}).items()},
    }
    data = {
        "heads were found on": f"{len(results.finding.effects)} pairs of {_shown(results.records[FIND]['source'])}",
        "heads were trained on": f"{results.records[EXAMPLES]['examples']} examples of "
        f"{_shown(results.records[EXAMPLES]['source'])}",
    }
    config = results.config
    settings = {
        "method": training["method"],
        "metric of effects": config.find.metric,
        "seed": training["seed"],
        "loss, first and last step": f"{training['loss']['first']:.3f}, {training['loss']['last']:.3f} nats",
        "versions": ", ".join(f"{package} {'/'.join(found)}" for package, found in results.versions.items()),
    }
    limits = ["One training; another seed may do otherwise.", *warnings_of(results)]
    if not results.measured:
        limits = ["It was not measured: what it does is not known.", *limits]
    return {
        "Base": listed(base),
        "Data": f"{listed(data)}\n\nNo question of these is asked below.",
        "Settings": listed(settings),
        "Results": _results(results) if results.measured else "None: it was not measured.",
        "Limits": "\n".join(f"- {each}" for each in limits),
    }


def _results(results: StudyResults) -> str:
    before, after = rows_of(results)
    lines = ["| | base | tuned | replies | questions |", "|---|---|---|---|---|"]
    for title, measure, source in MEASURES:
        one, other = before.of(measure, source), after.of(measure, source)
        if one is not None and other is not None:
            lines.append(f"| {title} | {_percent(one)} | {_percent(other)} | {other.items} | {other.questions} |")
    if (drift := after.of(KL, EVAL_SET)) is not None:
        nats = f"{drift.mean:.3g} [{drift.low:.3g}, {drift.high:.3g}]"
        lines.append(f"| nats a token from the base on other texts (KL) | 0 | {nats} | | |")
    asked = ", ".join(_shown(each) for each in results.base.challenge.sources)
    return "\n".join([*lines, "", f"Asked: {asked}. In brackets 95 % intervals over questions."])


def _percent(each: Pooled) -> str:
    return f"{each.mean:.0%} [{100 * each.low:.0f}, {100 * each.high:.0f}]"


def _shown(source: str) -> str:
    """A source without the place where it lies on this machine."""
    return plain_name(source) or "questions of the user's"


def _datasets(config: StudyConfig) -> Iterator[str]:
    measured = [each.questions for each in config.measure.sources]
    for name in (config.find.questions, config.examples.source, *measured):
        if name in HUB:
            yield HUB[name].repository
        elif name is not None and re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists():
            yield name
