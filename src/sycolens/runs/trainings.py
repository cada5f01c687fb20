"""Every training of a run and of a sweep, and on which settings each depends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from sycolens.choices import KINDS, STEERINGS, TRAINED, Kind, Selection
from sycolens.runs.config import StudyConfig

DEPENDS: Final[dict[Kind, tuple[str, ...]]] = {
    "spt": ("k", "matrices", "mlps"),
    "spt_lora": ("k", "matrices", "rank", "alpha"),
    "random": ("k", "matrices", "mlps", "control"),
    "lora": ("rank_of_all", "alpha"),
    "sft": (),
    "iti": ("k", "control", "contrast", "direction"),
    "caa": ("k", "control", "contrast"),
    "projection": ("k", "control", "contrast", "direction"),
    "ablation": ("k", "control"),
}
"""Settings of "tune" on which a kind of method depends."""
TRAINING: Final = ("examples_per_step", "schedule", "learning_rate", "steps")


@dataclass(frozen=True)
class Training:
    """One training: which kind of method, which draw of heads, which seed; in a sweep also how many heads, how fast."""

    kind: Kind
    draw: int
    seed: int
    k: int | None = None
    learning_rate: float | None = None
    by: Selection | None = None
    """Which other way selected the heads; None where they were found."""
    heads: Literal["found", "other"] | None = None
    """On which heads an intervention acts, which trains nothing; None for a training."""

    @property
    def stage(self) -> str:
        """The name of its stage."""
        kind = self.kind.replace("_", "-") + (f"-{self.by}" if self.by else "")
        if self.heads is not None:
            return f"tune/{kind}-{'found' if self.heads == 'found' else f'draw{self.draw}'}"
        if self.learning_rate is None:
            return f"tune/{kind}-{f'draw{self.draw}' if self.kind == 'random' else f'seed{self.seed}'}"
        heads = "" if self.k is None else f"{self.k}"
        return f"sweep/{kind}{heads}-draw{self.draw}-rate{self.learning_rate:g}-seed{self.seed}"


def trainings_of(config: StudyConfig) -> tuple[Training, ...]:
    """The trainings of a run: every method with every seed, but every draw of random heads with one.

    An intervention is fitted once to the found heads, and once to every draw of other heads as its control.

    >>> config = StudyConfig.of({"tune": {"methods": ["spt", "random"], "draws": 2}})
    >>> [training.stage for training in trainings_of(config)]
    ['tune/spt-seed0', 'tune/random-draw0', 'tune/random-draw1']
    """
    tune, first = config.tune, config.seed
    found: list[Training] = []
    for kind in (kind for kind in KINDS if kind in tune.methods):
        if kind == "random":
            found += [Training(kind, draw, first + draw) for draw in range(tune.draws)]
        elif kind in STEERINGS:
            found.append(Training(kind, 0, first, heads="found"))
            found += [Training(kind, draw, first, heads="other") for draw in range(tune.draws)]
        else:
            ways = (None, *tune.selections) if kind == "spt" else (None,)
            found += [Training(kind, 0, first + number, by=by) for by in ways for number in range(tune.seeds)]
    return tuple(found)


def trials_of(config: StudyConfig) -> tuple[Training, ...]:
    """The trainings of a sweep: every method at every learning rate, found heads in every number of them.

    Interventions have no learning rate and no steps, and are left out.

    >>> config = StudyConfig.of({"sweep": {"learning_rates": [1e-3], "ks": [2, 4], "seeds": 1}})
    >>> [training.stage for training in trials_of(config)]
    ['sweep/spt2-draw0-rate0.001-seed0', 'sweep/spt4-draw0-rate0.001-seed0']
    """
    tune, sweep = config.tune, config.sweep
    found: list[Training] = []
    for kind in (kind for kind in TRAINED if kind in tune.methods):
        ks: list[int | None] = [*sweep.ks] if sweep.ks and kind == "spt" else [None]
        for k in ks:
            for rate in sweep.learning_rates:
                if kind == "random":
                    found += [Training(kind, draw, draw % sweep.seeds, k, rate) for draw in range(tune.draws)]
                else:
                    found += [Training(kind, 0, seed, k, rate) for seed in range(sweep.seeds)]
    return tuple(found)


def settings_of(config: StudyConfig, run: Training) -> dict[str, Any]:
    """The settings of "tune" on which a training depends, and which one it is."""
    tune = config.tune.model_dump()
    own = {name: value for name, value in (tune["by_method"].get(run.kind) or {}).items() if value is not None}
    if run.heads is not None:
        own = {"strength": tune["strength"].get(run.kind)}
    names = (*DEPENDS[run.kind], *(TRAINING if run.heads is None else ()))
    # What is fitted to the found heads stays what it is, however the others are drawn.
    chosen = {name: tune[name] for name in names if (name, run.heads) != ("control", "found")}
    return {**chosen, **own, **{name: value for name, value in vars(run).items() if value is not None}}
