"""How many threads a call is worth: those of a small model wait for each other longer than they compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

from sycolens.model.capture import input_device
from sycolens.model.weights import shape_of

CACHED: Final = 2**18
"""Numbers of a matrix that stays in one core's cache; with larger ones threads share the wait for memory."""
SMALL: Final = 2**27
"""Multiplications of one product that a core does in a few milliseconds, about as long as it may wait for another."""


@contextmanager
def enough_threads(model: Any, n_tokens: int) -> Iterator[None]:
    """Inside, one thread if passes of ``n_tokens`` through the model are small products; else as many as torch has.

    Where other programs have the cores, torch's threads spin until the last of them has had its turn, after each of
    thousands of small products. The number is a matter of the model and the tokens alone, never above what it was, and
    restored after, also on an exception. It belongs to the process: torch in other Python threads may meanwhile run on
    one thread too. Nothing changes for a model on an accelerator.

    >>> before = torch.get_num_threads()
    >>> with enough_threads(model, n_tokens=16 * 40):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    shape, threads = shape_of(model), torch.get_num_threads()
    cached = shape.d_model * max(shape.d_mlp, shape.d_vocab) <= CACHED
    small = cached and n_tokens * shape.d_model * shape.d_mlp <= SMALL
    if threads == 1 or not small or input_device(model).type != "cpu":
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
