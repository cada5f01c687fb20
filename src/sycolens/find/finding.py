"""Find as one run: effects of every head, how far the ranking can be trusted, figures, and the record of it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sycolens.choices import Metric, Mlps
from sycolens.compute import Compute
from sycolens.counts import check_choice, check_share, is_count
from sycolens.errors import HeadError, MetricError, SampleError
from sycolens.find.effects import HeadEffects
from sycolens.find.metrics import CHANGE_OF, RELATIVE, require_metric
from sycolens.find.patching import patch_heads
from sycolens.find.preference import Preference, Redraw
from sycolens.heads import HeadSet
from sycolens.model.hooked import Geometry, HookedModel
from sycolens.prompts import ContrastPairs
from sycolens.shown.words import shortened
from sycolens.statistics import RankStability
from sycolens.storage import load_result, save_result, saved_file, write_csv

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

KIND = "finding"
TOP_SHARE, TOP_MOST = 0.1, 32
"""The top is a tenth of the heads and at most 32, as many as the paper takes of a 7B model's 1,024."""
LOW_PREFERENCE = 0.8
"""Below this share of pairs with the contrast there is a warning about the scores."""


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """The heads that carry a behavior, and how far the ranking can be trusted."""

    effects: HeadEffects
    pairs: ContrastPairs
    metric: Metric
    top: HeadSet
    """The most negative heads."""
    fdr: float
    table: pandas.DataFrame
    """:meth:`HeadEffects.to_frame`, with ``top_frequency``, the share of bootstrap resamples that rank a head in the
    top, and, if pairs were redrawn, ``other_pairs``, the mean score on those."""
    preference: Preference
    halves: RankStability
    """Agreement between random halves of the pairs."""
    redraws: tuple[Redraw, ...]
    """The same on other pairs."""

    def __repr__(self) -> str:
        effects = self.effects
        return (
            f"Finding(top {len(self.top)} and {len(self.significant)} significant of {len(effects.heads)} heads by "
            f"{self.metric}; {len(effects)} pairs, {shortened(effects.model_name, 24)})"
        )

    def _repr_html_(self) -> str:
        from sycolens.shown.finding import of_finding

        return of_finding(self)

    @property
    def spent(self) -> frozenset[str]:
        """Every X_r, those of the redraws included: a question that stands in one cannot judge the heads."""
        return frozenset(x_r for x_r, _ in self.pairs.texts).union(*(each.texts for each in self.redraws))

    @property
    def significant(self) -> HeadSet:
        """Heads with an effect of either sign at the false-discovery rate, most negative first."""
        return HeadSet(self.table.loc[self.table["q"] <= self.fdr, "head"])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know before trusting the scores."""
        seen = self.preference
        if seen.share >= LOW_PREFERENCE:
            return ()
        return (
            f"Only {seen.both} of {seen.pairs} pairs show the contrast (the first label ahead after X_r, the second "
            "after X_c), so the scores say little about this behavior. Check labels, template and pairs.show(0).",
        )

    def heatmap(self, **options: Any) -> plotly.graph_objects.Figure:
        """Every head, the top outlined; their stability is in the footnote."""
        return self.effects.plot(self.metric, marked=self.top, note=self.stability_note, **options)

    def bars(self, **options: Any) -> plotly.graph_objects.Figure:
        """The top heads with their intervals; hollow where an effect is not told from none (q above ``fdr``)."""
        from sycolens.plots import head_bars

        rows = self.table.set_index("head").loc[[str(head) for head in self.top]]
        columns = {name: _tensor(rows[name]) for name in ("score", "low", "high", "q")}
        unit = "%" if self.metric in RELATIVE else "logits"
        return head_bars(
            list(rows.index),
            columns["score"],
            low=columns["low"],
            high=columns["high"],
            q=columns["q"],
            fdr=self.fdr,
            n_pairs=len(self.effects),
            **{"unit": unit, "effect_title": CHANGE_OF[self.metric], **options},
        )

    def record(self) -> dict[str, Any]:
        """The result's entries in ``run.json``."""
        lengths = [len(ids) for ids in (*self.pairs.reference, *self.pairs.counterfactual)]
        return {
            "metric": self.metric,
            "mlps": self.effects.mlps,
            "pairs": {
                "count": len(self.pairs),
                "fingerprint": self.pairs.fingerprint,
                "tokens": [min(lengths), max(lengths)],
                "labels": sorted({" | ".join(pair.label_texts) for pair in self.pairs}),
            },
            "preference": self.preference.record(),
            "top": [str(head) for head in self.top],
            "significant": {"fdr": self.fdr, "heads": len(self.significant), "of": len(self.effects.heads)},
            "halves": {
                "correlation": self.halves.correlation,
                "overlap": self.halves.overlap,
                "chance_overlap": self.halves.chance_overlap,
                "splits": self.halves.splits,
            },
            "redraws": [each.record() for each in self.redraws],
            "warnings": list(self.warnings),
        }

    def save(self, directory: str | Path) -> Path:
        """Write effects, pairs, the table of heads (heads.csv) and how far the ranking can be trusted."""
        directory = Path(directory)
        self.effects.save(directory / "effects")
        self.pairs.save(directory / "pairs")
        scores = torch.stack([each.scores for each in self.redraws]) if self.redraws else torch.zeros(0)
        record = self.record()
        save_result(
            directory / "finding",
            kind=KIND,
            tensors={"frequency": self.halves.frequency, "redraws": scores},
            fields={name: record[name] for name in ("metric", "top", "halves", "redraws")} | {"fdr": self.fdr},
        )
        write_csv(directory / "heads.csv", self.table)
        return directory

    @classmethod
    def load(cls, directory: str | Path) -> Finding:
        """Read what :meth:`save` wrote.

        Raises:
            SavedFileError: a file is missing, cut or altered.
        """
        import pandas

        directory = Path(directory)
        effects, pairs = HeadEffects.load(directory / "effects"), ContrastPairs.load(directory / "pairs")
        tensors, fields = load_result(directory / "finding", kind=KIND)
        with saved_file(directory):
            halves, top = fields["halves"], HeadSet(fields["top"])
            return cls(
                effects=effects,
                pairs=pairs,
                metric=fields["metric"],
                top=top,
                fdr=fields["fdr"],
                table=pandas.read_csv(directory / "heads.csv", float_precision="round_trip"),
                preference=Preference.of(effects),
                halves=RankStability(
                    halves["correlation"],
                    halves["overlap"],
                    tensors["frequency"],
                    len(top),
                    len(effects),
                    halves["splits"],
                ),
                redraws=tuple(map(Redraw.from_record, fields["redraws"], tensors["redraws"])),
            )

    @property
    def stability_note(self) -> str:
        """A sentence on how many of the top differ from 0, and how far other pairs, or halves of these, give them."""
        sure = len({*self.top} & {*self.significant})
        return f"Of these {sure} differ from 0 (q up to {self.fdr:g}). {self._again()}"

    def _again(self) -> str:
        k = len(self.top)
        if not self.redraws:
            return f"Random halves of the pairs agree on {self.halves.overlap:.0%} of the top {k}."
        *most, last = (str(each.overlap) for each in self.redraws)
        counts = f"{', '.join(most)} and {last}" if most else last
        draws = "another draw" if not most else f"{len(self.redraws)} other draws"
        return f"In {draws} of pairs, {counts} of these {k} are in the top {k} again."


def find_heads(
    model: HookedModel,
    pairs: ContrastPairs,
    *,
    other_pairs: Sequence[ContrastPairs] = (),
    metric: Metric = "logit_share",
    top: int | None = None,
    fdr: float = 0.05,
    mlps: Mlps = "live",
    compute: Compute = Compute(),
) -> Finding:
    """The heads behind a behavior: :func:`patch_heads` on ``pairs``, and the same on ``other_pairs`` for comparison.

    ``top`` is how many heads are listed and compared: by default a tenth of them, at most 32. The other arguments
    are those of :func:`patch_heads`.

    Raises:
        SampleError: there is only one pair, or ``fdr`` is no share.
        HeadError: ``top`` is larger than the number of heads.
        MetricError: Eq. 2 is not defined on this model's logits; a few pairs are tried before all are run.

    >>> finding = find_heads(model, pairs, metric="prob_share", top=3, compute=QUIET)
    >>> len(finding.table), len(finding.top)
    (48, 3)
    """
    geometry = Geometry.of(model)
    heads = geometry.n_layers * geometry.n_heads
    k = min(max(1, round(TOP_SHARE * heads)), TOP_MOST) if top is None else top
    if not is_count(k) or not 1 <= k <= heads:
        raise HeadError(f"top={k!r}, but {geometry.name} has {heads} heads; choose top from 1 to {heads}.")
    check_share(fdr=fdr)
    check_choice(MetricError, Metric, metric=metric)
    for each in (pairs, *other_pairs):
        if len(each) < 2:
            raise SampleError(
                "There is only one pair, which says nothing about how sure a score is; give at least two."
            )

    require_metric(metric, single_labels=pairs.single_labels)
    if metric == "logit_share" and len(pairs) > 4:
        # A model whose label logits are not positive mostly shows it at once, and all pairs may take an hour.
        quiet = replace(compute, progress=False)
        patch_heads(model, pairs[:4], heads=[(0, 0)], mlps=mlps, compute=quiet).scores(metric)
    effects = patch_heads(model, pairs, mlps=mlps, compute=compute)
    halves = effects.rank_stability(k, metric=metric)
    known = _prompts(pairs)
    redraws = [
        Redraw.of(
            patch_heads(model, other, mlps=mlps, compute=compute.part(f"other pairs {number}")),
            effects,
            k=k,
            metric=metric,
            texts=tuple(x_r for x_r, _ in other.texts),
            shared_pairs=len(known & _prompts(other)),
        )
        for number, other in enumerate(other_pairs, start=1)
    ]
    table = effects.to_frame(metric)
    frequency = dict(zip(map(str, effects.heads), halves.frequency.tolist(), strict=True))
    table["top_frequency"] = table["head"].map(frequency)
    if redraws:
        # Heads picked for their extreme scores look larger than they are; pairs that did not pick them do not flatter.
        elsewhere = torch.stack([each.scores for each in redraws]).mean(0)
        table["other_pairs"] = elsewhere[table["layer"].tolist(), table["index"].tolist()].tolist()
    return Finding(
        effects=effects,
        pairs=pairs,
        metric=metric,
        top=effects.top(k, metric=metric),
        fdr=fdr,
        table=table,
        preference=Preference.of(effects),
        halves=halves,
        redraws=tuple(redraws),
    )


def _prompts(pairs: ContrastPairs) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    return set(zip(pairs.reference, pairs.counterfactual, strict=True))


def _tensor(column: pandas.Series) -> Tensor:
    return torch.tensor(column.tolist())
