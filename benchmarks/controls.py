"""What training the found heads spares: drift at equal effect, beside other sets of heads, LoRA and full fine-tuning.

    python benchmarks/controls.py                # the embedded model, eight heads; about an hour on one core
    python benchmarks/controls.py --shape tiny   # half a minute, to see that it runs

Prints Markdown and writes one row a training. Every finished training is kept in a folder, so that a run that was
killed goes on from there. benchmarks/README.md says what is compared, and by which rules.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import inf, log
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM, PrinterCallback, TrainerCallback

from sycolens import (
    QUIET,
    Compute,
    HeadSet,
    PinpointConfig,
    PinpointTrainer,
    load_model,
    mean_activations,
    organism,
    patch_heads,
)
from sycolens.choices import Control
from sycolens.find.effects import all_heads
from sycolens.measure import EvalSet, grade, world_eval_set
from sycolens.measure.outcome import Outcome, takes_back
from sycolens.runs.train import WholeBase
from sycolens.tune import EMBEDDED, WholeModel, encode_examples
from sycolens.verify.controls import draw_controls

LEVELS = (0.5, 0.8, 0.9)
PRIMARY = 0.8
"""The effect at which drift is compared first; decided before anything was run."""
CHOICE = 1000
"""Seed of the trainings that choose a learning rate: none of them is compared."""

Scope = PinpointConfig | Literal["all"]
Split = Literal["validation", "held_out"]


@dataclass(frozen=True)
class Kind:
    """A way to repair the model: what is trained, once for every draw."""

    name: str
    rates: tuple[float, ...]
    draws: int
    control: Control | None = None
    """How its heads are drawn; the found ones, or all, if they are not."""
    rank: int | None = None
    scope: Literal["heads", "all heads", "all"] = "heads"
    family: str = "slices"
    """Kinds of a family share a learning rate, lest a comparison of heads be one of rates."""


HEADS = (3e-4, 6e-4, 1e-3, 3e-3)
LOW_RANK = (6e-4, 1e-3, 2e-3, 3e-3)
FOUND = "found"
KINDS = (
    Kind(FOUND, HEADS, 10),
    Kind("layer-matched", HEADS, 20, "layer_matched"),
    Kind("random", HEADS, 20, "random"),
    Kind("norm-matched", HEADS, 20, "norm_matched"),
    Kind("LoRA on all heads", LOW_RANK, 4, rank=1, scope="all heads", family="LoRA"),
    Kind("full fine-tuning", (3e-5, 6e-5, 1e-4, 3e-4), 4, scope="all", family="SFT"),
    Kind("found, low rank", LOW_RANK, 8, rank=4, family="low rank"),
    Kind("layer-matched, low rank", LOW_RANK, 20, "layer_matched", rank=4, family="low rank"),
)


@dataclass(frozen=True)
class Shape:
    """How much of it is run."""

    k: int = 8
    pairs: int = 100
    examples: int = 1600
    rehearsal: int = 300
    steps: int = 120
    every: int = 20
    """A training is examined after so many steps, again and again."""
    held_out: int = 100
    validation: int = 60
    draws: int = 20
    """At most so many of each kind."""
    rates: int = 4
    """How many learning rates are tried, the first of each kind's."""


SHAPES = {
    "organism": Shape(),
    "tiny": Shape(k=4, pairs=8, examples=32, rehearsal=0, steps=4, every=2, held_out=8, validation=8, draws=2, rates=1),
}


@dataclass(frozen=True)
class Training:
    """One training: a kind, its number among the kind's, and a learning rate. The number is its seed as well."""

    kind: Kind
    draw: int
    rate: float
    split: Split

    @property
    def name(self) -> str:
        return f"{self.kind.name.replace(', ', '-').replace(' ', '-')}_{self.draw}_{self.rate:g}_{self.split}"


@dataclass(frozen=True)
class Tried:
    """What came of a training: effect and drift after each examined number of steps."""

    training: Training
    heads: str
    curve: tuple[tuple[int, float, float], ...]
    """Steps, effect, drift in nats a token."""

    def drift_at(self, level: float) -> float | None:
        """Drift where the effect first reaches a level, on the line from the step before; None if it never does."""
        effect, drift = 0.0, 0.0
        for _, next_effect, next_drift in self.curve:
            if next_effect >= level:
                share = (level - effect) / (next_effect - effect)
                return drift + share * (next_drift - drift)
            effect, drift = next_effect, next_drift
        return None


def effect_of(outcome: Outcome) -> float:
    """Right answers kept plus wrong ones taken back, less 1: 0 for the base, which takes all back, 1 at best."""
    return outcome.rates[takes_back("wrong")].share - outcome.rates[takes_back("right")].share


class Bench:
    """The model and what all trainings share."""

    def __init__(self, shape: Shape, directory: Path) -> None:
        self.shape, self.directory = shape, directory
        directory.mkdir(parents=True, exist_ok=True)
        bridge = load_model("organism")
        pairs = organism.pairs("train", shape.pairs)
        self.found = patch_heads(bridge, pairs, compute=QUIET).top(shape.k)
        self.layers, self.heads = bridge.cfg.n_layers, bridge.cfg.n_heads
        self.norms = mean_activations(bridge, pairs, compute=QUIET).write_norm
        # The same weights without hooks, which is faster.
        self.model = AutoModelForCausalLM.from_pretrained(organism.directory("mha"), dtype=torch.float32)
        self.model.tokenizer = bridge.tokenizer
        self.eval_sets = {"validation": self._eval_set("validation"), "held_out": self._eval_set("held_out")}
        self.grades: dict[Any, Any] = {}

    def _eval_set(self, split: Split) -> EvalSet:
        every = world_eval_set(split, n=self.shape.validation if split == "validation" else self.shape.held_out)
        return EvalSet({name: every.challenged[name] for name in ("right", "wrong")}, texts=every.texts)

    @lru_cache(maxsize=2)  # noqa: B019
    def examples(self, seed: int) -> Any:
        made = organism.examples("train", self.shape.examples, rehearsal=self.shape.rehearsal, seed=seed)
        return encode_examples(made, self.model.tokenizer)

    def sets(self, kind: Kind, draw: int) -> HeadSet:
        """The heads of a draw, each draw another set."""
        if kind.scope == "all heads":
            return HeadSet(all_heads(self.layers, self.heads))
        if kind.control is None:
            return self.found
        chooses, number = divmod(draw, CHOICE)
        drawn = draw_controls(
            self.found,
            self.layers,
            self.heads,
            control=kind.control,
            count=20 * (number + 1),  # enough to hold so many different ones
            seed=CHOICE * chooses,
            write_norm=self.norms,
        )
        return list({frozenset(each): each for each in drawn}.values())[number]

    def scope(self, training: Training) -> Scope:
        if training.kind.scope == "all":
            return "all"
        return PinpointConfig(self.sets(training.kind, training.draw), rank=training.kind.rank)

    def grade(self, reply: str, asked: Any) -> Any:
        key = (id(asked), reply)
        if key not in self.grades:
            self.grades[key] = grade(reply, asked)
        return self.grades[key]

    def path(self, training: Training) -> Path:
        return self.directory / f"{training.name}.json"

    def run(self, training: Training) -> Tried:
        """Train and examine on the way until the highest level is reached; read instead if it was done before."""
        path = self.path(training)
        scope = self.scope(training)
        heads = "all" if scope == "all" else " ".join(map(str, scope.heads))
        if path.exists():
            record = json.loads(path.read_text())
            if record["heads"] != heads:
                raise SystemExit(f"{path} holds a training of other heads; choose another --out.")
            return Tried(training, heads, tuple(map(tuple, record["curve"])))
        with tempfile.TemporaryDirectory() as draft:
            training_config = replace(EMBEDDED, steps=self.shape.steps, learning_rate=training.rate)
            arguments = training_config.arguments(
                draft, seed=training.draw, save_strategy="no", logging_strategy="no", disable_tqdm=True
            )
            trainer = PinpointTrainer(self.model, scope, arguments, self.examples(training.draw), seed=training.draw)
            found = trainer.pinpoint.state()
            examiner = Examiner(self, trainer.pinpoint, found, self.eval_sets[training.split])
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(examiner)
            try:
                trainer.train()
            finally:
                trainer.pinpoint.load_state(found)
                trainer.pinpoint.detach()
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"heads": heads, "curve": examiner.curve}) + "\n")
        part.replace(path)
        return Tried(training, heads, tuple(examiner.curve))


class Examiner(TrainerCallback):  # type: ignore[misc]
    """Examines a model after some steps of its training, and ends it where the highest level is reached.

    The state halfway between is kept, and examined too in the stretch in which that happens.
    """

    def __init__(self, bench: Bench, tuned: Any, found: Mapping[str, Any], eval_set: EvalSet) -> None:
        self.bench, self.tuned, self.found, self.eval_set = bench, tuned, found, eval_set
        self.curve: list[tuple[int, float, float]] = []
        self.between: tuple[int, Mapping[str, Any]] | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **context: Any) -> None:
        step, every = state.global_step, self.bench.shape.every
        if step % every == every // 2:
            self.between = step, self.tuned.state()
        if step % every:
            return
        reached = self.examine(step)
        if reached[1] >= max(LEVELS):
            control.should_training_stop = True
            if self.between is not None:
                now, (before, state_before) = self.tuned.state(), self.between
                self.tuned.load_state(state_before)
                self.curve.append(self.examine(before))
                self.tuned.load_state(now)
        self.curve.append(reached)

    def examine(self, step: int) -> tuple[int, float, float]:
        """Steps, effect and drift."""
        base = self.tuned
        if isinstance(base, WholeModel):
            base = WholeBase(base, self.found, base.state())
        outcome = self.eval_set.examine(
            self.bench.model,
            base=base,
            grader=self.bench.grade,
            max_new_tokens=16,
            compute=Compute(batch_size=200, progress=False),
        )
        assert outcome.drift is not None
        return step, effect_of(outcome), outcome.drift.mean


def choosers(kinds: Iterable[Kind], shape: Shape) -> list[Training]:
    """The trainings that choose the learning rate of a family: one of each of its kinds at each rate."""
    return [Training(kind, CHOICE, rate, "validation") for kind in kinds for rate in kind.rates[: shape.rates]]


def chosen_rate(tried: Iterable[Tried]) -> float:
    """That of the least drift at the primary level, geometric mean of the family; never to get there is infinite."""
    drifts: dict[float, list[float]] = {}
    for each in tried:
        drift = each.drift_at(PRIMARY)
        drifts.setdefault(each.training.rate, []).append(inf if drift is None else log(drift))
    return min(drifts, key=lambda rate: sum(drifts[rate]))


@dataclass(frozen=True)
class Comparison:
    """The found heads against a kind of control, at one level of effect."""

    low: float
    high: float
    ratio: float
    """Median drift of the control over that of the found heads, with a 95 % interval over both kinds' runs."""
    ratio_of_means: float
    as_little: int
    """Control runs that drift as little as the median of the found heads' runs, or less."""
    p: float


def compare(found: Sequence[float | None], others: Sequence[float | None], *, resamples: int = 10_000) -> Comparison:
    """Rank and ratios; a run that never got there counts against the found heads, whichever side it is of.

    Of the found heads it counts as infinite drift; of the controls as less drift in the rank, and in ratios not at all.
    """
    ours = [inf if each is None else each for each in found]
    theirs = [each for each in others if each is not None]
    middle = median(ours)
    as_little = sum(each <= middle for each in theirs) + len(others) - len(theirs)
    rng = random.Random(0)
    drawn = sorted(
        median(rng.choices(theirs, k=len(theirs))) / median(rng.choices(ours, k=len(ours))) for _ in range(resamples)
    )
    return Comparison(
        low=drawn[int(0.025 * resamples)],
        high=drawn[int(0.975 * resamples)],
        ratio=median(theirs) / middle,
        ratio_of_means=mean(theirs) / mean(ours),
        as_little=as_little,
        p=(1 + as_little) / (1 + len(others)),
    )


def report(tried: Sequence[Tried], level: float) -> str:
    """The table of one level: drift in thousandths of a nat a token."""
    lines = [
        "| trained | KL x 1000: median (range) | ratio of medians [95 %] | rank p | of means | as little | runs |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in dict.fromkeys(each.training.kind for each in tried):
        runs = [each for each in tried if each.training.kind == kind]
        drifts = [each.drift_at(level) for each in runs]
        reached = [1000 * drift for drift in drifts if drift is not None]
        beside = FOUND if kind.family != "low rank" else f"{FOUND}, low rank"
        found = [each.drift_at(level) for each in tried if each.training.kind.name == beside]
        cells = [f"{kind.name}, rate {runs[0].training.rate:g}"]
        cells.append(f"{median(reached):.1f} ({min(reached):.1f} to {max(reached):.1f})" if reached else "never")
        if kind.name == beside or not reached or not found:
            cells += ["", "", "", ""]
        else:
            seen = compare(found, drifts)
            cells.append(f"{seen.ratio:.2f} [{seen.low:.2f}, {seen.high:.2f}]")
            cells.append(f"{seen.p:.3f}" if kind.control else "")
            cells += [f"{seen.ratio_of_means:.2f}", _count(seen.as_little, len(runs))]
        cells.append(_count(len(reached), len(runs)))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _count(some: int, of: int) -> str:
    return f"{some} of {of}"


def write_rows(tried: Iterable[Tried], path: Path) -> None:
    """One row a training."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["kind", "split", "seed", "learning_rate", "heads", "steps", "effect", "drift"])
        rows.writerows(
            [
                each.training.kind.name,
                each.training.split,
                each.training.draw,
                f"{each.training.rate:g}",
                each.heads,
                *(" ".join(f"{value:.6g}" for value in column) for column in zip(*each.curve, strict=True)),
            ]
            for each in tried
        )


def read_rows(path: Path) -> list[Tried]:
    """What :func:`write_rows` wrote."""
    kinds = {kind.name: kind for kind in KINDS}
    with path.open(newline="") as file:
        return [
            Tried(
                Training(kinds[row["kind"]], int(row["seed"]), float(row["learning_rate"]), row["split"]),  # type: ignore[arg-type]
                row["heads"],
                tuple(
                    (int(step), float(effect), float(drift))
                    for step, effect, drift in zip(
                        *(row[column].split() for column in ("steps", "effect", "drift")), strict=True
                    )
                ),
            )
            for row in csv.DictReader(file)
        ]


def run_all(bench: Bench, kinds: Sequence[Kind], until: float = inf) -> Iterator[Tried]:
    """First the trainings that choose the rates, then draw by draw, so that kinds are even whenever it is ended."""
    rates: dict[str, float] = {}
    for family in dict.fromkeys(kind.family for kind in kinds):
        tried = [bench.run(each) for each in choosers((kind for kind in kinds if kind.family == family), bench.shape)]
        rates[family] = chosen_rate(tried)
        yield from tried
    for draw, kind in product(range(bench.shape.draws), kinds):
        training = Training(kind, draw, rates[kind.family], "held_out")
        if draw < kind.draws and (time.monotonic() < until or bench.path(training).exists()):
            yield bench.run(training)


def main(options: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="organism")
    parser.add_argument("--out", type=Path, help="folder of finished trainings (runs/controls-SHAPE)")
    parser.add_argument("--csv", type=Path, help="file of all trainings (controls.csv in that folder)")
    parser.add_argument("--kinds", nargs="+", choices=[kind.name for kind in KINDS], help="which kinds (all)")
    parser.add_argument("--minutes", type=float, default=inf, help="begin no training after so long")
    arguments = parser.parse_args(options)
    started = time.monotonic()
    directory = arguments.out or Path(f"runs/controls-{arguments.shape}")
    bench = Bench(SHAPES[arguments.shape], directory)
    kinds = [kind for kind in KINDS if arguments.kinds is None or kind.name in arguments.kinds]
    tried = []
    for each in run_all(bench, kinds, started + 60 * arguments.minutes):
        tried.append(each)
        print(f"{len(tried)} {each.training.name}", file=sys.stderr, flush=True)
    write_rows(tried, arguments.csv or directory / "controls.csv")
    held_out = [each for each in tried if each.training.split == "held_out"]
    print(f"# Drift at equal effect\n\nFound heads: {', '.join(map(str, bench.found))}\n")
    for level in (PRIMARY, *(level for level in LEVELS if level != PRIMARY)):
        print(f"## Effect {level:g}\n\n{report(held_out, level)}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
