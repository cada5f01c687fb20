"""What a finished stage came to, in one line for a terminal, read from what it saved."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from sycolens.find import HeadEffects
from sycolens.find.metrics import RELATIVE
from sycolens.measure.outcome import takes_back
from sycolens.runs.plan import COMPARISON, EXAMPLES, FIND, JUDGE, LOOK, MEASURE, REPATCH, SELECT, SWEEP, TUNE, VERIFY
from sycolens.runs.results import read_measured
from sycolens.runs.study import Study
from sycolens.runs.sweep import Compared, Sweep
from sycolens.verify.curve import CONTROL_NAMES

logger = logging.getLogger(__name__)


def finding_of(study: Study, stage: str) -> str | None:
    """The result of a finished stage in a few words; None where nothing can be said.

    Nothing is computed, and nothing is raised: a run does not fail for want of a line about it.

    >>> import tempfile
    >>> from sycolens.runs import StudyConfig
    >>> study = Study(tempfile.mkdtemp(), StudyConfig.of({"find": {"n": 8, "draws": 1}}))
    >>> finding_of(study, "find") is None
    True
    >>> _ = study.run("find", progress=False)
    >>> finding_of(study, "find")
    '0 of 48 heads differ from 0; most negative L1H1 -4.67%'
    """
    tell = _TELLS.get(stage, _TELLS.get(stage.split("/")[0]))
    try:
        return None if tell is None else tell(study, stage, study.ledger.record(stage))
    except Exception as error:  # whatever a file that another version wrote may lead to
        logger.info("%s: what it came to cannot be told", stage, exc_info=error)
        return None


def _look(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    shown = f"{record['contrast']['share']:.0%} of the pairs of replies show "
    shown += "the contrast" if record["found"] else "one, which is no contrast"
    return f"knows {record['known']} of {record['asked']} questions; {shown}"


def _find(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    differ, first = record["significant"], record["top"][0]
    rows = _rows(study.directory / stage / "heads.csv")
    score = next(float(row["score"]) for row in rows if row["head"] == first)
    effect = f"{100 * score:+.2f}%" if record["metric"] in RELATIVE else f"{score:+.3f} logits"
    return f"{differ['heads']} of {differ['of']} heads differ from 0; most negative {first} {effect}"


def _verify(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    curve, top = record["necessity"], len(study.ledger.record(FIND)["top"])
    steps, rates = curve["steps"], curve["apology_rate"]
    at = next((at for at, k in enumerate(steps) if k >= top), len(steps) - 1)
    before = f"{rates[0]:.0%} -> " if steps[0] == 0 and at else ""
    text = f"apologizes {before}{rates[at]:.0%} without {steps[at]} heads"
    if not record["controls"]:
        return text
    low, high = (f"{ends[at]:.0%}" for ends in curve["control_apology_rate_range"])
    others = low if low == high else f"{low} to {high}"
    return f"{text}, {others} without {CONTROL_NAMES[record['control']]}"


def _select(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    found = record["agreement"]
    shared = f"{found['shared']} of the first {found['k']} shared, {found['chance']:.1f} by chance"
    return f"first {record['top'][0]}; rank correlation {found['correlation']:+.2f} with the effects, {shared}"


def _examples(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    return f"{record['examples']:,} examples"


def _training(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    if "loss" not in record:
        strength = record["intervention"]["strength"]
        strong = "" if strength is None else f", strength {strength:g}"
        return f"{record['method']}, {record['parameters']:,} numbers, not trained{strong}"
    loss = record["loss"]
    return f"{record['method']}, {record['parameters']:,} numbers: loss {loss['first']:.3f} -> {loss['last']:.3f}"


def _measure(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    challenge, outcome = read_measured(study.directory / stage)
    given = {group: outcome.replies[group].admits for group in ("right", "wrong") if group in outcome.replies}
    told = [f"{_share(admits)} of {group} answers" for group, admits in given.items() if admits]
    return f"takes back {' and '.join(told) or f'{_share(challenge.admits)} of its own answers'}"


def _repatch(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    before, after = (HeadEffects.load(study.directory / each / "effects") for each in (FIND, stage))
    head = after.ranking("logit_diff")[0]
    now, then = (each.scores("logit_diff")[head.layer, head.index].item() for each in (after, before))
    return f"most negative {head} {now:+.2f} logits, {then:+.2f} before tuning"


def _judge(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    admits = next(row for row in _rows(study.directory / stage / "agreement.csv") if row["view"] == "admits")
    agree = f"{float(admits['value']):.0%} of {int(admits['n']):,} replies"
    return f"says as the rules do what is taken back in {agree}"


def _comparison(study: Study, stage: str, record: Mapping[str, Any]) -> str:
    sweep = Sweep.read(study.directory, study.config)
    base = sweep.base.replies["right"].admits
    return f"takes back of right answers: base {_share(base)}, {', '.join(map(_best, sweep.best))}"


def _best(compared: Compared) -> str:
    return f"{compared.method} {compared.measures[takes_back('right')].mean:.0%}"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _share(happened: tuple[bool, ...]) -> str:
    return f"{sum(happened) / len(happened):.0%}"


_TELLS: Final[Mapping[str, Callable[[Study, str, Mapping[str, Any]], str]]] = {
    LOOK: _look,
    FIND: _find,
    VERIFY: _verify,
    EXAMPLES: _examples,
    SELECT: _select,
    TUNE: _training,
    MEASURE: _measure,
    REPATCH: _repatch,
    JUDGE: _judge,
    SWEEP: _training,
    COMPARISON: _comparison,
}
