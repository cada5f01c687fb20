"""A model whose weights are packed into 4 bits is found and verified as it is, and not tuned (needs bitsandbytes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from literal import literal_path_patch

from sycolens import QUIET, ContrastPairs, HeadSet, PinpointConfig, mean_activations, patch_heads, pinpoint
from sycolens.errors import ModelError
from sycolens.model.weights import written

Load = Callable[..., Any]
PAIRS = ContrastPairs.from_tokens(*tiny.random_prompts(2), (3, 5))


def test_without_a_matrix_the_projection_itself_tells_what_heads_write(
    tiny_model: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("llama-gqa", "gpt2", "phi"):  # the latter two add a bias, which is no head's
        model = tiny_model(kind)
        z = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
        due = written(model, 1, z)
        assert due.abs().max() > 0.1
        with monkeypatch.context() as patch:
            patch.setattr("sycolens.model.weights._output_matrix", lambda attention: None)
            torch.testing.assert_close(written(model, 1, z), due, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def packed(checkpoint: Load) -> Any:
    pytest.importorskip("bitsandbytes")
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    place = checkpoint("llama-gqa")
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    weights = AutoModelForCausalLM.from_pretrained(
        place, quantization_config=how, device_map="cpu", attn_implementation="eager"
    )
    tokenizer = AutoTokenizer.from_pretrained(place)
    return TransformerBridge.boot_transformers("packed", hf_model=weights, tokenizer=tokenizer).eval()


def test_heads_of_a_4_bit_model_are_found_exactly(packed: Any) -> None:
    found = patch_heads(packed, PAIRS, compute=QUIET).logits
    due = [literal_path_patch(packed, list(pair.reference), list(pair.counterfactual), pair.labels) for pair in PAIRS]
    torch.testing.assert_close(found, torch.stack(due), atol=1e-5, rtol=1e-5)
    assert (found - found.mean((1, 2), keepdim=True)).abs().max() > 1e-3


def test_means_of_a_4_bit_model_know_what_heads_write(packed: Any) -> None:
    means = mean_activations(packed, PAIRS, width=2, compute=QUIET)
    assert means.write_norm.min() > 0


def test_a_4_bit_model_is_not_tuned(packed: Any) -> None:
    with pytest.raises(ModelError, match="quantized"), pinpoint(packed, PinpointConfig(HeadSet(["L1H0"]))):
        pass
