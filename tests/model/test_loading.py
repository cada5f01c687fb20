"""Models load from where the user says, as they were saved, or not at all with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from tiny import BACKENDS
from transformers import AutoModelForCausalLM

from sycolens import QUIET, load_model
from sycolens.errors import ModelError
from sycolens.model.hooked import Geometry

Load = Callable[..., Any]
TOKENS = torch.tensor([[3, 14, 15, 92, 65, 35]])


@pytest.mark.parametrize("kind", ["llama-gqa", "gpt-neox", "qwen3"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loaded_model_gives_the_logits_of_hugging_face(
    checkpoint: Load, tiny_model: Load, kind: str, backend: str
) -> None:
    model = tiny_model(kind, backend)
    plain = AutoModelForCausalLM.from_pretrained(checkpoint(kind), attn_implementation="eager").eval()
    with torch.no_grad():
        torch.testing.assert_close(model(TOKENS), plain(TOKENS).logits, atol=1e-4, rtol=1e-4)
    assert not model.training


def test_geometry_knows_key_value_groups_and_head_width(tiny_model: Load) -> None:
    geometry = Geometry.of(tiny_model("qwen3"))
    assert (geometry.n_layers, geometry.n_heads, geometry.n_key_value_heads) == (3, 4, 2)
    assert (geometry.d_model, geometry.d_head, geometry.n_ctx, geometry.d_vocab) == (32, 12, 128, tiny.VOCABULARY)


def test_dtype_is_the_one_asked_for(checkpoint: Load) -> None:
    for asked, expected in ((None, torch.float32), ("bfloat16", torch.bfloat16), (torch.float64, torch.float64)):
        model = load_model(checkpoint("llama"), dtype=asked)
        assert {p.dtype for p in model.parameters()} == {expected}


def test_a_device_map_places_the_layers(checkpoint: Load) -> None:
    from sycolens import ContrastPairs, patch_heads

    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(2), (3, 5))
    placed = load_model(checkpoint("llama"), device_map="cpu")
    whole = load_model(checkpoint("llama"))
    effects = [patch_heads(model, pairs, compute=QUIET).logits for model in (placed, whole)]
    torch.testing.assert_close(*effects)


def test_what_cannot_be_loaded_is_named(tmp_path: Path, checkpoint: Load) -> None:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    for path, message in (
        (tmp_path / "file.txt", "is not a checkpoint directory"),
        (tmp_path / "nothing", "is not a checkpoint directory"),
        (tmp_path / "empty", r"without config\.json"),
        (str(tmp_path / "broken"), "could not be loaded as a bridge model"),
        ("no-such-author/no-such-model", "could not be loaded as a bridge model"),
    ):
        with pytest.raises(ModelError, match=message):
            load_model(path)
    with pytest.raises(ModelError, match="either device or device_map"):
        load_model(checkpoint("llama"), device="cpu", device_map="auto")
    for dtype in ("float99", "int8", "nn"):
        with pytest.raises(ModelError, match="not a floating-point type"):
            load_model(checkpoint("llama"), dtype=dtype)
    with pytest.raises(ModelError, match="backend='nnsight' is unknown"):
        load_model(checkpoint("llama"), backend="nnsight")  # type: ignore[arg-type]


def test_hooked_backend_is_there_or_says_why_not(checkpoint: Load) -> None:
    if "hooked" in BACKENDS:
        assert type(load_model(checkpoint("llama"), backend="hooked")).__name__ == "HookedTransformer"
    else:
        with pytest.raises(ModelError, match=r"it left in 4\.0.*Use backend='bridge'"):
            load_model(checkpoint("llama"), backend="hooked")
