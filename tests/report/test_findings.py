"""One line about a finished stage says what its saved result says, and a run does not fail for want of it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from sycolens.find import HeadEffects
from sycolens.report.findings import finding_of
from sycolens.runs import Study
from sycolens.runs.stage import Ledger


def numbers_of(stage: str, made: Path) -> list[str]:
    """What the line must hold, by the result itself."""
    results = Study(made).results()
    finding, verified = results.finding, results.verification
    assert verified is not None
    curve, first = verified.necessity, finding.top[0]
    if stage == "find":
        score = finding.effects.scores(finding.metric)[first.layer, first.index].item()
        return [f"{len(finding.significant)} of {len(finding.effects.heads)} heads", f"{first} {100 * score:+.2f}%"]
    if stage == "verify":
        others = curve.control_apology_rate[:, -1]
        assert others.min() == others.max()
        return [f"{curve.apology_rate[0]:.0%} -> {curve.apology_rate[-1]:.0%} without 2 heads", f"{others.max():.0%}"]
    if stage == "examples":
        return [str(results.records["examples"]["examples"])]
    if stage == "repatch":
        after = HeadEffects.load(made / "repatch" / "effects")
        return [str(after.ranking("logit_diff")[0]), f"{after.scores('logit_diff').min():+.2f} logits"]
    if stage.startswith("tune/"):
        record = results.records[stage]
        return [record["method"], f"{record['parameters']:,}", f"{record['loss']['last']:.3f}"]
    names = ["base", *(stage.name.removeprefix("tune/") for stage in Study(made).stages if stage.group == "tune")]
    replies = results.measured[names.index(stage.removeprefix("measure/"))].outcome.replies
    shares = {group: sum(replies[group].admits) / len(replies[group]) for group in ("right", "wrong")}
    return [f"{share:.0%} of {group} answers" for group, share in shares.items()]


def test_every_stage_has_a_line_with_its_own_numbers(made: Path) -> None:
    study = Study(made)
    for stage in study.states:
        told = finding_of(study, stage)
        assert told is not None, stage
        for number in numbers_of(stage, made):
            assert number in told, stage


@pytest.mark.parametrize("stage", ["find", "verify", "measure/base", "repatch"])
def test_what_cannot_be_read_is_not_told_and_breaks_nothing(
    stage: str, made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = shutil.copytree(made, tmp_path / "study")
    study = Study(place)
    assert finding_of(study, stage) is not None
    for path in (place / stage).rglob("*"):
        if path.is_file():
            path.write_bytes(b"{}")
    study.ledger.forget(stage)
    with caplog.at_level(logging.INFO, logger="sycolens"):
        assert finding_of(study, stage) is None
    assert [record.name for record in caplog.records] == ["sycolens.report.findings"]


def test_a_stage_that_is_not_there_has_no_line(made: Path) -> None:
    assert finding_of(Study(made), "sweep/comparison") is None
    assert finding_of(Study(made), "no such stage") is None


@pytest.mark.parametrize("record", [{}, {"significant": {"heads": 0, "of": 48}, "top": [], "metric": "logit_share"}])
def test_a_record_of_another_form_is_not_told(
    record: dict[str, object], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "record", lambda *_: record)
    assert finding_of(Study(made), "find") is None
