"""A text shaded token by token: where a head looks, as HTML that needs no script and no network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from sycolens.errors import FigureError
from sycolens.shown.words import visible
from sycolens.storage import write_text

COLOR = (190, 85, 0)
"""Of middling lightness: laid over a page it darkens a light one, lightens a dark one, and leaves both legible."""
STRONGEST = 0.7
"""Opacity of the color at the largest weight."""


@dataclass(frozen=True, repr=False)
class ShadedText:
    """A shaded text; a notebook shows it by itself."""

    html: str
    """One HTML element with its own styles."""

    def __repr__(self) -> str:
        return f"ShadedText({len(self.html):,} characters of HTML)"

    def _repr_html_(self) -> str:
        return self.html

    def save(self, path: str | Path) -> Path:
        """Write a page that needs nothing else.

        Raises:
            FigureError: the path does not end in .html.
        """
        path = Path(path)
        if path.suffix.lower() != ".html":
            raise FigureError(f"Cannot write {path.name}: a shaded text is HTML; let the name end in .html.")
        head = f'<meta charset="utf-8"><title>{html.escape(path.stem)}</title>'
        # The browser's own colors of page and text, light or dark as the reader has set them.
        style = "<style>:root { color-scheme: light dark } body { margin: 24px; max-width: 60em }</style>"
        write_text(
            path,
            f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}{style}</head>\n<body>\n{self.html}\n</body>\n</html>\n',
        )
        return path


def shaded_text(
    pieces: Sequence[str],
    weights: Float[Tensor, " token"],
    *,
    underlined: tuple[int, int] | None = None,
    limit: float | None = None,
    caption: str = "",
) -> ShadedText:
    """A text with each token's weight as shade behind it, and as a number under the pointer.

    Args:
        pieces: each token as text; they join up to the whole. One with no text shares the place of the next.
        weights: a number from 0 to 1 for each token.
        underlined: half-open range of the tokens to underline.
        limit: the weight from which on the shade is strongest; by default the largest weight.
        caption: a sentence above the text, to which the meaning of the shade is added.

    Raises:
        FigureError: as many weights as pieces are needed, all from 0 to 1, and a limit above 0.

    >>> shaded_text(["Are", " you", " sure?"], torch.tensor([0.1, 0.1, 0.8])).html.count("title=")
    3
    """
    if weights.shape != (len(pieces),) or not len(pieces):
        raise FigureError(f"{len(pieces)} tokens and weights of shape {tuple(weights.shape)}; give one for each token.")
    if not ((weights >= 0) & (weights <= 1.001)).all():
        raise FigureError("A weight lies outside 0 to 1; a text is shaded by attention probabilities.")
    if limit is not None and not limit > 0:
        raise FigureError(f"limit is {limit}; it is the weight of the strongest shade and must be above 0.")
    groups = _groups(pieces)
    shares = [weights[group.start : group.stop].sum().item() for group in groups]
    top = limit or max(shares) or 1.0
    start, end = underlined or (0, 0)
    marks = [
        _mark(pieces[group[-1]], group, share, share / top, is_underlined=start < group.stop and group.start < end)
        for group, share in zip(groups, shares, strict=True)
    ]
    beyond = " or more" if max(shares) > top else ""
    legend = f"Strongest shade: {top:.1%}{beyond}."
    above = html.escape(f"{caption} {legend}".strip())
    return ShadedText(
        f'<div style="font-family:sans-serif;line-height:1.9">'
        f'<div style="font-size:85%;margin-bottom:0.5em">{above}</div>'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{"".join(marks)}</div></div>'
    )


def _groups(pieces: Sequence[str]) -> list[range]:
    """Tokens that share a place: those without text, and the next one that has some."""
    found, start = [], 0
    for place, piece in enumerate(pieces):
        if piece or place == len(pieces) - 1:
            found.append(range(start, place + 1))
            start = place + 1
    return found


def _mark(piece: str, group: range, share: float, strength: float, *, is_underlined: bool) -> str:
    tokens = f"token {group[0]}" if len(group) == 1 else f"tokens {group[0]} to {group[-1]}"
    shade = ",".join(map(str, COLOR)) + f",{STRONGEST * min(1.0, strength):.3f}"
    line = ";border-bottom:2px solid currentColor" if is_underlined else ""
    return f'<span title="{tokens}: {share:.2%}" style="background:rgba({shade}){line}">{_visible(piece)}</span>'


def _visible(piece: str) -> str:
    # A line break or a token without text would leave nothing to shade.
    shown = visible(piece).replace("\n", "↵\n") or "·"
    return html.escape(shown)
