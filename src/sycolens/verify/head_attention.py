"""Where the heads look, as measured: the last token's attention, and all that is asked of it afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens import statistics
from sycolens.errors import DialogueError
from sycolens.heads import Head, HeadSet
from sycolens.prompts.tokens import Span
from sycolens.shown.words import counted, shortened
from sycolens.storage import SavedResult
from sycolens.verify.comparison import AttentionComparison, compare_groups
from sycolens.verify.spans import CUSTOM, choose_spans, span_name

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

    from sycolens.plots.shading import ShadedText


@dataclass(frozen=True, eq=False, repr=False)
class HeadAttention(SavedResult):
    """Where every head looks from the last token before the response, and how much of it falls on a span.

    >>> from sycolens import attend_to
    >>> attention = attend_to(model, pairs, compute=QUIET)
    >>> attention
    HeadAttention(32 dialogues, 6 x 8 heads to the challenge, organism)
    >>> attention.on("question").mass.shape
    torch.Size([32, 6, 8])
    """

    saved_as = "head attention"

    rows: Float[Tensor, "dialogue layer head token"]
    """Attention probabilities of the last token; zero behind a dialogue's own end."""
    lengths: tuple[int, ...]
    """Tokens of every dialogue; the last of them looks."""
    spans: tuple[Span, ...]
    """For every dialogue the half-open token span that is looked at."""
    span: str
    """What the spans are: a part's name, or "custom"."""
    parts: tuple[Mapping[str, Span], ...]
    """For every dialogue: part -> half-open token span, for :meth:`on`."""
    tokens: tuple[tuple[str, ...], ...]
    """Every token as text; a dialogue's tokens join up to its text."""
    model_name: str
    prompts_fingerprint: str
    """Hash of the token ids that were run."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        _, layers, heads, _ = self.rows.shape
        where = f"{layers} x {heads} heads to {span_name(self.span)}, {shortened(self.model_name, 40)}"
        return f"HeadAttention({counted(len(self), 'dialogue')}, {where})"

    def _repr_html_(self) -> str:
        from sycolens.shown.verifying import of_attention

        return of_attention(self)

    @property
    def mass(self) -> Float[Tensor, "dialogue layer head"]:
        """Attention that falls on the span in all, in [0, 1]."""
        places = torch.arange(self.rows.shape[-1])
        starts, ends = torch.tensor(self.spans).T.unsqueeze(-1)
        inside = (places >= starts) & (places < ends)
        # Probabilities of a 16-bit model are rounded, and may add up to a hair more than 1.
        return torch.einsum("dlht,dt->dlh", self.rows, inside.float()).clamp(max=1)

    @property
    def mean_per_token(self) -> Float[Tensor, "dialogue layer head"]:
        """Attention to a token of the span, on average: the mass over the span's length."""
        return self.mass / torch.tensor([end - start for start, end in self.spans])[:, None, None]

    def on(self, span: str | Sequence[Span]) -> HeadAttention:
        """The same rows with another span; nothing is run again.

        Raises:
            DialogueError: as :func:`attend_to`.
        """
        spans = choose_spans(span, self.parts, self.lengths)
        return replace(self, spans=spans, span=span if isinstance(span, str) else CUSTOM)

    def compare(
        self,
        heads: Iterable[Head | str | tuple[int, int]],
        *,
        groups: int = 10_000,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> AttentionComparison:
        """The mean mass of a group of heads against that of all others, and against random groups of as many heads.

        ``p`` is the share of groups of this size whose difference to their others is at least as large, the observed
        one counted: of all groups where there are no more than ``groups``, else (b + 1) / (m + 1) over ``groups`` drawn
        ones. ``p_dialogues`` flips the signs of the dialogues' differences. Both are one-sided (the group attends
        more), and they answer different questions: see :class:`AttentionComparison`.

        Raises:
            HeadError: no heads, ones that the model does not have, or all of them.
            SampleError: there is only one dialogue, or a number is out of range.

        >>> from sycolens import attend_to
        >>> comparison = attend_to(model, pairs, compute=QUIET).compare(effects.top(4))
        >>> 0 < comparison.p <= 1
        True
        """
        return compare_groups(
            self.mass,
            HeadSet(heads),
            span=self.span,
            model_name=self.model_name,
            groups=groups,
            seed=seed,
            confidence=confidence,
        )

    def to_frame(self, *, confidence: float = 0.95) -> pandas.DataFrame:
        """One row a head, the largest mass first: head, layer, index, mass, low, high, mean_per_token.

        ``low`` and ``high`` are the bootstrap interval of the mass over the dialogues.

        Raises:
            SampleError: there is only one dialogue.
        """
        import pandas

        low, high = statistics.bootstrap_interval(self.mass, confidence=confidence)
        layers, width = low.shape
        heads = [Head(layer, index) for layer in range(layers) for index in range(width)]
        columns = {"mass": self.mass.mean(0), "low": low, "high": high, "mean_per_token": self.mean_per_token.mean(0)}
        frame = pandas.DataFrame(
            {
                "head": [str(head) for head in heads],
                "layer": [head.layer for head in heads],
                "index": [head.index for head in heads],
                **{name: values.flatten().tolist() for name, values in columns.items()},
            }
        )
        return frame.sort_values("mass", ascending=False, kind="stable").reset_index(drop=True)

    def plot(
        self, *, marked: Iterable[Head | str | tuple[int, int]] = (), **options: Any
    ) -> plotly.graph_objects.Figure:
        """Mean mass of every head as a map, the marked heads outlined.

        ``options`` go to :func:`sycolens.plots.mass_map`.
        """
        from sycolens.plots import mass_map

        chosen = HeadSet(marked)
        return mass_map(
            self.mass.mean(0),
            marked=[(head.layer, head.index) for head in chosen],
            n_dialogues=len(self),
            **{"color_title": f"Attention to {span_name(self.span)}", "marked_as": "chosen", **options},
        )

    def show(self, dialogue: int, head: Head | str | tuple[int, int], *, limit: float | None = None) -> ShadedText:
        """The text of one dialogue shaded by one head's attention, the span underlined.

        A notebook shows it; ``.save(path)`` writes it as a page. ``limit`` is the attention from which on the shade is
        strongest, so that several heads can share a scale; by default the largest.

        Raises:
            DialogueError: there is no dialogue of that number.
            HeadError: the model has no such head.
        """
        from sycolens.plots.shading import shaded_text

        if not 0 <= dialogue < len(self):
            raise DialogueError(f"There is no dialogue {dialogue}; choose 0 to {len(self) - 1}.")
        (chosen,) = HeadSet([head]).check(*self.rows.shape[1:3])
        row = self.rows[dialogue, chosen.layer, chosen.index, : self.lengths[dialogue]]
        start, end = self.spans[dialogue]
        share = row[start:end].sum().item()
        return shaded_text(
            self.tokens[dialogue],
            row,
            underlined=(start, end),
            limit=limit,
            caption=f"{self.model_name}, {chosen}, dialogue {dialogue}: attention of the last token, {share:.1%} of it "
            f"on {span_name(self.span)} (underlined).",
        )
