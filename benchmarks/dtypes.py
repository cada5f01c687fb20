"""How far the map of head effects in bfloat16 is from that in float32, beside how far other pairs take it.

    python benchmarks/dtypes.py                  # the embedded model, a minute
    python benchmarks/dtypes.py --model models/SmolLM2-135M-Instruct.Q4_1.gguf --questions general \\
        --behavior docs/data/smollm2/behavior.toml --metric logit_diff --top 32   # half an hour on one core

Prints Markdown. Weights rounded to bfloat16 and computed with in float32 tell what the weights lose; a model that was
published in bfloat16 loses nothing there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, get_args
from unittest.mock import patch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from sycolens import QUIET, Behavior, ContrastPairs, HeadEffects, load_model, load_questions, organism, patch_heads
from sycolens.choices import Metric
from sycolens.find.metrics import measure
from sycolens.model import replay
from sycolens.tasks.question_set import QuestionSet

Named = tuple[str, HeadEffects]


def rounded(model: Any) -> Any:
    """A float32 model whose weights have been rounded to bfloat16."""
    for parameter in model.original_model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    return model


def draws(arguments: argparse.Namespace, tokenizer: Any) -> tuple[ContrastPairs, ...]:
    """Two draws of pairs about different questions (of the embedded model: with another seed)."""
    if arguments.questions is None:
        return tuple(organism.pairs("train", arguments.pairs, seed=seed) for seed in (0, 1))
    asked = load_questions(arguments.questions, split="train")
    behavior = {"behavior": Behavior.read(arguments.behavior)} if arguments.behavior else {}
    return QuestionSet(arguments.questions, tuple(asked), **behavior).pairs(
        tokenizer, n=arguments.pairs, seed=0, draws=2
    )


def row(name: str, found: HeadEffects, due: HeadEffects, *, metric: Metric, k: int) -> str:
    """One line of the table: how far a map is from the float32 one."""
    comparison = due.compare(found, k=k, metric=metric)
    difference = ""
    if found.pairs_fingerprint == due.pairs_fingerprint:
        apart = measure(found.logits, "prob_share") - measure(due.logits, "prob_share")
        difference = f"{apart.abs().max():.4f}"
    scores = (found.scores(metric) - due.scores(metric)).abs().max()
    of = due.scores(metric).abs().max()
    return (
        f"| {name} | {comparison.correlation:+.3f} | {len(comparison.shared)} of {k} | {difference} | "
        f"{scores:.2g} of {of:.2g} |"
    )


def parse(options: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="organism", help="as for load_model (default: the embedded one)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--questions", help="as for load_questions; the embedded world's own by default")
    parser.add_argument("--behavior", help="a TOML file (default: the paper's)")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float16"])
    parser.add_argument("--rounded", action="store_true", help="also what rounds weights alone, and label logits too")
    parser.add_argument("--metric", choices=get_args(Metric), default="prob_share", help="of the ranks and the top")
    parser.add_argument("--top", type=int, default=8, help="how many heads are compared (default 8)")
    return parser.parse_args(options)


def maps(arguments: argparse.Namespace, model: Any, pairs: ContrastPairs, others: ContrastPairs) -> Iterator[Named]:
    """What is compared with the map in float32, one after the other."""
    yield "control: float32, other pairs", patch_heads(model, others, compute=QUIET)
    for dtype in arguments.dtypes:
        narrow = load_model(arguments.model, device=arguments.device, dtype=dtype)
        yield dtype, patch_heads(narrow, pairs, compute=QUIET)
        with patch.object(replay, "tokens_to_read", lambda labels, d_vocab: (None, labels)):
            if arguments.rounded:
                yield f"{dtype}, label logits too", patch_heads(narrow, pairs, compute=QUIET)
    if arguments.rounded:
        yield "weights rounded to bfloat16, then float32", patch_heads(rounded(model), pairs, compute=QUIET)


def main(options: Sequence[str] | None = None) -> int:
    """Measure, print."""
    arguments = parse(options)
    model = load_model(arguments.model, device=arguments.device)
    pairs, others = draws(arguments, model.tokenizer)
    due = patch_heads(model, pairs, compute=QUIET)
    shares = measure(due.logits, "prob_share") - measure(due.reference_logits, "prob_share")[:, None, None]
    print(
        f"{due.model_name}, {len(pairs)} pairs, {len(due.heads)} heads, on {arguments.device}. In float32 a head moves "
        f"the probability share of a pair by {shares.abs().median():.1e} (median), {shares.abs().max():.2f} at most; "
        f"label logits are up to {due.logits.abs().max():.1f}.\n"
    )
    print(
        f"| beside float32 | rank correlation ({arguments.metric}) | top heads shared | largest difference of a pair's "
        "probability share | of a head's score |\n| --- | ---: | ---: | ---: | ---: |",
        flush=True,
    )
    for name, found in maps(arguments, model, pairs, others):
        print(row(name, found, due, metric=arguments.metric, k=arguments.top), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
