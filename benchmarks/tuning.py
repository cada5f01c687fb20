"""What a training step costs: pinpoint tuning beside full fine-tuning and PEFT's LoRA, in one run.

    python benchmarks/tuning.py                                    # 12 layers x 8 heads, 29 M parameters, CPU
    python benchmarks/tuning.py --shape llama-2-13b --device cuda  # 40 layers x 40 heads, bfloat16, one GPU
    python benchmarks/tuning.py --taught 32                        # only the last 32 tokens of every example are taught
    python benchmarks/tuning.py --shape tiny                       # some seconds, to see that it runs

Prints Markdown. benchmarks/README.md says what the rows and the columns mean.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from statistics import median
from typing import Any

import torch
from learners import FLOOR, PEFT, PLAIN_SFT, SFT, SIZES, SPT, Task, Way, available, lowest, make_task
from memory import added_by, printed_in_fresh_process
from path_patching import ratio, table
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import PrinterCallback, Trainer, TrainerCallback

TOLERANCE = 1e-5
"""Largest relative difference of the loss between ways, in float32."""
AIMS = {"SFT": (SFT, 0.6), "ordinary SFT": (PLAIN_SFT, 0.6), "LoRA": (PEFT, 0.9)}
"""At most this share of their step should SPT's take."""


class Clock(TrainerCallback):  # type: ignore[misc]
    """Takes the time of every step: forward, backward, clipping, optimizer."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: list[float] = []

    def _now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def on_step_begin(self, *args: Any, **rest: Any) -> None:
        self.start = self._now()

    def on_step_end(self, *args: Any, **rest: Any) -> None:
        self.seconds.append(self._now() - self.start)


@dataclass
class Row:
    """What one way did."""

    way: Way
    trained: int
    """Parameters."""
    state: int
    """Bytes that the optimizer keeps."""
    flops: int
    loss: float
    seconds: list[float] = field(default_factory=list)
    """Of a step, in each turn."""


class Counting(TrainerCallback):  # type: ignore[misc]
    """Counts the work of steps, and not what is done once before them."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self.counter = counter

    def on_step_begin(self, *args: Any, **rest: Any) -> None:
        self.counter.__enter__()

    def on_step_end(self, *args: Any, **rest: Any) -> None:
        self.counter.__exit__(None, None, None)


def train(task: Task, way: Way, steps: int, *callbacks: TrainerCallback) -> tuple[Trainer, float, list[float]]:
    """Train so many steps: the trainer, the mean loss and the seconds of each step."""
    clock = Clock(task.device)
    with tempfile.TemporaryDirectory() as directory, way.trainer(task, task.arguments(directory, steps)) as trainer:
        trainer.remove_callback(PrinterCallback)
        for callback in (clock, *callbacks):
            trainer.add_callback(callback)
        loss = trainer.train().training_loss
    return trainer, loss, clock.seconds


def counting() -> FlopCounterMode:
    """Counts attention on a CPU too, as PyTorch's counter does only for that on a GPU."""
    aten = torch.ops.aten

    def forward(q: Any, k: Any, v: Any, *args: Any, **rest: Any) -> int:
        return sdpa_flop_count(q, k, v)

    def backward(gradient: Any, q: Any, k: Any, v: Any, *args: Any, **rest: Any) -> int:
        return sdpa_backward_flop_count(gradient, q, k, v)

    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: forward,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
        },
    )


def count(task: Task, way: Way) -> Row:
    """One untimed step: counts the work and warms up."""
    counter = counting()
    trainer, loss, _ = train(task, way, 1, Counting(counter))
    trained = [parameter for group in trainer.optimizer.param_groups for parameter in group["params"]]
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    return Row(
        way,
        trained=0 if way is FLOOR else sum(parameter.numel() for parameter in trained),
        state=sum(value.nbytes for value in states if torch.is_tensor(value)),
        flops=counter.get_total_flops(),
        loss=loss,
    )


def measure(task: Task, ways: Sequence[Way], *, turns: int, steps: int) -> list[Row]:
    """Every way on the same model and examples; they take turns, so that a slow spell of the machine hits all alike."""
    rows = [count(task, way) for way in ways]
    for _ in range(turns):
        for row in rows:
            # The first step of a trainer makes what the others use again.
            row.seconds.append(median(train(task, row.way, steps + 1)[2][1:]))
    return rows


def peak_of(task: Task, way: Way) -> int:
    """Bytes that training takes at its peak on top of the loaded model; the process should have done nothing else."""
    short = replace(task.size, n_examples=1, n_tokens=2)
    train(Task(short, task.model, task.device), FLOOR, 1)  # libraries set themselves up in their first call
    return added_by(lambda: train(task, way, 2), task.device)


def report(task: Task, rows: Sequence[Row], peaks: Sequence[int]) -> str:
    """The table; SPT comes first."""
    spt = rows[0]
    lines = []
    for i, row in enumerate(rows):
        lines.append(
            [
                row.way.name,
                f"{row.trained:,}",
                f"{row.state / 2**20:,.4g}",
                f"{peaks[i] / 2**20:,.0f}" if peaks else "",
                f"{row.flops / 1e9:,.4g}",
                f"{median(row.seconds):,.3g} ({min(row.seconds):,.3g} to {max(row.seconds):,.3g})",
                f"{ratio(row, spt):,.2f}",
                f"{row.flops / spt.flops:,.2f}",
            ]
        )
    columns = [
        "way", "trained parameters", "optimizer state, MiB", "peak memory added, MiB", "GFLOP, a step",
        "seconds, a step: median (range)", "times SPT: measured", "limit, FLOP",
    ]  # fmt: skip
    return f"{table(columns, lines)}\n\n{beside_the_aims(rows)}\n"


def beside_the_aims(rows: Sequence[Row]) -> str:
    """What the table says of the aims, and how far SPT is from what is possible."""
    by_way = {row.way: row for row in rows}
    spt, floor = by_way[SPT], by_way[FLOOR]

    def share(row: Row, other: Row) -> str:
        return f"{median(a / b for a, b in zip(row.seconds, other.seconds, strict=True)):.2f}"

    said = [
        f"{share(spt, other)} of {name}'s (aim: {aim}; arithmetic: {spt.flops / other.flops:.2f}; "
        f"the floor: {share(floor, other)})"
        for name, (way, aim) in AIMS.items()
        if (other := by_way.get(way))
    ]
    return f"SPT's step takes {', '.join(said)}, and {share(spt, floor)} of the floor's."


def disagreement(rows: Sequence[Row]) -> float:
    """Largest relative difference of the loss: before they have learned anything, all ways are the base."""
    losses = [row.loss for row in rows]
    return (max(losses) - min(losses)) / min(losses)


def heading(shape: str, task: Task, ways: Sequence[Way]) -> str:
    """What is trained, where, and with which versions."""
    size, n_heads = task.size, task.size.n_layers * task.size.n_heads
    on_gpu = task.device.startswith("cuda")
    threads = f"{platform.machine()}, {torch.get_num_threads()} threads"
    names = ("torch", "transformers", "accelerate", *(["peft"] if PEFT in ways else []))
    return (
        f"# Pinpoint tuning: {shape}\n\n{size.n_layers} layers x {size.n_heads} heads, d_model {size.d_model}, MLP "
        f"{size.d_mlp}, vocabulary {size.d_vocab:,}, {str(size.dtype).removeprefix('torch.')}, "
        f"{task.model.num_parameters() / 1e6:,.4g} M random weights; {len(task.heads)} heads tuned "
        f"({len(task.heads) / n_heads:.1%}), the lowest in layer {lowest(task.heads)}, and in layer "
        f"{lowest(task.upper_heads)} where they are in the upper half; LoRA of rank {task.lora_rank}; "
        f"{size.n_examples} examples of {size.n_tokens} tokens a step, {size.n_taught or 'all'} of them taught; "
        f"{torch.cuda.get_device_name(task.device) if on_gpu else threads}; "
        f"{', '.join(f'{name} {version(name)}' for name in names)}."
    )


def parse(options: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SIZES, default="llama-12x8")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--turns", type=int, default=5, help="timed turns (default 5)")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of every way in a turn (default 3)")
    parser.add_argument(
        "--taught", type=int, help="the last tokens of every example, which alone are taught (default all)"
    )
    parser.add_argument("--threads", type=int, help="threads on a CPU (default: what torch takes)")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory")
    parser.add_argument("--peak-of", type=int, metavar="ROW", help="print the bytes that one way adds, and no more")
    return parser.parse_args(options)


def main(options: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code: 1 where the ways do not train the same model."""
    arguments = parse(options)
    size, device = replace(SIZES[arguments.shape], n_taught=arguments.taught), arguments.device
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    ways = available()
    if arguments.peak_of is not None:
        print(peak_of(make_task(size, device), ways[arguments.peak_of]))
        return 0
    peaks: list[int] = []
    if not arguments.no_memory:
        # Before this process makes its own model: on a GPU the two share the memory.
        taught = () if arguments.taught is None else ("--taught", str(arguments.taught))
        script = (__file__, "--shape", arguments.shape, "--device", device, *taught, "--peak-of")
        peaks = [printed_in_fresh_process(torch.get_num_threads(), *script, str(i)) for i in range(len(ways))]
    task = make_task(size, device)
    print(f"{heading(arguments.shape, task, ways)} Medians of {arguments.turns} turns of {arguments.steps} steps.\n")
    if PEFT not in ways:
        print('PEFT is not installed, so its row is left out; `pip install "sycolens[peft]"` brings it.\n', flush=True)
    rows = measure(task, ways, turns=arguments.turns, steps=arguments.steps)
    print(report(task, rows, peaks))
    apart = disagreement(rows)
    if size.dtype == torch.float32 and not apart <= TOLERANCE:
        print(f"The losses differ by {apart:.1e} of themselves: the ways do not train the same model.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
