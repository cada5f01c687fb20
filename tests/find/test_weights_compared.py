"""Distances of weights: scipy's, cases of hand, and heads that were moved on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from sycolens import compare_weights, load_model
from sycolens.errors import ModelError
from sycolens.find.selection.weights import relative_change, wasserstein
from sycolens.model.weights import head_weights

Load = Callable[..., Any]


def test_the_distance_is_scipys() -> None:
    first, second = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    places = np.linspace(0, 1, 50)
    expected = wasserstein_distance(places, places, first.softmax(0).numpy(), second.softmax(0).numpy())
    assert wasserstein(first, second) == pytest.approx(expected, rel=1e-5)


def test_by_hand() -> None:
    first, second = torch.tensor([2.0, 1.0, 1.0]).log(), torch.tensor([1.0, 1.0, 2.0]).log()
    assert wasserstein(first, second) == pytest.approx(0.25)  # a quarter of the mass, from 1 to 0
    assert relative_change(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0])) == 1.0


@pytest.mark.parametrize("distance", ["wasserstein", "change"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt-neox"])
def test_the_heads_that_moved_are_found_in_order(checkpoint: Load, tiny_model: Load, kind: str, distance: Any) -> None:
    model, base = load_model(checkpoint(kind)), tiny_model(kind)
    with torch.no_grad():
        head_weights(model, "L1H2")["V"].add_(1.0 * torch.arange(8).float())
        head_weights(model, "L0H3")["Q"].add_(0.05 * torch.arange(8).float())
    found = compare_weights(model, base, distance=distance)
    assert [str(head) for head in found.ranking()[:2]] == ["L1H2", "L0H3"]
    assert int((found.scores > 0).sum()) == 2
    assert len(found) == 0
    assert "low" not in found.to_frame()


def test_a_plain_hugging_face_model_gives_the_same(checkpoint: Load, tiny_model: Load) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint("llama-gqa"))
    with torch.no_grad():
        model.model.layers[1].self_attn.k_proj.weight[8:16] *= 1.5  # the second group's keys: heads 2 and 3
    found = compare_weights(model, tiny_model("llama-gqa"), distance="change")
    assert found.scores.nonzero().tolist() == [[1, 2], [1, 3]]


def test_what_cannot_be_compared_is_refused(tiny_model: Load) -> None:
    with pytest.raises(ModelError, match="no head moved"):
        compare_weights(tiny_model("llama"), tiny_model("llama"))
    with pytest.raises(ModelError, match="tuned from"):
        compare_weights(tiny_model("llama"), tiny_model("llama-gqa"))
    with pytest.raises(ModelError, match="l2"):
        compare_weights(tiny_model("llama"), tiny_model("llama"), distance="l2")  # type: ignore[arg-type]
