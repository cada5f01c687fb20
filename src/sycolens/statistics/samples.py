"""What all statistics check first: whole numbers in range, finite values, samples along the first axis."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.errors import NotFiniteError, SampleError

BLOCK = 4_000_000
"""Numbers held at once by one intermediate tensor (32 MB); torch.quantile takes at most 16 million."""


def flatten(values: Tensor, *, least: int) -> Float[Tensor, "sample cell"]:
    if values.ndim == 0 or len(values) < least:
        found = "a single number" if values.ndim == 0 else f"{len(values)} along its first axis"
        raise SampleError(f"values needs at least {least} samples, found {found}; pass more pairs.")
    flat = values.detach().to("cpu", torch.float64).reshape(len(values), math.prod(values.shape[1:]))
    check_finite(flat, "values")
    return flat


def check_finite(values: Tensor, name: str) -> None:
    if bad := int((~values.isfinite()).sum()):
        raise NotFiniteError(f"{name} holds {bad} NaN or infinite numbers out of {values.numel()}; drop those samples.")


def rounding(values: Tensor) -> float:
    # Below 1e-12 the float64 sums themselves round.
    return max(torch.finfo(values.dtype).eps, 1e-12) if values.is_floating_point() else 1e-12


def blocks(total: int, *, width: int) -> Iterator[slice]:
    size = max(1, BLOCK // max(1, width))
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def bootstrap_means(flat: Tensor, resamples: int, seed: int) -> Iterator[Float[Tensor, "resample cell"]]:
    generator = torch.Generator().manual_seed(seed)
    samples, cells = flat.shape
    for drawn in blocks(resamples, width=samples):
        picks = torch.randint(samples, (drawn.stop - drawn.start, samples), generator=generator)
        weights = torch.zeros(picks.shape, dtype=torch.float64)
        weights.scatter_add_(1, picks, torch.ones_like(weights))
        # Dividing first would cost whole counts their exactness, and constant cells their zero width.
        for rows in blocks(len(weights), width=cells):
            yield weights[rows] @ flat / samples
