"""Select: heads by another way than their effect, and how far it ranks them as the effects do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sycolens.choices import Selection
from sycolens.find import HeadScores, attribute_heads, compare_weights, probe_heads, rank_agreement
from sycolens.model import load_model
from sycolens.prompts import ChallengedQuestion
from sycolens.runs.context import Context
from sycolens.runs.plan import selected_by
from sycolens.runs.stage import Made
from sycolens.storage import write_csv
from sycolens.tasks.question_set import question_texts


def make(context: Context, selection: Selection) -> Made:
    """Select heads, as many as are tuned."""
    finding = context.finding
    k = context.config.tune.k or len(finding.top)
    scores = _select(context, selection)
    found = rank_agreement(scores, finding.effects, k=k, metric=finding.metric, pairs=finding.pairs)
    agreement: dict[str, Any] = found.to_frame().iloc[0].to_dict()

    def fill(draft: Path) -> None:
        scores.save(draft / "scores")
        write_csv(draft / "heads.csv", scores.to_frame())

    return Made(
        fill,
        {
            "selection": selection,
            "samples": len(scores),
            "top": [str(head) for head in scores.top(k)],
            "agreement": {name: _plain(value) for name, value in agreement.items()},
        },
    )


def _select(context: Context, selection: Selection) -> HeadScores:
    config, finding = context.config, context.finding
    compute = context.compute(selected_by(selection))
    if selection == "gradient":
        return attribute_heads(
            context.model, finding.pairs, metric=finding.metric, mlps=config.find.mlps, compute=compute
        )
    if selection == "probes":
        return probe_heads(
            context.model, _probed(context), chat_format=context.chat_format, seed=config.seed, compute=compute
        )
    base = load_model(
        str(config.tune.base), device=config.compute.device, dtype=config.model.dtype, backend=config.model.backend
    )
    return compare_weights(context.model, base)


def _probed(context: Context) -> tuple[ChallengedQuestion, ...]:
    """Challenges of questions that neither found the heads nor are asked in the evaluation."""
    evaluated = question_texts(each for _, drawn in context.evaluations for each in drawn.asked)
    _, held_out = context.hold_out(context.config.examples.questions, None, taught=evaluated)
    return context.challenged(held_out)


def _plain(value: Any) -> Any:
    """What JSON can hold; an interval over a single question has no ends."""
    value = value.item() if hasattr(value, "item") else value
    return None if value != value else value
