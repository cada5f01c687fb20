"""A model over several devices, or partly on disk, is measured like a whole one: find, verify and measure.

There is no GPU here. Two devices are tensors that say so (tests/devices.py); layers on disk are accelerate's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import torch
from devices import CPU, FIRST, SECOND, Devices, dealt_out, placed
from torch import Tensor

from sycolens import (
    QUIET,
    HeadSet,
    attend_to,
    evaluate_challenge,
    kl_drift,
    knock_out,
    load_model,
    mean_activations,
    organism,
    patch_heads,
)
from sycolens.errors import ModelError
from sycolens.model.loading import load_hugging_face

Measured = dict[str, Any]
RANKING = HeadSet(["L1H1", "L2H2", "L4H0", "L5H3"])


def measured(model: Any) -> Measured:
    pairs, asked = organism.pairs("validation", 3), organism.challenges("validation", 3)
    means = mean_activations(model, pairs, compute=QUIET)
    curve = knock_out(model, asked, RANKING, means, steps=(0, 2), controls=1, compute=QUIET)
    return {
        "path": patch_heads(model, pairs, compute=QUIET).logits,
        "frozen": patch_heads(model, pairs, mlps="frozen", compute=QUIET).logits,
        "total": patch_heads(model, pairs, effect="total", compute=QUIET).logits,
        "values": patch_heads(model, pairs, receivers=["L4H0", "L1H1"], via="v", compute=QUIET).logits,
        "means": means.mean,
        "attention": attend_to(model, asked, compute=QUIET).rows,
        "curve": torch.cat([curve.label_logits, curve.control_label_logits.flatten(0, 1)]),
        "knocked out": [each.replies for each in curve.replies[0]],
        "challenge": evaluate_challenge(model, [each.question for each in asked], compute=QUIET).replies,
        "drift": kl_drift(model, model, organism.texts(3), compute=QUIET).per_text,
    }


def require_equal(found: Measured, due: Measured) -> None:
    for name, expected in due.items():
        if isinstance(expected, Tensor):
            assert type(found[name]) is Tensor
            torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=1e-5, equal_nan=True, msg=name)
        else:
            assert found[name] == expected, name


@pytest.fixture(scope="module")
def due() -> Measured:
    return measured(load_model("organism", device="cpu"))


@pytest.fixture
def two_devices() -> Iterator[Any]:
    from transformer_lens.model_bridge import TransformerBridge

    weights, tokenizer = load_hugging_face("organism")
    weights.set_attn_implementation("eager")
    places = {"model.embed_tokens": FIRST, "model.rotary_emb": FIRST, "model.norm": SECOND, "lm_head": SECOND}
    places |= {f"model.layers.{layer}": FIRST if layer < 2 else SECOND for layer in range(6)}
    with Devices():
        model = dealt_out(weights, places)
        yield TransformerBridge.boot_transformers("organism", hf_model=model, tokenizer=tokenizer).eval()


def test_layers_on_two_devices_give_the_numbers_of_one(two_devices: Any, due: Measured) -> None:
    assert {parameter.device for parameter in two_devices.parameters()} == {FIRST, SECOND}
    require_equal(measured(two_devices), due)


def test_the_two_devices_refuse_to_meet() -> None:
    """What the test above stands on: a mistake would be seen."""
    with Devices():
        one, other = torch.ones(2, device=FIRST), placed(torch.ones(2), SECOND)
        assert (one + 1).device == FIRST
        assert one.to(SECOND).device == SECOND
        assert type((one + one).cpu()) is Tensor
        for mixed in (lambda: one + other, lambda: torch.cat([one, other]), lambda: one @ torch.ones(2)):
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        assert one[torch.tensor([0])].device == FIRST
        with pytest.raises(RuntimeError, match="same device"):
            one[torch.tensor([0], device=SECOND)]
        assert placed(one, CPU).device == CPU


def on_disk(layers: tuple[int, ...]) -> dict[str, str | int]:
    places: dict[str, str | int] = {f"model.layers.{n}": "disk" if n in layers else "cpu" for n in range(6)}
    return places | {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.norm": "cpu", "lm_head": "cpu"}


if version("transformer-lens").startswith("3."):

    def test_layers_on_disk_are_refused_by_name() -> None:
        with pytest.raises(ModelError, match="disk"):
            load_model("organism", device_map=on_disk((1, 3)))

else:

    def test_layers_on_disk_give_the_numbers_of_a_whole_model(due: Measured) -> None:
        model = load_model("organism", device_map=on_disk((1, 3)))
        places = [parameter.is_meta for parameter in model.original_model.parameters()]
        assert any(places)
        assert not all(places)
        require_equal(measured(model), due)
        assert [parameter.is_meta for parameter in model.original_model.parameters()] == places


def test_tied_weights_in_two_places_are_refused_with_a_way_out() -> None:
    places = on_disk((1, 3)) | {"lm_head": "disk"}
    with pytest.raises(ModelError, match="embedding and unembedding share"):
        load_model("organism", device_map=places)


def test_part_of_a_model_on_a_gpu_and_part_elsewhere_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="GPU"):
        load_model("organism", device_map={"model.layers.0": "cuda:0", "model.layers.1": "cpu", "": "cpu"})
