"""Which stages a run has, in which order, and on which files they depend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sycolens.errors import QuestionError, SavedFileError, StudyError
from sycolens.runs import StudyConfig, plan
from sycolens.runs.plan import COMPARISON, FIND, stages_of
from sycolens.runs.provenance import OWN_SETS, FileHashes, commit_of_hub, weights_of
from sycolens.runs.stage import Stage
from sycolens.runs.trainings import Training, trainings_of, trials_of

EVERY = {"methods": ["sft", "random", "spt", "lora", "spt_lora"]}


def stages(**sections: Any) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages_of(StudyConfig.of(sections), FileHashes())}


def test_every_method_is_trained_with_every_seed_but_a_draw_with_one() -> None:
    config = StudyConfig.of({"seed": 5, "tune": {"methods": ["sft", "random", "spt"], "draws": 3, "seeds": 2}})
    assert [(run.stage, run.seed) for run in trainings_of(config)] == [
        ("tune/spt-seed5", 5),
        ("tune/spt-seed6", 6),
        ("tune/random-draw0", 5),
        ("tune/random-draw1", 6),
        ("tune/random-draw2", 7),
        ("tune/sft-seed5", 5),
        ("tune/sft-seed6", 6),
    ]


def test_an_intervention_is_fitted_once_to_the_found_heads_and_to_every_draw_of_others() -> None:
    tune = {"methods": ["ablation", "iti", "spt"], "draws": 2, "seeds": 3}
    config = StudyConfig.of({"seed": 5, "tune": tune, "sweep": {"learning_rates": [1e-3], "seeds": 1}})
    assert [(run.stage, run.draw) for run in trainings_of(config)][3:] == [
        ("tune/iti-found", 0),
        ("tune/iti-draw0", 0),
        ("tune/iti-draw1", 1),
        ("tune/ablation-found", 0),
        ("tune/ablation-draw0", 0),
        ("tune/ablation-draw1", 1),
    ]
    assert {trial.kind for trial in trials_of(config)} == {"spt"}
    assert {"measure/iti-found", "measure/iti-draw1"} < stages(tune=tune).keys()


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"k": 3}, {"iti", "caa", "projection", "ablation"}),
        ({"control": "random"}, {"iti", "caa", "projection", "ablation"}),
        ({"contrast": "prompts"}, {"iti", "caa", "projection"}),
        ({"direction": "probe"}, {"iti", "projection"}),
        ({"strength": {"caa": 2.0}}, {"caa"}),
        ({"learning_rate": 1e-3, "steps": 3, "examples_per_step": 2, "rank": 2, "matrices": "QO", "draws": 2}, set()),
    ],
)
def test_an_intervention_depends_on_what_it_uses(change: dict[str, Any], kinds: set[str]) -> None:
    tune = {"methods": ["iti", "caa", "projection", "ablation"], "draws": 1}
    before, after = stages(tune=tune), stages(tune=tune | change)
    trainings = trainings_of(StudyConfig.of({"tune": tune}))
    changed = [run for run in trainings if before[run.stage].settings() != after[run.stage].settings()]
    assert {run.kind for run in changed} == kinds
    # How others are drawn is nothing to what is fitted to the found heads.
    assert {run.heads for run in changed} == (
        {"other"} if "control" in change else {"found", "other"} if kinds else set()
    )


@pytest.mark.parametrize("tune", [{"by_method": {"iti": {"steps": 3}}}, {"strength": {"projection": 1.0}}])
def test_what_an_intervention_does_not_have_is_no_setting_of_it(tune: dict[str, Any]) -> None:
    with pytest.raises(StudyError):
        StudyConfig.of({"tune": tune})


def test_every_method_gets_every_learning_rate_as_often() -> None:
    sweep = {"learning_rates": [1e-3, 1e-2], "seeds": 2, "ks": [2, 4]}
    trials = trials_of(StudyConfig.of({"tune": {**EVERY, "draws": 3}, "sweep": sweep}))
    assert len({trial.stage for trial in trials}) == len(trials)
    for rate in (1e-3, 1e-2):
        counts: dict[tuple[str, int | None], int] = {}
        for trial in (trial for trial in trials if trial.learning_rate == rate):
            counts[trial.kind, trial.k] = counts.get((trial.kind, trial.k), 0) + 1
        due: dict[tuple[str, int | None], int] = {("spt", 2): 2, ("spt", 4): 2}
        assert counts == due | {("spt_lora", None): 2, ("random", None): 3, ("lora", None): 2, ("sft", None): 2}
    assert [trial.seed for trial in trials if trial.kind == "random"] == [0, 1, 0] * 2


def test_stages_come_after_those_that_they_read() -> None:
    seen: set[str] = set()
    for stage in stages(tune=EVERY).values():
        assert set(stage.after) <= seen
        seen.add(stage.name)
    assert {"repatch", COMPARISON} <= seen
    assert "repatch" not in stages(tune={"methods": ["lora"]})


def test_who_trains_all_weights_does_not_ask_which_heads_were_found() -> None:
    made = stages(tune={**EVERY, "k": 4})
    for name in ("spt-seed0", "random-draw0"):
        assert made[f"tune/{name}"].after == {"find": "effects", "examples": "all"}
    for name in ("lora-seed0", "sft-seed0"):
        assert made[f"tune/{name}"].after == {"examples": "all"}
    # As many as were found.
    assert stages()["tune/spt-seed0"].after[FIND] == "all"


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"k": 3}, {"spt", "spt_lora", "random"}),
        ({"mlps": [1]}, {"spt", "random"}),
        ({"rank": 2}, {"spt_lora"}),
        ({"rank_of_all": 2}, {"lora"}),
        ({"alpha": 2.0}, {"spt_lora", "lora"}),
        ({"matrices": "QO"}, {"spt", "spt_lora", "random"}),
        ({"control": "random"}, {"random"}),
        ({"learning_rate": 1e-3}, {"spt", "spt_lora", "random", "lora", "sft"}),
        ({"steps": 3}, {"spt", "spt_lora", "random", "lora", "sft"}),
        ({"by_method": {"sft": {"learning_rate": 1e-3}}}, {"sft"}),
        ({"by_method": {"lora": {"steps": 3}}}, {"lora"}),
        ({"at_once": 2}, set()),
        ({"draws": 5, "seeds": 2}, set()),
    ],
)
def test_a_training_depends_on_what_its_method_uses(change: dict[str, Any], kinds: set[str]) -> None:
    before, after = stages(tune=EVERY), stages(tune=EVERY | change)
    trainings = trainings_of(StudyConfig.of({"tune": EVERY}))
    changed = {run.kind for run in trainings if before[run.stage].settings() != after[run.stage].settings()}
    assert changed == kinds


def test_a_trial_depends_on_its_own_rate_alone() -> None:
    one, two = ({"learning_rates": rates, "steps": [2, 4]} for rates in ([1e-3], [1e-3, 1e-2]))
    name = Training("spt", 0, 0, learning_rate=1e-3).stage
    before, after = stages(sweep=one), stages(sweep=two)
    assert before[name].settings() == after[name].settings()
    assert before[COMPARISON].settings() != after[COMPARISON].settings()
    assert before[name].settings() != stages(sweep=one | {"steps": [2, 5]})[name].settings()


# --- files -----------------------------------------------------------------------------------------------------------


def named_by(path: Path) -> dict[str, dict[str, Any]]:
    """Settings that name a file, by the stage that depends on it."""
    name = str(path)
    return {
        "find": {"find": {"questions": name}},
        "verify": {"verify": {"questions": name}},
        "examples": {"examples": {"source": name}},
        "measure/base": {"measure": {"sources": [{"questions": "mmlu"}, {"questions": name}]}},
        "measure/spt-seed0": {"measure": {"texts": name}},
        COMPARISON: {"measure": {"sources": [{"questions": name}]}},
    }


@pytest.mark.parametrize("stage", ["find", "verify", "examples", "measure/base", "measure/spt-seed0", COMPARISON])
def test_a_file_of_another_content_is_another_input(tmp_path: Path, stage: str) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "quiz.jsonl", tmp_path / "folder"):
        file = path / "deep.csv" if path.is_dir() else path
        inputs = []
        for text in ("one", "two", "one"):
            file.write_text(text)
            inputs.append(stages(**named_by(path)[stage])[stage].settings())
        assert inputs[0] != inputs[1]
        assert inputs[0] == inputs[2]


def test_a_folder_of_too_many_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST_FILES", 2)
    for number in range(3):
        (tmp_path / str(number)).write_text("")
    with pytest.raises(QuestionError, match=str(tmp_path)):
        stages(find={"questions": str(tmp_path)})["find"].settings()


def test_a_model_of_other_weights_is_another_input(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("one")
    (tmp_path / ".cache").mkdir()
    before = stages(model={"name": str(tmp_path)})["find"].settings()
    (tmp_path / ".notes").write_text("mine")
    assert stages(model={"name": str(tmp_path)})["find"].settings() == before
    (tmp_path / "model.safetensors").write_text("two")
    assert stages(model={"name": str(tmp_path)})["find"].settings() != before


def test_a_large_file_is_hashed_once_unless_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sycolens.runs.provenance.LARGE", 3)
    path, kept, small = tmp_path / "weights", tmp_path / "hashes.json", tmp_path / "small"
    path.write_text("one")
    small.write_text("1")
    first = FileHashes(kept).of(path)
    FileHashes(kept).of(small)
    assert str(small) not in kept.read_text()
    monkeypatch.setattr("sycolens.runs.provenance.hash_of", lambda path: "anew")
    assert FileHashes(kept).of(path) == first
    path.write_text("two, longer")
    assert FileHashes(kept).of(path) == "anew"
    for spoiled in ("[]", "{", '{"a": 1}', f'{{"{path}": [1]}}'):
        kept.write_text(spoiled)
        assert FileHashes(kept).of(path) == "anew"
    with pytest.raises(SavedFileError, match="nowhere"):
        FileHashes().of(tmp_path / "nowhere")


def test_a_commit_stands_for_itself_and_what_was_fetched_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef" * 2 + "01234567"
    assert commit_of_hub("some/model", commit) == commit
    assert weights_of("some/model", None, FileHashes()) == {"commit": None}
    (tmp_path / "models--some--model" / "refs").mkdir(parents=True)
    (tmp_path / "models--some--model" / "refs" / "main").write_text(commit)
    assert weights_of("some/model", None, FileHashes()) == {"commit": commit}


@pytest.mark.parametrize("stage", ["look", "find", "verify", "examples", "measure/base"])
def test_other_facts_in_the_library_are_another_input_of_what_asks_them(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {"sources": [{"questions": "mmlu"}, {"questions": "general"}]}
    sections = {"examples": {"source": "general"}, "measure": sources}
    section = stage.split("/")[0]
    named = {section: sections.get(section, {"questions": "general"})}
    other = tmp_path / "general.toml"
    other.write_bytes(OWN_SETS["general"].read_bytes() + b"\n")
    before, before_elsewhere = (stages(**each)[stage].settings() for each in (named, {}))
    monkeypatch.setitem(OWN_SETS, "general", other)
    after, after_elsewhere = (stages(**each)[stage].settings() for each in (named, {}))
    assert before != after
    assert before_elsewhere == after_elsewhere
    # A record is the same wherever the library is installed.
    assert str(tmp_path) not in json.dumps(after)
