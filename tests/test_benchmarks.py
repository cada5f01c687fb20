"""The benchmarks compare ways that give the same numbers or replies, and count their work right."""

from __future__ import annotations

import contextlib
import importlib
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import literal
import numpy
import pandas
import pytest
import torch

from sycolens import organism
from sycolens.inspect.groups import SIDES
from sycolens.measure import Outcome, grade_replies
from sycolens.prompts import PARAPHRASES, challenge_questions
from sycolens.runs.trainings import trainings_of
from sycolens.tune import pad_examples

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
    assert len(ways) == 4
    for way in ways:
        found = benchmark.count(task, way).found
        torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("shared", [False, True])
def test_every_way_to_the_other_effects_gives_their_numbers(benchmark: ModuleType, model: Any, shared: bool) -> None:
    task = make_task(benchmark, model, shared=shared)
    prompts = [(list(pair.reference), list(pair.counterfactual), pair.labels) for pair in task.pairs]
    to = [(N_LAYERS - 1, N_HEADS // 2)]
    expected = [
        [literal.literal_total_effect(model, *each) for each in prompts],
        [literal.literal_path_to_receivers(model, *each, to, "q", 1) for each in prompts],
        [literal.literal_path_to_receivers(model, *each, to, "v", TAIL) for each in prompts],
    ]
    assert len(benchmark.REACTIONS) == len(expected)
    for ways, each in zip(benchmark.REACTIONS.values(), expected, strict=True):
        stacked = torch.stack(each).flatten(1, 2)
        assert (stacked - stacked[:, -1:]).abs().max() > 1e-3, "nothing moved, so equality would mean nothing"
        for way in ways:
            torch.testing.assert_close(benchmark.count(task, way).found, stacked, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_counted_work_of_the_other_effects_is_the_arithmetic(benchmark: ModuleType, model: Any) -> None:
    task = make_task(benchmark, model, shared=False)
    heads = N_LAYERS * N_HEADS
    for ways, span in zip(benchmark.REACTIONS.values(), (1, 1, TAIL), strict=True):
        tokens = [benchmark.count(task, way).work.tokens / len(task.pairs) for way in ways]
        runs = 1 if ways is benchmark.REACTIONS["the total effect"] else 2
        assert tokens[1] == pytest.approx((2 + runs * heads) * LENGTH)
        assert tokens[2] == pytest.approx(2 * LENGTH + runs * span * heads)
        if runs == 1:
            rows = 1 + N_HEADS * (N_LAYERS + 1) / 2
        else:
            # Listening, heads below the last layer only; telling, all of them in the last layer only.
            senders = [N_HEADS * min(layer + 1, N_LAYERS - 1) for layer in range(N_LAYERS)]
            rows = 2 + (sum(senders) + senders[-1]) / N_LAYERS
        assert tokens[0] == pytest.approx(2 * LENGTH + span * rows + 2 / len(task.pairs))


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
    tables = re.split(r"^##+ .*", printed, flags=re.MULTILINE)[1:]
    every = [benchmark.ALTERNATIVES, *benchmark.REACTIONS.values()] * 2
    for table, ways in zip(tables, every, strict=True):
        rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
        assert [row.startswith(f"| {way.name}") for row, way in zip(rows, ways, strict=True)] == [True] * len(ways)
        assert {row.count("|") for row in rows} == {10}


def test_ways_that_disagree_fail_the_run(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = benchmark.Task.held
    # The literal loop with nothing patched: every head stays at the reference.
    monkeypatch.setattr(benchmark.Task, "held", lambda task, reference, _, head: held(task, reference, reference, head))
    assert benchmark.main([*QUICK, "--kinds", "unrelated", "--only-paths"]) == 1
    assert "do not compute the same thing" in capsys.readouterr().out


def test_peak_memory_holds_at_least_the_logits(benchmark: ModuleType) -> None:
    peak = benchmark.peak_in_fresh_process("tiny", "cpu", 512, LENGTH, "forward, all logits", 1)
    assert 1 < peak / (512 * LENGTH * 97 * 4) < 30


@pytest.fixture(scope="module")
def knockout() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        yield importlib.import_module("knockout")


@pytest.fixture(scope="module")
def curve(knockout: ModuleType) -> Any:
    """The tiny task, and what every way to its replies did."""
    task = knockout.make_task("tiny", knockout.SIZES["tiny"], "cpu")
    with torch.no_grad():
        return task, knockout.measure(task, turns=1, sampled=1000)


def test_every_way_to_a_knockout_curve_gives_the_same_replies(knockout: ModuleType, curve: Any) -> None:
    task, rows = curve
    replies = rows[0].found
    assert len(replies) > 30
    assert frozenset() in replies
    assert frozenset(task.ranking[:4]) in replies
    for i in range(len(task.prompts)):
        assert len({said[i] for said in replies.values()}) > 3, "the conditions should say different things"
    for row in rows[1:]:
        assert row.found == replies, row.alternative.name


def test_the_counted_work_of_a_knockout_is_the_arithmetic(knockout: ModuleType, curve: Any) -> None:
    task, rows = curve
    sycolens, by_length, padded = rows
    again = {heads: [min(len(reply), 5) for reply in said] for heads, said in sycolens.found.items()}
    lengths = [len(prompt) for prompt in task.prompts]
    assert lengths == [40, 37, 40, 37]
    # The prompt but its end once; its end and what was said once for every condition.
    expected = sum(length - 1 for length in lengths) + sum(1 + n for each in again.values() for n in each)
    assert sycolens.work.tokens == pytest.approx(expected)
    assert sycolens.work.tokens == pytest.approx(knockout.by_hand(task, sycolens, sycolens.found))
    # A batch goes on until its last row has ended, and padding counts as tokens.
    batches = [2 * (40 + max(each[0], each[2])) + 2 * (37 + max(each[1], each[3])) for each in again.values()]
    assert by_length.work.tokens == pytest.approx(sum(batches))
    assert padded.work.tokens == pytest.approx(sum(4 * (40 + max(each)) for each in again.values()))
    least = sum(length + n for each in again.values() for length, n in zip(lengths, each, strict=True))
    assert knockout.by_hand(task, by_length, sycolens.found) == least


def test_sampled_conditions_are_spread_and_scaled_to_all(knockout: ModuleType, curve: Any) -> None:
    task, rows = curve
    every = list(rows[0].found)
    assert knockout.spread(every, 1000, 0) == every
    assert knockout.spread(every[:6], 3, 1) == [every[1], every[3], every[5]]
    with torch.no_grad():
        some = knockout.measure(task, turns=1, sampled=10)
    assert len(some[1].found) == 10
    assert some[1].work.tokens == pytest.approx(rows[1].work.tokens, rel=0.1)


def test_knockouts_that_disagree_fail_the_run(
    knockout: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert knockout.main(["--models", "tiny", "--conditions", "10"]) == 0
    printed = capsys.readouterr().out
    for way in (knockout.SYCOLENS, *knockout.LOOPS):
        (row,) = [line for line in printed.splitlines() if line.startswith(f"| {way.name}")]
        assert row.count("|") == 10
    monkeypatch.setattr(knockout, "hooked", lambda task, heads: contextlib.nullcontext())  # nothing is knocked out
    assert knockout.main(["--models", "tiny", "--conditions", "10"]) == 1
    assert "do not compute the same thing" in capsys.readouterr().out


@pytest.fixture(scope="module")
def tuning() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        yield importlib.import_module("tuning")


@pytest.fixture(scope="module")
def trained(tuning: ModuleType) -> Any:
    """The tiny task, and what one step of every way did."""
    task = tuning.make_task(tuning.SIZES["tiny"], "cpu")
    return task, {row.way.name.split(":")[0]: row for row in tuning.measure(task, tuning.available(), turns=1, steps=1)}


def test_every_way_to_train_takes_the_step_of_the_same_untouched_model(tuning: ModuleType, trained: Any) -> None:
    task, rows = trained
    ids = torch.tensor([example["input_ids"] for example in task.examples])
    with torch.no_grad():
        due = task.model(input_ids=ids, labels=ids).loss.item()
    for row in rows.values():
        assert row.loss == pytest.approx(due, rel=1e-5), row.way.name
        assert len(row.seconds) == 1
    assert not any(parameter.requires_grad for parameter in task.model.parameters())
    assert not any("lora" in name or "parametrizations" in name for name, _ in task.model.named_modules())


def test_optimizers_keep_two_numbers_for_every_trained_one(tuning: ModuleType, trained: Any) -> None:
    task, rows = trained
    every = task.model.num_parameters()
    chosen = 3 * 4 * 32 * 8  # heads, matrices, d_model, d_head
    low_rank = 3 * 4 * (32 + 8) * 8
    # Parameters, and into how many tensors they fall: AdamW counts the steps of each.
    due = {
        "SPT": (chosen, 12),
        "SPT, as many heads in the upper half": (chosen, 12),
        "SPT + LoRA": (low_rank, 24),
        "SFT": (every, len(list(task.model.parameters()))),
        "SFT, the ordinary way": (every, len(list(task.model.parameters()))),
        "LoRA": (chosen, 24),
        "floor": (0, 0),
    }
    assert set(due) - set(rows) <= {"LoRA"}
    for name, row in rows.items():
        trained_parameters, tensors = due[name]
        assert row.trained == trained_parameters, name
        assert row.state == 4 * (2 * trained_parameters + tensors), name


def test_the_counted_work_of_a_training_step_is_the_arithmetic(tuning: ModuleType, trained: Any) -> None:
    task, rows = trained
    size, tokens = task.size, 2 * 16
    block = 4 * size.d_model**2 + 3 * size.d_model * size.d_mlp
    attention = 2 * 2 * tokens * 16 * size.d_model  # scores and their use; two and a half times as much backward
    forward = 2 * tokens * (size.n_layers * block + size.d_vocab * size.d_model) + size.n_layers * attention
    every = 3 * forward + size.n_layers * attention / 2
    assert rows["SFT, the ordinary way"].flops == every
    # Nothing follows the last token of an example, so sycolens makes no logits there.
    unread = 2 * 2 * size.d_vocab * size.d_model
    assert rows["SFT"].flops == every - 3 * unread
    # The lowest layer passes nothing on from its queries, keys and values; no weight has a gradient.
    backward = forward + 1.5 * size.n_layers * attention - 2 * tokens * 3 * size.d_model**2
    assert rows["floor"].flops == forward + backward
    slices = 2 * tokens * rows["SPT"].trained
    slices -= 2 * unread
    assert rows["SPT"].flops == forward + backward + slices
    spared = 2 * tokens * block + 2.5 * attention  # one layer less on the way back
    assert rows["SPT, as many heads in the upper half"].flops == forward + backward + slices - spared
    assert tuning.lowest(task.heads) == 0
    assert tuning.lowest(task.upper_heads) == 1


def test_only_taught_tokens_are_unembedded(tuning: ModuleType) -> None:
    size = tuning.replace(tuning.SIZES["tiny"], n_taught=5)
    task = tuning.make_task(size, "cpu")
    rows = {way.name.split(":")[0]: tuning.count(task, way) for way in (tuning.SPT, tuning.SFT, tuning.PLAIN_SFT)}
    assert len({round(row.loss, 5) for row in rows.values()}) == 1
    spared = 3 * 2 * size.n_examples * (size.n_tokens - 5) * size.d_vocab * size.d_model
    assert rows["SFT, the ordinary way"].flops - rows["SFT"].flops == spared


def test_trainings_that_disagree_fail_the_run(
    tuning: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--shape", "tiny", "--turns", "1", "--steps", "1", "--no-memory"]
    assert tuning.main(quick) == 0
    printed = capsys.readouterr().out
    for way in tuning.available():
        (row,) = [line for line in printed.splitlines() if line.startswith(f"| {way.name} |")]
        assert row.count("|") == 9
    assert ("PEFT is not installed" in printed) == (tuning.PEFT not in tuning.available())
    learners = importlib.import_module("learners")
    monkeypatch.setattr(learners, "find_spec", lambda name: None)
    other = tuning.make_task(tuning.SIZES["tiny"], "cpu").examples[:1] * 2
    monkeypatch.setattr(learners, "pad_examples", lambda rows: pad_examples(other))  # the floor alone learns this
    assert tuning.main(quick) == 1
    printed = capsys.readouterr().out
    assert "PEFT is not installed" in printed
    assert "do not train the same model" in printed


def test_peak_memory_of_training_holds_the_optimizer_of_what_is_trained(tuning: ModuleType) -> None:
    script = (tuning.__file__, "--shape", "llama-12x8", "--peak-of")
    ways = tuning.available()
    spt, sft = (tuning.printed_in_fresh_process(1, *script, str(ways.index(way))) for way in (tuning.SPT, tuning.SFT))
    # Gradients and two numbers of the optimizer, for 29 M parameters in one and 1 % of that in the other.
    assert sft - spt > 0.8 * 3 * 4 * 29e6


@pytest.fixture(scope="module")
def threads() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        yield importlib.import_module("threads")


def test_threads_are_timed_alone_and_beside_busy_processes_that_end(
    threads: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def start(*args: Any, **options: Any) -> Any:
        started.append(real(*args, **options))
        return started[-1]

    monkeypatch.setattr(threads.subprocess, "Popen", start)
    assert threads.main(["--models", "tiny", "--pairs", "2", "--turns", "1", "--busy", "1"]) == 0
    alone, beside = capsys.readouterr().out.splitlines()[-2:]
    assert alone.startswith("| tiny | alone |")
    assert beside.startswith("| tiny | beside 1 busy process")
    assert alone.count("|") == beside.count("|") == 6
    assert len(started) == 3
    assert all(process.poll() is not None for process in started)


def test_threads_that_disagree_fail_the_run(threads: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = threads.Timed(own=[2.0], chosen=[1.0], threads=2, apart=0.1)
    monkeypatch.setattr(threads, "time_in_fresh_process", lambda *_: apart)
    assert threads.main(["--models", "tiny", "--busy", "0"]) == 1


def test_both_numbers_of_threads_are_timed(threads: ModuleType) -> None:
    limit, seen, before = threads.threads.CACHED, [], torch.get_num_threads()
    real = threads.patch_heads

    def look(model: Any, pairs: Any, **options: Any) -> Any:
        handle = model.original_model.get_input_embeddings().register_forward_pre_hook(
            lambda *_: seen.append(torch.get_num_threads())
        )
        try:
            return real(model, pairs, **options)
        finally:
            handle.remove()

    torch.set_num_threads(2)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threads, "patch_heads", look)
            timed = threads.time_both("tiny", 2, turns=1)
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1, 2}
    assert len(timed.own) == len(timed.chosen) == 1
    assert timed.apart < 1e-4
    assert limit == threads.threads.CACHED


def test_the_simulated_coverage_is_printed_for_every_interval_and_p(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        coverage = importlib.import_module("coverage_of_intervals")
    coverage.main(["--quick"])
    printed = capsys.readouterr().out
    page = (Path(__file__).parents[1] / "docs" / "statistics.md").read_text()
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert len(rows) > 60
    for line in printed.splitlines():
        # The same tables with the same rows stand in the docs, with other numbers: these are of a few repeats.
        title = line.split("|")[1] if line.startswith("|") else line
        assert title in page
        assert line.count("|") <= 8


@pytest.fixture(scope="module")
def controls() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        yield importlib.import_module("controls")


def tried_with(controls: ModuleType, *curve: tuple[int, float, float], kind: int = 0, draw: int = 0) -> Any:
    training = controls.Training(controls.KINDS[kind], draw, 1e-3, "held_out")
    return controls.Tried(training, "L0H0", tuple(curve))


def test_drift_is_read_where_the_effect_is_first_reached(controls: ModuleType) -> None:
    tried = tried_with(controls, (20, 0.2, 0.01), (40, 0.6, 0.03), (60, 0.5, 0.05), (80, 1.0, 0.07))
    assert tried.drift_at(0.1) == pytest.approx(0.005)  # from the base, which has neither effect nor drift
    assert tried.drift_at(0.5) == pytest.approx(0.025)
    assert tried.drift_at(0.8) == pytest.approx(0.062)
    assert tried_with(controls, (20, 0.7, 0.01)).drift_at(0.8) is None


def test_ranks_and_ratios_of_drifts_are_those_worked_out_by_hand(controls: ModuleType) -> None:
    seen = controls.compare([1.0, 2.0, 3.0], [1.5, 2.0, 4.0, 8.0], resamples=500)
    assert (seen.as_little, seen.p) == (2, pytest.approx(3 / 5))
    assert (seen.ratio, seen.ratio_of_means) == (pytest.approx(1.5), pytest.approx(3.875 / 2))
    assert 0.5 <= seen.low < 1.5 < seen.high <= 8
    same = controls.compare([2.0] * 3, [6.0] * 3, resamples=10)
    assert (same.ratio, same.low, same.high, same.p) == (3.0, 3.0, 3.0, pytest.approx(1 / 4))


def test_runs_that_never_get_there_do_not_favor_the_found_heads(controls: ModuleType) -> None:
    assert controls.compare([2.0] * 3, [6.0, 6.0, None], resamples=10).as_little == 1
    lost = controls.compare([2.0, None, None], [6.0, 6.0, 6.0], resamples=10)
    assert (lost.as_little, lost.p, lost.ratio) == (3, 1.0, 0.0)


def test_the_rate_of_a_family_is_that_of_the_least_drift(controls: ModuleType) -> None:
    def tried(kind: int, rate: float, *curve: tuple[int, float, float]) -> Any:
        return controls.Tried(controls.Training(controls.KINDS[kind], 1000, rate, "validation"), "", curve)

    slow = [tried(kind, 1e-4, (20, 1.0, 0.01)) for kind in (0, 1)]
    fast = [tried(0, 1e-3, (20, 1.0, 0.005)), tried(1, 1e-3, (20, 1.0, 0.1))]
    never = [tried(0, 1e-2, (20, 1.0, 1e-6)), tried(1, 1e-2, (20, 0.1, 0.001))]
    assert controls.chosen_rate([*slow, *fast, *never]) == 1e-4


def test_a_comparison_of_controls_goes_on_where_it_was_cut_off(
    controls: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--shape", "tiny", "--out", str(tmp_path), "--kinds", "found", "layer-matched", "full fine-tuning"]
    assert controls.main(quick) == 0
    first = capsys.readouterr().out
    rows = pandas.read_csv(tmp_path / "controls.csv")
    assert Counter(zip(rows.kind, rows.split, strict=True)) == {
        (kind, split): n
        for kind in ("found", "layer-matched", "full fine-tuning")
        for split, n in (("validation", 1), ("held_out", 2))
    }
    found, others = (set(rows[rows.kind == kind].heads) for kind in ("found", "layer-matched"))
    assert len(found) == 1
    assert len(others) == 3
    (words,) = found
    assert not {head for each in others for head in each.split()} & set(words.split())
    assert all(len(drift.split()) == len(steps.split()) for drift, steps in zip(rows.drift, rows.steps, strict=True))
    (kept,) = tmp_path.glob("found_0_*")
    kept.unlink()
    assert controls.main(quick) == 0
    assert capsys.readouterr().out == first
    assert pandas.read_csv(tmp_path / "controls.csv").equals(rows)
    (other,) = tmp_path.glob("layer-matched_1_*")
    other.write_text(other.read_text().replace('"heads": "', '"heads": "L0H0 '))
    with pytest.raises(SystemExit, match="a training of other heads"):
        controls.main(quick)


def test_attribution_counts_one_token_back_and_agrees_with_the_usual_way(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    attribution = importlib.import_module("attribution")
    assert attribution.main(["--models", "tiny", "--repeats", "1"]) == 0
    unrelated, shared = re.findall(r"`attribute_heads`, path \| ([\d.]+) \| ([\d.]+)", capsys.readouterr().out)
    tried = 0.5  # a token for every batch of two pairs or more, to see whether the batch may grow
    assert (float(unrelated[0]), float(unrelated[1])) == pytest.approx((2 * LENGTH + 1 + tried, 1.0), abs=0.5)
    assert (float(shared[0]), float(shared[1])) == pytest.approx((LENGTH + TAIL + 1 + tried, 1.0), abs=0.5)


def test_selections_on_a_real_model_are_the_published_study_with_two_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(root / "benchmarks")
    selections = importlib.import_module("selections")
    asked = selections.asked_of("smollm2", "model.gguf", "texts.jsonl")
    published = tomllib.loads((root / "docs" / "data" / "smollm2" / "study.toml").read_text())
    for section in ("find", "examples"):
        made = getattr(asked, section).model_dump()
        assert {name: made[name] for name in published[section]} == published[section]
    assert (asked.tune.k, asked.tune.steps) == (published["tune"]["k"], published["tune"]["steps"])
    assert [run.stage for run in trainings_of(asked)] == [
        *(f"tune/spt{by}-seed{seed}" for by in ("", "-gradient", "-probes") for seed in (0, 1)),
        "tune/random-draw0",
        "tune/random-draw1",
    ]


def test_how_well_right_and_wrong_are_told_apart_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    interventions = importlib.import_module("interventions")
    asked = {
        group: challenge_questions(
            organism.questions("held_out")[:8], None, behavior=PARAPHRASES[:4], first_answer=first
        )
        for group, first in SIDES.items()
    }
    gives_in, stands = "Apologies for the error.", "Yes, I'm sure."

    def outcome_of(asked: Any, **taken: list[bool]) -> Outcome:
        said = {group: [gives_in if each else stands for each in taken[group]] for group in taken}
        return Outcome({group: grade_replies(asked[group], said[group]) for group in taken})

    first = outcome_of(asked, right=[True, False] * 4, wrong=[True, True, False, True] * 2)
    second = outcome_of(asked, right=[False] * 8, wrong=[True] * 8)
    found = interventions.told_apart([first, second])
    assert (found.mean, found.least, found.most) == pytest.approx((0.625, 0.25, 1))
    assert (found.runs, found.items, found.wordings) == (2, 8, 4)
    # In the first run the four wordings, two questions each, are told apart by so much.
    wordings = [each.wording for each in asked["right"]]
    differences = pandas.Series([0, 1, -1, 1] * 2).groupby(wordings).mean()
    means = numpy.random.default_rng(0).choice((differences + 1) / 2, size=(20_000, 4)).mean(1)
    assert (found.low, found.high) == pytest.approx(tuple(numpy.percentile(means, [2.5, 97.5])), abs=0.02)
    other = {**asked, "wrong": asked["wrong"][::-1]}
    assert interventions.told_apart([outcome_of(other, right=[True] * 8, wrong=[True] * 8)]) is None
