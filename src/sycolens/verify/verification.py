"""Verify as one run: are the found heads needed, are they enough, and where do they look?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sycolens.choices import Ablation, Control, Metric, Positions
from sycolens.compute import Compute
from sycolens.counts import check_choice
from sycolens.errors import HeadError, HookError, SampleError
from sycolens.find import HeadEffects
from sycolens.heads import HeadSet
from sycolens.model.hooked import Geometry, HookedModel, require_readable
from sycolens.prompts import ChallengedQuestion, ContrastPairs, Question
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.shown.words import counted, shortened
from sycolens.storage import write_csv
from sycolens.verify.attention import attend_to
from sycolens.verify.comparison import AttentionComparison
from sycolens.verify.controls import draw_controls
from sycolens.verify.curve import RATES, KnockoutCurve, Mode
from sycolens.verify.head_attention import HeadAttention
from sycolens.verify.knockout import challenged, checked_steps, knock_out
from sycolens.verify.means import HeadMeans, mean_activations
from sycolens.verify.spans import locate

if TYPE_CHECKING:
    import plotly.graph_objects

LOW_RATE = 0.5
"""Below this apology rate of the whole model there is a warning: little is left to knock out."""
MANY_UNPARSED = 0.1
"""Above this share of replies without an answer there is a warning about the accuracy."""
CONTROL_MOVES = 0.1
"""A control that changes the apology rate by more than this share of the dialogues gives a warning."""


@dataclass(frozen=True, eq=False, repr=False)
class Verification:
    """Whether the found heads are needed and enough for the behavior, and where they look."""

    necessity: KnockoutCurve
    """The heads are knocked out."""
    sufficiency: KnockoutCurve
    """All other heads are knocked out."""
    attention: HeadAttention
    comparison: AttentionComparison
    """The top heads' attention to the challenge against that of all others."""
    means: HeadMeans

    def __repr__(self) -> str:
        curve = self.necessity
        first, last = curve.apology_rate[0].item(), curve.apology_rate[-1].item()
        return (
            f"Verification(apologies {first:.0%} without {curve.steps[0]} heads, {last:.0%} without {curve.steps[-1]}; "
            f"{counted(len(curve), 'dialogue')}, {shortened(curve.model_name, 24)})"
        )

    def _repr_html_(self) -> str:
        from sycolens.shown.verifying import of_verification

        return of_verification(self)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know before trusting these curves."""
        curve, found = self.necessity, []
        rates = curve.apology_rate.tolist()
        if curve.steps[0] == 0 and rates[0] < LOW_RATE:
            found.append(
                f"The whole model takes back only {rates[0]:.0%} of its right answers, so there is little to knock out."
            )
        # Counts, since shares of 0.1 are a hair more or less than that in floating point.
        unparsed = int(curve.unparsed.sum(-1).max())
        if unparsed > MANY_UNPARSED * len(curve):
            found.append(
                f"In up to {unparsed} of the {len(curve)} replies of one step no answer was found; they count as not "
                "right. Look at replies.csv, and give max_new_tokens more room; knock_out also takes a grader of your "
                "own."
            )
        if curve.controls and curve.steps[0] == 0:
            moved = int((curve.control_admits.sum(-1) - curve.admits[0].sum()).abs().max())
            if moved > CONTROL_MOVES * len(curve):
                found.append(
                    f"Knocking out other heads changes the apologies too, by up to {moved} of {len(curve)} dialogues, "
                    "so the found heads are not alone."
                )
        return tuple(found)

    def figures(self) -> dict[str, plotly.graph_objects.Figure]:
        """The paper's Figure 2(b) and 2(c), the sufficiency curve and the map of attention, by file name."""
        return {
            "knockout": self.necessity.plot(),
            "sufficiency": self.sufficiency.plot("replies"),
            "attention": self.comparison.plot(),
            "attention_map": self.attention.plot(marked=self.comparison.heads, marked_as="found"),
        }

    def record(self) -> dict[str, Any]:
        """The result's entries in ``run.json``."""
        seen = self.comparison
        return {
            "dialogues": len(self.necessity),
            "prompts_fingerprint": self.necessity.prompts_fingerprint,
            "ranking": [str(head) for head in self.necessity.ranking],
            "method": self.necessity.method,
            "stand_in": self.necessity.stand_in,
            "positions": self.necessity.positions,
            "control": self.necessity.control,
            "controls": len(self.necessity.controls),
            "necessity": _rates(self.necessity),
            "sufficiency": _rates(self.sufficiency),
            "by_wording": {name: _rates(curve) for name, curve in self.necessity.by_wording().items()},
            "attention": {
                "span": seen.span,
                "heads": [str(head) for head in seen.heads],
                "group": seen.group_mean,
                "others": seen.others_mean,
                "difference": seen.difference,
                "interval": list(seen.interval),
                "p_heads": seen.p,
                "p_dialogues": seen.p_dialogues,
            },
            "warnings": list(self.warnings),
        }

    def save(self, directory: str | Path) -> Path:
        """Write both curves, their tables and replies, attention and means."""
        directory = Path(directory)
        for name, curve in (("necessity", self.necessity), ("sufficiency", self.sufficiency)):
            curve.save(directory / name)
            write_csv(directory / f"{name}.csv", curve.to_frame())
        write_csv(directory / "replies.csv", self.necessity.replies_frame())
        self.attention.save(directory / "attention")
        self.means.save(directory / "means")
        return directory

    @classmethod
    def load(cls, directory: str | Path, top: HeadSet, *, seed: int = 0) -> Verification:
        """Read what :meth:`save` wrote; ``top`` and ``seed`` are those of :func:`verify_heads`.

        Raises:
            SavedFileError: a file is missing, cut or altered.
        """
        directory = Path(directory)
        attention = HeadAttention.load(directory / "attention")
        return cls(
            KnockoutCurve.load(directory / "necessity"),
            KnockoutCurve.load(directory / "sufficiency"),
            attention,
            attention.compare(top, seed=seed),
            HeadMeans.load(directory / "means"),
        )


def verify_heads(
    model: HookedModel,
    effects: HeadEffects,
    pairs: ContrastPairs,
    questions: Sequence[Question] | Sequence[ChallengedQuestion],
    *,
    top: HeadSet,
    metric: Metric = "logit_share",
    steps: Sequence[int] | None = None,
    controls: int = 20,
    control: Control = "random",
    method: Ablation = "mean",
    positions: Positions = "last",
    max_new_tokens: int = 64,
    chat_format: ChatFormat = CHAT,
    seed: int = 0,
    compute: Compute = Compute(),
) -> Verification:
    """Knock out the heads of a ranking, keep them alone, and see where its top looks, on questions of their own.

    ``effects`` give the ranking, ``pairs`` (those on which it was found) the means that stand in for a head. ``steps``
    are 0, 1, 2, 4, ... until they cover the top by default; the other arguments are those of :func:`knock_out`.

    Raises:
        SampleError: there are fewer than two questions.
        HeadError: as :func:`planned_steps`, or the effects are another model's.
        DialogueError, HookError, PromptError, LabelError, NotFiniteError, ModelError: as :func:`knock_out`.

    >>> asked = organism.challenges("validation", 10)
    >>> verified = verify_heads(
    ...     model, effects, pairs, asked, top=effects.top(4), steps=(0, 4), controls=2, compute=QUIET
    ... )
    >>> verified.necessity.apology_rate, verified.sufficiency.apology_rate
    (tensor([1., 0.]), tensor([0., 1.]))
    """
    if len(questions) < 2:
        raise SampleError(f"Verify needs at least two questions, found {len(questions)}; ask more.")
    check_choice(HookError, Ablation, method=method)
    check_choice(HookError, Positions, positions=positions)
    points = planned_steps(effects, top=top, metric=metric, steps=steps, controls=controls, control=control)
    ranking, geometry = effects.ranking(metric), Geometry.of(model)
    ranking.check(geometry.n_layers, geometry.n_heads)
    tokenizer = getattr(model, "tokenizer", None)
    asked = challenged(questions, tokenizer, chat_format)
    # Refuses dialogues that are too long before the means are taken.
    require_readable(locate(asked, tokenizer, chat_format=chat_format).token_ids, geometry)
    means = mean_activations(model, pairs, compute=compute)

    def curve(mode: Mode) -> KnockoutCurve:
        return knock_out(
            model,
            asked,
            ranking,
            means,
            steps=points,
            controls=controls,
            control=control,
            mode=mode,
            method=method,
            positions=positions,
            max_new_tokens=max_new_tokens,
            chat_format=chat_format,
            seed=seed,
            compute=compute.part("without heads" if mode == "remove" else "with heads alone"),
        )

    necessity, sufficiency = curve("remove"), curve("keep")
    attention = attend_to(model, asked, chat_format=chat_format, compute=compute)
    return Verification(necessity, sufficiency, attention, attention.compare(top, seed=seed), means)


def planned_steps(
    effects: HeadEffects,
    *,
    top: HeadSet,
    metric: Metric = "logit_share",
    steps: Sequence[int] | None = None,
    controls: int = 20,
    control: Control = "random",
) -> tuple[int, ...]:
    """The points of the curves, refused before any compute where heads or controls do not suffice for them.

    Raises:
        HeadError: steps that do not rise or go beyond the ranking, a top of all heads, too few others for controls.

    >>> planned_steps(effects, top=effects.top(5))
    (0, 1, 2, 4, 8)
    """
    _, layers, width, _ = effects.logits.shape
    if len(top) >= layers * width:
        raise HeadError(
            f"All {len(top)} heads are in the top, so there are no others to compare with; find a smaller top."
        )
    ranking = effects.ranking(metric)
    points = checked_steps(default_steps(len(top), len(ranking)) if steps is None else steps, ranking)
    # Which norms they have does not matter here, only whether there are enough.
    norms = torch.ones(layers, width)
    first = ranking[: max(points)]
    draw_controls(first, layers, width, control=control, count=controls, seed=0, write_norm=norms)
    return points


def default_steps(top: int, heads: int) -> tuple[int, ...]:
    """0, 1, 2, 4, ... until the top is covered, as far as half of the heads.

    >>> default_steps(5, 48)
    (0, 1, 2, 4, 8)
    """
    points = [0, 1]
    while points[-1] < top and 2 * points[-1] <= heads // 2:
        points.append(2 * points[-1])
    return tuple(points)


def _rates(curve: KnockoutCurve) -> dict[str, Any]:
    clusters = curve.clusters
    found: dict[str, Any] = {"steps": list(curve.steps), "dialogues": len(curve)}
    found |= {"questions": clusters.n_questions, "wordings": clusters.n_wordings}
    for name in RATES:
        low, high = curve.interval(name)
        found |= {name: getattr(curve, name).tolist(), f"{name}_low": low.tolist(), f"{name}_high": high.tolist()}
        if curve.controls:
            others = getattr(curve, f"control_{name}")
            found[f"control_{name}_range"] = [others.amin(0).tolist(), others.amax(0).tolist()]
    found |= {name: getattr(curve, name).sum(-1).tolist() for name in ("evades", "unparsed")}
    return {**found, "label_share": curve.label_share().tolist()}
