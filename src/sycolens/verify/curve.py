"""The knockout curve: what the model still does as more and more of the found heads are missing (Figure 2(b))."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sycolens.choices import Metric
from sycolens.errors import SampleError
from sycolens.find.metrics import measure
from sycolens.heads import HeadSet
from sycolens.measure.graded import GradedReplies, replies_from_record, replies_record
from sycolens.prompts import ChallengedQuestion
from sycolens.shown.words import counted, shortened
from sycolens.statistics import Clusters, share_interval
from sycolens.statistics.rates import in_clusters
from sycolens.storage import SavedResult

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

Mode = Literal["remove", "keep"]
"""``remove``: the first k heads are knocked out (are they needed?). ``keep``: all others are (are they enough?)."""
Rate = Literal["label_lead_rate", "apology_rate", "accuracy_after"]
RATES: tuple[Rate, ...] = get_args(Rate)
CONTROL_NAMES = {
    "random": "random heads",
    "layer_matched": "heads of the same layers",
    "norm_matched": "heads of like norm",
}


@dataclass(frozen=True, eq=False, repr=False)
class KnockoutCurve(SavedResult):
    """Apologies and right answers after the challenge as the first k heads of a ranking are knocked out.

    >>> curve.steps
    (0, 1, 2, 4)
    >>> curve.apology_rate.shape, curve.control_apology_rate.shape
    (torch.Size([4]), torch.Size([3, 4]))
    """

    saved_as = "knockout curve"
    readers: ClassVar = {
        "ranking": HeadSet,
        "controls": lambda sets: tuple(map(HeadSet, sets)),
        "replies": replies_from_record,
    }
    writers: ClassVar = {"replies": replies_record}

    steps: tuple[int, ...]
    """How many heads are knocked out (or kept) at each point."""
    ranking: HeadSet
    """The heads, in the order in which they are taken."""
    controls: tuple[HeadSet, ...]
    """Other heads in an order of their own; the first k of each are a set of equal size."""
    replies: tuple[tuple[GradedReplies, ...], ...]
    """By set of heads and step: first the ranking's, then those of every control."""
    label_logits: Float[Tensor, "step dialogue label"]
    """At the decision point; label 0 is the sycophantic response."""
    control_label_logits: Float[Tensor, "control step dialogue label"]
    mode: Mode
    method: str
    """What stands in for a head: ``mean``, ``zero`` or ``resample``."""
    prompts: str
    """Of which prompts: ``counterfactual`` or ``reference``; empty where none are needed."""
    positions: str
    control: str
    seed: int
    model_name: str
    prompts_fingerprint: str
    """Hash of the token ids and labels that were run."""

    def __len__(self) -> int:
        return len(self.asked)

    def __repr__(self) -> str:
        each = [f"{k}: {rate:.0%}" for k, rate in zip(self.steps, self.apology_rate.tolist(), strict=True)]
        rates = ", ".join(each if len(each) <= 5 else [*each[:3], "…", each[-1]])
        kept = "removed" if self.mode == "remove" else "kept"
        name = shortened(self.model_name, 24)
        return f"KnockoutCurve(apologies by heads {kept} {rates}; {counted(len(self), 'dialogue')}, {name})"

    def _repr_html_(self) -> str:
        from sycolens.shown.verifying import of_curve

        return of_curve(self)

    @property
    def stand_in(self) -> str:
        """The value of a knocked-out head, for a caption."""
        if self.method == "zero":
            return "nothing"
        which = "its mean over the" if self.method == "mean" else "what it does on one of the"
        return f"{which} {self.prompts} prompts"

    @property
    def asked(self) -> tuple[ChallengedQuestion, ...]:
        """The dialogues, the same in every condition."""
        return self.replies[0][0].asked

    @property
    def clusters(self) -> Clusters:
        """Which dialogues share a fact, and which a challenge in the same words."""
        return self.replies[0][0].clusters

    @property
    def admits(self) -> Bool[Tensor, "step dialogue"]:
        """Whether the reply takes the first answer back."""
        return self._views("admits")[0]

    @property
    def right(self) -> Bool[Tensor, "step dialogue"]:
        """Whether the reply ends up with a right answer."""
        return self._views("right")[0]

    @property
    def unparsed(self) -> Bool[Tensor, "step dialogue"]:
        """Whether no answer was found in the reply, which then counts as not right."""
        return self._views("unparsed")[0]

    @property
    def evades(self) -> Bool[Tensor, "step dialogue"]:
        """Whether the reply neither takes the first answer back, nor names another, nor stands by the first."""
        return self._views("evades")[0]

    @property
    def control_admits(self) -> Bool[Tensor, "control step dialogue"]:
        """As :attr:`admits`, for every control."""
        return self._views("admits")[1:]

    @property
    def control_right(self) -> Bool[Tensor, "control step dialogue"]:
        """As :attr:`right`, for every control."""
        return self._views("right")[1:]

    def _views(self, name: str) -> Bool[Tensor, "set step dialogue"]:
        return torch.tensor([[getattr(each, name) for each in steps] for steps in self.replies])

    @property
    def label_leads(self) -> Bool[Tensor, "step dialogue"]:
        """Whether the sycophantic label is ahead at the decision point, before anything is replied."""
        return self.label_logits[..., 0] > self.label_logits[..., 1]

    @property
    def label_lead_rate(self) -> Float[Tensor, "step"]:
        """Share of dialogues in which the sycophantic label leads, in [0, 1]."""
        return self.label_leads.float().mean(-1)

    @property
    def control_label_lead_rate(self) -> Float[Tensor, "control step"]:
        """As :attr:`label_lead_rate`, for every control."""
        return (self.control_label_logits[..., 0] > self.control_label_logits[..., 1]).float().mean(-1)

    @property
    def apology_rate(self) -> Float[Tensor, "step"]:
        """Share of challenged answers that the model takes back, in [0, 1]."""
        return self.admits.float().mean(-1)

    @property
    def accuracy_after(self) -> Float[Tensor, "step"]:
        """Share of dialogues that end with a right answer, in [0, 1]."""
        return self.right.float().mean(-1)

    @property
    def control_apology_rate(self) -> Float[Tensor, "control step"]:
        """As :attr:`apology_rate`, for every control."""
        return self.control_admits.float().mean(-1)

    @property
    def control_accuracy_after(self) -> Float[Tensor, "control step"]:
        """As :attr:`accuracy_after`, for every control."""
        return self.control_right.float().mean(-1)

    def interval(self, rate: Rate, *, confidence: float = 0.95) -> tuple[Float[Tensor, "step"], Float[Tensor, "step"]]:
        """Interval of a rate at each step, for other questions and wordings.

        See :func:`~sycolens.statistics.share_interval`.
        """
        hits = {"label_lead_rate": self.label_leads, "apology_rate": self.admits, "accuracy_after": self.right}
        return share_interval(hits[rate], self.clusters, confidence=confidence)

    def label_share(self, metric: Metric = "prob_share") -> Float[Tensor, "step"]:
        """Mean of a label metric before the reply's first token; ``prob_share`` leans to the apology above one half.

        Raises:
            MetricError: as :func:`sycolens.find.metrics.measure`.
        """
        return measure(self.label_logits, metric).mean(-1)

    def control_label_share(self, metric: Metric = "prob_share") -> Float[Tensor, "control step"]:
        """As :meth:`label_share`, for every control."""
        return measure(self.control_label_logits, metric).mean(-1)

    def select(self, dialogues: Iterable[int]) -> KnockoutCurve:
        """The curve of some dialogues alone.

        Raises:
            SampleError: none are left.
        """
        chosen = list(dialogues)
        if not chosen:
            raise SampleError("There are no dialogues in this selection; select at least one.")
        return replace(
            self,
            replies=tuple(tuple(each.select(chosen) for each in steps) for steps in self.replies),
            label_logits=self.label_logits[:, chosen],
            control_label_logits=self.control_label_logits[:, :, chosen],
        )

    def by_wording(self) -> dict[str, KnockoutCurve]:
        """One curve for each wording of the challenge: a mean over all may hide that heads answer to some only."""
        names = [each.wording for each in self.asked]
        return {name: self.select(i for i, each in enumerate(names) if each == name) for name in dict.fromkeys(names)}

    def to_frame(self) -> pandas.DataFrame:
        """One row for each set and step: rates with intervals, replies that evade, unparsed ones, label share, counts.

        Counts: n dialogues about so many questions, in so many wordings.
        """
        import pandas

        clusters, rows = self.clusters, []
        names = ["top", *(f"control {c}" for c in range(len(self.controls)))]
        for name, steps, logits in zip(
            names, self.replies, (self.label_logits, *self.control_label_logits), strict=True
        ):
            for k, each, label_logits in zip(self.steps, steps, logits, strict=True):
                row: dict[str, Any] = {"heads": name, "step": k}
                leads = label_logits[:, 0] > label_logits[:, 1]
                happened = (leads, torch.tensor(each.admits), torch.tensor(each.right))
                for what, hits in zip(RATES, happened, strict=True):
                    low, high = share_interval(hits, clusters)
                    row |= {what: hits.float().mean().item(), f"{what}_low": low.item(), f"{what}_high": high.item()}
                row |= {"evades": sum(each.evades), "unparsed": sum(each.unparsed)}
                row["label_share"] = measure(label_logits, "prob_share").mean().item()
                row |= {"n": len(self), "questions": clusters.n_questions, "wordings": clusters.n_wordings}
                rows.append(row)
        return pandas.DataFrame(rows)

    def replies_frame(self) -> pandas.DataFrame:
        """One row for each step and dialogue: step, and the columns of :meth:`GradedReplies.to_frame`."""
        import pandas

        frames = {k: each.to_frame() for k, each in zip(self.steps, self.replies[0], strict=True)}
        return pandas.concat(frames, names=["step"]).reset_index("step").reset_index(drop=True)

    def plot(self, of: Literal["replies", "labels"] | None = None, **options: Any) -> plotly.graph_objects.Figure:
        """The paper's Figure 2(b): apologies and right answers against k, with intervals and the band of the controls.

        ``of="labels"`` draws how far the model leans to the apology before its reply, which is what to look at when
        all heads but k are gone (the default for ``mode="keep"``). ``options`` go to
        :func:`sycolens.plots.knockout_curve`.
        """
        from sycolens.plots import knockout_curve

        if of is None:
            of = "replies" if self.mode == "remove" else "labels"
        settings: dict[str, Any] = {
            "control_name": CONTROL_NAMES[self.control],
            "step_title": "Heads knocked out" if self.mode == "remove" else "Heads kept",
            "n_dialogues": len(self),
            "note": f"{self._cluster_note}In place of a head: {self.stand_in}.",
        }
        if of == "labels":
            name = "leans to the apology"
            rates, controls = {name: self.label_share()}, {name: self.control_label_share()}
            settings |= {"rate_title": "Share of the apology", "intervals": None}
        else:
            rates = {"apologizes": self.apology_rate, "right after": self.accuracy_after}
            controls = {"apologizes": self.control_apology_rate, "right after": self.control_accuracy_after}
            settings["intervals"] = {
                "apologizes": self.interval("apology_rate"),
                "right after": self.interval("accuracy_after"),
            }
        return knockout_curve(
            self.steps, rates, **{**settings, "controls": controls if self.controls else None, **options}
        )

    @property
    def _cluster_note(self) -> str:
        clusters = self.clusters
        if clusters.are_apart:
            return ""
        about = in_clusters(clusters.n_questions, clusters.n_wordings).strip(" ()")
        return f"Intervals are for others than these {about.replace(', ', ' and ')}. "
