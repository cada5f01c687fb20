"""Steer: change what the found heads put out while the model runs, without training."""

from sycolens.steer.contrast import HeadContrast, contrast_prompts, contrast_replies
from sycolens.steer.fitting import (
    CHOSEN_ON,
    STRENGTHS,
    choose_strength,
    fit_caa,
    fit_intervention,
    fit_iti,
    fit_projection,
    mean_ablation,
)
from sycolens.steer.intervention import Intervention

__all__ = [
    "CHOSEN_ON",
    "STRENGTHS",
    "HeadContrast",
    "Intervention",
    "choose_strength",
    "contrast_prompts",
    "contrast_replies",
    "fit_caa",
    "fit_intervention",
    "fit_iti",
    "fit_projection",
    "mean_ablation",
]
