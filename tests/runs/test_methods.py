"""The methods that are compared, and that each gets the same budget."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from sycolens import HeadSet, PinpointConfig
from sycolens.errors import HeadError, TuningError
from sycolens.find.effects import all_heads
from sycolens.model.hooked import Geometry
from sycolens.runs.methods import methods_for, trials_of

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
    assert set(methods["LoRA"].scopes[0].heads) == set(all_heads(3, 4))
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
        return {each.name: [[head.layer for head in scope.heads] for scope in each.scopes] for each in methods}

    assert drawn() == {"layer-matched, 3 heads": [[2, 2, 0]] * 8}
    (layers,) = drawn(control="random").values()
    assert list(drawn(control="random")) == ["random, 3 heads"]
    assert {layer for each in layers for layer in each} == {0, 1, 2}


def test_parameters_are_counted() -> None:
    counts = {name: each.count_parameters(SHAPE, 1000) for name, each in made().items()}
    assert counts == {
        "SPT, 1 head": 4 * 16 * 4,
        "SPT, 3 heads": 3 * 4 * 16 * 4,
        "SPT + LoRA, 3 heads": 3 * 4 * 2 * (16 + 4),
        "layer-matched, 3 heads": 3 * 4 * 16 * 4,
        "LoRA": 12 * 4 * 1 * (16 + 4),
        "SFT": 1000,
    }


def test_every_method_gets_every_learning_rate_as_often() -> None:
    trials = trials_of(list(made().values()), learning_rates=(1e-3, 1e-2), seeds=3)
    assert len({trial.name for trial in trials}) == len(trials)
    counted = Counter((trial.method.name, trial.learning_rate) for trial in trials)
    for name in made():
        runs = 5 if name.startswith("layer-matched") else 3
        assert counted[name, 1e-3] == counted[name, 1e-2] == runs
    assert {trial.draw: trial.seed for trial in trials if trial.method.name.startswith("layer-matched")} == {
        0: 0,
        1: 1,
        2: 2,
        3: 0,
        4: 1,
    }


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"ks": (3, 1)}, HeadError, r"k=\[3, 1\]; give rising numbers"),
        ({"ks": (13,)}, HeadError, "to the 12 that were ranked"),
        ({"k": 13}, HeadError, "to the 12 that were ranked"),
        ({"kinds": ("sft", "sft")}, TuningError, "each once"),
        ({"draws": 0}, HeadError, "draw random heads at least once"),
        ({"rank": 5}, TuningError, "rank=5"),
    ],
)
def test_what_cannot_be_compared_is_refused(wrong: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        methods_for(RANKING, SHAPE, **wrong)


def test_no_rate_and_no_seed_are_refused() -> None:
    methods = list(made().values())
    with pytest.raises(TuningError, match="learning_rates"):
        trials_of(methods, learning_rates=(), seeds=1)
    with pytest.raises(TuningError, match="each once"):
        trials_of(methods, learning_rates=(1e-3, 1e-3), seeds=1)
    with pytest.raises(TuningError, match="seeds=0"):
        trials_of(methods, learning_rates=(1e-3,), seeds=0)
