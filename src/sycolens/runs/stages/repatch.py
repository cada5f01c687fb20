"""Repatch: effects of every head once the found ones are tuned, on the same pairs (the paper's Figure 7b)."""

from __future__ import annotations

from sycolens.find import patch_heads
from sycolens.runs.context import Context
from sycolens.runs.plan import REPATCH
from sycolens.runs.stage import Made
from sycolens.runs.train import applied
from sycolens.runs.trainings import Training


def make(context: Context, training: Training) -> Made:
    """Patch again."""
    with applied(context.model, context.directory / training.stage):
        effects = patch_heads(
            context.model, context.finding.pairs, mlps=context.config.find.mlps, compute=context.compute(REPATCH)
        )
    return Made(lambda draft: effects.save(draft / "effects"), {"tuned": training.stage})
