"""A checkpoint is loaded with each of its own weights or not at all, and none of its code is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import BACKENDS
from transformers import AutoModelForCausalLM

from sycolens import HeadAdapter, HeadSet, PinpointConfig, load_model, pinpoint
from sycolens.errors import ModelError, WeightsError
from sycolens.model.loading import load_hugging_face

State = dict[str, torch.Tensor]
Load = Callable[..., Any]
TOKENS = torch.tensor([[3, 14, 15, 92, 65, 35]])
PATHS: dict[str, Load] = {
    **{backend: lambda place, backend=backend: load_model(place, backend=backend) for backend in BACKENDS},
    "plain": load_hugging_face,
}
KINDS = {
    "llama-gqa": "model.layers.1.self_attn.q_proj.weight",
    "gpt2": "transformer.h.1.mlp.c_fc.weight",
    "gpt-neox": "gpt_neox.layers.1.attention.query_key_value.weight",
}
"""A tensor of each kind."""


def changed(place: Path, into: Path, change: Callable[[State], State], **settings: object) -> Path:
    """A copy of a checkpoint with other weights, and maybe other settings."""
    shutil.copytree(place, into)
    save_file(change(load_file(place / "model.safetensors")), into / "model.safetensors", {"format": "pt"})
    config = json.loads((into / "config.json").read_text())
    (into / "config.json").write_text(json.dumps({**config, **settings}))
    return into


def without(*names: str) -> Callable[[State], State]:
    return lambda state: {name: value for name, value in state.items() if name not in names}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_whole_are_named(kind: str, path: str, checkpoint: Load, tmp_path: Path) -> None:
    place, name = checkpoint(kind), KINDS[kind]
    faults: dict[str, tuple[Callable[[State], State], str]] = {
        "missing": (without(name), rf"1 missing \({name}\)\."),
        "renamed": (lambda state: {f"x.{name}": value for name, value in state.items()}, r"missing .* unexpected \(x"),
        "unexpected": (lambda state: {**state, "extra.weight": torch.ones(2)}, r"1 unexpected \(extra.weight\)\."),
        "other-shape": (lambda state: {**state, name: torch.ones(3, 5)}, rf"another shape \({name} \(3, 5\), not \("),
    }
    for fault, (change, words) in faults.items():
        with pytest.raises(WeightsError, match=words):
            PATHS[path](changed(place, tmp_path / fault, change))


@pytest.mark.parametrize("path", PATHS)
def test_an_expert_that_is_missing_is_refused(path: str, checkpoint: Load, tmp_path: Path) -> None:
    place = checkpoint("mixtral")
    expert = sorted(
        name for name in load_file(place / "model.safetensors") if "layers.1" in name and "experts.2" in name
    )
    with pytest.raises(WeightsError, match=r"model.layers.1.mlp.experts.down_proj \(2, "):
        PATHS[path](changed(place, tmp_path / "whole", without(*expert)))
    with pytest.raises(ModelError, match="conversion"):  # of experts into one tensor, which transformers gives up
        PATHS[path](changed(place, tmp_path / "part", without(expert[0])))


def test_nothing_is_exported_of_a_base_that_is_not_whole(checkpoint: Load, tmp_path: Path) -> None:
    with pinpoint(load_model(checkpoint("llama-gqa")), PinpointConfig(HeadSet(["L1H1"]))) as tuned:
        adapter = HeadAdapter.of(tuned)
    base = changed(checkpoint("llama-gqa"), tmp_path / "base", without(KINDS["llama-gqa"]))
    with pytest.raises(WeightsError, match=KINDS["llama-gqa"]):
        adapter.export(base, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def _tied(place: Path, into: Path) -> Path:
    return changed(place, into, without("lm_head.weight"), tie_word_embeddings=True)


def _old_rotary(place: Path, into: Path) -> Path:
    buffers = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(4) for layer in range(3)}
    return changed(place, into, lambda state: {**state, **buffers})


def _old_gpt2(place: Path, into: Path) -> Path:
    # As the first GPT-2 on the hub: the causal mask as a buffer, and names without their prefix.
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 128, 128).tril() for layer in range(3)}

    def change(state: State) -> State:
        return {name.removeprefix("transformer."): value for name, value in state.items()} | masks

    return changed(place, into, change, n_ctx=128)


def _old_neox(place: Path, into: Path) -> Path:
    buffers: State = {}
    for layer in range(3):
        attention = f"gpt_neox.layers.{layer}.attention"
        buffers |= {
            f"{attention}.bias": torch.ones(1, 1, 128, 128, dtype=torch.bool).tril(),
            f"{attention}.masked_bias": torch.tensor(-1e9),
            f"{attention}.rotary_emb.inv_freq": torch.ones(4),
        }
    return changed(place, into, lambda state: {**state, **buffers})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("kind", "old"), [("llama-gqa", _tied), ("llama-gqa", _old_rotary), ("gpt2", _old_gpt2), ("gpt-neox", _old_neox)]
)
def test_what_may_rightly_be_left_out_or_over_is(
    kind: str, old: Callable[[Path, Path], Path], path: str, checkpoint: Load, tmp_path: Path
) -> None:
    place = old(checkpoint(kind), tmp_path / "old")
    loaded = PATHS[path](place)
    due = AutoModelForCausalLM.from_pretrained(place, attn_implementation="eager").eval()
    with torch.no_grad():
        found = loaded[0](TOKENS).logits if path == "plain" else loaded(TOKENS)
        torch.testing.assert_close(found, due(TOKENS).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_is_missing_or_cut_is_a_model_that_cannot_be_loaded(
    path: str, checkpoint: Load, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint("llama-gqa"))
    for fault in ("missing", "cut"):
        place = tmp_path / fault
        shutil.copytree(checkpoint("llama-gqa"), place)
        (place / "model.safetensors").unlink()
        model.save_pretrained(place, max_shard_size="20KB")
        shards = sorted(place.glob("model-*.safetensors"))
        assert len(shards) > 2
        if fault == "missing":
            shards[1].unlink()
        else:
            shards[1].write_bytes(shards[1].read_bytes()[:-100])
        with pytest.raises(ModelError, match="could not be loaded"):
            PATHS[path](place)
