"""Trackers hear of every training under its own name, change nothing, and are refused by name before any compute."""

from __future__ import annotations

import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import small_study
import torch
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from sycolens import Compute, HeadSet, PinpointConfig, load_model, organism
from sycolens.errors import StudyError
from sycolens.prompts.chat_format import CHAT
from sycolens.runs import Study
from sycolens.runs.check import check_study
from sycolens.runs.tracking import require_trackers
from sycolens.runs.train import encoded_for, trained
from sycolens.tune import EMBEDDED

STEPS = 3
CONFIG = small_study.config(
    find={"n": 4}, tune={"methods": ["spt", "sft"], "steps": STEPS, "by_method": {}}, compute={"report_to": ["heard"]}
)
HEARD: dict[str, list[tuple[int, float]]] = {}


class Heard(TrainerCallback):  # type: ignore[misc]
    """A tracker that remembers."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **others: Any) -> None:
        if "loss" in logs:
            HEARD.setdefault(args.run_name, []).append((state.global_step, float(logs["loss"])))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, float]]]:
    HEARD.clear()
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "heard", Heard)
    monkeypatch.setattr("transformers.integrations.get_available_reporting_integrations", lambda: ["heard"])
    return HEARD


def losses_of(place: Path) -> list[tuple[int, float]]:
    _, *lines = (place / "loss.csv").read_text().split()
    return [(int(step), float(loss)) for step, loss in (line.split(",") for line in lines)]


def test_every_training_of_a_run_is_heard_of_under_its_stage(
    heard: dict[str, list[tuple[int, float]]], tmp_path: Path
) -> None:
    study = Study(tmp_path / "followed", CONFIG)
    study.run("tune", progress=False)
    assert set(heard) == {"tune/spt-seed0", "tune/sft-seed0"}
    for name, losses in heard.items():
        assert len(losses) == STEPS
        assert losses == losses_of(tmp_path / "followed" / name)
    # Without trackers the same stages are done, and would be the same bytes.
    alone = CONFIG.model_copy(update={"compute": small_study.config().compute})
    assert [state for state in Study(tmp_path / "followed", alone).states.values() if state == "changed"] == []
    Study(tmp_path / "alone", alone).run("tune", progress=False)
    followed, own = (small_study.contents(tmp_path / name) for name in ("followed", "alone"))
    assert [name for name in own if name.startswith("tune/") and own[name] != followed[name]] == []


def test_unknown_or_absent_trackers_are_named_before_any_compute(
    heard: dict[str, list[tuple[int, float]]], tmp_path: Path
) -> None:
    require_trackers([])
    require_trackers(["heard"])
    for name, word in (("tensorbored", "does not know"), ("neptune", "not installed")):
        config = small_study.config(compute={"report_to": [name]})
        for group in ("tune", "sweep"):
            with pytest.raises(StudyError, match=f"{name}.*{word}"):
                check_study(config, groups={group})
        check_study(config, groups={"find", "verify"})
    with pytest.raises(StudyError, match="tensorbored"):
        Study(tmp_path / "run", small_study.config(compute={"report_to": ["tensorbored"]})).run("tune")
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {".lock", "study.toml"}


@pytest.fixture(scope="module")
def train() -> Any:
    """Trains for a few steps, as the work of a name."""
    model = load_model("organism")
    rows = encoded_for(model, organism.examples("train", 12), CHAT)
    scope = PinpointConfig(HeadSet(["L1H1"]), dtype=torch.float32)
    config = replace(EMBEDDED, steps=STEPS, examples_per_step=4, at_once=4)

    def once(folder: Path, name: str, *, report_to: list[str]) -> list[float]:
        options: dict[str, Any] = {
            "training_config": config,
            "seed": 0,
            "report_to": report_to,
            "logs": folder / "logs",
        }
        compute = Compute(progress=False, work=name)
        with trained(model, scope, rows, directory=folder / name, compute=compute, **options) as done:
            return list(done.losses)

    return once


def events(folder: Path) -> list[Any]:
    """What TensorBoard's files below a folder hold: records of a length, a checksum, the event, a checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            found.append(Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    return found


@pytest.mark.parametrize("own", [False, True], ids=["below the run", "where the user says"])
def test_tensorboard_has_a_curve_for_every_training(
    train: Any, own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboardX")
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    if own:
        monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "elsewhere"))
    for name in ("tune/spt-seed0", "tune/spt-seed1"):
        losses = train(tmp_path, name, report_to=["tensorboard"])
        written = events(tmp_path / ("elsewhere" if own else "logs") / name)
        curve = {
            each.step: value.simple_value
            for each in written
            for value in each.summary.value
            if value.tag == "train/loss"
        }
        assert curve == pytest.approx(dict(enumerate(losses, start=1)))


def test_a_run_of_weights_and_biases_ends_with_its_training(train: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Left open it would be taken for that of the next; one that the user opened is left alone."""
    wandb = SimpleNamespace(run=None, finished=0)
    monkeypatch.setitem(sys.modules, "wandb", wandb)

    class Opens(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            wandb.run = wandb.run or args.run_name

    def finish() -> None:
        wandb.run, wandb.finished = None, wandb.finished + 1

    wandb.finish = finish
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "opens", Opens)
    for number, name in enumerate(("a", "b"), start=1):
        train(tmp_path, name, report_to=["opens"])
        assert (wandb.run, wandb.finished) == (None, number)
    wandb.run = "the user's"
    train(tmp_path, "c", report_to=["opens"])
    assert (wandb.run, wandb.finished) == ("the user's", 2)
