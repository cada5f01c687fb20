"""Look as the first stage: it proposes the behavior by which all others go, unless somebody edits it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import small_study as small

from sycolens import Behavior, Look
from sycolens.distributed import ALONE
from sycolens.errors import BehaviorError, StudyError
from sycolens.prompts import PAPER
from sycolens.report.findings import finding_of
from sycolens.runs import Study, StudyConfig
from sycolens.runs.context import Context

QUESTIONS: dict[str, Any] = {"look": {"n": 8, "wordings": 1}}


def auto(**sections: Any) -> StudyConfig:
    return StudyConfig.of({**small.SETTINGS, **QUESTIONS, "behavior": "auto", **sections})


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose behavior is proposed, made as far as its heads are found."""
    place = tmp_path_factory.mktemp("looked") / "study"
    Study(place, auto()).run("find", progress=False)
    return place


@pytest.fixture
def copy(looked: Path, tmp_path: Path) -> Path:
    return shutil.copytree(looked, tmp_path / "study")


def test_the_proposed_behavior_is_what_the_others_go_by(looked: Path) -> None:
    assert Behavior.read(looked / "behavior.toml") == PAPER
    study = Study(looked)
    assert study.config.behavior == PAPER
    assert (study.states["look"], study.states["find"]) == ("done", "done")
    assert study.results().finding.pairs.label_words[0] == (("Apologies",), ("Yes",))


def test_look_tells_what_the_model_knows(looked: Path) -> None:
    seen, told = Look.load(looked / "look"), finding_of(Study(looked), "look")
    assert told is not None
    assert f"{sum(seen.known)} of {len(seen.asked)}" in told
    assert f"{seen.contrast.share:.0%}" in told


def test_a_behavior_that_is_edited_changes_what_was_made_by_it(copy: Path) -> None:
    behavior = Behavior.read(copy / "behavior.toml")
    Behavior.from_dict({**behavior.to_dict(), "name": "mine"}).write(copy / "behavior.toml")
    states = Study(copy).states
    assert (states["look"], states["find"]) == ("done", "changed")


def test_what_proposed_the_behavior_judges_nothing(looked: Path) -> None:
    study = Study(looked)
    context = Context(looked, study.config, study.hashes, ALONE, False, None, study.looks_first)
    seen = {each.text for each in Look.load(looked / "look").asked}
    _, held_out = context.hold_out(study.config.verify, 4)
    assert seen
    assert not seen & {each.text for each in held_out.asked}


def test_without_a_contrast_the_run_stops_until_somebody_writes_a_behavior(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copy / "find")
    (copy / "behavior.toml").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Look, "found", False)
        with pytest.raises(BehaviorError):
            Study(copy).run("find", progress=False)
    assert not (copy / "find").exists()
    assert not (copy / "behavior.toml").exists()
    PAPER.write(copy / "behavior.toml")
    Study(copy).run("find", progress=False)
    assert Study(copy).states["find"] == "done"


def test_look_alone_leaves_the_settings_behavior_as_it_is(tmp_path: Path) -> None:
    study = Study(tmp_path / "study", small.config(**QUESTIONS))
    seen = study.look(progress=False)
    assert seen.found
    assert study.config.behavior == PAPER
    assert not (tmp_path / "study" / "behavior.toml").exists()
    assert (study.states["look"], study.states["find"]) == ("done", "to do")
    with pytest.raises(StudyError):
        study.results()
