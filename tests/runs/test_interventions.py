"""Interventions in a study: fitted, kept, attached while a model is measured, and told beside what was trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_study
import torch

from sycolens import Compute, load_model
from sycolens.errors import TuningError
from sycolens.measure.outcome import outcomes_from_record
from sycolens.report.method_rows import rows_of
from sycolens.report.terminal import tables_of
from sycolens.report.text import courses_of
from sycolens.runs import Study
from sycolens.runs.check import check_study
from sycolens.runs.context import Context
from sycolens.runs.estimate import Estimate
from sycolens.steer import Intervention, contrast_replies, fit_iti
from sycolens.verify import mean_activations

TUNE = {"methods": ["iti", "ablation"], "k": 2, "draws": 1, "strength": {"iti": 7.5}, "by_method": {}}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("steered") / "study"
    Study(place, small_study.config(tune=TUNE)).run("study", progress=False)
    return place


def test_what_is_kept_is_what_the_examples_and_pairs_say(directory: Path) -> None:
    results = Study(directory).results()
    model, heads = load_model("organism"), results.finding.effects.ranking(results.finding.metric)[:2]
    examples = Context(directory, results.config, None, None, False).examples  # type: ignore[arg-type]
    iti = Intervention.load(directory / "tune/iti-found/intervention")
    assert (iti.heads, iti.strength) == (heads, 7.5)
    torch.testing.assert_close(iti.vectors, fit_iti(contrast_replies(model, heads, examples)).vectors)
    mean = mean_activations(model, results.finding.pairs).mean[-1]
    for name in ("found", "draw0"):
        ablation = Intervention.load(directory / f"tune/ablation-{name}/intervention")
        due = torch.stack([mean[head.layer, head.index] for head in ablation.heads])
        torch.testing.assert_close(ablation.vectors, due)
    others = Intervention.load(directory / "tune/iti-draw0/intervention").heads
    assert not set(others) & set(heads)
    assert [head.layer for head in others] == [head.layer for head in heads]


def test_the_record_says_nothing_of_a_training(directory: Path) -> None:
    record = json.loads((directory / "tune/iti-found/run.json").read_text())
    assert (record["method"], record["parameters"]) == ("ITI, 2 heads", 2 * 16)
    assert not {"loss", "training", "seed", "learning_rate", "steps"} & record.keys()
    assert record["intervention"]["strength"] == 7.5


def test_a_model_is_measured_as_the_intervention_says(directory: Path) -> None:
    study = Study(directory)
    context = Context(directory, study.results().config, study.hashes, None, False)  # type: ignore[arg-type]
    saved = outcomes_from_record(json.loads((directory / "measure/ablation-found/outcome.json").read_text()))["outcome"]
    base = outcomes_from_record(json.loads((directory / "measure/base/outcome.json").read_text()))["outcome"]
    model = load_model("organism")
    with Intervention.load(directory / "tune/ablation-found/intervention").attach(model) as steered:
        found = context.eval_set.examine(
            model, base=steered, max_new_tokens=12, compute=Compute(batch_size=1, progress=False)
        )
    assert found.replies["right"].replies == saved.replies["right"].replies
    assert saved.replies["right"].replies != base.replies["right"].replies
    assert found.drift is not None
    assert saved.drift is not None
    torch.testing.assert_close(found.drift.per_text, saved.drift.per_text, atol=1e-4, rtol=1e-3)


def test_it_is_told_beside_the_others_but_trains_nothing(directory: Path) -> None:
    results = Study(directory).results()
    names = ["base", "ITI, 2 heads", "ITI, 2 layer-matched heads", "mean ablation, 2 heads"]
    rows = rows_of(results)
    assert [row.method for row in rows] == [*names, "mean ablation, 2 layer-matched heads"]
    assert not any(row.is_found or row.is_random for row in rows)
    assert [row.parameters for row in rows] == [0, 32, 32, 32, 32]
    assert all("nothing is trained" in course for _, course in courses_of(results))
    assert [list(column.cells) for column in tables_of("tune", results)[0].columns][4:] == [[""] * 4] * 2
    assert (directory / "report/report.html").exists()


def test_a_sweep_needs_something_to_train() -> None:
    config = small_study.config(tune=TUNE)
    check_study(config)
    with pytest.raises(TuningError):
        check_study(config, groups=("find", "examples", "sweep"))
    assert Estimate.of(config).costs["tune/iti-found"].examples == 0
