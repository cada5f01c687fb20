"""What one thread for small models is worth, on a machine that is free and on one that is not.

    python benchmarks/threads.py                          # the embedded model and 12 x 12 heads, minutes to an hour
    python benchmarks/threads.py --models tiny --pairs 2  # some seconds, to see that it runs

Prints Markdown. benchmarks/README.md says what the rows and the columns mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import Any

import torch
from path_patching import table
from workload import SHAPES, build_model, make_pairs

from sycolens import QUIET, load_model, organism, patch_heads
from sycolens.model import threads

EMBEDDED = "organism"
LENGTH = 128
"""Tokens of a prompt of a random model."""
BUSY_FOR = 3600
"""Seconds after which a busy process ends, if nobody has ended it before."""
TOLERANCE = 1e-3
"""Largest difference of a label logit."""


@dataclass(frozen=True)
class Timed:
    """Seconds of patch_heads, turn by turn."""

    own: list[float]
    """With torch's own number of threads."""
    chosen: list[float]
    """With the number that the library chooses."""
    threads: int
    """How many torch has."""
    apart: float
    """How far the label logits of the two are apart at most."""


def time_both(name: str, n_pairs: int, turns: int) -> Timed:
    """The same work with torch's own number of threads and with the library's, in turns; in this process."""
    if name == EMBEDDED:
        model, pairs = load_model(name), organism.pairs("train", n_pairs)
    else:
        shape = SHAPES[name]
        model, pairs = build_model(shape, "cpu"), make_pairs(shape, n_pairs, LENGTH, shared=False)
    found: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {"chosen": [], "own": []}
    cached = threads.CACHED
    patch_heads(model, pairs[:1], compute=QUIET)
    for _ in range(turns):
        for way, limit in (("chosen", cached), ("own", 0)):
            threads.CACHED = limit  # type: ignore[misc]
            start = time.perf_counter()
            found[way] = patch_heads(model, pairs, compute=QUIET).logits
            seconds[way].append(time.perf_counter() - start)
    threads.CACHED = cached  # type: ignore[misc]
    apart = (found["chosen"] - found["own"]).abs().max().item()
    return Timed(**seconds, threads=torch.get_num_threads(), apart=apart)


def time_in_fresh_process(name: str, n_pairs: int, turns: int) -> Timed:
    """The same in a process of its own, for which nobody has set how its threads wait."""
    done = subprocess.run(
        [sys.executable, __file__, "--models", name, "--pairs", str(n_pairs), "--turns", str(turns), "--print-seconds"],
        env={name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_", "GOMP_"))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Timed(**json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Inside, so many other processes multiply matrices, each on one thread."""
    others = [subprocess.Popen([sys.executable, __file__, "--be-busy"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
        for other in others:
            other.wait()


def be_busy() -> None:
    """Multiply matrices until the process that wanted it is gone, or an hour has passed."""
    torch.set_num_threads(1)
    parent, end, matrix = os.getppid(), time.monotonic() + BUSY_FOR, torch.rand(512, 512)
    while os.getppid() == parent and time.monotonic() < end:
        torch.mm(matrix, matrix)


def row(name: str, others: int, timed: Timed) -> list[str]:
    ratios = [own / chosen for own, chosen in zip(timed.own, timed.chosen, strict=True)]
    return [
        name,
        "alone" if not others else f"beside {others} busy processes",
        *(f"{median(each):.3g} ({min(each):.3g} to {max(each):.3g})" for each in (timed.own, timed.chosen)),
        f"{median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})",
    ]


def parse(options: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [EMBEDDED, *SHAPES]
    parser.add_argument("--models", nargs="+", choices=every, default=[EMBEDDED, "llama-12x12"])
    parser.add_argument("--pairs", type=int, help="default: 300 for the embedded model, 4 for others")
    parser.add_argument("--turns", type=int, default=3, help="timed turns (default 3)")
    parser.add_argument("--busy", type=int, default=2, help="busy processes in the second half (default 2)")
    parser.add_argument("--print-seconds", action="store_true", help="time one model in this process, and no more")
    parser.add_argument("--be-busy", action="store_true", help="be one of the busy processes, and no more")
    return parser.parse_args(options)


def main(options: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code: 1 where the number of threads changes the effects."""
    arguments = parse(options)
    if arguments.be_busy:
        be_busy()
        return 0
    if arguments.print_seconds:
        print(json.dumps(vars(time_both(arguments.models[0], arguments.pairs, arguments.turns))))
        return 0
    rows, measured = [], []
    for others in (0, arguments.busy):
        for name in arguments.models:
            n_pairs = arguments.pairs or (300 if name == EMBEDDED else 4)
            with busy(others):
                measured.append(time_in_fresh_process(name, n_pairs, arguments.turns))
            rows.append(row(name, others, measured[-1]))
    print(
        f"# Threads\n\n{platform.machine()}, {os.cpu_count()} cores, {measured[0].threads} threads, torch "
        f"{version('torch')}. Medians and ranges of {arguments.turns} turns.\n"
    )
    heads = ("model", "machine", "torch's threads, s", "the library's, s", "times faster")
    print(table(heads, rows))
    apart = max(each.apart for each in measured)
    if not apart <= TOLERANCE:
        print(f"The effects differ by {apart:.1e}: the ways do not compute the same thing.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
