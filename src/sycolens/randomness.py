"""The random numbers of torch, numpy and Python, kept for those who draw them after a training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """Where the generators stand.

    >>> state = RandomState.now()
    >>> drawn = torch.rand(3)
    >>> state.restore()
    >>> torch.equal(torch.rand(3), drawn)
    True
    """

    python: Any
    numpy: Any
    torch: Tensor
    cuda: list[Tensor]
    """By device."""

    @classmethod
    def now(cls) -> RandomState:
        """As they stand now."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return cls(random.getstate(), numpy.random.get_state(), torch.get_rng_state(), cuda)

    def restore(self) -> None:
        """Set them back."""
        random.setstate(self.python)
        numpy.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Draw from here on inside the block, and after it as if it had not been there."""
        with random_state_kept():
            self.restore()
            yield


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Whatever is drawn or seeded inside, the generators go on as if it had not been there.

    >>> with random_state_kept():
    ...     _ = torch.manual_seed(0)
    """
    found = RandomState.now()
    try:
        yield
    finally:
        found.restore()
