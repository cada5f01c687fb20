"""Find: the effect of every head on the run's pairs, and on other draws of them."""

from __future__ import annotations

from sycolens.find import find_heads
from sycolens.runs.context import Context
from sycolens.runs.plan import FIND
from sycolens.runs.stage import Made


def make(context: Context) -> Made:
    """Find the heads."""
    config, asked, task = context.config, context.config.find, context.task
    model, which = context.loaded
    first, *others = task.pairs(model.tokenizer, n=asked.n, seed=config.seed, draws=asked.draws or task.draws)
    finding = find_heads(
        model,
        first,
        other_pairs=others,
        metric=asked.metric,
        top=asked.top,
        fdr=asked.fdr,
        mlps=asked.mlps,
        compute=context.compute(FIND),
    )
    return Made(finding.save, {"model": which, "source": task.name, **finding.record()})
