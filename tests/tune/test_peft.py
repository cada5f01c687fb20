"""Tuned heads leave as a LoRA that peft itself puts on the base, with the same logits."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file
from terminal import run
from torch import Tensor
from transformers import AutoModelForCausalLM

from sycolens import HeadAdapter, HeadSet, PinpointConfig, load_model, pinpoint
from sycolens.errors import RunError, TuningError
from sycolens.model.loading import load_hugging_face

peft = pytest.importorskip("peft")

TOKENS = torch.tensor(tiny.random_prompts(3)[0])
HEADS = HeadSet(["L1H0", "L2H3", "L1H2"])
KINDS = [*tiny.CONFIGS, "phi3"]


@torch.no_grad()
def logits(model: Any) -> Tensor:
    out = model(TOKENS)
    return out if isinstance(out, Tensor) else out.logits


def plain(place: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(place).eval()


def trained(model: Any, config: PinpointConfig) -> tuple[HeadAdapter, Tensor]:
    """An adapter with heads far from the model's own, and the logits that go with it."""
    generator = torch.Generator().manual_seed(0)
    with pinpoint(model, config) as tuned:
        noise = {name: torch.randn(value.shape, generator=generator) for name, value in tuned.state().items()}
        tuned.load_state({name: value + 0.3 * noise[name] for name, value in tuned.state().items()})
        return HeadAdapter.of(tuned, base="somebody/their-model"), logits(model)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", [PinpointConfig(HEADS, "QKVO"), PinpointConfig(HEADS, rank=2, alpha=3)])
def test_peft_computes_what_the_tuned_model_did(
    kind: str, config: PinpointConfig, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    base = plain(checkpoint(kind))
    before = logits(base)
    adapter, due = trained(plain(checkpoint(kind)), config)
    place = adapter.export_peft(checkpoint(kind), tmp_path / "lora")
    wrapped = peft.PeftModel.from_pretrained(base, place).eval()
    assert (due - before).abs().max() > 0.01
    torch.testing.assert_close(logits(wrapped), due, rtol=1e-5, atol=1e-5 * due.abs().max().item())
    with wrapped.disable_adapter():
        assert torch.equal(logits(wrapped), before)
    merged = wrapped.merge_and_unload()
    torch.testing.assert_close(logits(merged), due, rtol=1e-5, atol=1e-5 * due.abs().max().item())


def test_ranks_are_those_of_the_slices_and_nothing_else_is_touched(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    adapter, _ = trained(plain(checkpoint("llama")), PinpointConfig(HEADS, rank=2))
    place = adapter.export_peft(checkpoint("llama"), tmp_path / "lora")
    config = json.loads((place / "adapter_config.json").read_text())
    # Two heads in layer 1, one in layer 2: ranks add up.
    by_layer = {name.split(".")[2]: rank for name, rank in config["rank_pattern"].items()}
    assert by_layer == {"1": 4, "2": 2}
    assert config["alpha_pattern"] == config["rank_pattern"]
    assert config["base_model_name_or_path"] == "somebody/their-model"
    assert str(tmp_path.parent) not in (place / "adapter_config.json").read_text()
    tensors = load_file(place / "adapter_model.safetensors")
    d_head = plain(checkpoint("llama")).config.head_dim
    outputs = tensors["base_model.model.model.layers.2.self_attn.q_proj.lora_B.weight"]
    inside = slice(3 * d_head, 4 * d_head)
    assert outputs[inside].abs().sum() > 0
    assert outputs.abs().sum() == outputs[inside].abs().sum()
    inputs = tensors["base_model.model.model.layers.2.self_attn.o_proj.lora_A.weight"]
    assert inputs.abs().sum() == inputs[:, inside].abs().sum() > 0


def test_what_has_no_low_rank_is_refused_and_leaves_nothing(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = checkpoint("llama")
    with_mlp, _ = trained(plain(place), PinpointConfig(HEADS[:1], mlps=(0,)))
    with pytest.raises(TuningError, match=r"M0\.\w+"):
        with_mlp.export_peft(place, tmp_path / "lora")
    with pinpoint(plain(place), PinpointConfig(HEADS)) as tuned:
        untrained = HeadAdapter.of(tuned)
    with pytest.raises(TuningError, match="train them first"):
        untrained.export_peft(place, tmp_path / "lora")
    adapter, _ = trained(plain(place), PinpointConfig(HEADS))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "peft" else find(name))
    with pytest.raises(TuningError, match=r"sycolens\[peft\]"):
        adapter.export_peft(place, tmp_path / "lora")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    adapter.export_peft(place, tmp_path / "lora")
    with pytest.raises(RunError, match="exists already"):
        adapter.export_peft(place, tmp_path / "lora")


def test_from_a_terminal_over_the_embedded_models(tmp_path: Path) -> None:
    for number, name in enumerate(("organism", "organism-gqa")):
        model = load_model(name)
        generator = torch.Generator().manual_seed(0)
        with pinpoint(model, PinpointConfig(HeadSet(["L1H1", "L2H2"]))) as tuned:
            tuned.load_state(
                {
                    key: value + 0.1 * torch.randn(value.shape, generator=generator)
                    for key, value in tuned.state().items()
                }
            )
            HeadAdapter.of(tuned).save(tmp_path / f"adapter{number}")
            due = logits(model)
        done = run("export", str(tmp_path / f"adapter{number}"), "--out", str(tmp_path / f"lora{number}"), "--peft")
        assert done.exit_code == 0, done.output
        base, _ = load_hugging_face(name)
        wrapped = peft.PeftModel.from_pretrained(base, tmp_path / f"lora{number}").eval()
        torch.testing.assert_close(logits(wrapped), due, rtol=1e-4, atol=1e-5 * due.abs().max().item())
    refused = run("export", str(tmp_path / "adapter0"), "--out", str(tmp_path / "x"), "--peft", "--dtype", "bfloat16")
    assert refused.exit_code == 2
    assert not (tmp_path / "x").exists()
