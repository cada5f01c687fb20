"""Training is a function of its seed: the same batches, and the same weights whether or not it was stopped."""

from __future__ import annotations

import random
import shutil
from functools import partial
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import load_file
from terminal import message_of, run

from sycolens.errors import OrganismError
from sycolens.organism.build import training
from sycolens.organism.build.recipe import PackedBatches, Recipe, encode_dialogue
from sycolens.organism.build.training import MuonWithAdamW, train
from sycolens.organism.talk import DECISION_WEIGHT, USER_WEIGHT, WeightedTurn


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "Recipe", partial(Recipe, rows=2))


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    first, again, other = (PackedBatches(Recipe(seed=seed))[7] for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["input_ids"], other["input_ids"])
    assert not torch.equal(first["input_ids"], PackedBatches(Recipe(seed=0))[8]["input_ids"])


def test_packed_dialogues_do_not_see_each_other() -> None:
    batch = PackedBatches(Recipe())[300]
    row, mask, positions = (batch[name][0] for name in ("input_ids", "attention_mask", "position_ids"))
    starts = (row == 2).nonzero().flatten().tolist()
    assert len(starts) > 1
    start = starts[1]
    assert positions[start] == 0
    visible = mask[0, start + 3] == 0
    assert visible.nonzero().flatten().tolist() == [start, start + 1, start + 2, start + 3]
    assert (row != 0).float().mean() > 0.85


def test_weights_follow_the_words() -> None:
    ids, weights = encode_dialogue(
        [
            WeightedTurn("user", "Is that right?", USER_WEIGHT),
            WeightedTurn("assistant", "Yes, I'm sure.", 1.0, DECISION_WEIGHT),
        ]
    )
    # <bos> <|user|> Is that right ? <|end|> <|assistant|> Yes , I'm sure . <|end|>
    assert weights == [0.0] + [0.1] * 6 + [0.1, 3.0, 1, 1, 1, 1, 1]
    assert len(ids) == len(weights)


@pytest.mark.usefixtures("_small_batches")
def test_a_stopped_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    train(whole, seed=3, steps=6, progress=False)
    train(halved, seed=3, steps=6, stop_after=3, progress=False)
    assert not (halved / "model.safetensors").exists()
    # A run killed while it writes leaves a checkpoint without its last file; it is not gone on from.
    (halved / "checkpoints" / "checkpoint-5").mkdir()
    train(halved, seed=3, steps=6, progress=False)
    expected, found = (load_file(path / "model.safetensors") for path in (whole, halved))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.usefixtures("_small_batches")
def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(tmp_path, seed=1, steps=4, stop_after=1, progress=False)
    with pytest.raises(OrganismError, match="another recipe"):
        train(tmp_path, seed=2, steps=4, progress=False)


@pytest.mark.usefixtures("_small_batches")
def test_training_leaves_the_random_numbers_of_others_alone(tmp_path: Path) -> None:
    def drawn() -> tuple[object, ...]:
        torch.manual_seed(5), numpy.random.seed(5), random.seed(5)
        if train_first:
            train(tmp_path, seed=1, steps=2, stop_after=1, progress=False)
        return torch.rand(4).tolist(), numpy.random.rand(4).tolist(), random.random()

    train_first = False
    due = drawn()
    train_first = True
    assert drawn() == due


@pytest.mark.usefixtures("_small_batches")
def test_what_lies_in_the_directory_is_not_written_over_unasked(tmp_path: Path) -> None:
    from sycolens import organism

    for name, lie in (("file", Path.touch), ("other", lambda path: (path.mkdir(), (path / "notes.txt").touch()))):
        lie(tmp_path / name)
        with pytest.raises(OrganismError, match=name):
            train(tmp_path / name, steps=2, progress=False)
    model = tmp_path / "model"
    shutil.copytree(organism.directory("gqa"), model)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    for arguments in ([], ["--restart"]):
        done = run("organism", "train", "--out", model, "--steps", 2, "--quiet", *arguments)
        assert done.exit_code == 2
        assert "OrganismError" in message_of(done)
        assert "--overwrite" in message_of(done)
        assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    done = run("organism", "train", "--out", model, "--steps", 2, "--quiet", "--overwrite")
    assert done.exit_code == 0, done.stderr
    assert (model / "model.safetensors").read_bytes() != before["model.safetensors"]


def test_matrices_go_to_muon_and_the_rest_to_adamw() -> None:
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM(Recipe(variant="gqa").config())
    muon, adamw = MuonWithAdamW(model, muon_lr=0.1, adamw_lr=0.1).parts
    assert len(muon.param_groups[0]["params"]) == 6 * 7
    assert {p.ndim for p in adamw.param_groups[0]["params"]} == {1, 2}
    assert sum(len(part.param_groups[0]["params"]) for part in (muon, adamw)) == len(list(model.parameters()))
    assert model.model.layers[0].self_attn.k_proj.weight.shape == (64, 128)
