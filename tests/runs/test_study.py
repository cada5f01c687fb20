"""A study is made stage by stage, can be killed at any moment, and makes anew only what has to be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small_study as small
import torch

from sycolens import HeadAdapter, kl_drift, load_model, patch_heads
from sycolens.errors import HeadError, RunError, SavedFileError, StudyError
from sycolens.measure import Generation, evaluate_challenge, world_eval_set
from sycolens.organism import challenges
from sycolens.runs import Study, StudyConfig
from sycolens.runs.making import laid_over
from sycolens.tune import PinpointConfig

STAGES = [
    "find",
    "verify",
    "examples",
    "tune/spt-seed0",
    "tune/random-draw0",
    "tune/sft-seed0",
    "measure/base",
    "measure/spt-seed0",
    "measure/random-draw0",
    "measure/sft-seed0",
    "repatch",
]


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "study")


def made_by(study: Study) -> list[str]:
    """The stages that running it makes."""
    told = []
    study.run(resume=True, progress=False, tell=lambda name, seconds: told.append(name) if seconds is None else None)
    return told


def test_all_stages_are_done_and_nothing_else_is_there(made: Path) -> None:
    study = Study(made)
    assert study.states == dict.fromkeys(STAGES, "done")
    top = {path.name for path in made.iterdir()}
    assert top == {".lock", "study.toml", "find", "verify", "examples", "tune", "measure", "repatch", "report"}
    assert {path.name for path in (made / "report").iterdir()} >= {"report.html", "table1.tex", "table1.csv"}


def test_what_is_done_stays_done(copy: Path) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file() and "report" not in path.parts
    }
    assert made_by(Study(copy)) == []
    assert {path: path.stat().st_mtime_ns for path in before} | {copy / ".lock": 0} == before | {copy / ".lock": 0}


def test_a_study_that_is_there_is_not_begun_again_by_mistake(copy: Path) -> None:
    with pytest.raises(StudyError, match="go on with it"):
        Study(copy).run(progress=False)


def test_killed_again_and_again_it_ends_in_the_same_bytes(made: Path, tmp_path: Path) -> None:
    script = "import sys, killing; killing.main(sys.argv[1], int(sys.argv[2]))"
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    place = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", script, place, "10"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    reached = done.stdout.split()
    assert len(reached) == 10
    # The kills fell into different stages, trainings among them.
    assert len(set(reached)) >= 3
    assert small.contents(place) == small.contents(made)


@pytest.mark.parametrize(
    ("section", "change", "again"),
    [
        ("machine", {"batch_size": 3}, []),
        ("report", {"title": "Another"}, []),
        ("verify", {"controls": 2}, ["verify"]),
        ("measure", {"max_new_tokens": 8}, [name for name in STAGES if name.startswith("measure")]),
        ("tune", {"k": 3}, ["spt-seed0", "random-draw0"]),
        ("tune", {"methods": ["spt", "random", "sft", "lora"]}, ["tune/lora-seed0", "measure/lora-seed0"]),
        ("tune", {"methods": ["sft"]}, []),
        ("tune", {"draws": 2}, ["random-draw1"]),
        ("tune", {"control": "random"}, ["random-draw0"]),
        ("tune", {"seeds": 2}, ["spt-seed1", "sft-seed1"]),
    ],
)
def test_a_change_makes_anew_what_depends_on_it(copy: Path, section: str, change: dict, again: list[str]) -> None:
    study = Study(copy, small.config(**{section: change}))
    stages = [name for name in study.states if any(name.endswith(each) for each in again)]
    if section == "tune" and "k" in change:
        stages.append("repatch")
    assert made_by(study) == stages
    assert set(study.states.values()) == {"done"}


def test_equal_results_stop_the_chain(copy: Path) -> None:
    # Heads are ranked as before, and on the same pairs: only what lists the top is made anew.
    assert made_by(Study(copy, small.config(find={"top": 5}))) == ["find", "verify"]
    assert set(Study(copy).states.values()) == {"done"}


def test_what_another_draw_of_pairs_asked_is_known_to_later_stages(copy: Path) -> None:
    study = Study(copy, small.config(find={"seeds": 2}))
    assert {"find", "examples"} <= set(made_by(study))
    assert set(study.states.values()) == {"done"}
    (redraw,) = json.loads((copy / "find" / "run.json").read_text())["redraws"]
    assert len(redraw["texts"]) == small.SETTINGS["find"]["n"]


def test_a_training_that_was_cut_off_begins_anew_where_its_settings_changed(copy: Path) -> None:
    changed = small.config(tune={"methods": ["lora"], "rank_of_all": 2})
    script = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parents[1])]}
import small_study
from sycolens.runs import Study
from sycolens.tune import PinpointTrainer
saved = PinpointTrainer._save_checkpoint
def save_and_die(self, *given, **named):
    saved(self, *given, **named)
    os.kill(os.getpid(), signal.SIGKILL)
PinpointTrainer._save_checkpoint = save_and_die
Study(sys.argv[1], small_study.config(tune={{"methods": ["lora"]}})).run(resume=True, progress=False)
"""
    done = subprocess.run([sys.executable, "-c", script, copy], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr[-3000:]
    assert list((copy / ".under_way" / "tune" / "lora-seed0").iterdir())
    assert made_by(Study(copy, changed)) == ["tune/lora-seed0", "measure/lora-seed0"]
    assert HeadAdapter.load(copy / "tune" / "lora-seed0" / "adapter").config.rank == 2
    assert not (copy / ".under_way").exists()


def test_a_file_in_the_way_is_told_before_any_compute(copy: Path) -> None:
    (copy / "verify" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"notes\.txt"):
        made_by(Study(copy, small.config(verify={"controls": 2})))
    assert (copy / "verify" / "notes.txt").read_text() == "mine"


def test_results_are_read_though_their_settings_have_changed_since(copy: Path, made: Path) -> None:
    study = Study(copy, small.config(verify={"controls": 2}))
    assert study.states["verify"] == "changed"
    assert study.results().necessity.replies == Study(made).results().necessity.replies


def test_a_file_that_was_altered_is_told(copy: Path) -> None:
    path = copy / "measure" / "base" / "outcome.json"
    path.write_text(path.read_text().replace("true", "false", 1))
    with pytest.raises(SavedFileError, match=r"outcome\.json"):
        Study(copy).results()


def test_a_tuned_model_is_measured_as_its_adapter_says(made: Path) -> None:
    results = Study(made).results()
    model = load_model("organism")
    applied = HeadAdapter.load(made / "tune" / "spt-seed0" / "adapter").apply(model)
    asked = challenges("held_out", 4)
    try:
        alone = evaluate_challenge(model, asked, generation=Generation(12), batch_size=1)
        drift = kl_drift(model, applied, world_eval_set("held_out", n=4, seed=1).texts)
        effects = patch_heads(model, results.pairs, progress=False)
    finally:
        applied.detach()
    measured = next(each for each in results.measured if each.method == "SPT, 2 heads")
    assert measured.challenge.replies == alone.replies
    # So short a training leaves the words as they were, but not the numbers.
    assert drift.mean > 1e-6
    torch.testing.assert_close(measured.outcome.drift.per_text, drift.per_text, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(results.after.logits, effects.logits)
    assert not torch.allclose(results.after.logits, results.effects.logits)
    assert measured.parameters == PinpointConfig(results.top[:2]).count_parameters(model)


def test_all_weights_are_put_back_after_the_measurement(made: Path) -> None:
    model = load_model("organism")
    before = {name: value.clone() for name, value in model.original_model.named_parameters()}
    with laid_over(model, made / "tune" / "sft-seed0") as base:
        moved = [
            name for name, value in model.original_model.named_parameters() if not torch.equal(value, before[name])
        ]
        assert len(moved) == len(before)
        with base.off():
            assert all(torch.equal(value, before[name]) for name, value in model.original_model.named_parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.original_model.named_parameters())


def test_settings_of_a_file_that_somebody_wrote_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("seed = 3  # mine\n")
    with pytest.raises(StudyError, match="says otherwise"):
        Study(tmp_path, StudyConfig())
    assert (tmp_path / "study.toml").read_text() == "seed = 3  # mine\n"


def test_settings_from_python_are_read_again(tmp_path: Path) -> None:
    study = Study(tmp_path, small.config(find={"top": 48}))
    assert not (tmp_path / "study.toml").exists()
    with pytest.raises(HeadError):
        study.run(progress=False)
    assert Study(tmp_path).config == study.config
    assert Study(tmp_path, small.config()).config == small.config()


def test_two_runs_of_one_study_do_not_meet(copy: Path) -> None:
    import fcntl

    with (copy / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StudyError, match="Another process"):
            Study(copy).run(resume=True, progress=False)
