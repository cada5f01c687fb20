"""Verify: knockout and attention on questions that did not find the heads."""

from __future__ import annotations

from sycolens.runs.context import Context
from sycolens.runs.plan import VERIFY
from sycolens.runs.stage import Made
from sycolens.verify import verify_heads


def make(context: Context) -> Made:
    """Verify the heads."""
    config, asked, finding = context.config, context.config.verify, context.finding
    _, held_out = context.hold_out(asked, asked.n)
    verification = verify_heads(
        context.model,
        finding.effects,
        finding.pairs,
        context.challenged(held_out),
        top=finding.top,
        metric=finding.metric,
        steps=asked.steps,
        controls=asked.controls,
        control=asked.control,
        method=asked.method,
        positions=asked.positions,
        max_new_tokens=asked.max_new_tokens,
        chat_format=context.chat_format,
        seed=config.seed,
        compute=context.compute(VERIFY),
    )
    return Made(verification.save, {"source": held_out.source, **verification.record()})
