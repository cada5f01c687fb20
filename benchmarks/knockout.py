"""How much work a knockout curve takes: sycolens beside TransformerLens' own generation, one condition at a time.

    python benchmarks/knockout.py                 # the embedded model, then 12 layers x 12 heads, CPU
    python benchmarks/knockout.py --models tiny   # a few seconds, to see that it runs

Prints Markdown. benchmarks/README.md says what the rows and the columns mean.
"""

from __future__ import annotations

import argparse
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from itertools import groupby
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from path_patching import Work, counting_tokens, table
from torch import Tensor
from workload import SHAPES, build_model, make_pairs, sample_heads

from sycolens import (
    QUIET,
    ContrastPairs,
    Dialogue,
    Head,
    HeadMeans,
    HeadSet,
    Turn,
    knock_out,
    load_model,
    mean_activations,
    organism,
    patch_heads,
)
from sycolens.model import generation
from sycolens.model.generation import Reply
from sycolens.prompts import CHAT, PLAIN, ChallengedQuestion, ChatFormat, Question
from sycolens.verify import knockout

CONTROLS = 20
Heads = frozenset[Head]


@dataclass(frozen=True)
class Size:
    """How much of it is run."""

    dialogues: int
    max_new_tokens: int
    turns: int
    sampled: int
    """How many conditions the loops run in each turn; their time is scaled to all."""
    lengths: tuple[int, ...] = ()
    """Prompt lengths in turn, for random dialogues."""
    steps: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 8)


SIZES = {
    "organism": Size(dialogues=60, max_new_tokens=64, turns=3, sampled=12),
    "llama-12x12": Size(dialogues=4, max_new_tokens=24, turns=2, sampled=4, lengths=(128,)),
    "llama-2-13b": Size(dialogues=4, max_new_tokens=24, turns=2, sampled=4, lengths=(128,)),
    "tiny": Size(dialogues=4, max_new_tokens=6, turns=1, sampled=1000, lengths=(40, 37), steps=(0, 1, 2, 4)),
}


@dataclass(frozen=True)
class Task:
    """One curve, which every alternative runs or helps to."""

    model: Any
    asked: tuple[ChallengedQuestion, ...]
    ranking: HeadSet
    means: HeadMeans
    size: Size
    chat_format: ChatFormat = CHAT

    @cached_property
    def prompts(self) -> list[tuple[int, ...]]:
        return [
            each.dialogue.render(self.model.tokenizer, chat_format=self.chat_format).token_ids for each in self.asked
        ]

    def end_of(self, reply: Sequence[int]) -> int:
        """Where a reply ends."""
        end = self.model.tokenizer.eos_token_id
        return list(reply).index(end) if end in reply else len(reply)


Replies = dict[Heads, list[Reply]]
"""For every set of heads that was knocked out, the reply to each dialogue."""


@dataclass(frozen=True)
class Alternative:
    """One way to the replies of a knockout curve."""

    name: str
    run: Callable[[Task, Sequence[Heads]], Replies]
    """The conditions named, all of them where ``at_once``."""
    tokens: Callable[[int, Sequence[int]], int]
    """Tokens through the blocks for a dialogue, by hand: of the prompt's length and, for every condition, how many
    generated tokens are read again."""
    at_once: bool = False


def run_sycolens(task: Task, conditions: Sequence[Heads]) -> Replies:
    found: Replies = {}
    reply_under = generation.reply_under

    def keep(model: Any, prompts: Any, labels: Any, asked: Any, **options: Any) -> Any:
        # knock_out grades the replies and keeps their text; here the tokens are compared.
        spoken = reply_under(model, prompts, labels, asked, **options)
        for place, mask in enumerate(asked.heads):
            found[frozenset(Head(*head) for head in mask.nonzero().tolist())] = [said[place] for said in spoken.tokens]
        return spoken

    with patch.object(knockout, "reply_under", keep):
        knock_out(
            task.model,
            task.asked,
            task.ranking,
            task.means,
            steps=task.size.steps,
            controls=CONTROLS,
            max_new_tokens=task.size.max_new_tokens,
            chat_format=task.chat_format,
            compute=QUIET,
        )
    return found


@contextmanager
def hooked(task: Task, heads: Heads) -> Iterator[None]:
    """The heads at their means at the end of the prompt, by hooks as one writes them by hand."""

    def set_means(layer: int) -> Callable[..., Tensor]:
        indices = sorted(head.index for head in heads if head.layer == layer)
        means = task.means.mean[-1, layer, indices]

        def hook(value: Tensor, hook: Any) -> Tensor:
            if value.shape[1] > 1:  # the prompt, and not a generated token
                value[:, -1, indices] = means.to(value)
            return value

        return hook

    layers = sorted({head.layer for head in heads})
    with task.model.hooks(fwd_hooks=[(f"blocks.{layer}.attn.hook_z", set_means(layer)) for layer in layers]):
        yield


def generated(task: Task, batch: Sequence[int], *, pad: int = 0) -> list[Reply]:
    """TransformerLens' own generation of some dialogues, padded on the left where their lengths differ."""
    prompts = [task.prompts[i] for i in batch]
    longest = max(map(len, prompts))
    device = task.model.cfg.device
    tokens = torch.tensor([[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    options = {} if mask.all() else {"attention_mask": mask}
    out = task.model.generate(
        tokens,
        max_new_tokens=task.size.max_new_tokens,
        do_sample=False,
        use_past_kv_cache=True,
        return_type="tokens",
        verbose=False,
        **options,
    )
    replies = [tuple(row) for row in out[:, longest:].tolist()]
    return [reply[: task.end_of(reply)] for reply in replies]


def run_by_length(task: Task, conditions: Sequence[Heads]) -> Replies:
    """Prompts of one length in one batch, so that nothing is padded."""

    def length(i: int) -> int:
        return len(task.prompts[i])

    order = sorted(range(len(task.prompts)), key=length)
    batches = [list(batch) for _, batch in groupby(order, key=length)]
    found: Replies = {}
    for heads in conditions:
        with hooked(task, heads):
            said = {i: reply for batch in batches for i, reply in zip(batch, generated(task, batch), strict=True)}
        found[heads] = [said[i] for i in range(len(said))]
    return found


def run_padded(task: Task, conditions: Sequence[Heads]) -> Replies:
    """All prompts in one batch: more tokens, but fewer passes."""
    found: Replies = {}
    for heads in conditions:
        with hooked(task, heads):
            found[heads] = generated(task, range(len(task.prompts)))
    return found


def tokens_of_loop(length: int, again: Sequence[int]) -> int:
    return sum(length + passes for passes in again)


SYCOLENS = Alternative(
    "sycolens `knock_out`",
    run_sycolens,
    lambda length, again: length - 1 + sum(1 + passes for passes in again),
    at_once=True,
)
LOOPS = (
    Alternative("(a) `model.generate` for every condition, a batch for each length", run_by_length, tokens_of_loop),
    Alternative("(b) the same, one batch padded on the left", run_padded, tokens_of_loop),
)


@dataclass
class Row:
    """What one alternative did."""

    alternative: Alternative
    seconds: list[float] = field(default_factory=list)
    """For all conditions."""
    work: Work = field(default_factory=Work)
    found: Replies = field(default_factory=dict)


def measure(task: Task, *, turns: int, sampled: int) -> list[Row]:
    """All ways take turns; each turn of a loop runs some conditions, spread over all, and is scaled to all."""
    rows = [Row(SYCOLENS), *(Row(loop) for loop in LOOPS)]
    if len({len(prompt) for prompt in task.prompts}) == 1:
        del rows[2]  # nothing to pad
    generated(task, [0])  # libraries set themselves up in their first call
    for turn in range(turns):
        for row in rows:
            every = list(rows[0].found)
            some = every if row.alternative.at_once else spread(every, sampled, turn)
            with counting_tokens(task.model) as work:
                start = time.perf_counter()
                row.found |= row.alternative.run(task, some)
                seconds = time.perf_counter() - start
            scale = len(every) / len(some) if some else 1
            row.seconds.append(seconds * scale)
            row.work = Work().plus(work, scale)
    return rows


def spread(conditions: Sequence[Heads], count: int, turn: int) -> list[Heads]:
    """So many conditions at even distances, others in each turn."""
    count = min(count, len(conditions))
    return [conditions[(i * len(conditions) // count + turn) % len(conditions)] for i in range(count)]


def by_hand(task: Task, row: Row, replies: Replies) -> int:
    """Tokens through the blocks; the last one that is allowed is not read again."""
    limit = task.size.max_new_tokens - 1
    return sum(
        row.alternative.tokens(len(prompt), [min(len(said[i]), limit) for said in replies.values()])
        for i, prompt in enumerate(task.prompts)
    )


def differing(row: Row, sycolens: Row) -> tuple[int, int]:
    """How many replies are other tokens than sycolens', and of how many."""
    pairs = [
        (mine, theirs)
        for heads, said in row.found.items()
        for mine, theirs in zip(sycolens.found[heads], said, strict=True)
    ]
    return sum(mine != theirs for mine, theirs in pairs), len(pairs)


def report(task: Task, rows: Sequence[Row]) -> str:
    """The table of one model."""
    sycolens = rows[0]
    replies = sycolens.found
    lines = []
    for row in rows:
        apart, compared = differing(row, sycolens)
        ratio = median(a / b for a, b in zip(row.seconds, sycolens.seconds, strict=True))
        lines.append(
            [
                row.alternative.name + ("" if row is sycolens else f" ({len(row.found)} of {len(replies)} run)"),
                f"{row.work.passes:,.0f}",
                f"{row.work.tokens:,.0f}",
                f"{by_hand(task, row, replies):,}",
                f"{median(row.seconds):,.3g} ({min(row.seconds):,.3g} to {max(row.seconds):,.3g})",
                f"{ratio:,.2f}",
                f"{row.work.tokens / sycolens.work.tokens:,.2f}",
                f"{by_hand(task, row, replies) / by_hand(task, sycolens, replies):,.2f}",
                "" if row is sycolens else f"{apart} of {compared:,}",
            ]
        )
    columns = [
        "alternative", "forward passes", "tokens through the blocks", "by hand", "seconds: median (range)",
        "times sycolens: measured", "limit, tokens", "limit by hand", "replies that differ",
    ]  # fmt: skip
    said = [reply for each in replies.values() for reply in each]
    kinds = [len({each[i] for each in replies.values()}) for i in range(len(task.prompts))]
    lengths = sorted(map(len, task.prompts))
    return (
        f"Steps {', '.join(map(str, task.size.steps))}: {len(replies)} different sets of heads. {len(task.prompts)} "
        f"prompts of {lengths[0]} to {lengths[-1]} tokens, replies of {min(map(len, said))} to {max(map(len, said))} "
        f"tokens, {median(kinds):g} different ones to a dialogue (median).\n\n{table(columns, lines)}\n"
    )


def make_task(name: str, size: Size, device: str) -> Task:
    """The embedded model with dialogues that it was not trained on, or a random Llama with random words."""
    if name == "organism":
        model = load_model("organism", device=device)
        pairs = organism.pairs("train", 100)
        ranking = patch_heads(model, pairs, compute=QUIET).ranking()
        means = mean_activations(model, pairs, compute=QUIET)
        return Task(model, organism.challenges("held_out", size.dialogues), ranking, means, size)
    shape = SHAPES[name]
    model = build_model(shape, device)
    rng = random.Random(0)
    asked = []
    for i in range(size.dialogues):
        # "User:" and "Assistant:" stand twice each.
        words = [f"w{rng.randrange(6, shape.d_vocab)}" for _ in range(size.lengths[i % len(size.lengths)] - 4)]
        question, answer, challenge = " ".join(words[:-13]), words[-13], " ".join(words[-12:])
        dialogue = Dialogue((Turn("user", question, "question"), Turn("assistant", answer, "first_answer")))
        dialogue = dialogue.then("user", challenge, "challenge")
        asked.append(ChallengedQuestion(Question(question, (answer,)), dialogue, answer, labels=(("w3",), ("w5",))))
    drawn = make_pairs(shape, shape.n_pairs, size.lengths[0], shared=False)
    # Means are taken where the prompts end.
    end = asked[0].render(model.tokenizer, chat_format=PLAIN).token_ids[-1:]
    sides = ([prompt + end for prompt in side] for side in (drawn.reference, drawn.counterfactual))
    means = mean_activations(model, ContrastPairs.from_tokens(*sides, drawn.labels), compute=QUIET)
    ranking = HeadSet(sample_heads(shape, max(size.steps)))
    return Task(model, tuple(asked), ranking, means, size, chat_format=PLAIN)


def parse(options: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", choices=SIZES, nargs="+", default=["organism", "llama-12x12"])
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--turns", type=int, help="timed turns (default: 3, and 2 on the larger model)")
    parser.add_argument("--conditions", type=int, help="conditions that a loop runs in a turn; extrapolated to all")
    parser.add_argument("--threads", type=int, help="threads (default: what torch takes)")
    return parser.parse_args(options)


@torch.no_grad()
def main(options: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code: 1 where the replies differ."""
    arguments = parse(options)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformer-lens", "transformers"))
    on_gpu = arguments.device.startswith("cuda")
    where = (
        torch.cuda.get_device_name(arguments.device)
        if on_gpu
        else f"{platform.machine()}, {torch.get_num_threads()} threads"
    )
    print(f"# Knockout curves with {CONTROLS} controls\n\n{where}; {versions}.\n", flush=True)
    worst = 0.0
    for name in arguments.models:
        size = SIZES[name]
        task = make_task(name, size, arguments.device)
        rows = measure(task, turns=arguments.turns or size.turns, sampled=arguments.conditions or size.sampled)
        print(f"## {name}\n\n{report(task, rows)}", flush=True)
        for row in rows[1:] if task.model.cfg.dtype == torch.float32 else []:  # 16 bits turn many a tie
            apart, compared = differing(row, rows[0])
            worst = max(worst, apart / compared)
    if worst > 0.01:  # rounding may turn a tie of two tokens, here and there
        print(f"{worst:.0%} of the replies differ: the alternatives do not compute the same thing.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
