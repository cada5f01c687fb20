"""A study is asked for whole, and every value out of its range is named by its place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sycolens.errors import StudyError
from sycolens.runs import StudyConfig
from sycolens.runs.opening import begin_study, open_study
from sycolens.runs.section import LARGEST_SEED, MOST
from sycolens.runs.sections import TrainingSection
from sycolens.runs.settings import parse_settings
from sycolens.runs.train import training_config_for
from sycolens.tune import EMBEDDED, PAPER

OUT_OF_RANGE: dict[str, list[object]] = {
    "seed": ["-1", LARGEST_SEED, "1.0", "true", "x"],
    "model.name": ["''", 3],
    "model.template_options": ["{x = nan}", "{x = []}"],
    "find.n": [1, 0, -5, MOST + 1, "2.0", "many"],
    "find.draws": [0, 101],
    "find.top": [0, MOST + 1],
    "find.fdr": [0, 1, -0.1, "nan", "inf"],
    "verify.n": [1],
    "verify.steps": ["[]", "[-1]", "[0.5]", f"[{MOST + 1}]", 3],
    "verify.controls": [0, 10_001],
    "verify.max_new_tokens": [0, MOST + 1],
    "examples.n": [0],
    "examples.concede": [1, -0.1, "nan", "inf", "'half'"],
    "examples.answer": ["'middle'", 1],
    "examples.known": [1, "'yes'"],
    "examples.openings": [
        "{defend = ['Sure.']}",
        "{defend = [], concede = ['Sorry.']}",
        "{defend = [' '], concede = ['No']}",
    ],
    "measure.paraphrases": [-1, 15, 1.5],
    "measure.turns": [0, 21, 1.5, "true"],
    "measure.opinions": ["'file.jsonl'", "{n = 4}", "{source = ''}", "{source = 'x', n = 1}"],
    "measure.feedback": ["{source = 'x'}"],
    "examples.rehearsal": [0, "1.5"],
    "tune.methods": ["[]", "'spt'", "['spt', 'spt']"],
    "tune.k": [0],
    "tune.matrices": ["''", "X", "qk", "QKVOQ"],
    "tune.mlps": ["[-1]"],
    "tune.rank": [0],
    "tune.rank_of_all": [0],
    "tune.alpha": [0, -1, 11, "nan"],
    "tune.draws": [0, 1001],
    "tune.seeds": [0, 1001],
    "tune.learning_rate": [0, -0.001, 11, "nan", "inf"],
    "tune.steps": [0, MOST + 1],
    "tune.examples_per_step": [0],
    "tune.at_once": [0],
    "tune.by_method.spt.steps": [0],
    "tune.by_method.sft.learning_rate": [0],
    "measure.n": [1],
    "measure.task_limit": [0],
    "measure.sources": ["[{n = 1}]", "['mmlu']"],
    "sweep.learning_rates": ["[]", "[0.0]", "[1e-3, 1e-4]", "[1e-3, 1e-3]", "[nan]"],
    "sweep.steps": ["[]", "[0, 1]", "[2, 1]", "[1, 1]"],
    "sweep.ks": ["[]", "[0]", "[4, 2]"],
    "sweep.seeds": [0, 101],
    "sweep.n_validation": [1],
    "sweep.n": [1],
    "report.examples": [-1, 1001],
    "compute.batch_size": [0],
    "compute.max_rows": [1],
}


@pytest.mark.parametrize(
    ("place", "value"), [(place, value) for place in OUT_OF_RANGE for value in OUT_OF_RANGE[place]]
)
def test_a_value_out_of_range_is_named_by_its_place(place: str, value: object) -> None:
    with pytest.raises(StudyError) as caught:
        StudyConfig.of(parse_settings([f"{place}={value}"]), where="study.toml")
    section, _, key = place.partition(".")
    assert str(caught.value).startswith(f"study.toml: {section}")
    assert key.split(".")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("content", "due"),
    [
        ({"fnd": {}}, ("fnd", "seed", "find")),
        ({"find": {"seeds": 3}}, ("find.seeds", "draws")),
        ({"measure": {"sources": [{"seeds": 3}]}}, ("measure.sources.0.seeds",)),
        ({"find": {"n": 0}, "verify": {"controls": 0}}, ("find.n", "verify.controls")),
        ({"find": {"pairs": "p", "questions": "mmlu"}}, ("find", "pairs", "questions")),
        ({"find": {"pairs": "p", "split": "test"}}, ("find", "pairs", "split")),
        ({"compute": {"device": "cpu", "device_map": "auto"}}, ("compute", "device_map")),
        ({"find": 3}, ("find", "3")),
        ({"report": {"title": "x" * 10_000, "examples": "x" * 10_000}}, ("report.examples",)),
    ],
)
def test_every_mistake_is_named(content: dict[str, Any], due: tuple[str, ...]) -> None:
    with pytest.raises(StudyError) as caught:
        StudyConfig.of(content)
    assert all(word in str(caught.value) for word in due)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("model", ["organism", "organism-gqa", "meta-llama/Llama-2-7b-chat-hf", "./it's mine"])
def test_what_init_writes_is_a_study(tmp_path: Path, model: str) -> None:
    path = begin_study(tmp_path, model=model)
    assert StudyConfig.read(path).model.name == model
    with pytest.raises(StudyError, match=r"study\.toml"):
        begin_study(tmp_path)
    begin_study(tmp_path, model="other", overwrite=True)
    assert StudyConfig.read(path).model.name == "other"


@pytest.mark.parametrize("model", ['a"b', "a\\b", "a\nb", "a\x00b", "a\x7fb"])
def test_a_name_that_no_model_has_is_refused(tmp_path: Path, model: str) -> None:
    with pytest.raises(StudyError, match="model"):
        begin_study(tmp_path, model=model)
    assert not list(tmp_path.iterdir())


def test_every_setting_that_a_template_comments_out_is_one(tmp_path: Path) -> None:
    lines = begin_study(tmp_path, model="some/model").read_text().splitlines()
    hidden = [line.removeprefix("# ") for line in lines]
    settings = [
        line
        for line in hidden
        if line.startswith("[") or line.split("=")[0].strip().isidentifier() or line[:3] in ("  {", "]")
    ]
    whole = StudyConfig.of(tomllib.loads("\n".join(settings).replace('device_map = "auto"', "")))
    rates = {"spt": TrainingSection(learning_rate=3e-5, steps=120), "lora": TrainingSection(learning_rate=3e-4)}
    assert whole.tune.by_method == rates
    assert (whole.find.top, whole.compute.device) == (32, "cuda")


def test_pairs_of_ones_own_take_the_place_of_a_templates_questions(tmp_path: Path) -> None:
    changes = parse_settings(["model.name=some/model", "find.pairs=pairs.jsonl"])
    found = open_study(tmp_path / "new", changes).config.find
    assert (found.pairs, found.questions) == ("pairs.jsonl", None)
    (tmp_path / "study.toml").write_text('find.questions = "mmlu"')
    with pytest.raises(StudyError, match="pairs"):
        open_study(tmp_path, changes)


def test_a_method_is_trained_the_models_usual_way_but_for_what_is_set() -> None:
    assert training_config_for(StudyConfig.of({"model": {"name": "some/model"}}), "spt") == PAPER
    own = {"steps": 7, "learning_rate": 1e-4, "by_method": {"sft": {"learning_rate": 1e-5}}}
    config = StudyConfig.of({"tune": own})
    spt, sft = training_config_for(config, "spt"), training_config_for(config, "sft")
    assert (spt.steps, spt.learning_rate, sft.steps, sft.learning_rate) == (7, 1e-4, 7, 1e-5)
    assert (spt.schedule, spt.examples_per_step) == (EMBEDDED.schedule, EMBEDDED.examples_per_step)
