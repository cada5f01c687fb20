"""The library's calls on a small model take one thread, and torch has its own number again afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainerCallback, TrainingArguments

from sycolens import (
    QUIET,
    HeadSet,
    PinpointConfig,
    attend_to,
    evaluate_challenge,
    kl_drift,
    knock_out,
    load_model,
    organism,
    patch_heads,
)
from sycolens.errors import HookError
from sycolens.model import threads
from sycolens.model.threads import enough_threads
from sycolens.organism.build import training
from sycolens.organism.build.gate import replies
from sycolens.tune import PinpointTrainer
from sycolens.verify import mean_activations

THREADS = 3
EXAMPLES = [{"input_ids": [4, 5, 6, 7], "labels": [-100, 5, 6, 7]}] * 4


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


def train(model: Any, directory: Path) -> None:
    args = TrainingArguments(str(directory), max_steps=2, use_cpu=True, report_to="none", save_strategy="no")
    trainer = PinpointTrainer(model, PinpointConfig(HeadSet(["L1H1"])), args=args, train_dataset=EXAMPLES)
    trainer.train()
    trainer.pinpoint.detach()


CALLS: dict[str, Callable[[Any, Path], Any]] = {
    "patch_heads": lambda model, _: patch_heads(model, organism.pairs("train", 4), compute=QUIET),
    "total": lambda model, _: patch_heads(model, organism.pairs("train", 4), effect="total", compute=QUIET),
    "mean_activations": lambda model, _: mean_activations(model, organism.pairs("train", 4), compute=QUIET),
    "attend_to": lambda model, _: attend_to(model, organism.pairs("train", 4), compute=QUIET),
    "knock_out": lambda model, _: knock_out(
        model,
        organism.challenges("validation", 2),
        patch_heads(model, organism.pairs("train", 4), compute=QUIET).top(2),
        method="zero",
        controls=1,
        compute=QUIET,
    ),
    "evaluate_challenge": lambda model, _: evaluate_challenge(model, organism.questions("held_out")[:3]),
    "kl_drift": lambda model, _: kl_drift(model, model, organism.texts(4)),
    "PinpointTrainer": train,
    "gate": lambda model, _: list(
        replies(model.original_model, model.tokenizer, [each.dialogue for each in organism.challenges("validation", 2)])
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_pass_of_a_small_model_has_one_thread(model: Any, tmp_path: Path, call: Any) -> None:
    seen: list[int] = []
    embedding = model.original_model.get_input_embeddings()
    handle = embedding.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    try:
        call(model, tmp_path)
    finally:
        handle.remove()
    assert set(seen) == {1}
    assert torch.get_num_threads() == THREADS


def test_the_organism_is_trained_on_one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[int] = []

    class Look(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **options: Any) -> None:
            seen.append(torch.get_num_threads())

    training.train(tmp_path, steps=10, stop_after=1, progress=False, callbacks=[Look()])
    assert seen == [1]
    assert torch.get_num_threads() == THREADS


def test_large_matrices_and_large_batches_keep_torchs_own_number() -> None:
    def inside(d_model: int, d_mlp: int, d_vocab: int, n_tokens: int) -> int:
        with enough_threads(shaped(d_model, d_mlp, d_vocab), n_tokens):
            return torch.get_num_threads()

    assert inside(128, 512, 500, 1024) == 1
    assert inside(128, 512, 500, 4 * 1024) == THREADS
    assert inside(128, 512, 50_000, 1) == THREADS
    assert inside(512, 2048, 500, 1) == THREADS
    assert inside(768, 2048, 500, 16) == THREADS


def shaped(d_model: int, d_mlp: int, d_vocab: int) -> Any:
    sizes = {"d_model": d_model, "d_mlp": d_mlp, "d_vocab": d_vocab, "n_heads": 4, "d_head": d_model // 4}
    config = SimpleNamespace(model_name="shaped", n_layers=2, device="cpu", **sizes)
    return SimpleNamespace(cfg=config, hooks=None, embed=torch.nn.Embedding(2, 2))


def test_nothing_changes_on_an_accelerator(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "input_device", lambda model: torch.device("cuda"))
    with enough_threads(model, 10):
        assert torch.get_num_threads() == THREADS


def test_the_number_is_restored_after_an_error_and_after_nested_calls(model: Any) -> None:
    with enough_threads(model, 10):
        with enough_threads(model, 10):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
        with pytest.raises(HookError), enough_threads(model, 10):
            raise HookError
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == THREADS


def test_one_thread_and_three_find_the_same(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = organism.pairs("train", 20)
    one = patch_heads(model, pairs, compute=QUIET)
    monkeypatch.setattr(threads, "SMALL", 0)
    three = patch_heads(model, pairs, compute=QUIET)
    torch.testing.assert_close(one.logits, three.logits, atol=1e-4, rtol=1e-5)
