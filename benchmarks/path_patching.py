"""How much work the map of head effects takes: sycolens beside the literal Algorithm 1 and other ways, in one run.

    python benchmarks/path_patching.py                                    # 12 layers x 12 heads, 128 and 512 tokens
    python benchmarks/path_patching.py --shape llama-2-13b --device cuda  # 40 layers x 40 heads, 100 pairs

Prints Markdown. benchmarks/README.md says what the rows and the columns mean.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import median
from typing import Any

import torch
from alternatives import ALTERNATIVES, FLOOR, FLOOR_LAST, SYCOLENS, Alternative, Task
from memory import CASES, peak_in_fresh_process
from reactions import REACTIONS
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from workload import CHANGED_TAIL, SHAPES, build_model, make_pairs, sample_heads

BATCH = 16
"""How many pairs sycolens runs at once unless told otherwise; peak memory is compared for no more."""
TOLERANCE = 1e-5
"""Largest difference of label logits between alternatives that compute the same thing, in float32."""


@dataclass
class Work:
    """What was counted while something ran."""

    passes: float = 0
    tokens: float = 0
    """Rows times positions that went through a block, mean over the blocks."""
    flops: float = 0

    def plus(self, other: Work, times: float) -> Work:
        return Work(
            self.passes + times * other.passes, self.tokens + times * other.tokens, self.flops + times * other.flops
        )


@contextmanager
def counting_tokens(model: Any) -> Iterator[Work]:
    """Count forward passes and tokens through the blocks; takes no time to speak of."""
    work = Work()

    def through(module: Any, args: Any, output: Any) -> None:
        # The MLP, not the block: rows may join the batch at a block's entrance.
        work.tokens += output.shape[0] * output.shape[1] / model.cfg.n_layers

    def enter(module: Any, args: Any) -> None:
        work.passes += 1

    handles = [block.mlp.register_forward_hook(through) for block in model.blocks]
    handles.append(model.blocks[0].register_forward_pre_hook(enter))
    try:
        yield work
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def counting(model: Any) -> Iterator[Work]:
    """Count forward passes, tokens through the blocks, and multiplications and additions."""
    with counting_tokens(model) as work, FlopCounterMode(display=False) as counter:
        yield work
    work.flops = counter.get_total_flops()


@dataclass
class Row:
    """What one alternative did."""

    alternative: Alternative
    work: Work
    found: Tensor | None
    """Label logits ``[pair, head, label]`` of the heads that were run."""
    seconds: list[float] = field(default_factory=list)


def count(task: Task, alternative: Alternative) -> Row:
    """Run once, untimed: counts the work and warms up."""
    heads = alternative.heads(task)
    with counting(task.model) as once:
        found = alternative.once(task)
    if alternative.each is None:
        return Row(alternative, once, found)
    with counting(task.model) as loop:
        found = alternative.each(task, found, heads)
    return Row(alternative, once.plus(loop, len(task.all_heads()) / len(heads)), found)


def timed(task: Task, alternative: Alternative) -> float:
    """Seconds for all heads; the loop over sampled heads is scaled up, what is done once is not."""

    def now() -> float:
        if task.device.startswith("cuda"):
            torch.cuda.synchronize(task.device)
        return time.perf_counter()

    heads = alternative.heads(task)
    start = now()
    state = alternative.once(task)
    middle = now()
    if alternative.each is None:
        return middle - start
    alternative.each(task, state, heads)
    return middle - start + (now() - middle) * len(task.all_heads()) / len(heads)


def measure(task: Task, ways: Sequence[Alternative], *, repeats: int, slow_repeats: int) -> list[Row]:
    """Every way on the same pairs; they take turns, so that a slow spell of the machine hits all alike."""
    rows = [count(task, alternative) for alternative in ways]
    for repeat in range(repeats):
        for row in rows:
            if repeat < slow_repeats or not row.alternative.slow:
                row.seconds.append(timed(task, row.alternative))
    return rows


def ratio(row: Row, other: Row) -> float:
    """Median of the ratios within each turn."""
    return median(a / b for a, b in zip(row.seconds, other.seconds, strict=False))


def difference(row: Row, sycolens: Row, task: Task) -> float | None:
    """Largest difference from sycolens' label logits, where both compute the same thing."""
    if row.found is None or row is sycolens:
        return None
    every = task.all_heads()
    heads = row.alternative.heads(task)
    if not row.alternative.same:
        # In the last layer no later head can react, so there the total effect is Algorithm 1's.
        heads = tuple(head for head in heads if head.layer == task.size[0] - 1)
    mine = [every.index(head) for head in heads]
    theirs = [row.alternative.heads(task).index(head) for head in heads]
    assert sycolens.found is not None
    return (sycolens.found[:, mine] - row.found[:, theirs].float().cpu()).abs().max().item()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def worst_difference(task: Task, rows: list[Row]) -> float:
    """Largest difference from sycolens' label logits among the ways that compute the same thing."""
    return max(apart for row in rows if (apart := difference(row, rows[0], task)) is not None)


def report(task: Task, rows: list[Row], *, shared: bool) -> str:
    """The table of one kind of effect; sycolens comes first."""
    sycolens = rows[0]
    n_pairs, length = len(task.pairs), len(task.pairs.reference[0])
    lines = []
    for row in rows:
        sampled, every = len(row.alternative.heads(task)), len(task.all_heads())
        apart = difference(row, sycolens, task)
        extrapolated = f" ({sampled} of {every} heads run, extrapolated)" if sampled < every else ""
        only_time = " † time only: total effect" if row.alternative.each and not row.alternative.same else ""
        size = (every, length, CHANGED_TAIL if shared else length)
        hand = row.alternative.needed(*size) / sycolens.alternative.needed(*size)
        lines.append(
            [
                row.alternative.name + extrapolated + only_time,
                f"{row.work.passes:,.0f}",
                f"{row.work.tokens / n_pairs:,.0f}",
                f"{row.work.flops / n_pairs / 1e9:,.3g}",
                f"{median(row.seconds):,.3g} ({min(row.seconds):,.3g} to {max(row.seconds):,.3g})",
                f"{ratio(row, sycolens):,.2f}",
                f"{hand:,.2f}",
                f"{row.work.flops / sycolens.work.flops:,.2f}",
                "" if apart is None else f"{apart:.1e}",
            ]
        )
    columns = [
        "alternative", "forward passes", "tokens through the blocks, a pair", "GFLOP, a pair",
        "seconds: median (range)", "times sycolens: measured", "limit, tokens", "limit, FLOP", "largest difference",
    ]  # fmt: skip
    return table(columns, lines)


def beside_the_floor(rows: list[Row]) -> str:
    """What Algorithm 1's table says of the aims."""
    by_way = {row.alternative: row for row in rows}
    sycolens, floor, floor_last = by_way[SYCOLENS], by_way[FLOOR], by_way[FLOOR_LAST]
    assert sycolens.found is not None
    # Shows that the differences are small beside the effects that are measured.
    spread = (sycolens.found - sycolens.found.mean(1, keepdim=True)).abs().median().item()
    shares = [
        f"{ratio(sycolens, other):.2f} times {what} (arithmetic: {sycolens.work.flops / other.work.flops:.2f})"
        for what, other in (
            ("two plain forwards", floor),
            ("two forwards with logits at the last token only", floor_last),
        )
    ]
    return (
        f"sycolens takes {' and '.join(shares)}. A head moves a label logit by "
        f"{spread:.1e} (median over heads, from their mean).\n"
    )


def memory_table(name: str, device: str, n_pairs: int, lengths: Sequence[int]) -> str:
    """Peak memory of every case, and what sycolens adds to a forward pass."""
    lines, threads = [], torch.get_num_threads()
    for length in lengths:
        peaks = [peak_in_fresh_process(name, device, n_pairs, length, case, threads) / 2**20 for case in CASES]
        _, plain, keeping, unrelated, shared = peaks
        lines.append([str(length), *(f"{value:,.0f}" for value in (*peaks, unrelated - plain, shared - keeping))])
    added = ("added, unrelated: to last logits", "added, shared prefix: to keys and values kept")
    return table(["prompt tokens", *CASES, *added], lines)


def parse(options: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="llama-12x12")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--tokens", type=int, nargs="+", help="prompt lengths to time")
    parser.add_argument("--pairs", type=int, help="how many pairs (default: 4; llama-2-13b: 100)")
    parser.add_argument("--kinds", choices=("unrelated", "shared"), nargs="+", default=["unrelated", "shared"])
    parser.add_argument("--only-paths", action="store_true", help="leave out the effects in which later heads react")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns (default 5)")
    parser.add_argument("--slow-repeats", type=int, default=3, help="turns in which (a) and (c) take part (default 3)")
    parser.add_argument("--literal-heads", type=int, help="heads that (a) and (c) run; the rest is extrapolated")
    parser.add_argument("--cached-heads", type=int, help="heads that (b) runs; the rest is extrapolated")
    parser.add_argument("--threads", type=int, help="threads on a CPU (default: what torch takes)")
    parser.add_argument("--memory-tokens", type=int, nargs="+", help="prompt lengths for the table of peak memory")
    parser.add_argument("--no-memory", action="store_true", help="leave out the table of peak memory")
    return parser.parse_args(options)


@torch.no_grad()
def main(options: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code: 1 where alternatives that should agree do not."""
    arguments = parse(options)
    shape, device = SHAPES[arguments.shape], arguments.device
    n_pairs = arguments.pairs or shape.n_pairs
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    on_gpu = device.startswith("cuda")
    where = torch.cuda.get_device_name(device) if on_gpu else f"{platform.machine()}, {torch.get_num_threads()} threads"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformer-lens", "transformers"))
    print(
        f"# Path patching: {arguments.shape}\n\n{shape.n_layers} layers x {shape.n_heads} heads, d_model "
        f"{shape.d_model}, MLP {shape.d_mlp}, vocabulary {shape.d_vocab:,}, {str(shape.dtype).removeprefix('torch.')}, "
        f"random weights; {n_pairs} pairs; {where}; {versions}. Medians of {arguments.repeats} turns "
        f"((a) and (c): {min(arguments.repeats, arguments.slow_repeats)}).\n"
    )
    if not arguments.no_memory:
        # Before this process makes its own model: on a GPU the two share the memory.
        lengths = arguments.memory_tokens or shape.memory_lengths
        at_once = min(n_pairs, BATCH)
        peaks = memory_table(arguments.shape, device, at_once, lengths)
        print(f"## Peak memory on top of the loaded model, {at_once} pairs, MiB\n\n{peaks}\n", flush=True)

    model = build_model(shape, device)
    worst = 0.0
    for length in arguments.tokens or shape.lengths:
        literal_heads = sample_heads(shape, arguments.literal_heads or shape.literal_tokens // length)
        cached_heads = sample_heads(shape, arguments.cached_heads or shape.cached_heads)
        for kind in arguments.kinds:
            shared = kind == "shared"
            pairs = make_pairs(shape, n_pairs, length, shared=shared)
            task = Task(model, pairs, device, literal_heads, cached_heads)
            turns = {"repeats": arguments.repeats, "slow_repeats": arguments.slow_repeats}
            rows = measure(task, ALTERNATIVES, **turns)
            prompts = f"sharing all but the last {CHANGED_TAIL}" if shared else "unrelated prompts"
            print(f"## {length} tokens, {prompts}\n\n{report(task, rows, shared=shared)}\n", flush=True)
            print(beside_the_floor(rows), flush=True)
            worst = max(worst, worst_difference(task, rows))
            for effect, ways in ({} if arguments.only_paths else REACTIONS).items():
                rows = measure(task, ways, **turns)
                print(f"### The same, {effect}\n\n{report(task, rows, shared=shared)}\n", flush=True)
                worst = max(worst, worst_difference(task, rows))
    if shape.dtype == torch.float32 and not worst <= TOLERANCE:
        print(f"The alternatives differ by {worst:.1e}, more than {TOLERANCE:.0e}: they do not compute the same thing.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
