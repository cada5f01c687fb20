"""A training leaves its model as found, and one that was cut off ends with the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sycolens import QUIET, HeadAdapter, HeadSet, PinpointConfig, load_model, organism
from sycolens.errors import ExampleError, NotFiniteError, SavedFileError
from sycolens.prompts.chat_format import CHAT
from sycolens.runs.train import applied, encoded_for, trained, write_trained
from sycolens.tune import EMBEDDED, LoraScope, PinpointTrainer

HEADS = PinpointConfig(HeadSet(["L1H1", "L2H2"]), dtype=torch.float32)
RECIPE = replace(EMBEDDED, steps=5, examples_per_step=4, at_once=4, learning_rate=3e-3, schedule="constant")


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def rows(model: Any) -> Any:
    return encoded_for(model, organism.examples("train", 24), CHAT)


@pytest.fixture(autouse=True)
def bits(model: Any) -> Any:
    """Whatever a test does, the model is as it was found."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    yield before
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def train(model: Any, rows: Any, place: Path, scope: Any = HEADS, **changes: Any) -> tuple[dict[str, Any], Any]:
    """What is trained, and the loss of every step."""
    options = {"training_config": RECIPE, "seed": 0, "compute": QUIET, **changes}
    with trained(model, scope, rows, directory=place, **options) as done:
        write_trained(done.tuned, place / "result", base="organism", how=done.how)
        return {name: value.clone() for name, value in done.tuned.state().items()}, done.losses


@pytest.mark.parametrize(
    "scope", [HEADS, replace(HEADS, rank=2), LoraScope(rank=2), "all"], ids=["heads", "low rank", "LoRA", "all"]
)
def test_a_training_that_was_cut_off_ends_with_the_same_bits(
    model: Any, rows: Any, scope: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, losses = train(model, rows, tmp_path / "whole", scope)
    step, calls = PinpointTrainer.training_step, []

    def dies(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    monkeypatch.setattr(PinpointTrainer, "training_step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(model, rows, tmp_path / "cut", scope)
    resumed, others = train(model, rows, tmp_path / "cut", scope)
    assert len(calls) == 6
    assert others == losses
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_step_on_the_way_is_a_training_of_so_many_steps(model: Any, rows: Any, tmp_path: Path) -> None:
    """At a constant rate; that is what a sweep examines."""
    train(model, rows, tmp_path / "long", keep_at=(2, 5))
    short, _ = train(model, rows, tmp_path / "short", training_config=replace(RECIPE, steps=2))
    kept = HeadAdapter.load(tmp_path / "long" / "steps" / "2" / "adapter")
    assert all(torch.equal(value, short[name]) for name, value in kept.parameters.items())
    last = HeadAdapter.load(tmp_path / "long" / "steps" / "5" / "adapter")
    assert not all(torch.equal(value, short[name]) for name, value in last.parameters.items())


@pytest.mark.parametrize("scope", [HEADS, LoraScope(), "all"], ids=["heads", "LoRA", "all"])
def test_what_was_written_is_applied_and_taken_off(
    model: Any, rows: Any, scope: Any, tmp_path: Path, bits: dict[str, torch.Tensor]
) -> None:
    state, _ = train(model, rows, tmp_path, scope)
    asked = torch.arange(6, 12)[None]
    before = model(asked)
    with applied(model, tmp_path / "result") as base:
        assert (model(asked) - before).abs().max() > 1e-4
        with base.off():
            torch.testing.assert_close(model(asked), before)
    assert torch.equal(model(asked), before)
    with applied(model, None) as base:
        assert base is None
    if scope == "all":
        path = tmp_path / "result" / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(SavedFileError, match=r"weights\.safetensors"), applied(model, tmp_path / "result"):
            pass
        assert len(state) > len(bits) / 2


@pytest.mark.parametrize("scope", [HEADS, LoraScope(), "all"], ids=["heads", "LoRA", "all"])
def test_a_training_that_overflows_is_refused(model: Any, rows: Any, scope: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError, match="learning rate"):
        train(model, rows, tmp_path, scope, training_config=replace(RECIPE, learning_rate=1e37))


def test_an_example_that_is_too_long_is_named(model: Any) -> None:
    long = replace(organism.examples("train", 1)[0])
    messages = [*long.dialogue.messages()] * 40
    with pytest.raises(ExampleError, match="0"):
        encoded_for(model, [type(long).from_messages(messages)], CHAT)
