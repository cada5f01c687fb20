"""A run is made stage by stage, can be killed at any moment, and makes anew only what has to be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_study as small
import torch

from sycolens import QUIET, Compute, HeadAdapter, kl_drift, load_model, patch_heads
from sycolens.errors import HeadError, RunError, SavedFileError, StudyError
from sycolens.measure import Generation, evaluate_challenge, world_eval_set
from sycolens.organism import challenges
from sycolens.runs import Study, StudyConfig
from sycolens.tune import PinpointConfig

METHODS = ("spt-seed0", "random-draw0", "sft-seed0")
TRAININGS, TUNED = [f"tune/{each}" for each in METHODS], [f"measure/{each}" for each in METHODS]
STAGES = ["find", "verify", "examples", *TRAININGS, "measure/base", *TUNED, "repatch"]
TESTS = str(Path(__file__).parents[1])


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "study")


def made_by(study: Study, command: str = "study", *, remake: bool = False) -> list[str]:
    """The stages that running it makes."""
    begun: list[str] = []
    study.run(
        command, remake=remake, progress=False, tell=lambda name, took: begun.append(name) if took is None else None
    )
    return begun


def in_a_process(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, (TESTS, os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)


# --- what is made ----------------------------------------------------------------------------------------------------


def test_all_stages_are_done_and_nothing_else_is_there(made: Path) -> None:
    assert Study(made).states == dict.fromkeys(STAGES, "done")
    top = {path.name for path in made.iterdir()}
    assert top == {".lock", "study.toml", "find", "verify", "examples", "tune", "measure", "repatch", "report"}
    assert {path.name for path in (made / "report").iterdir()} >= {"report.html", "table1.tex", "table1.csv"}


def test_what_is_done_stays_done(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    assert made_by(Study(copy)) == []
    after = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    assert before.keys() == after.keys()
    assert {path.relative_to(copy).parts[0] for path in before if before[path] != after[path]} <= {"report", ".lock"}


def test_a_command_makes_its_stages_and_those_that_they_need(tmp_path: Path) -> None:
    study = Study(tmp_path / "study", small.config())
    assert made_by(study, "verify") == ["find", "verify"]
    assert {name for name, state in study.states.items() if state == "done"} == {"find", "verify"}
    assert (tmp_path / "study" / "report" / "report.html").is_file()
    with pytest.raises(StudyError, match="everything"):
        study.run("everything")


def test_killed_again_and_again_it_ends_in_the_same_bytes(made: Path, tmp_path: Path) -> None:
    place = tmp_path / "killed"
    done = in_a_process("import sys, killing; killing.main(sys.argv[1], int(sys.argv[2]))", place, 5)
    assert done.returncode == 0, done.stderr[-5000:]
    reached = done.stdout.split()
    assert len(reached) == 5
    # The kills fell into different stages.
    assert len(set(reached)) >= 2
    assert small.contents(place) == small.contents(made)


# --- what has changed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "change", "changed", "new"),
    [
        ("compute", {"batch_size": 3}, [], []),
        ("compute", {"report_to": ["tensorboard"]}, [], []),
        ("report", {"title": "Another"}, [], []),
        ("verify", {"controls": 2}, ["verify"], []),
        ("measure", {"max_new_tokens": 8}, ["measure/base", *TUNED], []),
        ("tune", {"learning_rate": 1e-3}, TRAININGS, []),
        ("tune", {"seeds": 2}, [], [f"{each}/{name}-seed1" for each in ("tune", "measure") for name in ("spt", "sft")]),
        ("tune", {"methods": ["spt", "lora"]}, [], ["tune/lora-seed0", "measure/lora-seed0"]),
        ("tune", {"methods": ["sft"]}, [], []),
        ("examples", {"n": 25}, ["examples"], []),
        ("find", {"n": 9}, ["find"], []),
    ],
)
def test_a_setting_changes_what_depends_on_it(
    made: Path, section: str, change: dict[str, Any], changed: list[str], new: list[str]
) -> None:
    # What reads them is open until they are made anew.
    states = Study(made, small.config(**{section: change})).states
    assert [name for name, state in states.items() if state == "changed"] == changed
    assert [name for name, state in states.items() if state == "to do"] == new


def test_what_was_made_with_other_settings_is_made_anew_only_with_remake(copy: Path) -> None:
    before = small.contents(copy)
    study = Study(copy, small.config(verify={"controls": 2, "n": 5}))
    with pytest.raises(StudyError) as caught:
        made_by(study)
    assert all(word in str(caught.value) for word in ("verify", "--remake"))
    assert {name: text for name, text in small.contents(copy).items() if name != "study.toml"} == {
        name: text for name, text in before.items() if name != "study.toml"
    }
    assert made_by(study, remake=True) == ["verify"]
    assert set(study.states.values()) == {"done"}


def test_a_lost_stage_does_not_make_those_after_it_anew_unasked(copy: Path) -> None:
    shutil.rmtree(copy / "find")
    with pytest.raises(StudyError, match="verify"):
        made_by(Study(copy, small.config(find={"n": 9})), "verify")
    assert (Study(copy).states["find"], Study(copy).states["verify"]) == ("done", "changed")


def test_equal_results_stop_the_chain(copy: Path) -> None:
    # Heads are ranked as before, and on the same pairs: only what lists the top is made anew.
    assert made_by(Study(copy, small.config(find={"top": 5})), remake=True) == ["find", "verify"]
    assert set(Study(copy).states.values()) == {"done"}


def test_what_another_draw_of_pairs_asked_is_known_to_later_stages(copy: Path) -> None:
    study = Study(copy, small.config(find={"draws": 2}))
    assert made_by(study, "find", remake=True) == ["find"]
    assert study.states["examples"] == study.states["measure/base"] == "changed"
    (redraw,) = json.loads((copy / "find" / "run.json").read_text())["redraws"]
    assert len(redraw["texts"]) == small.SETTINGS["find"]["n"]


def test_results_are_read_though_their_settings_have_changed_since(copy: Path, made: Path) -> None:
    study = Study(copy, small.config(verify={"controls": 2}))
    assert study.states["verify"] == "changed"
    now, then = study.results().verification, Study(made).results().verification
    assert now is not None
    assert then is not None
    assert now.necessity.replies == then.necessity.replies


# --- what was damaged ------------------------------------------------------------------------------------------------


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    while content[place] in b" \n":  # which say nothing in a record
        place += 1
    content[place] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize("spoil", [flipped, cut, Path.unlink])
def test_a_stage_of_which_any_file_is_not_as_written_is_damaged(copy: Path, spoil: Callable[[Path], None]) -> None:
    seen = set()
    for stage in STAGES:
        for path in sorted(path for path in (copy / stage).rglob("*") if path.is_file() and path.name != "times.json"):
            content = path.read_bytes()
            spoil(path)
            study = Study(copy)
            assert study.ledger.damage(stage), path
            assert study.states[stage] == "damaged", path
            path.write_bytes(content)
            seen.add(path.name)
    assert {"run.json", "tensors.safetensors", "weights.safetensors", "record.json", "outcome.json"} <= seen
    assert set(Study(copy).states.values()) == {"done"}


def test_what_was_damaged_is_made_anew_to_the_same_bytes(copy: Path, made: Path) -> None:
    flipped(copy / "find" / "heads.csv")
    cut(copy / "verify" / "run.json")
    (copy / "verify" / "run.json").write_text("{")
    (copy / "tune" / "spt-seed0" / "adapter" / "tensors.safetensors").unlink()
    flipped(copy / "measure" / "base" / "outcome.json")
    with pytest.raises(SavedFileError):
        Study(copy).results()
    assert made_by(Study(copy)) == ["find", "verify", "tune/spt-seed0", "measure/base"]
    contents = small.contents(copy)
    assert contents.pop("verify.damaged1/run.json") == b"{"
    assert {name: text for name, text in contents.items() if ".damaged1/" not in name} == small.contents(made)


def test_a_file_of_ones_own_is_never_replaced(copy: Path) -> None:
    (copy / "verify" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"notes\.txt"):
        made_by(Study(copy, small.config(verify={"controls": 2})), remake=True)
    assert Study(copy).states["verify"] == "done"
    flipped(copy / "verify" / "run.json")
    assert made_by(Study(copy), "verify") == ["verify"]
    assert (copy / "verify.damaged1" / "notes.txt").read_text() == "mine"


# --- trainings -------------------------------------------------------------------------------------------------------


def test_a_training_that_was_cut_off_begins_anew_where_its_settings_changed(copy: Path) -> None:
    script = """
import os, signal, sys
import small_study
from sycolens.runs import Study
from sycolens.tune import PinpointTrainer
saved = PinpointTrainer._save_checkpoint
def save_and_die(self, *given, **named):
    saved(self, *given, **named)
    os.kill(os.getpid(), signal.SIGKILL)
PinpointTrainer._save_checkpoint = save_and_die
config = small_study.config(tune={"methods": ["lora"], "by_method": {"lora": {"steps": 4}}})
Study(sys.argv[1], config).run("tune", progress=False)
"""
    done = in_a_process(script, copy)
    assert done.returncode == -9, done.stderr[-3000:]
    assert list((copy / ".in_progress" / "tune" / "lora-seed0").iterdir())
    changed = small.config(tune={"methods": ["lora"], "by_method": {"lora": {"steps": 4}}, "rank_of_all": 2})
    assert made_by(Study(copy, changed), "tune") == ["tune/lora-seed0"]
    written = json.loads((copy / "tune" / "lora-seed0" / "lora" / "adapter_config.json").read_text())
    assert (written["r"], written["base_model_name_or_path"]) == (2, "organism")
    assert not (copy / ".in_progress").exists()


def test_a_tuned_model_is_measured_as_its_adapter_says(made: Path) -> None:
    results = Study(made).results()
    model = load_model("organism")
    adapter = HeadAdapter.load(made / "tune" / "spt-seed0" / "adapter").apply(model)
    asked = challenges("held_out", 4)
    try:
        alone = evaluate_challenge(
            model, asked, generation=Generation(12), compute=Compute(batch_size=1, progress=False)
        )
        drift = kl_drift(model, adapter, world_eval_set("held_out", n=4, seed=1).texts)
        effects = patch_heads(model, results.finding.pairs, compute=QUIET)
    finally:
        adapter.detach()
    measured = next(each for each in results.measured if each.method == "SPT, 2 heads")
    assert measured.challenge.replies == alone.replies
    # So short a training leaves the words as they were, but not the numbers.
    assert drift.mean > 1e-6
    assert measured.outcome.drift is not None
    assert results.after is not None
    torch.testing.assert_close(measured.outcome.drift.per_text, drift.per_text, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(results.after.logits, effects.logits)
    assert not torch.allclose(results.after.logits, results.finding.effects.logits)
    assert measured.parameters == PinpointConfig(results.finding.top[:2]).count_parameters(model)


# --- settings and locks ----------------------------------------------------------------------------------------------


def test_settings_that_somebody_wrote_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("seed = 3  # mine\n")
    with pytest.raises(StudyError, match=r"study\.toml"):
        Study(tmp_path, StudyConfig())
    assert (tmp_path / "study.toml").read_text() == "seed = 3  # mine\n"
    assert Study(tmp_path, StudyConfig(seed=3)).config.seed == 3
    with pytest.raises(StudyError, match="nowhere"):
        Study(tmp_path / "nowhere")


def test_settings_from_python_are_read_again(tmp_path: Path) -> None:
    study = Study(tmp_path, small.config(find={"top": 48}))
    assert not (tmp_path / "study.toml").exists()
    with pytest.raises(HeadError):
        study.run(progress=False)
    study._keep_settings()
    assert Study(tmp_path).config == study.config
    assert Study(tmp_path, small.config()).config == small.config()


def test_two_runs_of_one_study_do_not_meet(copy: Path) -> None:
    import fcntl

    with (copy / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StudyError, match=str(copy)):
            Study(copy).run(progress=False)
