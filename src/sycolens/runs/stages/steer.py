"""Steer: one intervention, fitted to the found heads or to others on the training examples."""

from __future__ import annotations

from typing import Any

from sycolens.choices import STEERINGS, Steering
from sycolens.heads import HeadSet
from sycolens.model.hooked import Geometry
from sycolens.runs.context import Context
from sycolens.runs.methods import steered_heads
from sycolens.runs.stage import Made
from sycolens.runs.train import INTERVENTION
from sycolens.runs.trainings import Training
from sycolens.steer import (
    Intervention,
    choose_strength,
    contrast_prompts,
    contrast_replies,
    fit_caa,
    fit_iti,
    fit_projection,
    mean_ablation,
)
from sycolens.steer.contrast import ReadAt
from sycolens.verify import mean_activations


def make(context: Context, training: Training) -> Made:
    """Fit once."""
    kind = next(each for each in STEERINGS if each == training.kind)
    name, heads = _heads(context, kind, training)
    fitted = _fit(context, kind, heads, training.stage)
    record = {
        "method": name,
        "draw": training.draw,
        "parameters": fitted.parameters,
        "intervention": {
            "kind": kind,
            "heads": [str(head) for head in heads],
            "strength": fitted.strength,
            "fit": dict(fitted.fit),
        },
    }
    return Made(lambda draft: fitted.save(draft / INTERVENTION), record)


def _heads(context: Context, kind: Steering, training: Training) -> tuple[str, HeadSet]:
    """What an intervention is called, and on which heads it acts."""
    finding, config = context.finding, context.config
    (found, ours), (other, theirs) = steered_heads(
        kind,
        finding.effects.ranking(finding.metric),
        Geometry.of(context.model),
        k=config.tune.k or len(finding.top),
        draws=config.tune.draws,
        control=config.tune.control,
        seed=config.seed,
    ).items()
    return (found, ours[0]) if training.heads == "found" else (other, theirs[training.draw])


def _fit(context: Context, kind: Steering, heads: HeadSet, stage: str) -> Intervention:
    tune, compute = context.config.tune, context.compute(stage)
    if kind == "ablation":
        return mean_ablation(mean_activations(context.model, context.finding.pairs, compute=compute), heads)
    options: dict[str, Any] = {"chat_format": context.chat_format, "compute": compute}
    if tune.contrast == "prompts":
        contrast = contrast_prompts(context.model, heads, context.finding.pairs, compute=compute)
    else:
        read_at: ReadAt = "parting" if kind == "caa" else "last"
        contrast = contrast_replies(context.model, heads, context.examples, read_at=read_at, **options)
    if kind == "projection":
        return fit_projection(contrast, direction=tune.direction)
    fitted = fit_caa(contrast) if kind == "caa" else fit_iti(contrast, direction=tune.direction)
    strength = tune.strength.get(kind)
    if strength is not None:
        return fitted.at(strength)
    return choose_strength(context.model, fitted, context.examples, **options)
