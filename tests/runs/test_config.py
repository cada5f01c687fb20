"""Settings are checked whole, and every mistake is named by its place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sycolens.errors import StudyError
from sycolens.runs import StudyConfig
from sycolens.runs.config import TrainingSection
from sycolens.runs.context import runs_of
from sycolens.runs.stages import stages_of
from sycolens.runs.template import begin_study
from sycolens.tune import EMBEDDED, PAPER


@pytest.mark.parametrize("model", ["organism", "meta-llama/Llama-2-7b-chat-hf"])
def test_what_init_writes_is_a_study(tmp_path: Path, model: str) -> None:
    config = StudyConfig.read(begin_study(tmp_path, model=model))
    assert config.model.name == model
    assert config.tune.methods[0] == "spt"
    with pytest.raises(StudyError, match="is there already"):
        begin_study(tmp_path)


def test_every_comment_out_setting_of_the_template_is_one(tmp_path: Path) -> None:
    lines = begin_study(tmp_path, model="some/model").read_text().splitlines()
    hidden = [line.removeprefix("# ") for line in lines]
    settings = [
        line
        for line in hidden
        if line.startswith("[") or line.split("=")[0].strip().isidentifier() or line[:3] in ("  {", "]")
    ]
    whole = StudyConfig.of(tomllib.loads("\n".join(settings)))
    assert whole.tune.training_configs == {
        "spt": TrainingSection(learning_rate=3e-5, steps=120),
        "lora": TrainingSection(learning_rate=3e-4),
    }
    assert whole.find.top == 32
    assert whole.machine.device == "cuda"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"fnd": {}}, "fnd is no setting; there are seed, model, find"),
        ({"find": {"pairs": 3}}, "find.pairs is no setting; there are questions, subset, split, n"),
        ({"find": {"n": 1}}, "find.n = 1: input should be greater than or equal to 2"),
        ({"find": {"n": "many"}}, "find.n = 'many': input should be a valid integer"),
        ({"find": {"metric": "share"}}, "find.metric = 'share': input should be 'logit_share'"),
        ({"tune": {"methods": []}}, "tune.methods = []: list should have at least 1 item"),
        ({"tune": {"methods": ["spt", "spt"]}}, "a method is named twice"),
        ({"tune": {"training_configs": {"spt": {"learning_rate": 0.0}}}}, "tune.courses.spt.learning_rate = 0.0"),
        ({"tune": {"training_configs": {"dpo": {}}}}, "tune.courses.dpo"),
        ({"report": {"formats": ["jpg"]}}, "report.formats.0 = 'jpg'"),
    ],
)
def test_a_mistake_is_named_by_its_place(content: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError) as caught:
        StudyConfig.of(content, where="study.toml")
    assert words in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(StudyError, match=r"find\.n.*verify\.controls"):
        StudyConfig.of({"find": {"n": 0}, "verify": {"controls": 0}})


@pytest.mark.parametrize("content", ["find = [", "\xff"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StudyError, match="cannot be read as a study"):
        StudyConfig.read(path)


def test_courses_are_the_models_usual_ones_but_for_what_is_said() -> None:
    assert StudyConfig.of({"model": {"name": "some/model"}}).training_config("spt") == PAPER
    own = StudyConfig.of({"tune": {"training_configs": {"sft": {"learning_rate": 1e-5}}}})
    assert own.training_config("spt") == EMBEDDED
    assert own.training_config("sft").learning_rate == 1e-5
    assert own.training_config("sft").steps == EMBEDDED.steps


def test_other_heads_are_of_the_found_heads_layers_unless_asked_otherwise() -> None:
    config = StudyConfig()
    assert (config.verify.control, config.tune.control) == ("layer_matched", "layer_matched")
    other = StudyConfig.of({"verify": {"control": "random"}, "tune": {"control": "random"}})
    assert (other.verify.control, other.tune.control) == ("random", "random")
    with pytest.raises(StudyError, match="norm_matched"):
        StudyConfig.of({"tune": {"control": "norm_matched"}})


def test_every_method_is_trained_with_every_seed_but_a_draw_with_one() -> None:
    config = StudyConfig.of({"seed": 5, "tune": {"methods": ["sft", "random", "spt"], "draws": 3, "seeds": 2}})
    assert [(run.stage, run.seed) for run in runs_of(config)] == [
        ("tune/spt-seed5", 5),
        ("tune/spt-seed6", 6),
        ("tune/random-draw0", 5),
        ("tune/random-draw1", 6),
        ("tune/random-draw2", 7),
        ("tune/sft-seed5", 5),
        ("tune/sft-seed6", 6),
    ]


def test_stages_come_after_those_that_they_read() -> None:
    config = StudyConfig.of({"tune": {"methods": ["spt", "spt_lora", "random", "lora", "sft"]}})
    seen: set[str] = set()
    for stage in stages_of(config):
        assert set(stage.after) <= seen
        seen.add(stage.name)
    assert "repatch" in seen
    without = stages_of(StudyConfig.of({"tune": {"methods": ["lora"]}}))
    assert "repatch" not in {stage.name for stage in without}


def test_a_file_of_another_content_is_another_input(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    config = StudyConfig.of({"find": {"questions": str(path)}})
    inputs = []
    for text in ("one", "two", "one"):
        path.write_text(text)
        inputs.append(stages_of(config)[0].settings)
    assert inputs[0] != inputs[1]
    assert inputs[0] == inputs[2]
