"""Heads that another way selected are trained as found ones are, and the run says which they were."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import small_study
import torch
from transformers import AutoModelForCausalLM

from sycolens import HeadScores, attribute_heads, load_model, organism
from sycolens.distributed import ALONE
from sycolens.errors import StudyError
from sycolens.find import Finding
from sycolens.runs import Study, StudyConfig
from sycolens.runs.context import Context
from sycolens.runs.plan import stages_of
from sycolens.runs.stage import Ledger
from sycolens.runs.stages import select
from sycolens.runs.trainings import Training, trainings_of
from sycolens.storage import read_json
from sycolens.tune import HeadAdapter

TUNE = {
    "methods": ["spt"],
    "selections": ["gradient", "probes"],
    "k": 2,
    "examples_per_step": 4,
    "by_method": {"spt": {"steps": 5}},
}


@pytest.fixture(scope="module")
def study(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The small study, with two selections; what was found and verified is taken over."""
    directory = tmp_path_factory.mktemp("studies") / "selected"
    shutil.copytree(made, directory)
    config = small_study.config(tune=TUNE)
    (directory / "study.toml").unlink()
    study = Study(directory, config)
    study.run(progress=False, remake=True)
    return study


def test_every_selection_is_trained_with_every_seed_after_the_found_heads() -> None:
    config = small_study.config(tune={**TUNE, "methods": ["spt", "random"], "seeds": 2, "draws": 1})
    assert [training.stage for training in trainings_of(config)] == [
        "tune/spt-seed0",
        "tune/spt-seed1",
        "tune/spt-gradient-seed0",
        "tune/spt-gradient-seed1",
        "tune/spt-probes-seed0",
        "tune/spt-probes-seed1",
        "tune/random-draw0",
    ]
    assert Training("spt", 0, 0).stage == "tune/spt-seed0"


def test_a_run_records_and_trains_the_heads_that_each_way_selected(study: Study) -> None:
    finding = Finding.load(study.directory / "find")
    expected = attribute_heads(load_model("organism"), finding.pairs, metric=finding.metric)
    for by in ("gradient", "probes"):
        record = study.ledger.record(f"select/{by}")
        scores = HeadScores.load(study.directory / "select" / by / "scores")
        assert record["top"] == [str(head) for head in scores.top(2)]
        assert record["agreement"]["heads"] == 48
        adapter = HeadAdapter.load(study.directory / f"tune/spt-{by}-seed0" / "adapter")
        assert set(adapter.config.heads) == set(scores.top(2))
        assert study.ledger.record(f"tune/spt-{by}-seed0")["method"] == f"SPT, 2 heads by {by}"
        assert scores.selection == by
    assert HeadScores.load(study.directory / "select/gradient/scores").ranking() == expected.ranking()


def test_methods_stand_beside_each_other_in_results_and_report(study: Study) -> None:
    methods = list(study.results().by_method)
    assert methods == ["base", "SPT, 2 heads", "SPT, 2 heads by gradient", "SPT, 2 heads by probes"]
    page = (study.directory / "report/report.html").read_text()
    for by in ("gradient", "probes"):
        assert f"SPT, 2 heads by {by}" in page
        assert ", ".join(study.ledger.record(f"select/{by}")["top"]) in page
    rows = read_json(study.directory / "select/probes/run.json")
    assert rows["samples"] > 10


def test_probes_ask_no_question_of_the_evaluation(study: Study) -> None:
    context = Context(study.directory, study.config, study.hashes, ALONE, False)
    probed = {each.question.unit for each in select._probed(context)}
    evaluated = {each.unit for _, drawn in context.evaluations for each in drawn.asked}
    found_on = {each.unit for each in organism.questions("train")}
    assert probed
    assert not probed & (evaluated | found_on)


def test_a_selection_added_later_leaves_what_is_done(study: Study) -> None:
    fewer = small_study.config(tune={**TUNE, "selections": ["gradient"]})
    one = Ledger(study.directory, stages_of(fewer, study.hashes))
    assert {one.states[name] for name in ("find", "select/gradient", "tune/spt-seed0")} == {"done"}
    assert one.states["tune/spt-gradient-seed0"] == "done"


@pytest.mark.parametrize(
    ("tune", "named"),
    [
        ({"methods": ["sft"], "selections": ["gradient"]}, "spt"),
        ({"methods": ["spt"], "selections": ["weights"]}, "base"),
        ({"methods": ["spt"], "base": "organism"}, "base"),
        ({"methods": ["spt"], "selections": ["probes", "probes"]}, "twice"),
        ({"methods": ["spt"], "selections": ["luck"]}, "luck"),
    ],
)
def test_settings_that_cannot_be_are_refused(tune: dict[str, Any], named: str) -> None:
    with pytest.raises(StudyError, match=named):
        StudyConfig.of({"tune": tune})


def test_weights_are_compared_with_the_base_that_is_named(tmp_path: Path, checkpoint: Any) -> None:
    """The embedded model with one head's values enlarged is the model, the embedded one the base."""
    place = tmp_path / "moved"
    shutil.copytree(organism.directory("mha"), place)
    moved = AutoModelForCausalLM.from_pretrained(place)
    with torch.no_grad():
        moved.model.layers[3].self_attn.v_proj.weight[16:32] *= 1.01
    moved.save_pretrained(place)
    config = small_study.config(
        model={"name": str(place)},
        find={"n": 8, "draws": 1, "top": 4, "questions": "organism"},
        tune={**TUNE, "selections": ["weights"], "base": "organism", "k": 1},
    )
    study = Study(tmp_path / "run", config)
    names = [stage.name for stage in study.needed("tune") if stage.name.startswith("select/")]
    assert names == ["select/weights"]
    study._make_stages("find", remake=False, processes=ALONE, progress=False, tell=lambda stage, seconds: None)
    made = select.make(Context(study.directory, config, study.hashes, ALONE, False), "weights")
    assert made.record["top"] == ["L3H1"]
