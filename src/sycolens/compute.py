"""How much is computed at once, by which processes, and whether one sees it go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tqdm.auto import tqdm

from sycolens.counts import check_counts
from sycolens.distributed import ALONE, Processes
from sycolens.errors import PromptError


@dataclass(frozen=True)
class Compute:
    """How much runs at once, in which processes, and behind which bars: speed and memory, not results.

    Every function takes what it needs of it.

    Raises:
        PromptError: ``batch_size`` or ``max_rows`` is no whole number from 1.

    >>> QUIET == Compute(progress=False)
    True
    """

    batch_size: int = 16
    """How many prompts run at once at most; fewer where long ones would need much memory."""
    max_rows: int | None = None
    """How many patched heads, or replies under ablation, run at once; by default as many as fit a memory budget."""
    processes: Processes = ALONE
    """Those that share the work. Each makes the same call, and gets the whole result."""
    progress: bool = True
    """Whether the first process shows a progress bar."""

    def __post_init__(self) -> None:
        check_counts(PromptError, batch_size=self.batch_size)
        if self.max_rows is not None:
            check_counts(PromptError, max_rows=self.max_rows)

    def bar(self, total: int, desc: str, unit: str) -> Any:
        """A progress bar, to be used in a ``with`` block."""
        return tqdm(total=total, desc=desc, unit=unit, disable=not (self.progress and self.processes.first))


QUIET: Final = Compute(progress=False)
"""As usual, but without a progress bar."""
