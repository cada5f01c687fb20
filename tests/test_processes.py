"""Work dealt out to two processes, as ``accelerate launch`` starts them, gives the numbers of one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import shared_work
import torch
from launched import launched

from sycolens.distributed import ALONE, Processes

Ranks = list[dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def ranks(place: Path) -> Ranks:
    """What either process found."""
    return launched(shared_work.__file__, place)


def same(one: Any, other: Any) -> bool:
    """Whether everything is the same to the bit, however nested."""
    if isinstance(one, torch.Tensor):
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            return False
        return bool(((one == other) | (one.isnan() & other.isnan())).all())
    if dataclasses.is_dataclass(one):
        return one == other
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return shared_work.measured(ALONE)


@pytest.mark.parametrize(
    "what",
    [
        "effects",
        "reference",
        "counterfactual",
        "means",
        "samples",
        "attention",
        "curves",
        "replies",
        "exact",
        "drift",
        "eval_set",
    ],
)
def test_every_process_has_what_one_finds_alone(ranks: Ranks, alone: dict[str, Any], what: str) -> None:
    for rank in ranks:
        assert same(rank["measured"][what], alone[what])


def test_nothing_but_what_is_compared_is_measured(alone: dict[str, Any]) -> None:
    assert len(alone) == 11
    assert not same(alone["drift"], alone["drift"] + 1e-7)


def test_an_error_in_one_process_is_raised_in_all(ranks: Ranks) -> None:
    assert [rank["error"] for rank in ranks] == ["Question 1 is none."] * 2


def test_every_process_has_the_same_training(ranks: Ranks) -> None:
    one, two = (rank["trained"] for rank in ranks)
    assert same(one, two)
    assert one["left as found"]


def test_two_processes_learn_what_one_does(ranks: Ranks, tmp_path: Path) -> None:
    alone, together = shared_work.trained(ALONE, tmp_path / "alone"), ranks[0]["trained"]
    assert together["losses"] == pytest.approx(alone["losses"], rel=1e-3)
    for name, before in alone["before"].items():
        learned = (alone["after"][name] - before).abs().max()
        assert learned > 0
        assert (alone["after"][name] - together["after"][name]).abs().max() < 1e-3 * learned, name


def test_a_killed_training_goes_on_in_all_processes(ranks: Ranks) -> None:
    for rank in ranks:
        assert (rank["resumed"]["start"], rank["resumed"]["steps"]) == ("checkpoint-3", 1)
        assert same(rank["resumed"]["after"], rank["trained"]["after"])


def test_a_sweep_is_made_once(ranks: Ranks, place: Path) -> None:
    assert same(ranks[0]["swept"], ranks[1]["swept"])
    assert ranks[0]["swept"]["made"] == ["find", "examples", "sweep/spt-draw0-rate0.01-seed0", "sweep/comparison"]
    assert not list((place / "sweep").glob(".in_progress"))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("items", [0, 1, 4, 7])
def test_every_item_is_dealt_out_once(items: int, count: int) -> None:
    everyone = [Processes(rank, count) for rank in range(count)]
    assert sorted(item for each in everyone for item in each.in_turn(range(items))) == list(range(items))
