"""Heads of a model that FSDP2 has sharded over two processes learn what one process teaches them."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sharded_work
import torch
from launched import launched
from sharded_work import CASES, HEADS, RESUMED, STEPS
from tiny import make_checkpoint
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy
from transformers import AutoModelForCausalLM

from sycolens import PinpointConfig, PinpointTrainer
from sycolens.distributed import ALONE
from sycolens.errors import TuningError
from sycolens.tune.checkpoints import HASHES, PARAMETERS
from sycolens.tune.sharding import require_supported

Ranks = list[dict[str, Any]]
ROUNDING = {"float32 over bfloat16": 0.2}
"""Relative differences of what was learned; products of bfloat16 are rounded to three digits."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sharded")
    for kind in {kind for kind, *_ in CASES.values()}:
        make_checkpoint(kind, directory / kind)
    return directory


@pytest.fixture(scope="module")
def ranks(place: Path) -> Ranks:
    """What either process found."""
    return launched(sharded_work.__file__, place)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_with_half_the_weights_each_learn_what_one_does(ranks: Ranks, place: Path, case: str) -> None:
    alone, together = sharded_work.trained(case, place, ALONE), ranks[0][case]
    assert (alone["sharded"], together["sharded"]) == (False, True)
    rounding = ROUNDING.get(case, 1e-4)
    assert together["losses"] == pytest.approx(alone["losses"], rel=rounding / 10)
    assert together["norms"] == pytest.approx(alone["norms"], rel=rounding)
    assert together["after"].keys() == alone["after"].keys()
    for name, value in alone["after"].items():
        found = together["after"][name]
        assert (found.dtype, found.shape) == (value.dtype, value.shape)
        learned = (value - start(alone, name)).norm()
        assert learned > 0
        assert (found - value).norm() < rounding * learned, name
    assert together["tuned"].keys() == alone["tuned"].keys()
    assert all(torch.equal(value, together["after"][name]) for name, value in together["adapter"].items())


def start(done: dict[str, Any], name: str) -> torch.Tensor:
    """A trained parameter before training, as far as it matters here."""
    return done["before"].get(name, torch.zeros_like(done["after"][name])).to(done["after"][name].dtype)


@pytest.mark.parametrize("case", CASES)
def test_frozen_weights_keep_their_bits(ranks: Ranks, place: Path, case: str) -> None:
    model = sharded_work.model_of(case, place)
    due = dict(model.named_parameters())
    for rank in ranks:
        assert {name.removeprefix("core.") for name in rank[case]["base"]} == set(due)
        for name, value in rank[case]["base"].items():
            assert torch.equal(value, due[name.removeprefix("core.")]), name


@pytest.mark.parametrize("case", CASES)
def test_each_process_holds_half_and_no_whole_copy(ranks: Ranks, case: str) -> None:
    for rank in ranks:
        done = rank[case]
        assert done["held"] == pytest.approx(done["of"] / 2, rel=0.05)
        assert done["kept"] == 0
    trained = ranks[0][case]["after"].values()
    counts = 4 * len(trained)  # AdamW counts the steps of every parameter
    states = [rank[case]["optimizer"] - counts for rank in ranks]
    assert sum(states) == 2 * sum(value.nbytes for value in trained)
    assert max(states) < 2 * min(states)


def test_counted_bytes_are_those_that_processes_hold(
    ranks: Ranks, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    counting = importlib.import_module("bytes_per_process")
    case = "float32 over bfloat16"
    model = sharded_work.model_of(case, place)
    held = counting.pinpoint_tuning(model, CASES[case][1], 2, n_tokens=8, n_taught=4)
    assert held.parameters == max(rank[case]["held"] for rank in ranks)
    steps = 4 * len(ranks[0][case]["after"])
    assert held.optimizer == max(rank[case]["optimizer"] for rank in ranks) - steps
    assert held.gradients == held.optimizer / 2


def test_bytes_of_the_paper_s_largest_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    counting = importlib.import_module("bytes_per_process")
    model = counting.without_data(**counting.LLAMA_2_70B)
    trained = counting.trained_shapes(model, PinpointConfig(counting.spread(model, counting.HEADS)))
    assert sum(rows * columns for rows, columns in trained) == 402_653_184  # the paper's 402.7 M
    whole = counting.full_fine_tuning(model, 8, 2, n_tokens=1, n_taught=1)
    assert whole.parameters == 2 * 68_976_648_192 / 8


@pytest.mark.parametrize("case", CASES)
def test_every_process_has_all_that_was_trained(ranks: Ranks, case: str) -> None:
    one, two = (rank[case] for rank in ranks)
    assert one["losses"] == two["losses"]
    assert all(torch.equal(value, two["after"][name]) for name, value in one["after"].items())


@pytest.mark.parametrize("case", CASES)
def test_adapters_compute_elsewhere_what_was_trained(ranks: Ranks, place: Path, case: str) -> None:
    model = sharded_work.model_of(case, place)
    adapter = ranks[0][case]["adapter of"].apply(model)
    with torch.no_grad():
        found = model(torch.arange(6, 12)[None]).logits
    adapter.detach()
    torch.testing.assert_close(found, ranks[0][case]["logits"], rtol=1e-5, atol=1e-5)


def test_a_killed_training_ends_as_an_undisturbed_one_bit_for_bit(ranks: Ranks) -> None:
    for rank in ranks:
        assert rank["resumed"]["steps"] == STEPS
        for name, value in rank[RESUMED]["after"].items():
            assert torch.equal(rank["resumed"]["after"][name], value), name


def test_a_checkpoint_holds_no_base_model_and_one_process_goes_on_from_it(
    ranks: Ranks, place: Path, tmp_path: Path
) -> None:
    checkpoint = place / f"{RESUMED}-killed-2" / "checkpoint-3"
    trained = sum(value.nbytes for value in ranks[0][RESUMED]["after"].values())
    files = {path.name: path.stat().st_size for path in checkpoint.iterdir()}
    states = {"optimizer.pt", "scheduler.pt", "rng_state_0.pth", "rng_state_1.pth", "trainer_state.json"}
    assert set(files) == {PARAMETERS, HASHES, *states}
    assert trained < files[PARAMETERS] < trained + 5000
    assert 2 * trained < files["optimizer.pt"] < 2 * trained + 50000
    alone = sharded_work.trained(RESUMED, place, ALONE, resume=checkpoint, directory="went on")
    for name, value in ranks[0][RESUMED]["after"].items():
        torch.testing.assert_close(alone["after"][name], value, rtol=1e-4, atol=1e-5)


def test_the_best_is_loaded_at_the_end(ranks: Ranks, place: Path) -> None:
    for rank in ranks:
        step, loss = rank["best"]["best"]
        assert 1 <= step < STEPS
        assert rank["best"]["evaluated"] == pytest.approx(loss, rel=1e-6)


def test_what_cannot_be_done_is_refused(ranks: Ranks) -> None:
    for rank in ranks:
        for act, said in rank[RESUMED]["refused"].items():
            assert "sharded over processes" in said, act
        for what, word in {
            "all": "not all parameters",
            "bridge": "plain",
            "offload": "offloaded",
            "CPU": "GPUs",
        }.items():
            assert word in rank["refused"][what], what


def test_settings_of_fsdp_that_are_not_supported(place: Path) -> None:
    model: nn.Module = AutoModelForCausalLM.from_pretrained(place / "gpt2")
    config = PinpointConfig(HEADS)
    require_supported(model, config, SimpleNamespace(fsdp_version=2, cpu_offload=OffloadPolicy()))
    for version, offload, word in ((1, OffloadPolicy(), "version"), (2, CPUOffloadPolicy(), "offloaded")):
        with pytest.raises(TuningError, match=word):
            require_supported(model, config, SimpleNamespace(fsdp_version=version, cpu_offload=offload))


def test_deepspeed_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForCausalLM.from_pretrained(place / "gpt2")
    settings = sharded_work.arguments(tmp_path, ALONE)
    found = [(name, value.requires_grad) for name, value in model.named_parameters()]
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(TuningError, match="DeepSpeed"):
        PinpointTrainer(model, PinpointConfig(HEADS), settings, sharded_work.rows())
    monkeypatch.delenv("ACCELERATE_USE_DEEPSPEED")
    settings.deepspeed = {"zero_optimization": {"stage": 3}}  # the argument needs DeepSpeed itself to be given
    with pytest.raises(TuningError, match="DeepSpeed"):
        PinpointTrainer(model, PinpointConfig(HEADS), settings, sharded_work.rows())
    assert [(name, value.requires_grad) for name, value in model.named_parameters()] == found
