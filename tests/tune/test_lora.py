"""The baseline "LoRA" is PEFT's own: trained in place on a bridge as PEFT trains the plain Hugging Face model."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from sycolens import HeadAdapter, HeadSet, PinpointConfig, PinpointTrainer, load_model, pinpoint
from sycolens.errors import ModelError, SavedFileError, TuningError
from sycolens.tune import Lora, LoraScope, Pinpoint, Tuned, WholeModel, attach, pad_examples
from sycolens.tune.projections import projections_of

peft = pytest.importorskip("peft")

TOKENS = torch.tensor(tiny.random_prompts(3)[0])
ROWS = [{"input_ids": each, "labels": [-100, -100, *each[2:]]} for each in tiny.random_prompts(16)[0]]
SCOPE = LoraScope(rank=3, alpha=6)
KINDS = [*tiny.CONFIGS, "phi3", "opt", "bloom"]
TARGETS = {
    "gpt2": ["attn.c_attn", "attn.c_proj"],
    "gpt-neox": ["query_key_value", "attention.dense"],
    "bloom": ["query_key_value", "self_attention.dense"],
    "phi": ["q_proj", "k_proj", "v_proj", "self_attn.dense"],
    "phi3": ["qkv_proj", "o_proj"],
    "opt": ["q_proj", "k_proj", "v_proj", "out_proj"],
}
"""What somebody who knows PEFT would name."""


@torch.no_grad()
def logits(model: Any) -> Tensor:
    out = model(TOKENS)
    return out if isinstance(out, Tensor) else out.logits


def plain(place: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(place).eval()


def wrapped(place: Path, kind: str, seed: int = 5) -> Any:
    """PEFT's LoRA on the plain model, as its own documentation has it."""
    targets = TARGETS.get(kind, ["q_proj", "k_proj", "v_proj", "o_proj"])
    torch.manual_seed(seed)
    return peft.get_peft_model(plain(place), peft.LoraConfig(r=3, lora_alpha=6, target_modules=targets))


def without_dropout(place: Path, folder: Path) -> Path:
    """The same checkpoint, which draws nothing in training."""
    shutil.copytree(place, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {name: 0.0 for name in config if "drop" in name}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def arguments(place: Path) -> TrainingArguments:
    return TrainingArguments(
        str(place), max_steps=6, per_device_train_batch_size=4, learning_rate=1e-2, weight_decay=0.1, logging_steps=1,
        save_strategy="no", disable_tqdm=True, use_cpu=True, report_to="none", seed=3,
    )  # fmt: skip


def losses(trainer: Any) -> list[float]:
    trainer.train()
    return [each["loss"] for each in trainer.state.log_history if "loss" in each]


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_is_that_of_peft_on_the_plain_model(
    kind: str, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    base = without_dropout(checkpoint(kind), tmp_path / "base")
    due = wrapped(base, kind)
    model = load_model(base)
    trainer = PinpointTrainer(model, SCOPE, arguments(tmp_path / "ours"), ROWS, seed=5)
    lora = trainer.pinpoint
    assert isinstance(lora, Lora)
    theirs = {
        f"{name.removeprefix('base_model.model.').rsplit('.lora_', 1)[0]}": name
        for name, parameter in due.named_parameters()
        if parameter.requires_grad and "lora_A" in name
    }
    assert set(theirs) == set(lora.projections)
    counted = sum(parameter.numel() for parameter in lora.parameters.values())
    assert counted == due.get_nb_trainable_parameters()[0]
    if all(len(parts) == 1 for parts in lora.projections.values()) and kind != "opt":
        for name, (a, _) in lora.factors().items():  # the same seed draws the same
            assert torch.equal(a, due.get_parameter(theirs[name]))
    with torch.no_grad():
        for name, (a, _) in lora.factors().items():
            due.get_parameter(theirs[name]).copy_(a)
    mine = losses(trainer)
    theirs_lost = losses(Trainer(due, arguments(tmp_path / "theirs"), pad_examples, ROWS))
    torch.testing.assert_close(mine, theirs_lost, rtol=1e-5, atol=1e-5)
    assert min(b.abs().max() for _, b in lora.factors().values()) > 1e-3
    for name, (a, b) in lora.factors().items():
        torch.testing.assert_close(a, due.get_parameter(theirs[name]).detach(), rtol=1e-3, atol=1e-4)
        other = theirs[name].replace("lora_A", "lora_B")
        torch.testing.assert_close(b, due.get_parameter(other).detach(), rtol=1e-3, atol=1e-4)


def moved(model: Any) -> Lora:
    """A LoRA far from nothing."""
    lora = Lora(model, SCOPE, seed=1)
    generator = torch.Generator().manual_seed(0)
    lora.load_state({name: torch.randn(each.shape, generator=generator) * 0.3 for name, each in lora.state().items()})
    return lora


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("load", [load_model, plain], ids=["bridge", "plain"])
def test_what_is_saved_is_what_peft_loads(
    kind: str, load: Callable[[Path], Any], checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    model = load(checkpoint(kind))
    bits = {name: value.clone() for name, value in model.state_dict().items()}
    asked = [(name, each.requires_grad) for name, each in model.named_parameters()]
    before = logits(model)
    lora = moved(model)
    due = logits(model)
    assert (due - before).abs().max() > 0.01
    with lora.off():
        assert torch.equal(logits(model), before)
        with lora.off():
            pass
        assert torch.equal(logits(model), before)
    assert torch.equal(logits(model), due)
    lora.save(tmp_path / "lora", base="somebody/their-model")
    lora.detach()
    assert torch.equal(logits(model), before)
    assert [(name, each.requires_grad) for name, each in model.named_parameters()] == asked
    after = model.state_dict()
    assert list(after) == list(bits)
    assert all(torch.equal(value, bits[name]) for name, value in after.items())
    assert not hasattr(getattr(model, "original_model", model), "peft_config")

    fresh = peft.PeftModel.from_pretrained(plain(checkpoint(kind)), tmp_path / "lora").eval()
    torch.testing.assert_close(logits(fresh), due, rtol=1e-5, atol=1e-5 * due.abs().max().item())
    again = Lora.load(tmp_path / "lora", model)
    assert torch.equal(logits(model), due)
    again.save(tmp_path / "again", base="somebody/their-model")
    for path in (tmp_path / "lora").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert json.loads((tmp_path / "lora" / "adapter_config.json").read_text())["lora_alpha"] == 6
    again.detach()


def test_every_projection_that_holds_heads_is_there_and_no_other(checkpoint: Callable[[str], Path]) -> None:
    found = projections_of(load_model(checkpoint("gpt2")))
    assert set(found) == {f"transformer.h.{layer}.attn.{name}" for layer in range(3) for name in ("c_attn", "c_proj")}
    parts = list(found["transformer.h.1.attn.c_attn"].values())
    assert parts == [list(range(32)), list(range(32, 64)), list(range(64, 96))]
    neox = list(
        projections_of(load_model(checkpoint("gpt-neox")))["gpt_neox.layers.0.attention.query_key_value"].values()
    )
    assert neox[0][:10] == [*range(8), 24, 25]  # the first head's query, then that of the next


def test_updates_of_every_head_are_among_those_of_its_projections(checkpoint: Callable[[str], Path]) -> None:
    """What "LoRA" was before, one rank a head, is a LoRA of as many ranks as heads."""
    model = plain(checkpoint("llama"))
    heads = HeadSet(f"L{layer}H{head}" for layer in range(3) for head in range(4))
    with pinpoint(model, PinpointConfig(heads, rank=1)) as tuned:
        tuned.load_state({name: torch.randn_like(value) for name, value in tuned.state().items()})
        due = logits(model)
        before, after = tuned.base(), tuned.tuned()
    lora = Lora(model, LoraScope(rank=4))
    with torch.no_grad():
        for layer in range(3):
            for letter, name in zip("QKVO", ("q_proj", "k_proj", "v_proj", "o_proj"), strict=True):
                updates = [
                    after[f"L{layer}H{head}.{letter}"] - before[f"L{layer}H{head}.{letter}"] for head in range(4)
                ]
                whole = torch.cat(updates, 0 if letter == "O" else 1)  # [d_in, d_out]
                left, values, right = torch.linalg.svd(whole.double(), full_matrices=False)
                place = f"model.layers.{layer}.self_attn.{name}"
                lora.parameters[f"{place}.A"].copy_((left[:, :4] * values[:4]).T)
                lora.parameters[f"{place}.B"].copy_(right[:4].T)
    torch.testing.assert_close(logits(model), due, rtol=1e-4, atol=1e-4)
    lora.detach()


def test_heads_alone_have_a_base_to_be_merged_into() -> None:
    assert all(issubclass(each, Tuned) for each in (Pinpoint, Lora, WholeModel))
    for name in ("base", "tuned", "merge", "unmerge", "slots"):
        assert not any(hasattr(each, name) for each in (Tuned, Lora, WholeModel)), name


def test_what_cannot_be_is_refused_and_leaves_nothing(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = plain(checkpoint("llama"))
    lora = Lora(model, SCOPE)
    with pytest.raises(TuningError, match="Lora has no tuned heads"):
        HeadAdapter.of(lora)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="another adapter"):
        attach(model, PinpointConfig(HeadSet(["L1H0"])))
    with pytest.raises(TuningError, match="adapter of PEFT"):
        Lora(model, SCOPE)
    lora.save(tmp_path / "lora", base="x")
    state = lora.state()
    lora.detach()
    lora.detach()
    for act in (lambda: lora.load_state(state), lambda: lora.off().__enter__()):
        with pytest.raises(TuningError, match="detached"):
            act()
    with pinpoint(model, PinpointConfig(HeadSet(["L1H0"]))), pytest.raises(TuningError, match="attached already"):
        Lora(model, SCOPE)
    with pytest.raises(TuningError, match="another model"):
        Lora.load(tmp_path / "lora", plain(checkpoint("gpt2")))
    weights = tmp_path / "lora" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SavedFileError, match="lora"):
        Lora.load(tmp_path / "lora", model)
    weights.unlink()
    with pytest.raises(SavedFileError, match="lora"):
        Lora.load(tmp_path / "lora", model)
    for wrong_scope in ({"rank": 0}, {"alpha": -1.0}):
        with pytest.raises(TuningError):
            LoraScope(**wrong_scope)  # type: ignore[arg-type]
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "peft" else find(name))
    with pytest.raises(TuningError, match=r"sycolens\[peft\]"):
        Lora(model, SCOPE)
    assert not any("lora" in name for name, _ in model.named_modules())


def test_a_model_that_does_not_call_a_projection_is_refused(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = plain(checkpoint("llama"))
    bypassed = model.model.layers[1].self_attn.v_proj

    class Behind(torch.nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.nn.functional.linear(inputs, bypassed.weight)

    class Attention(type(model.model.layers[1].self_attn)):  # type: ignore[misc]
        def forward(self, *arguments: Any, **options: Any) -> Any:
            found, self.v_proj = self.v_proj, Behind()
            try:
                return super().forward(*arguments, **options)
            finally:
                self.v_proj = found

    model.model.layers[1].self_attn.__class__ = Attention
    with pytest.raises(ModelError, match="11 of the 12"):
        Lora(model, SCOPE)
    assert not any("lora" in name for name, _ in model.named_modules())


def test_a_hooked_transformer_is_refused_by_name() -> None:
    from types import SimpleNamespace

    with pytest.raises(TuningError, match="HookedTransformer"):
        Lora(SimpleNamespace(cfg=None), SCOPE)
