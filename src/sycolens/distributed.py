"""Work dealt out to several processes, one a device, as ``accelerate launch`` and ``torchrun`` start them."""

from __future__ import annotations

import gc
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from sycolens.errors import ProcessError

T = TypeVar("T")
R = TypeVar("R")

PATIENCE: Final = timedelta(days=7)
"""How long a process waits for the others; the launcher ends them all as soon as one dies."""


@dataclass(frozen=True)
class Processes:
    """This process among those that work together: which it is, and how many there are.

    A function that is given them (as :attr:`Compute.processes`) deals its work out, and gives all of it in every one.
    Every process must call it, and with the same arguments.

    >>> Processes(rank=1, count=2).in_turn("abcde")
    'bd'
    """

    rank: int = 0
    """From 0."""
    count: int = 1

    @classmethod
    def here(cls) -> Processes:
        """This process as its launcher started it; alone unless that was ``torchrun`` or ``accelerate launch``.

        The first call makes the connection and chooses the device of this process (``"cuda"`` is its own from then
        on), so call it before a model is loaded.

        >>> Processes.here() == ALONE
        True
        """
        if count_of_processes() <= 1 or "RANK" not in os.environ:
            return ALONE
        import torch
        from accelerate import PartialState

        on_cpu = not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
        # Both, since results are gathered on the CPU, and a model may be held there.
        backend = None if on_cpu else "cpu:gloo,cuda:nccl"
        state = PartialState(cpu=on_cpu, backend=backend, timeout=PATIENCE)
        return cls(state.process_index, state.num_processes)

    @property
    def first(self) -> bool:
        """Whether this process writes what only one may write."""
        return self.rank == 0

    def in_turn(self, items: Sequence[T]) -> Sequence[T]:
        """The share of this process; items are dealt out like cards, since batches grow or shrink in their order."""
        return items[self.rank :: self.count]

    def each(self, items: Sequence[T], work: Callable[[T], R]) -> list[R]:
        """What ``work`` makes of every item, in their order, in every process; items are dealt out :meth:`in_turn`.

        Raises:
            Exception: what ``work`` raised, in whichever process; it is raised in all of them.

        >>> ALONE.each([1, 2, 3], lambda number: number**2)
        [1, 4, 9]
        """
        shares = self._together(lambda: [work(item) for item in self.in_turn(items)])
        return [shares[number % self.count][number // self.count] for number in range(len(items))]

    def once(self, work: Callable[[], R]) -> R:
        """What ``work`` gives, done by the first process alone while the others wait; raises as :meth:`each`."""
        return self.each([None], lambda _: work())[0]

    def gather(self, part: T) -> list[T]:
        """The parts of all processes, by rank, in every one of them."""
        if self.count == 1:
            return [part]
        import torch.distributed

        parts: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(parts, part)
        return parts

    def wait(self) -> None:
        """Go on when all processes have come so far."""
        self.gather(None)

    def end(self) -> None:
        """Take leave of each other; call it last, in a ``finally``.

        The connection has threads of its own, and one that is still at work when Python is taken down aborts the
        process. After an error nobody is waited for.
        """
        if self.count == 1:
            return
        import torch.distributed

        if not torch.distributed.is_initialized():
            return
        if sys.exc_info()[0] is None:
            self.wait()
        gc.collect()  # what still holds the connection keeps its threads
        torch.distributed.destroy_process_group()

    def _together(self, work: Callable[[], R]) -> list[R]:
        """What work gives in every process; what it raises in one of them is raised in all."""
        if self.count == 1:
            return [work()]
        try:
            done = _Done([work()])
        except Exception as error:
            self.gather(_Done[R]([], _sendable(error)))
            raise
        everywhere = self.gather(done)
        for rank, theirs in enumerate(everywhere):
            if theirs.error is not None:
                theirs.error.add_note(f"Raised in process {rank} of {self.count}.")
                raise theirs.error
        return [result for theirs in everywhere for result in theirs.results]


def count_of_processes() -> int:
    """How many processes the launcher says there are; 1 where it says nothing.

    Raises:
        ProcessError: WORLD_SIZE is no count.
    """
    given = os.environ.get("WORLD_SIZE", "1")
    if not (given.isascii() and given.isdecimal() and int(given[:9]) >= 1):
        raise ProcessError(
            f"WORLD_SIZE is {given!r}, which is no number of processes; unset it, or start with 'accelerate launch'."
        )
    return int(given)


@dataclass(frozen=True)
class _Done(Generic[R]):
    """What one process tells the others."""

    results: list[R]
    error: Exception | None = None


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


ALONE: Final = Processes()
"""One process, which does everything."""
