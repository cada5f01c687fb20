"""Many tests at once: false discoveries among all heads, and the agreement of two lists."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from sycolens.counts import check_counts, check_share
from sycolens.errors import SampleError
from sycolens.statistics.samples import check_finite


def permutations_needed(cells: int, *, fdr: float = 0.05) -> int:
    """How many random permutations let a single outstanding cell among ``cells`` pass :func:`benjamini_hochberg`.

    The smallest Monte Carlo p is 1 / (m + 1), and the best-ranked cell has to come below fdr / cells.

    >>> permutations_needed(1600)
    32000
    """
    check_counts(SampleError, cells=cells)
    check_share(fdr=fdr)
    return math.ceil(cells / fdr)


def benjamini_hochberg(p: Float[Tensor, "*cell"]) -> Float[Tensor, "*cell"]:
    """Adjusted p-values (q): cells with q <= a are a list with a share of at most a false discoveries, on average.

    All cells of ``p``, whatever its shape, are one family.

    Raises:
        NotFiniteError: a p-value is NaN or infinite.
        SampleError: a p-value lies outside [0, 1].

    >>> import torch
    >>> benjamini_hochberg(torch.tensor([0.01, 0.02, 0.50, 0.03])).tolist()
    [0.03999999910593033, 0.03999999910593033, 0.5, 0.03999999910593033]
    """
    flat = p.detach().to("cpu", torch.float64).flatten()
    check_finite(flat, "p")
    if ((flat < 0) | (flat > 1)).any():
        raise SampleError("p holds a number outside [0, 1]; pass the p-values of sign_flip_p, not scores.")
    # It takes seconds to import.
    from scipy.stats import false_discovery_control

    adjusted = false_discovery_control(flat.numpy()) if len(flat) else flat
    return torch.as_tensor(adjusted).float().reshape(p.shape)


def hypergeometric_tail(overlap: int, k: int, n_total: int) -> float:
    """Probability that two unrelated sets of k out of ``n_total`` cells share at least ``overlap`` of them.

    Raises:
        SampleError: not 0 <= overlap <= k <= n_total.

    >>> hypergeometric_tail(1, 1, 4)
    0.25
    """
    if not 0 <= overlap <= k <= n_total:
        raise SampleError(f"need 0 <= overlap <= k <= n_total, found overlap={overlap}, k={k}, n_total={n_total}.")
    from scipy.stats import hypergeom

    return float(hypergeom.sf(overlap - 1, n_total, k, k))
