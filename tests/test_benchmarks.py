"""The benchmark of path patching compares ways that give the same numbers, and counts their work right."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import literal
import pytest
import torch

N_LAYERS, N_HEADS, LENGTH, TAIL = 3, 4, 40, 12
"""The benchmark's tiny shape."""
QUICK = ["--shape", "tiny", "--repeats", "1", "--no-memory"]


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    """The script, imported as Python runs it: with its own folder first on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        yield importlib.import_module("path_patching")


@pytest.fixture(scope="module")
def model(benchmark: ModuleType) -> Any:
    return benchmark.build_model(benchmark.SHAPES["tiny"], "cpu")


def make_task(benchmark: ModuleType, model: Any, *, shared: bool) -> Any:
    shape = benchmark.SHAPES["tiny"]
    pairs = benchmark.make_pairs(shape, shape.n_pairs, LENGTH, shared=shared)
    heads = benchmark.sample_heads(shape, N_LAYERS * N_HEADS)
    return benchmark.Task(model, pairs, "cpu", heads, heads)


@torch.no_grad()
@pytest.mark.parametrize("shared", [False, True])
def test_every_way_to_algorithm_1_gives_its_numbers(benchmark: ModuleType, model: Any, shared: bool) -> None:
    task = make_task(benchmark, model, shared=shared)
    expected = [
        literal.literal_path_patch(model, list(pair.reference), list(pair.counterfactual), pair.labels).flatten(0, 1)
        for pair in task.pairs
    ]
    ways = [way for way in benchmark.ALTERNATIVES if way.same]
    assert len(ways) == 3
    for way in ways:
        found = benchmark.count(task, way).found
        torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("shared", [False, True])
def test_the_counted_work_is_the_arithmetic(benchmark: ModuleType, model: Any, shared: bool) -> None:
    task = make_task(benchmark, model, shared=shared)
    heads = N_LAYERS * N_HEADS
    works = {way.name[:3]: benchmark.count(task, way).work for way in benchmark.ALTERNATIVES[:5]}
    tokens = {name: work.tokens / len(task.pairs) for name, work in works.items()}
    assert tokens["(a)"] == pytest.approx((2 + heads) * LENGTH)
    assert tokens["(b)"] == pytest.approx(2 * LENGTH + heads)
    assert tokens["(c)"] == pytest.approx((1 + heads) * LENGTH)
    assert tokens["flo"] == pytest.approx(2 * LENGTH)
    # Layer l has a reference row and (l + 1) * N_HEADS patched ones; two rows ask whether the batch may grow.
    replayed = 1 + N_HEADS * (N_LAYERS + 1) / 2 + 2 / len(task.pairs)
    assert tokens["syc"] == pytest.approx((LENGTH + TAIL if shared else 2 * LENGTH) + replayed)
    assert [works[name].passes for name in ("(a)", "(b)", "(c)", "flo")] == [2 + heads, 2 + heads, 1 + heads, 2]


def test_sampled_heads_are_extrapolated_to_all(benchmark: ModuleType, model: Any) -> None:
    shape = benchmark.SHAPES["tiny"]
    every, sampled = benchmark.sample_heads(shape, 99), benchmark.sample_heads(shape, 3)
    assert len(every) == N_LAYERS * N_HEADS
    assert [str(head) for head in sampled] == ["L0H3", "L1H3", "L2H3"]
    pairs = benchmark.make_pairs(shape, shape.n_pairs, LENGTH, shared=False)
    everything, some = (benchmark.Task(model, pairs, "cpu", heads, heads) for heads in (every, sampled))
    for way in benchmark.ALTERNATIVES[1:3]:
        with torch.no_grad():
            all_run, some_run = benchmark.count(everything, way).work, benchmark.count(some, way).work
        assert some_run.tokens == pytest.approx(all_run.tokens)
        assert some_run.flops == pytest.approx(all_run.flops)


def test_the_table_names_every_way(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(QUICK) == 0
    printed = capsys.readouterr().out
    headings = [line for line in printed.splitlines() if line.startswith("## ")]
    assert headings == ["## 40 tokens, unrelated prompts", "## 40 tokens, sharing all but the last 12"]
    for way in benchmark.ALTERNATIVES:
        rows = [line for line in printed.splitlines() if line.startswith(f"| {way.name}")]
        assert len(rows) == 2, way.name
        assert {row.count("|") for row in rows} == {10}


def test_ways_that_disagree_fail_the_run(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = benchmark.Task.held
    # The literal loop with nothing patched: every head stays at the reference.
    monkeypatch.setattr(benchmark.Task, "held", lambda task, reference, _, head: held(task, reference, reference, head))
    assert benchmark.main([*QUICK, "--kinds", "unrelated"]) == 1
    assert "do not compute the same thing" in capsys.readouterr().out


def test_peak_memory_holds_at_least_the_logits(benchmark: ModuleType) -> None:
    peak = benchmark.peak_in_fresh_process("tiny", "cpu", 512, LENGTH, "forward, all logits", 1)
    assert 1 < peak / (512 * LENGTH * 97 * 4) < 30
