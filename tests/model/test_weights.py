"""A head's matrices are where the model computes with them, the same in all three kinds of models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from sycolens.errors import HeadError, ModelError
from sycolens.model.weights import head_slots, head_weights, mlp_slots, require_raw_weights, shape_of

ALL = [*tiny.CONFIGS, *tiny.MORE_CONFIGS]
LOADED = ["llama", "llama-gqa", "mistral", "qwen2", "qwen3", "gpt-neox", "phi3", "gptj", "opt", "bloom"]
"""What TransformerLens 3.9 loads into a HookedTransformer from a local directory."""
FAITHFUL = [kind for kind in ALL if kind != "cohere" or "hooked" not in tiny.BACKENDS]
"""TransformerLens 3.9 has other logits than Hugging Face for Cohere."""
TOKENS = torch.tensor(tiny.random_prompts(3)[0])
LensModel = Callable[..., Any]
Checkpoint = Callable[[str], Path]


def plain(checkpoint: Checkpoint, kind: str, **options: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoint(kind), **options).eval()


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        out = model(TOKENS)
    return out if isinstance(out, Tensor) else out.logits


def lens_models(kind: str, tiny_model: LensModel) -> list[Any]:
    return [tiny_model(kind), *([tiny_model(kind, "hooked")] if "hooked" in tiny.BACKENDS and kind in LOADED else ())]


@pytest.mark.parametrize("kind", ALL)
def test_hugging_face_and_transformer_lens_agree(kind: str, checkpoint: Checkpoint, tiny_model: LensModel) -> None:
    reference = plain(checkpoint, kind)
    for model in lens_models(kind, tiny_model):
        for head in ("L0H0", "L1H1", "L2H3"):
            due, found = head_weights(reference, head), head_weights(model, head)
            assert set("QKVO") <= set(due) <= set(found)
            for name, value in found.items():
                # A HookedTransformer has biases, zeros, also where the checkpoint has none.
                torch.testing.assert_close(value, due.get(name, torch.zeros_like(value)), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ALL)
def test_views_are_those_of_transformer_lens(kind: str, tiny_model: LensModel) -> None:
    for model in lens_models(kind, tiny_model):
        group = model.cfg.n_heads // (getattr(model.cfg, "n_key_value_heads", None) or model.cfg.n_heads)
        for layer, head in ((0, 0), (1, 1), (2, 3)):
            for name, value in head_weights(model, (layer, head)).items():
                theirs = getattr(model.blocks[layer].attn, name if name.startswith("b_") else f"W_{name}")
                of_group = len(theirs) < model.cfg.n_heads
                assert torch.equal(value, theirs[head // group if of_group else head])


@pytest.mark.parametrize("kind", FAITHFUL)
@pytest.mark.parametrize("name", ["Q", "K", "V", "O"])
def test_writing_into_a_view_does_the_same_to_every_kind_of_model(
    kind: str, name: str, checkpoint: Checkpoint, tiny_model: LensModel
) -> None:
    changed = []
    for model in [plain(checkpoint, kind), *lens_models(kind, tiny_model)]:
        view = head_weights(model, "L1H2")[name]
        before, found = view.clone(), logits(model)
        try:
            view.copy_(torch.linspace(-1, 1, view.numel()).view(view.shape))
            changed.append(logits(model) - found)
        finally:
            view.copy_(before)
    assert changed[0].abs().max() > 1e-3
    for difference in changed[1:]:
        torch.testing.assert_close(difference, changed[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt-neox", "phi3", "bloom"])
def test_zeroing_o_is_zeroing_the_heads_output(kind: str, checkpoint: Checkpoint, tiny_model: LensModel) -> None:
    model, edited = tiny_model(kind), plain(checkpoint, kind)
    head_weights(edited, "L1H2")["O"].zero_()

    def silence(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        value.view(*value.shape[:2], 4, -1)[:, :, 2] = 0
        return value

    with model.hooks(fwd_hooks=[("blocks.1.attn.hook_z", silence)]):
        torch.testing.assert_close(logits(model), logits(edited), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt-neox", "phi3", "opt", "phi"])
def test_matrices_of_an_mlp_agree(kind: str, checkpoint: Checkpoint, tiny_model: LensModel) -> None:
    due = mlp_slots(plain(checkpoint, kind), 1)
    for model in lens_models(kind, tiny_model):
        found = mlp_slots(model, 1)
        assert list(found) == list(due)
        assert all(torch.equal(found[name].view, due[name].view) for name in due)


def test_grouped_heads_share_keys_and_values(checkpoint: Checkpoint) -> None:
    model = plain(checkpoint, "llama-gqa")
    first, second, third = (head_weights(model, f"L0H{index}") for index in (0, 1, 2))
    assert first["K"].data_ptr() == second["K"].data_ptr() != third["K"].data_ptr()
    assert first["Q"].data_ptr() != second["Q"].data_ptr()


def test_shape_of_a_configuration_is_that_of_the_model(checkpoint: Checkpoint, tiny_model: LensModel) -> None:
    for kind in ("qwen3", "gpt2", "gpt-neox"):
        of_config, of_model = shape_of(AutoConfig.from_pretrained(checkpoint(kind))), shape_of(tiny_model(kind))
        for name in ("n_layers", "n_heads", "n_key_value_heads", "d_model", "d_head"):
            assert getattr(of_config, name) == getattr(of_model, name), (kind, name)


class TestRefusals:
    def test_a_head_that_does_not_exist(self, checkpoint: Checkpoint) -> None:
        with pytest.raises(HeadError, match="L0H4 does not exist"):
            head_weights(plain(checkpoint, "llama"), "L0H4")

    def test_a_layout_that_is_not_known(self) -> None:
        # Falcon with one key and value for all heads uses the names of GPT-NeoX for another order.
        config = AutoConfig.for_model(
            "falcon", vocab_size=97, hidden_size=32, num_hidden_layers=1, num_attention_heads=4
        )
        with pytest.raises(ModelError, match="layout that is not known"):
            head_weights(AutoModelForCausalLM.from_config(config), "L0H0")

    def test_projections_of_another_width_than_the_configuration_says(self, checkpoint: Checkpoint) -> None:
        model = plain(checkpoint, "llama")
        model.model.layers[1].self_attn.k_proj = torch.nn.Linear(32, 24)
        assert "K" in head_weights(model, "L0H0")
        with pytest.raises(ModelError, match="the attention of layer 1 keeps"):
            head_weights(model, "L1H0")

    def test_two_attentions_in_one_layer(self, checkpoint: Checkpoint) -> None:
        model = plain(checkpoint, "llama")
        model.model.layers[1].cross_attn = copy.deepcopy(model.model.layers[1].self_attn)
        with pytest.raises(ModelError, match="the attention of layer 1 keeps"):
            head_weights(model, "L1H0")

    def test_a_model_without_heads(self, checkpoint: Checkpoint) -> None:
        with pytest.raises(ModelError, match="neither a TransformerLens model nor a Hugging Face"):
            head_slots(plain(checkpoint, "mamba"), "L0H0")
        with pytest.raises(ModelError, match="neither"):
            shape_of(SimpleNamespace())

    def test_a_mixture_of_experts_as_mlp(self, checkpoint: Checkpoint, tiny_model: LensModel) -> None:
        for model in (plain(checkpoint, "mixtral"), tiny_model("mixtral")):
            with pytest.raises(ModelError, match="mixture"):
                mlp_slots(model, 1)

    def test_processed_weights(self, checkpoint: Checkpoint) -> None:
        from sycolens import load_model

        model = load_model(checkpoint("gpt2"))
        require_raw_weights(model)
        model.enable_compatibility_mode()
        with pytest.raises(ModelError, match="processed by TransformerLens"):
            require_raw_weights(model)

    if "hooked" in tiny.BACKENDS:

        @pytest.mark.parametrize("kind", HAND_MADE)
        @pytest.mark.parametrize("processing", ["fold_ln", "center_writing_weights", "center_unembed"])
        def test_processed_weights_of_a_hooked_transformer(self, kind: str, processing: str) -> None:
            model = hand_made(kind)
            require_raw_weights(model)
            names = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
            model.load_and_process_state_dict(model.state_dict(), **{name: name == processing for name in names})
            if (kind, processing) != ("gemma2", "center_writing_weights"):  # not done where the norm is RMS
                with pytest.raises(ModelError, match="processed by TransformerLens"):
                    require_raw_weights(model)
