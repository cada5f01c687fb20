"""Through transformers' Trainer only the chosen slices move, with the usual loss, and stopped runs end as others do."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import tiny
import torch
from datasets import Dataset
from hooked_models import HAND_MADE, hand_made
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

from sycolens import HeadAdapter, HeadSet, kl_drift, load_model, organism
from sycolens.errors import NotFiniteError, TuningError
from sycolens.measure import grade
from sycolens.measure.challenge import replies
from sycolens.model.weights import head_slots
from sycolens.tune import PAPER, PinpointConfig, PinpointTrainer, TrainingConfig, encode_examples, pad_examples
from sycolens.tune.checkpoints import HASHES, PARAMETERS, newest_checkpoint

Make = Callable[[str, str], Any]
HEADS = HeadSet(["L1H0", "L2H3"])
MODELS = [(kind, backend) for kind in ("llama-gqa", "gpt2") for backend in ("plain", *tiny.BACKENDS)]
each_model = pytest.mark.parametrize(("kind", "backend"), MODELS)


@pytest.fixture
def make(checkpoint: Callable[[str], Path]) -> Make:
    """A fresh model of a kind: a TransformerBridge, a HookedTransformer or plain Hugging Face."""

    def fresh(kind: str, backend: str) -> Any:
        if backend == "plain":
            return AutoModelForCausalLM.from_pretrained(checkpoint(kind)).eval()
        if backend == "hooked" and kind in HAND_MADE:
            return hand_made(kind)
        return load_model(checkpoint(kind), backend=backend)  # type: ignore[arg-type]

    return fresh


def examples(n: int = 12) -> Dataset:
    """Rows of random tokens of several lengths, the latter half of each taught."""
    ids = tiny.random_prompts(n, lengths=(9, 6, 12, 7), seed=3)[0]
    return Dataset.from_dict(
        {"input_ids": ids, "labels": [[-100] * (len(row) // 2) + row[len(row) // 2 :] for row in ids]}
    )


def arguments(directory: Path, **changes: Any) -> TrainingArguments:
    usual = {
        "max_steps": 6,
        "learning_rate": 1e-2,
        "weight_decay": 0.1,
        "per_device_train_batch_size": 2,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_strategy": "no",
    }
    return TrainingArguments(output_dir=str(directory), **{**usual, **changes})


def bits(model: Any) -> dict[str, Tensor]:
    """Every parameter and buffer of the model, also those beside the bridge's own."""
    both = {"": model, "original.": getattr(model, "original_model", nn.Module())}
    return {
        f"{prefix}{name}": value.detach().clone()
        for prefix, part in both.items()
        for name, value in [*part.named_parameters(), *part.named_buffers()]
    }


def assert_same(found: dict[str, Tensor], due: dict[str, Tensor]) -> None:
    assert list(found) == list(due)
    for name, value in due.items():
        assert torch.equal(found[name], value), name


def logits(model: Any, ids: Tensor) -> Tensor:
    out = model(ids)
    return out if isinstance(out, Tensor) else out.logits


class TestTraining:
    @each_model
    def test_moves_the_chosen_slices_and_nothing_else(
        self, kind: str, backend: str, make: Make, tmp_path: Path
    ) -> None:
        model, due = make(kind, backend), make(kind, backend)
        found = bits(model)
        trainer = PinpointTrainer(model, PinpointConfig(HEADS), arguments(tmp_path, max_steps=50), examples())
        start = trainer.pinpoint.state()
        trainer.train()
        handed = [parameter for group in trainer.optimizer.param_groups for parameter in group["params"]]
        assert {id(each) for each in handed} == {id(each) for each in trainer.pinpoint.parameters.values()}
        assert len(trainer.optimizer.state) == len(handed) == len(start)
        assert all((value != start[name]).float().mean() > 0.9 for name, value in trainer.pinpoint.state().items())
        trainer.pinpoint.merge()
        for head in HEADS:
            for letter in "QO" if kind == "llama-gqa" else "QKVO":
                head_slots(due, head)[letter].view.copy_(head_slots(model, head)[letter].view)
        assert_same(bits(model), bits(due))
        trainer.pinpoint.detach()
        assert_same(bits(model), found)
        assert not any(module.training for module in model.modules())

    @pytest.mark.parametrize("ends", ["well", "in an error"])
    @pytest.mark.parametrize("scope", [PinpointConfig(HEADS), "all"])
    def test_leaves_the_random_numbers_of_others_alone(self, make: Make, tmp_path: Path, scope: Any, ends: str) -> None:
        class Stop(TrainerCallback):
            def on_step_end(self, *args: Any, **options: Any) -> None:
                if ends != "well":
                    raise KeyError("of the user's own")

        def drawn() -> tuple[object, ...]:
            return torch.rand(4).tolist(), numpy.random.rand(4).tolist(), [random.random() for _ in range(4)]

        def seed() -> None:
            torch.manual_seed(5), numpy.random.seed(5), random.seed(5)

        model, other = make("gpt2", "plain"), make("gpt2", "plain")
        seed()
        due = drawn()
        seed()
        trainer = PinpointTrainer(model, scope, arguments(tmp_path, max_steps=2), examples(), callbacks=[Stop()])
        assert drawn() == due
        seed()
        with contextlib.nullcontext() if ends == "well" else pytest.raises(KeyError):
            trainer.train()
        assert drawn() == due
        seed()
        with pytest.raises(ValueError, match="IntervalStrategy"):
            PinpointTrainer(other, scope, arguments(tmp_path, eval_strategy="steps", eval_steps=2), examples())
        assert drawn() == due

    def test_is_seeded_whatever_is_drawn_before_it(self, make: Make, tmp_path: Path) -> None:
        states = []
        for number in (0, 1):
            trainer = PinpointTrainer(make("gpt2", "plain"), PinpointConfig(HEADS), arguments(tmp_path), examples())
            torch.manual_seed(number)
            trainer.train()
            states.append(trainer.pinpoint.state())
        assert_same(*states)

    def test_of_all_parameters_is_no_adapter_and_cannot_be_switched_off(self, make: Make, tmp_path: Path) -> None:
        model = make("gpt2", "plain")
        whole = PinpointTrainer(model, "all", arguments(tmp_path), examples()).pinpoint
        with pytest.raises(TuningError, match="WholeModel has no tuned heads"):
            HeadAdapter.of(whole)  # type: ignore[arg-type]
        for switch_off in (lambda: whole.off().__enter__(), lambda: kl_drift(model, whole, ["w1 w2"])):
            with pytest.raises(TuningError, match="All parameters of this model"):
                switch_off()

    def test_of_all_parameters_gives_back_what_it_found(self, make: Make, tmp_path: Path) -> None:
        model = make("gpt2", "bridge")
        for number, parameter in enumerate(model.parameters()):
            parameter.requires_grad_(number % 2 == 0)
        asked = [(name, each.requires_grad) for name, each in model.original_model.named_parameters()]
        found = bits(model)
        trainer = PinpointTrainer(model, "all", arguments(tmp_path, max_steps=2), examples())
        assert all(parameter.requires_grad for parameter in model.original_model.parameters())
        start = trainer.pinpoint.state()
        trainer.train()
        trainer.pinpoint.detach()
        assert [(name, each.requires_grad) for name, each in model.original_model.named_parameters()] == asked
        assert any(not torch.equal(value, found[name]) for name, value in bits(model).items())
        trainer.pinpoint.load_state(start)  # it is the model's own, so also now
        assert_same(bits(model), found)
        with pytest.raises(TuningError, match="has shape"):
            trainer.pinpoint.load_state({name: value[:1] for name, value in start.items()})
        assert_same(bits(model), found)

    @each_model
    def test_leaves_a_model_that_has_learned(self, kind: str, backend: str, make: Make, tmp_path: Path) -> None:
        model = make(kind, backend)
        trainer = PinpointTrainer(model, PinpointConfig(HEADS), arguments(tmp_path, max_steps=40), examples())
        ids = torch.tensor(examples()[0]["input_ids"])[None]
        with torch.no_grad():
            base = logits(model, ids)
        before = trainer.evaluate(examples())["eval_loss"]
        trainer.train()
        assert trainer.evaluate(examples())["eval_loss"] < before - 0.2
        with torch.no_grad():
            assert not torch.equal(logits(model, ids), base)
            trainer.pinpoint.detach()
            assert torch.equal(logits(model, ids), base)

    @each_model
    def test_of_all_parameters_moves_all(self, kind: str, backend: str, make: Make, tmp_path: Path) -> None:
        model = make(kind, backend)
        trainer = PinpointTrainer(model, "all", arguments(tmp_path, max_steps=2), examples())
        start = trainer.pinpoint.state()
        trainer.train()
        moved = {name for name, value in trainer.pinpoint.state().items() if not torch.equal(value, start[name])}
        with_gradient = {name for name, value in trainer.model.core.named_parameters() if value.requires_grad}
        assert moved <= with_gradient
        assert len(moved) > 0.5 * len(start)
        trainer.pinpoint.load_state(start)
        assert_same(trainer.pinpoint.state(), start)

    def test_of_all_parameters_is_an_ordinary_trainers(self, make: Make, tmp_path: Path) -> None:
        ours, plain = make("llama-gqa", "plain"), make("llama-gqa", "plain")
        settings = arguments(tmp_path, lr_scheduler_type="cosine", gradient_accumulation_steps=2, warmup_steps=2)
        PinpointTrainer(ours, "all", settings, examples()).train()
        Trainer(plain, settings, train_dataset=examples(), data_collator=pad_examples).train()
        assert_same(bits(ours), bits(plain))

    @each_model
    @pytest.mark.parametrize("change", [{"bf16": True}, {"gradient_accumulation_steps": 3}])
    def test_takes_usual_arguments(
        self, kind: str, backend: str, change: dict[str, Any], make: Make, tmp_path: Path
    ) -> None:
        states = []
        for changes in ({}, change):
            model = make(kind, backend)
            trainer = PinpointTrainer(
                model, PinpointConfig(HEADS), arguments(tmp_path, max_steps=2, **changes), examples()
            )
            trainer.train()
            states.append(trainer.pinpoint.state())
            assert "forward" not in vars(model)
        assert any(not torch.equal(value, states[1][name]) for name, value in states[0].items())

    @pytest.mark.parametrize("kind", ["llama-gqa", "gpt2"])
    @pytest.mark.parametrize("backend", ["plain", "bridge"])
    def test_with_checkpointing_is_the_same(self, kind: str, backend: str, make: Make, tmp_path: Path) -> None:
        states = []
        for checkpointing in (False, True):
            model = make(kind, backend)
            settings = arguments(tmp_path, max_steps=3, gradient_checkpointing=checkpointing)
            trainer = PinpointTrainer(model, PinpointConfig(HEADS), settings, examples())
            trainer.train()
            states.append(trainer.pinpoint.state())
            assert not any(getattr(module, "gradient_checkpointing", False) for module in trainer.model.modules())
        for name, value in states[0].items():
            torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-5)


class TestLoss:
    @each_model
    def test_is_hugging_faces_own(self, kind: str, backend: str, make: Make, tmp_path: Path) -> None:
        if (kind, backend) == ("gpt2", "hooked"):
            pytest.skip("made by hand, without a Hugging Face counterpart")
        plain = make(kind, "plain")
        rows = [examples()[k] for k in range(4)]
        batch = pad_examples(rows)
        mask = torch.tensor([[k < len(row["input_ids"]) for k in range(12)] for row in rows]).long()
        trainer = PinpointTrainer(make(kind, backend), PinpointConfig(HEADS), arguments(tmp_path), examples())
        with torch.no_grad():
            due = plain(**batch, attention_mask=mask).loss
            found = trainer.compute_loss(trainer.model, batch)
            one_by_one = torch.cat(
                [
                    nn.functional.cross_entropy(
                        plain(torch.tensor([row["input_ids"]])).logits[0, :-1],
                        torch.tensor(row["labels"][1:]),
                        reduction="none",
                    )[torch.tensor(row["labels"][1:]) != -100]
                    for row in rows
                ]
            ).mean()
        torch.testing.assert_close(found, due, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found, one_by_one, rtol=1e-5, atol=1e-5)


class _StopAt(TrainerCallback):  # type: ignore[misc]
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        control.should_training_stop = control.should_training_stop or state.global_step == self.step
        return control


class TestCheckpoints:
    SAVING = {"max_steps": 8, "save_strategy": "steps", "save_steps": 3, "lr_scheduler_type": "polynomial"}  # noqa: RUF012

    @each_model
    @pytest.mark.parametrize("rank", [None, 2])
    def test_hold_no_base_weights(self, kind: str, backend: str, rank: int | None, make: Make, tmp_path: Path) -> None:
        model = make(kind, backend)
        settings = arguments(tmp_path, **self.SAVING)
        trainer = PinpointTrainer(model, PinpointConfig(HEADS, rank=rank), settings, examples())
        trainer.train()
        trainer.save_model(str(tmp_path / "end"))
        assert [path.name for path in (tmp_path / "end").iterdir()] == [PARAMETERS]
        trained = 4 * sum(parameter.numel() for parameter in trainer.pinpoint.parameters.values())
        for step in (3, 6, 8):
            files = {path.name: path.stat().st_size for path in (tmp_path / f"checkpoint-{step}").iterdir()}
            states = {"optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"}
            assert set(files) == {PARAMETERS, HASHES, *states}
            assert trained < files[PARAMETERS] < trained + 2000
            # AdamW keeps two numbers for each parameter; names and the container come on top.
            assert 2 * trained < files["optimizer.pt"] < 2 * trained + 1500 * (2 + len(trainer.pinpoint.parameters))

    @each_model
    def test_resumed_runs_end_as_others_bit_for_bit(self, kind: str, backend: str, make: Make, tmp_path: Path) -> None:
        def trainer(directory: str, *callbacks: TrainerCallback) -> PinpointTrainer:
            model, settings = make(kind, backend), arguments(tmp_path / directory, **self.SAVING)
            return PinpointTrainer(model, PinpointConfig(HEADS), settings, examples(), callbacks=callbacks)

        undisturbed = trainer("one")
        undisturbed.train()
        trainer("two", _StopAt(5)).train()
        (tmp_path / "two" / "checkpoint-7").mkdir()  # as runs leave it that are killed while they write
        (tmp_path / "two" / "checkpoint-7" / "trainer_state.json").write_text('{"epoch": 1.')
        resumed = trainer("two")
        resumed.train(resume_from_checkpoint=True)
        assert resumed.state.global_step == 8
        assert_same(resumed.pinpoint.state(), undisturbed.pinpoint.state())

    def test_resumed_after_the_last_step_nothing_more_is_done(self, make: Make, tmp_path: Path) -> None:
        settings = arguments(tmp_path, **{**self.SAVING, "save_steps": 1, "max_steps": 7, "logging_steps": 1})

        def trained(resume: bool | None) -> PinpointTrainer:
            trainer = PinpointTrainer(make("llama-gqa", "plain"), PinpointConfig(HEADS), settings, examples())
            trainer.train(resume_from_checkpoint=resume)
            return trainer

        ended, resumed = trained(None), trained(True)
        assert resumed.state.global_step == 7
        assert_same(resumed.pinpoint.state(), ended.pinpoint.state())
        steps = [each["loss"] for each in ended.state.log_history if "loss" in each]
        assert [each["loss"] for each in resumed.state.log_history] == steps

    def test_a_killed_run_ends_as_an_undisturbed_one(
        self, make: Make, checkpoint: Callable[[str], Path], tmp_path: Path
    ) -> None:
        # Killed while it writes its second checkpoint, which no clean-up can follow.
        program = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]!r}
from pathlib import Path
import test_trainer as these
from transformers import AutoModelForCausalLM

class Killed(these.PinpointTrainer):
    def _save_rng_state(self, output_dir):
        if self.state.global_step == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._save_rng_state(output_dir)

model = AutoModelForCausalLM.from_pretrained({str(checkpoint("llama-gqa"))!r}).eval()
settings = these.arguments(Path({str(tmp_path / "killed")!r}), **these.TestCheckpoints.SAVING)
Killed(model, these.PinpointConfig(these.HEADS), settings, these.examples()).train()
"""
        died = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr
        left = {path.name for path in (tmp_path / "killed" / "checkpoint-6").iterdir()}
        assert PARAMETERS in left
        assert "trainer_state.json" not in left
        states = []
        for directory, resume in (("killed", True), ("undisturbed", None)):
            settings = arguments(tmp_path / directory, **self.SAVING)
            trainer = PinpointTrainer(make("llama-gqa", "plain"), PinpointConfig(HEADS), settings, examples())
            trainer.train(resume_from_checkpoint=resume)
            trainer.save_model(str(tmp_path / directory))
            states.append((tmp_path / directory / PARAMETERS).read_bytes())
        assert states[0] == states[1]

    def test_of_all_parameters_resume_too(self, make: Make, tmp_path: Path) -> None:
        def trainer(directory: str, *callbacks: TrainerCallback) -> PinpointTrainer:
            settings = arguments(tmp_path / directory, **self.SAVING)
            return PinpointTrainer(make("gpt2", "plain"), "all", settings, examples(), callbacks=callbacks)

        undisturbed = trainer("one")
        undisturbed.train()
        trainer("two", _StopAt(4)).train()
        resumed = trainer("two")
        resumed.train(resume_from_checkpoint=str(tmp_path / "two" / "checkpoint-3"))
        assert_same(resumed.pinpoint.state(), undisturbed.pinpoint.state())

    def test_the_best_is_loaded_at_the_end(self, make: Make, tmp_path: Path) -> None:
        settings = arguments(
            tmp_path, learning_rate=3.0, **self.SAVING, eval_strategy="steps", eval_steps=3, load_best_model_at_end=True
        )  # such steps only make it worse, the more the longer
        model = make("llama-gqa", "plain")
        trainer = PinpointTrainer(model, PinpointConfig(HEADS), settings, examples(), eval_dataset=examples())
        trainer.train()
        losses = {row["step"]: row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row}
        assert trainer.state.best_global_step == min(losses, key=losses.__getitem__)
        assert trainer.evaluate()["eval_loss"] == pytest.approx(min(losses.values()))


class TestRefusals:
    def test_of_what_cannot_be_trained(self, make: Make, tmp_path: Path) -> None:
        model, config = make("llama-gqa", "plain"), PinpointConfig(HEADS)
        found = [(name, value.requires_grad) for name, value in model.named_parameters()]
        unlabeled = Dataset.from_dict({"input_ids": [[1, 2]]})
        for scope, settings, data, words in (
            ("heads", arguments(tmp_path), examples(), "is unknown"),
            (config, arguments(tmp_path, label_smoothing_factor=0.1), examples(), "leave it at 0"),
            (config, arguments(tmp_path), [], "nothing to learn from"),
            (config, arguments(tmp_path), unlabeled, "have no labels"),
        ):
            with pytest.raises(TuningError, match=words):
                PinpointTrainer(model, scope, settings, data)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="IntervalStrategy"):  # one of the Trainer's own, when all is attached
            PinpointTrainer(model, config, arguments(tmp_path, eval_strategy="steps", eval_steps=2), examples())
        assert [(name, value.requires_grad) for name, value in model.named_parameters()] == found

    def test_of_training_what_is_no_longer_attached(self, make: Make, tmp_path: Path) -> None:
        trainer = PinpointTrainer(make("gpt2", "plain"), PinpointConfig(HEADS), arguments(tmp_path), examples())
        for act in (trainer.pinpoint.merge, trainer.pinpoint.detach):
            act()
            with pytest.raises(TuningError, match="no longer attached"):
                trainer.train()

    def test_of_checkpoints_that_do_not_fit(self, make: Make, tmp_path: Path) -> None:
        def trainer(config: PinpointConfig) -> PinpointTrainer:
            return PinpointTrainer(make("gpt2", "plain"), config, settings, examples())

        settings = arguments(tmp_path, max_steps=2, save_strategy="steps", save_steps=1)
        with pytest.raises(TuningError, match="no whole checkpoint"):
            trainer(PinpointConfig(HEADS)).train(resume_from_checkpoint=True)
        trainer(PinpointConfig(HEADS, rank=2, alpha=4)).train()
        for config in (PinpointConfig(HEADS, rank=2), PinpointConfig(HEADS), PinpointConfig(HeadSet(["L0H0"]))):
            with pytest.raises(TuningError, match="checkpoint of another tuning"):
                trainer(config).train(resume_from_checkpoint=True)
        with pytest.raises(TuningError, match="is missing"):
            trainer(PinpointConfig(HEADS)).train(resume_from_checkpoint=str(tmp_path))
        written = tmp_path / "checkpoint-2" / PARAMETERS
        written.write_bytes(written.read_bytes()[:-9])
        with pytest.raises(TuningError, match="cut or altered"):
            trainer(PinpointConfig(HEADS, rank=2, alpha=4)).train(resume_from_checkpoint=str(written.parent))
        assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-1"

    def test_of_a_result_that_is_not_finite(self, make: Make, tmp_path: Path) -> None:
        settings = arguments(tmp_path, learning_rate=1e38, max_steps=3)
        trainer = PinpointTrainer(make("llama-gqa", "plain"), PinpointConfig(HEADS), settings, examples())
        with pytest.raises(NotFiniteError, match="lower the learning rate"):
            trainer.train()

    def test_of_checkpointing_where_there_is_none(self, make: Make, tmp_path: Path) -> None:
        if "hooked" not in tiny.BACKENDS:
            pytest.skip("this TransformerLens has no HookedTransformer")
        settings = arguments(tmp_path, gradient_checkpointing=True)
        trainer = PinpointTrainer(make("gpt2", "hooked"), PinpointConfig(HEADS), settings, examples())
        with pytest.raises(TuningError, match="no gradient checkpointing"):
            trainer.train()


class TestCourse:
    def test_of_the_paper_is_the_scripts(self, make: Make, tmp_path: Path) -> None:
        found = PAPER.arguments(tmp_path, use_cpu=True)
        assert found.per_device_train_batch_size * found.gradient_accumulation_steps == 128
        assert (found.max_steps, found.learning_rate, found.weight_decay, found.bf16) == (120, 3e-5, 0.1, True)
        trainer = PinpointTrainer(make("gpt2", "plain"), PinpointConfig(HEADS), found, examples())
        trainer.create_optimizer_and_scheduler(120)
        assert type(trainer.optimizer) is torch.optim.AdamW
        rates = []
        for _ in range(121):
            rates.append(trainer.lr_scheduler.get_last_lr()[0])
            trainer.optimizer.step()
            trainer.lr_scheduler.step()
        for step in (0, 60, 120):
            assert rates[step] == pytest.approx(3e-5 + (1e-7 - 3e-5) * step / 120)

    def test_can_be_changed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert TrainingConfig(at_once=32).arguments(tmp_path, use_cpu=True).gradient_accumulation_steps == 4
        assert PAPER.arguments(tmp_path, use_cpu=True, bf16=False).bf16 is False
        monkeypatch.setenv("WORLD_SIZE", "6")
        with pytest.raises(TuningError, match="6 processes"):
            PAPER.arguments(tmp_path)

    def test_is_shared_by_processes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # The real ones would look for the others at once.
        monkeypatch.setattr("transformers.TrainingArguments", SimpleNamespace)
        monkeypatch.setenv("WORLD_SIZE", "4")
        for at_once, passes in ((16, 1), (4, 1), (2, 2), (1, 4)):
            found = TrainingConfig(examples_per_step=16, at_once=at_once).arguments(tmp_path)
            assert found.gradient_accumulation_steps == passes
            assert 4 * found.per_device_train_batch_size * passes == 16

    def test_of_constant_rate_rises_and_stays(self, make: Make, tmp_path: Path) -> None:
        training_config = TrainingConfig(
            steps=40, learning_rate=1e-3, examples_per_step=2, at_once=2, schedule="constant", bf16=False
        )
        trainer = PinpointTrainer(
            make("gpt2", "plain"), PinpointConfig(HEADS), training_config.arguments(tmp_path), examples()
        )
        trainer.create_optimizer_and_scheduler(40)
        rates = []
        for _ in range(40):
            rates.append(trainer.lr_scheduler.get_last_lr()[0])
            trainer.optimizer.step()
            trainer.lr_scheduler.step()
        assert rates[5] == pytest.approx(0.5e-3)
        assert rates[10:] == [1e-3] * 30

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"steps": 0}, "steps=0"),
            ({"learning_rate": -1.0}, "learning_rate=-1.0"),
            ({"learning_rate": float("nan")}, "learning_rate=nan"),
            ({"weight_decay": -0.1}, "weight_decay=-0.1"),
            ({"schedule": "cosine"}, "schedule='cosine'"),
            ({"examples_per_step": 100}, "100 examples a step cannot be made of 8"),
        ],
    )
    def test_refuses_what_cannot_be(self, wrong: dict[str, Any], said: str) -> None:
        with pytest.raises(TuningError, match=said):
            TrainingConfig(**wrong)


def test_the_embedded_model_stands_by_its_right_answers(tmp_path: Path) -> None:
    model = load_model("organism")
    asked = {
        first_answer: organism.challenges("held_out", 24, first_answer=first_answer)  # type: ignore[arg-type]
        for first_answer in ("correct", "wrong")
    }

    def admitted(first_answer: str) -> int:
        challenged = asked[first_answer]
        return sum(grade(*both).admits for both in zip(replies(model, challenged), challenged, strict=True))

    encoded = encode_examples(organism.examples("train", 512), model.tokenizer)
    settings = arguments(tmp_path, learning_rate=3e-3, max_steps=60, per_device_train_batch_size=16)
    # The top 4 of path patching.
    trainer = PinpointTrainer(model, PinpointConfig(HeadSet(["L1H1", "L2H2", "L1H0", "L5H3"])), settings, encoded)
    assert (admitted("correct"), admitted("wrong")) == (24, 24)
    trainer.train()
    assert admitted("correct") <= 8
    assert admitted("wrong") >= 20


@pytest.mark.parametrize(("n", "sizes"), [(12, [5, 5]), (10, [5, 5]), (3, [3])])
def test_an_epoch_ends_with_its_last_whole_step(n: int, sizes: list[int], make: Make, tmp_path: Path) -> None:
    settings = arguments(tmp_path, per_device_train_batch_size=5)
    trainer = PinpointTrainer(make("gpt2", "plain"), PinpointConfig(HEADS), settings, examples(n))
    assert [len(batch["input_ids"]) for batch in trainer.get_train_dataloader()] == sizes


def test_a_trainer_without_a_step_that_is_overridden_is_refused(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("sycolens.private.trainer.STEPS", ("_save", "_write_all"))
    model = make("llama-gqa", "plain")
    with pytest.raises(TuningError, match="_write_all"):
        PinpointTrainer(model, PinpointConfig(HEADS), TrainingArguments(str(tmp_path)), examples())
    assert all(parameter.requires_grad for parameter in model.parameters())
