"""Hatching as plain strokes: plotly's own pattern turns into a blurred picture in a PDF."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SPACING = 4.0
"""Between two strokes."""
SAMPLES = 2
"""Points a pixel at which a stroke is inside or outside."""

Path = tuple[list[float | None], list[float | None]]
"""x and y of strokes, each ended by None."""


def hatched(x: Float[Tensor, "point"], low: Tensor, high: Tensor, *, slope: float) -> Path:
    """The outline of the band between two lines over the same x, and parallel strokes inside it; all in pixels."""
    along = torch.linspace(x[0].item(), x[-1].item(), max(2, int(SAMPLES * (x[-1] - x[0]).item())), dtype=torch.float64)
    after = torch.searchsorted(x, along).clamp(1, len(x) - 1)
    share = (along - x[after - 1]) / (x[after] - x[after - 1])
    below, above = (each[after - 1] + share * (each[after] - each[after - 1]) for each in (low, high))
    apart = SPACING * (1 + slope**2) ** 0.5
    # A stroke is y = start + slope * x; it has to pass the band somewhere.
    starts = torch.arange((below - slope * along).min().item(), (above - slope * along).max().item(), apart)
    y = starts[:, None] + slope * along
    inside = torch.nn.functional.pad(((y >= below) & (y <= above)).int(), (1, 1)).diff(dim=1)
    path: Path = (
        [*x.tolist(), *x.flip(0).tolist(), x[0].item(), None],
        [*high.tolist(), *low.flip(0).tolist(), high[0].item(), None],
    )
    for (stroke, first), (_, end) in zip(
        (inside == 1).nonzero().tolist(), (inside == -1).nonzero().tolist(), strict=True
    ):
        if end - first > SAMPLES:
            path[0].extend([along[first].item(), along[end - 1].item(), None])
            path[1].extend([y[stroke, first].item(), y[stroke, end - 1].item(), None])
    return path
