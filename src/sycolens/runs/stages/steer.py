"""Steer: one intervention, fitted to the found heads or to others on the training examples."""

from __future__ import annotations

from sycolens.choices import STEERINGS, STRONG, Steering
from sycolens.heads import HeadSet
from sycolens.model.hooked import Geometry
from sycolens.runs.context import Context
from sycolens.runs.methods import steered_heads
from sycolens.runs.stage import Made
from sycolens.runs.train import INTERVENTION
from sycolens.runs.trainings import Training
from sycolens.steer import fit_intervention


def make(context: Context, training: Training) -> Made:
    """Fit once."""
    kind = next(each for each in STEERINGS if each == training.kind)
    name, heads = _heads(context, kind, training)
    tune = context.config.tune
    fitted = fit_intervention(
        context.model,
        kind,
        heads,
        examples=context.examples,
        pairs=context.finding.pairs,
        contrast=tune.contrast,
        direction=tune.direction,
        strength=tune.strength.get(kind) if kind in STRONG else None,
        chat_format=context.chat_format,
        compute=context.compute(training.stage),
    )
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
