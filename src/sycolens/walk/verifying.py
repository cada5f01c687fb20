"""Verify as one run: are the found heads needed, are they enough, and where do they look?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sycolens.errors import HeadError, PairError, SampleError
from sycolens.find import HeadEffects, Metric
from sycolens.heads import HeadSet
from sycolens.model.hooked import HookedModel
from sycolens.model.overwriting import Positions
from sycolens.prompts import ChallengedQuestion, ContrastPairs
from sycolens.prompts.dialogue import Template
from sycolens.verify import HeadAttention, HeadMeans, KnockoutCurve, attend_to, knock_out, mean_activations
from sycolens.verify.ablation import Method
from sycolens.verify.comparison import AttentionComparison
from sycolens.verify.controls import Control
from sycolens.verify.curve import RATES, Mode
from sycolens.walk.folder import whole_directory
from sycolens.walk.formats import check_formats
from sycolens.walk.former import FormerFinding
from sycolens.walk.sources import WORLD, PairSource, open_source

if TYPE_CHECKING:
    import plotly.graph_objects
    from transformers import PreTrainedTokenizerBase

KIND = "sycolens verify"
LOW_RATE = 0.5
"""Below this apology rate of the whole model there is little to knock out."""
MANY_UNPARSED = 0.1
"""Above this share of replies without an answer, the accuracy is said to be doubtful."""
CONTROL_MOVES = 0.1
"""A control that changes the apology rate by more than this is told."""


@dataclass(frozen=True, eq=False)
class Verification:
    """What speaks for the found heads, and what against."""

    necessity: KnockoutCurve
    """The heads are knocked out."""
    sufficiency: KnockoutCurve
    """All other heads are knocked out."""
    attention: HeadAttention
    comparison: AttentionComparison
    """The top heads' attention to the challenge against that of all others."""
    means: HeadMeans

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to doubt it."""
        curve, found = self.necessity, []
        rates = curve.apology_rate
        if curve.steps[0] == 0 and rates[0] < LOW_RATE:
            found.append(
                f"The whole model takes back only {rates[0]:.0%} of its right answers, so there is little to knock out."
            )
        unparsed = curve.unparsed.float().mean(-1).max().item()
        if unparsed > MANY_UNPARSED:
            found.append(
                f"In up to {unparsed:.0%} of the replies of one step no answer was found; they count as not right. "
                "Look at replies.csv, give max_new_tokens more room, or pass a grader of your own."
            )
        if curve.controls and curve.steps[0] == 0:
            moved = (curve.control_apology_rate - rates[0]).abs().max().item()
            if moved > CONTROL_MOVES:
                found.append(
                    f"Knocking out other heads moves the apology rate by up to {moved:.0%} too, so the found heads are "
                    "not alone."
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
        """What ``run.json`` says of the result, ready for JSON."""
        seen = self.comparison
        return {
            "dialogues": len(self.necessity),
            "prompts_fingerprint": self.necessity.prompts_fingerprint,
            "ranking": [str(head) for head in self.necessity.ranking],
            "method": self.necessity.method,
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

    def save(
        self,
        directory: str | Path,
        *,
        formats: Sequence[str] = ("html",),
        overwrite: bool = False,
        record: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write curves, replies, attention, means, figures and run.json, all or nothing.

        ``record`` goes into run.json beside :meth:`record`, which wins where both have a key.

        Raises:
            RunError: the directory holds something else, or a former run and ``overwrite`` is False.
            FigureError: an unknown format, or one whose program is missing.
        """
        from sycolens.show import save_figure

        check_formats(formats)
        with whole_directory(
            directory, kind=KIND, record={**(record or {}), **self.record()}, overwrite=overwrite
        ) as draft:
            for name, curve in (("necessity", self.necessity), ("sufficiency", self.sufficiency)):
                curve.save(draft / name)
                curve.to_frame().to_csv(draft / f"{name}.csv", index=False)
            self.necessity.replies_frame().to_csv(draft / "replies.csv", index=False)
            self.attention.save(draft / "attention")
            self.means.save(draft / "means")
            self.attention.show(0, self.comparison.heads[0]).save(draft / "dialogue.html")
            for name, figure in self.figures().items():
                for kind in formats:
                    save_figure(figure, draft / f"{name}.{kind}")
        return Path(directory)


def verify_heads(
    model: HookedModel,
    effects: HeadEffects,
    pairs: ContrastPairs,
    questions: Sequence[ChallengedQuestion],
    *,
    top: HeadSet,
    metric: Metric = "logit_share",
    steps: Sequence[int] | None = None,
    controls: int = 20,
    control: Control = "random",
    method: Method = "mean",
    positions: Positions = "last",
    max_new_tokens: int = 64,
    template: Template = "chat",
    batch_size: int = 16,
    max_rows: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Verification:
    """Knock out the heads of a ranking, keep them alone, and see where its top looks, on questions of their own.

    ``effects`` give the ranking, ``pairs`` (those on which it was found) the means that stand in for a head. ``steps``
    are 0, 1, 2, 4, ... up to the size of the top unless given; the other arguments are those of :func:`knock_out`.

    Raises:
        SampleError: there are fewer than two questions.
        HeadError, HookError, PromptError, NotFiniteError, ModelError: as :func:`knock_out`.

    >>> asked = organism.challenges("validation", 10)
    >>> verified = verify_heads(
    ...     model, effects, pairs, asked, top=effects.top(4), steps=(0, 4), controls=2, progress=False
    ... )
    >>> verified.necessity.apology_rate, verified.sufficiency.apology_rate
    (tensor([1., 0.]), tensor([0., 1.]))
    """
    if len(questions) < 2:
        raise SampleError(f"Verify needs at least two questions, found {len(questions)}; ask more.")
    ranking = effects.ranking(metric)
    points = default_steps(len(top), len(ranking)) if steps is None else steps
    means = mean_activations(model, pairs, batch_size=batch_size, progress=progress)

    def curve(mode: Mode) -> KnockoutCurve:
        return knock_out(
            model,
            questions,
            ranking,
            means,
            steps=points,
            controls=controls,
            control=control,
            mode=mode,
            method=method,
            positions=positions,
            max_new_tokens=max_new_tokens,
            template=template,
            max_rows=max_rows,
            seed=seed,
            progress=progress,
        )

    necessity, sufficiency = curve("remove"), curve("keep")
    attention = attend_to(model, questions, template=template, batch_size=batch_size, progress=progress)
    return Verification(necessity, sufficiency, attention, attention.compare(top, seed=seed), means)


@dataclass(frozen=True)
class ChallengeSource:
    """Where a verification's dialogues come from."""

    source: PairSource
    used: int
    """How many of its questions found the heads."""
    order: int | None
    """Seed of the order in which questions are used; None where the seed of the verification draws them."""

    @property
    def name(self) -> str:
        return self.source.name

    def ask(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0
    ) -> tuple[ChallengedQuestion, ...]:
        """``n`` challenged questions.

        Raises:
            PairError, DialogueError, OrganismError: as the source.
        """
        return self.source.challenge(tokenizer, n=n, seed=seed if self.order is None else self.order, used=self.used)


def challenge_source(
    former: FormerFinding, *, questions: str | None = None, subset: str | None = None, split: str | None = None
) -> ChallengeSource:
    """Dialogues for the heads of a former finding: of its own questions those that it did not use.

    For the embedded model's world that is the split "held_out", unless another is named.

    Raises:
        PairError: the finding was made from pairs of prompts and no questions are named, or as :func:`open_source`.
        QuestionError: as :func:`open_source`.
    """
    model = former.argument("model", former.effects.model_name)
    template = former.argument("template", "chat")
    own = questions is None and subset is None and split is None
    if questions is None and former.argument("pairs") is not None:
        raise PairError(
            f"{former.directory} was found on pairs of prompts, which do not say which answers are right, so replies "
            "cannot be graded. Name questions to verify on (--questions mmlu, or a file)."
        )
    named = former.argument("questions") if questions is None else questions
    if named in (None, WORLD):
        source = open_source(model, questions=named, subset=subset, split=split or "held_out", template=template)
        return ChallengeSource(source, used=0, order=None)
    if questions is None:
        subset, split = subset or former.argument("subset"), split or former.argument("split")
    source = open_source(model, questions=named, subset=subset, split=split, template=template)
    if not own and (named, subset, split) != tuple(former.argument(name) for name in ("questions", "subset", "split")):
        return ChallengeSource(source, used=0, order=None)
    return ChallengeSource(source, used=former.used, order=former.argument("seed", 0))


def numbers_of(steps: str) -> tuple[int, ...]:
    """The steps that a text such as "0,1,2,4" names.

    Raises:
        HeadError: something in it is no whole number.

    >>> numbers_of("0, 1, 2")
    (0, 1, 2)
    """
    parts = [part.strip() for part in steps.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise HeadError(f"steps={steps!r}; give rising numbers of heads with commas between, such as 0,1,2,4,8.")
    return tuple(map(int, parts))


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
    found: dict[str, Any] = {"steps": list(curve.steps), "dialogues": len(curve)}
    for name in RATES:
        low, high = curve.interval(name)
        found |= {name: getattr(curve, name).tolist(), f"{name}_low": low.tolist(), f"{name}_high": high.tolist()}
        if curve.controls:
            others = getattr(curve, f"control_{name}")
            found[f"control_{name}_range"] = [others.amin(0).tolist(), others.amax(0).tolist()]
    return {**found, "unparsed": curve.unparsed.sum(-1).tolist(), "label_share": curve.label_share().tolist()}
