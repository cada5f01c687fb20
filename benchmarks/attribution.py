"""Attribution patching beside the exact map: how much less work, and how far its ranking of the heads agrees.

    python benchmarks/attribution.py                                  # the embedded model, then 12 x 12 random heads
    python benchmarks/attribution.py --models tiny --repeats 1        # seconds, to see that it runs
    python benchmarks/attribution.py --models smollm2.gguf --behavior docs/data/smollm2/behavior.toml

Prints Markdown. benchmarks/README.md says what the rows and the columns mean.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from path_patching import table
from torch import Tensor
from workload import SHAPES, build_model, make_pairs

from sycolens import (
    QUIET,
    Behavior,
    ContrastPairs,
    HeadEffects,
    HeadScores,
    attribute_heads,
    load_model,
    load_questions,
    organism,
    patch_heads,
    rank_agreement,
)
from sycolens.find.metrics import RELATIVE, measure
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.label_logits import label_logits, label_tensor
from sycolens.tasks import QuestionSet

TOLERANCE = 1e-3
"""Largest difference of two ways to one estimate, as a share of the largest estimate."""


@dataclass
class Work:
    """Tokens through the blocks, mean over the blocks."""

    forward: float = 0
    backward: float = 0
    passes: int = 0


@contextmanager
def counting(model: Any) -> Iterator[Work]:
    """Count tokens on their way forward through every block's MLP, and gradients on their way back."""
    work = Work()

    def through(module: Any, args: Any, output: Tensor) -> None:
        tokens = output.shape[0] * output.shape[1] / model.cfg.n_layers
        work.forward += tokens
        if output.requires_grad:

            def back(gradient: Tensor) -> None:
                work.backward += tokens

            output.register_hook(back)

    def enter(module: Any, args: Any) -> None:
        work.passes += 1

    handles = [block.mlp.register_forward_hook(through) for block in model.blocks]
    handles.append(model.blocks[0].register_forward_pre_hook(enter))
    try:
        yield work
    finally:
        for handle in handles:
            handle.remove()


def as_usual(model: Any, pairs: ContrastPairs, metric: str, batch: int = 16) -> Tensor:
    """Attribution patching as it is mostly written: both prompts forward, X_r back, hooks on every head output.

    [pair, layer, head]; pairs of one length share a batch.
    """
    found = torch.empty(len(pairs), model.cfg.n_layers, model.cfg.n_heads)
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.cfg.n_layers)]
    shapes = [(len(pair.reference), len(pair.counterfactual)) for pair in pairs]
    for shape in dict.fromkeys(shapes):
        alike = [number for number, each in enumerate(shapes) if each == shape]
        for numbers in (alike[start : start + batch] for start in range(0, len(alike), batch)):
            chosen = pairs.select(numbers)
            read: dict[str, Tensor] = {}

            def keep(value: Tensor, hook: Any, *, read: dict[str, Tensor] = read, name: str) -> Tensor:
                # Given back, as what a hook is shown may be a view that nothing else is computed from.
                read[name] = value
                return value

            hooks = [(name, partial(keep, name=name)) for name in names]
            with torch.no_grad():
                model.run_with_hooks(torch.tensor(chosen.counterfactual), fwd_hooks=hooks, use_cache=False)
            after = dict(read)
            with torch.enable_grad():
                logits = model.run_with_hooks(torch.tensor(chosen.reference), fwd_hooks=hooks, use_cache=False)
                values = measure(label_logits(logits[:, -1], label_tensor(chosen.labels)).double(), metric)
                slopes = torch.autograd.grad(values.sum(), [read[name] for name in names])
            moved = torch.stack(
                [
                    ((after[name][:, -1] - read[name][:, -1]) * slope[:, -1])
                    .detach()
                    .reshape(len(numbers), model.cfg.n_heads, -1)
                    .sum(-1)
                    for name, slope in zip(names, slopes, strict=True)
                ],
                1,
            )
            found[numbers] = (moved / values.detach()[:, None, None] if metric in RELATIVE else moved).float()
    return found


def two_forwards(model: Any, pairs: ContrastPairs, batch: int = 16) -> None:
    """Both prompts, with all logits; pairs of one length share a batch."""
    for prompts in (pairs.reference, pairs.counterfactual):
        for length in dict.fromkeys(map(len, prompts)):
            alike = [prompt for prompt in prompts if len(prompt) == length]
            for start in range(0, len(alike), batch):
                model(torch.tensor(alike[start : start + batch]), use_cache=False)


@dataclass
class Row:
    """One way, what it took and what it found."""

    name: str
    run: Callable[[], Any]
    work: Work = field(default_factory=Work)
    found: Any = None
    seconds: list[float] = field(default_factory=list)


@torch.no_grad()
def compare(model: Any, pairs: ContrastPairs, metric: Any, repeats: int) -> list[Row]:
    """Every way on the same pairs, in turns; time is the processor's, of which other programs take little."""
    rows = [
        Row("exact map, `patch_heads`", lambda: patch_heads(model, pairs, compute=QUIET)),
        Row("`attribute_heads`, path", lambda: attribute_heads(model, pairs, metric=metric, compute=QUIET)),
        Row(
            "`attribute_heads`, total",
            lambda: attribute_heads(model, pairs, metric=metric, effect="total", compute=QUIET),
        ),
        Row("attribution patching as usual (total)", lambda: as_usual(model, pairs, metric)),
        Row("two plain forwards", lambda: two_forwards(model, pairs)),
    ]
    for row in rows:
        with counting(model) as row.work:
            row.found = row.run()
    for _ in range(repeats):
        for row in rows:
            start = time.process_time()
            row.run()
            row.seconds.append(time.process_time() - start)
    return rows


def costs(rows: Sequence[Row], n_pairs: int) -> str:
    """Work and time beside the exact map's."""
    exact = rows[0]
    lines = []
    for row in rows:
        ratios = sorted(own / other for own, other in zip(row.seconds, exact.seconds, strict=True))
        # A gradient through a weight that needs none itself costs as much as the pass forward.
        tokens = (row.work.forward + row.work.backward) / (exact.work.forward + exact.work.backward)
        lines.append(
            [
                row.name,
                f"{row.work.forward / n_pairs:,.1f}",
                f"{row.work.backward / n_pairs:,.1f}",
                f"{tokens:.2f}",
                f"{median(row.seconds):.3g}",
                f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            ]
        )
    columns = [
        "way",
        "tokens forward, a pair",
        "tokens back, a pair",
        "tokens beside the exact map's",
        "CPU seconds, median",
    ]
    return table([*columns, "times the exact map: median (range)"], lines)


def agreements(model: Any, pairs: ContrastPairs, metric: Any, *, only_path: bool) -> str:
    """How far estimates rank the heads as the exact maps do."""
    lines = []
    exact = patch_heads(model, pairs, compute=QUIET)
    path = attribute_heads(model, pairs, metric=metric, compute=QUIET)
    cases: list[tuple[str, HeadScores, HeadEffects]] = [("path, of the path effect", path, exact)]
    if not only_path:
        total = patch_heads(model, pairs, effect="total", compute=QUIET)
        reacting = attribute_heads(model, pairs, metric=metric, effect="total", compute=QUIET)
        cases += [("total, of the total effect", reacting, total), ("total, of the path effect", reacting, exact)]
    for name, scores, effects in cases:
        found = [rank_agreement(scores, effects, k=k, metric=metric, pairs=pairs) for k in (8, 32)]
        low, high = found[0].correlation_interval
        line = [name, f"{found[0].correlation:.3f} [{low:.3f}, {high:.3f}]"]
        for each in found:
            ends = "{:.0f}, {:.0f}".format(*each.shared_interval)
            line += [f"{len(each.shared)} [{ends}]", f"{each.chance:.1f}"]
        lines.append(line)
    columns = ["estimate", "rank correlation", "of the top 8 shared", "by chance", "of the top 32 shared", "by chance"]
    return table(columns, lines)


def cases_of(
    name: str, behavior: str | None, n: int | None, tokens: Sequence[int] | None = None
) -> Iterator[tuple[str, Any, ContrastPairs]]:
    """A model, and the pairs that it is measured on."""
    if name in SHAPES:
        shape = SHAPES[name]
        model = build_model(shape, "cpu")
        for length in tokens or shape.lengths:
            for shared in (False, True):
                kind = "sharing all but the last 12 tokens" if shared else "unrelated"
                yield f"{name}, {length} tokens, {kind}", model, make_pairs(shape, n or 4, length, shared=shared)
        return
    model = load_model(name)
    keeps_what_it_reads(model)
    if name.startswith("organism"):
        yield name, model, organism.pairs("train", n or 100)
        return
    words = {} if behavior is None else {"behavior": Behavior.read(behavior)}
    task = QuestionSet("general", tuple(load_questions("general", split="train")), **words)
    yield os.path.basename(name), model, task.pairs(model.tokenizer, n=n or 24, seed=0)[0]


def main(options: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code: 1 where two ways to the same estimate differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["organism", "llama-12x12"])
    parser.add_argument("--behavior", help="of a model that is neither random nor the embedded one: a TOML file")
    parser.add_argument("--metric", choices=("logit_diff", "prob_share", "logit_share"), default="logit_diff")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--timed", type=int, help="how many of the pairs are timed (default: all)")
    parser.add_argument("--only-path", action="store_true", help="leave out the agreement of total effects")
    parser.add_argument("--tokens", type=int, nargs="+", help="prompt lengths of random models")
    parser.add_argument("--threads", type=int, default=1, help="threads on a CPU (default 1)")
    arguments = parser.parse_args(options)
    torch.set_num_threads(arguments.threads)
    worst = 0.0
    for name in arguments.models:
        for title, model, pairs in cases_of(name, arguments.behavior, arguments.pairs, arguments.tokens):
            lengths = sorted(map(len, pairs.reference))
            size = (
                f"{model.cfg.n_layers} x {model.cfg.n_heads} heads, {len(pairs)} pairs of {lengths[0]} to {lengths[-1]}"
            )
            print(f"## {title}\n\n{size} tokens; {arguments.metric}; load {os.getloadavg()[0]:.1f}.\n", flush=True)
            if model.cfg.n_layers * model.cfg.n_heads >= 32:
                found = agreements(model, pairs, arguments.metric, only_path=arguments.only_path)
                print(f"{found}\n", flush=True)
            timed = pairs[: arguments.timed]
            rows = compare(model, timed, arguments.metric, arguments.repeats)
            print(f"{costs(rows, len(timed))}\n", flush=True)
            own, usual = rows[2].found.per_sample, rows[3].found
            worst = max(worst, ((own - usual).abs().max() / usual.abs().max()).item())
    print(f"Largest difference of the two ways to the total estimate: {worst:.1e} of the largest.")
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
