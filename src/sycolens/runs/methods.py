"""The ways to repair a model that are compared: the found heads, random ones, LoRA, all weights; interventions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, get_args

import torch

from sycolens.choices import TRAINED, Kind, OtherHeads, Selection, Steering
from sycolens.errors import HeadError, TuningError
from sycolens.find.selection import HeadScores
from sycolens.heads import HeadSet
from sycolens.model.hooked import Geometry
from sycolens.runs.plan import selected_by
from sycolens.tune.config import PinpointConfig
from sycolens.tune.lora import LoraScope
from sycolens.tune.scope import Scope
from sycolens.verify.controls import draw_controls

STEERINGS_NAMED: Final[dict[Steering, str]] = {
    "iti": "ITI",
    "caa": "CAA",
    "projection": "projection",
    "ablation": "mean ablation",
}
OTHERS_NAMED: Final[dict[OtherHeads, str]] = {"layer_matched": "layer-matched", "random": "random"}


@dataclass(frozen=True)
class Method:
    """What is trained, once or in several draws.

    >>> Method("SFT", ("all",)).name
    'SFT'
    """

    name: str
    scopes: tuple[Scope, ...]
    """One, or a draw each."""
    finds: bool = False
    """Whether it trains heads that were found."""


@dataclass(frozen=True)
class Trial:
    """One training: a draw of a method, a learning rate and a seed."""

    method: Method
    draw: int
    learning_rate: float
    seed: int

    @property
    def scope(self) -> Scope:
        """What is trained."""
        return self.method.scopes[self.draw]


def in_path(name: str) -> str:
    """A method's name as one of a directory.

    >>> in_path("SPT + LoRA, 4 heads")
    'spt-lora-4-heads'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def methods_for(
    ranking: HeadSet,
    shape: Geometry,
    *,
    kinds: Sequence[Kind] = TRAINED,
    by: Selection | None = None,
    ks: Sequence[int] = (4,),
    k: int | None = None,
    draws: int = 10,
    control: OtherHeads = "layer_matched",
    matrices: str = "auto",
    mlps: Sequence[int] = (),
    rank: int = 4,
    alpha: float | None = None,
    rank_of_all: int = 8,
    seed: int = 0,
) -> tuple[Method, ...]:
    """The methods that train, for the heads of a ranking; interventions among the kinds have :func:`steered_heads`.

    ``spt`` is made once for each of ``ks``; ``spt_lora`` and the ``draws`` of random heads have as many heads as
    ``k`` says (the last of ``ks`` unless given). Random heads are drawn from those that are not among the first k, each
    from the layer of the found head that it stands against (as :func:`draw_controls`), or, with ``control="random"``,
    from any. The method's name says which, and ``by`` which other way than effects made the ranking, if any.
    ``rank`` is that of ``spt_lora``, ``rank_of_all`` that of PEFT's LoRA on every attention projection (``lora``),
    ``alpha`` that of both. ``matrices`` are those of chosen heads; ``mlps`` are trained with whole heads.

    Raises:
        HeadError: there are not so many heads.
        TuningError: no kind or one twice, or a rank that the heads do not have.

    >>> shape = Geometry.of(model)
    >>> [method.name for method in methods_for(effects.ranking(), shape, ks=(2, 4), draws=2)]
    ['SPT, 2 heads', 'SPT, 4 heads', 'SPT + LoRA, 4 heads', 'layer-matched, 4 heads', 'LoRA', 'SFT']
    """
    if not kinds or len(set(kinds)) != len(kinds):
        raise TuningError(f"methods={list(kinds)!r}; choose among {', '.join(get_args(Kind))}, each once.")
    if not ks or list(ks) != sorted(set(ks)) or ks[0] < 1 or max(*ks, k or 1) > len(ranking):
        raise HeadError(f"k={list(ks)!r}; give rising numbers of heads from 1 to the {len(ranking)} that were ranked.")
    k = ks[-1] if k is None else k
    heads, words, way = ranking[:k], _heads(k), f" by {by}" if by else ""
    # Steps are smaller than bfloat16 can tell apart, so that parameters are float32 over whatever base.
    tuned = partial(PinpointConfig, matrices=matrices, dtype=torch.float32)
    whole, low_rank = partial(tuned, mlps=mlps), partial(tuned, alpha=alpha)
    made: dict[Kind, list[Method]] = {
        "spt": [Method(f"SPT, {_heads(each)}{way}", (whole(ranking[:each]),), finds=by is None) for each in ks],
        "spt_lora": [Method(f"SPT + LoRA, {words}{way}", (low_rank(heads, rank=rank),), finds=by is None)],
        "random": [],
        "lora": [Method("LoRA", (LoraScope(rank_of_all, alpha),))],
        "sft": [Method("SFT", ("all",))],
    }
    if "random" in kinds:
        if draws < 1:
            raise HeadError(f"draws={draws}; draw random heads at least once, or leave the method out.")
        others = draw_controls(heads, shape.n_layers, shape.n_heads, control=control, count=draws, seed=seed)
        made["random"] = [Method(f"{OTHERS_NAMED[control]}, {words}", tuple(map(whole, others)))]
    chosen = [method for kind in TRAINED if kind in kinds for method in made[kind]]
    for method in chosen:
        for scope in method.scopes:
            if isinstance(scope, PinpointConfig):
                scope.check(shape)
    return tuple(chosen)


def selected_ranking(directory: Path, by: Selection) -> HeadSet:
    """How another way ranks the heads, from the directory of a run.

    Raises:
        SavedFileError: it is not there, or was altered.
    """
    return HeadScores.load(directory / selected_by(by) / "scores").ranking()


def steered_heads(
    kind: Steering,
    ranking: HeadSet,
    shape: Geometry,
    *,
    k: int,
    draws: int,
    control: OtherHeads = "layer_matched",
    seed: int = 0,
) -> dict[str, tuple[HeadSet, ...]]:
    """On which heads an intervention acts, by what it is called: the found ones, and the draws that are its control.

    The draws are those of the kind "random", so that the same heads are trained and steered.

    Raises:
        HeadError: there are not so many heads.

    >>> list(steered_heads("iti", effects.ranking(), Geometry.of(model), k=4, draws=2))
    ['ITI, 4 heads', 'ITI, 4 layer-matched heads']
    """
    if k > len(ranking):
        raise HeadError(f"k={k}; give a number of heads from 1 to the {len(ranking)} that were ranked.")
    others = draw_controls(ranking[:k], shape.n_layers, shape.n_heads, control=control, count=draws, seed=seed)
    name, words = STEERINGS_NAMED[kind], _heads(k).removeprefix(f"{k} ")
    return {f"{name}, {k} {words}": (ranking[:k],), f"{name}, {k} {OTHERS_NAMED[control]} {words}": tuple(others)}


def _heads(k: int) -> str:
    return f"{k} head{'s' if k > 1 else ''}"
