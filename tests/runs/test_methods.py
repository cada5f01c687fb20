"""The methods that are compared: what each of them trains."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sycolens import HeadSet, PinpointConfig
from sycolens.errors import HeadError, TuningError
from sycolens.find.effects import all_heads
from sycolens.model.hooked import Geometry
from sycolens.runs.methods import methods_for, steered_heads
from sycolens.tune import LoraScope

SHAPE = Geometry(
    name="shape", n_layers=3, n_heads=4, n_key_value_heads=4, d_model=16, d_head=4, d_mlp=32, d_vocab=50, n_ctx=64
)
RANKING = HeadSet(reversed(all_heads(3, 4)))


def made(**options: Any) -> dict[str, Any]:
    return {each.name: each for each in methods_for(RANKING, SHAPE, ks=(1, 3), draws=5, rank=2, **options)}


def test_each_trains_the_heads_that_its_name_says() -> None:
    methods = made()
    assert list(methods) == [
        "SPT, 1 head",
        "SPT, 3 heads",
        "SPT + LoRA, 3 heads",
        "layer-matched, 3 heads",
        "LoRA",
        "SFT",
    ]
    assert methods["SPT, 1 head"].scopes == (PinpointConfig(RANKING[:1], dtype=torch.float32),)
    assert methods["SPT + LoRA, 3 heads"].scopes == (PinpointConfig(RANKING[:3], rank=2, dtype=torch.float32),)
    assert methods["LoRA"].scopes == (LoraScope(rank=8),)
    assert made(rank_of_all=2, alpha=1.0)["LoRA"].scopes == (LoraScope(rank=2, alpha=1.0),)
    drawn = methods["layer-matched, 3 heads"].scopes
    assert len(drawn) == 5
    for scope in drawn:
        assert len(scope.heads) == 3
        assert not set(scope.heads) & set(RANKING[:3])


def test_other_heads_are_of_the_same_layers_or_of_all_and_the_name_says_which() -> None:
    first = HeadSet(["L2H3", "L2H0", "L0H1"])
    ranking = HeadSet([*first, *(head for head in RANKING if head not in set(first))])

    def drawn(**options: Any) -> dict[str, list[list[int]]]:
        methods = methods_for(ranking, SHAPE, kinds=("random",), ks=(3,), draws=8, **options)
        return {each.name: [[head.layer for head in scope.heads] for scope in each.scopes] for each in methods}  # type: ignore[union-attr]

    assert drawn() == {"layer-matched, 3 heads": [[2, 2, 0]] * 8}
    (layers,) = drawn(control="random").values()
    assert list(drawn(control="random")) == ["random, 3 heads"]
    assert {layer for each in layers for layer in each} == {0, 1, 2}


def test_an_intervention_acts_on_the_found_heads_and_on_those_that_are_trained_in_their_place() -> None:
    found = steered_heads("caa", RANKING, SHAPE, k=3, draws=5)
    assert list(found) == ["CAA, 3 heads", "CAA, 3 layer-matched heads"]
    assert found["CAA, 3 heads"] == (RANKING[:3],)
    trained = made()["layer-matched, 3 heads"].scopes
    assert [set(heads) for heads in found["CAA, 3 layer-matched heads"]] == [set(scope.heads) for scope in trained]
    assert list(steered_heads("ablation", RANKING, SHAPE, k=1, draws=1, control="random")) == [
        "mean ablation, 1 head",
        "mean ablation, 1 random head",
    ]
    with pytest.raises(HeadError):
        steered_heads("iti", RANKING, SHAPE, k=13, draws=1)


@pytest.mark.parametrize(
    ("wrong", "error", "word"),
    [
        ({"ks": (3, 1)}, HeadError, "3, 1"),
        ({"ks": (13,)}, HeadError, "13"),
        ({"k": 13}, HeadError, "12"),
        ({"kinds": ("sft", "sft")}, TuningError, "sft"),
        ({"draws": 0}, HeadError, "draws=0"),
        ({"rank": 5}, TuningError, "rank=5"),
    ],
)
def test_what_cannot_be_compared_is_refused(wrong: dict[str, Any], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        methods_for(RANKING, SHAPE, **wrong)
