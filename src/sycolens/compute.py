"""How much is computed at once, by which processes, and whether one sees it go on."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """Whether the first process shows progress bars, where it writes to a terminal or a notebook."""
    work: str = ""
    """What all this is for, such as a stage of a run; the names of its bars begin with it."""

    def __post_init__(self) -> None:
        check_counts(PromptError, batch_size=self.batch_size)
        if self.max_rows is not None:
            check_counts(PromptError, max_rows=self.max_rows)

    def part(self, name: str) -> Compute:
        """The same for a part of the work, so that no two bars have one name.

        >>> QUIET.part("find").part("other pairs").work
        'find: other pairs'
        """
        return replace(self, work=f"{self.work}: {name}" if self.work else name)

    def bar(self, total: int, desc: str, unit: str, *, initial: int = 0) -> Any:
        """A progress bar, to be used in a ``with`` block."""
        # None is tqdm's word for a terminal only: in a file a bar would leave a line for every state it was in.
        off = None if self.progress and self.processes.first else True
        # Whoever names the work says in the end what came of it.
        kept = not self.work
        name = self.part(desc).work
        return tqdm(total=total, initial=initial, desc=name, unit=unit, leave=kept, disable=off)


QUIET: Final = Compute(progress=False)
"""As usual, but without a progress bar."""
