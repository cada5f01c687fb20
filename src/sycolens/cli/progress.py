"""What a command tells on stderr while it makes stages: where it is, how long it will take, and what came out."""

from __future__ import annotations

import logging
import time
from functools import cached_property
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from sycolens.runs.estimate import Estimate
    from sycolens.runs.study import Study

logger = logging.getLogger(__name__)


class StageLines:
    """The line before every stage of a command and the one after it; :meth:`tell` is what :meth:`Study.run` takes."""

    def __init__(self, study: Study, command: str, notes: Console) -> None:
        self.study, self.command, self.notes = study, command, notes
        self.started = time.perf_counter()

    def tell(self, stage: str, seconds: float | None) -> None:
        """Say that a stage begins, or what it came to after so many seconds."""
        from sycolens.report.findings import finding_of
        from sycolens.report.progress import closing_line

        if seconds is None:
            self._say(self._opening(stage))
        else:
            self._took[stage] = seconds
            self._say(closing_line(stage, finding_of(self.study, stage), seconds))

    def _opening(self, stage: str) -> str:
        from sycolens.report.progress import opening_line

        needed = [each.name for each in self.study.needed(self.command)]
        # Look settles how many stages there are; by itself it is the only one.
        stages = needed if stage in needed else [stage]
        return opening_line(
            stage,
            stages.index(stage) + 1,
            len(stages),
            cost=None if self._estimate is None else self._estimate.costs.get(stage),
            elapsed=time.perf_counter() - self.started,
            left=self._left(stages[stages.index(stage) :]),
        )

    def _left(self, due: list[str]) -> float | None:
        from sycolens.runs.outlook import seconds_left
        from sycolens.runs.plan import JUDGE, MEASURE

        if self._estimate is None or not self._took:
            return None
        # A judge computes elsewhere, and tasks of lm-evaluation-harness are not counted.
        unforeseen = {JUDGE, *([MEASURE] if self.study.config.measure.tasks else [])}
        states = self.study.ledger.states
        due = [stage for stage in due if states[stage] != "done"]
        return seconds_left(due, self._took, self._estimate.operations, unforeseen=unforeseen)

    @cached_property
    def _took(self) -> dict[str, float]:
        """Seconds by finished stage, those of earlier runs included."""
        from sycolens.runs.directory import seconds_taken

        states = self.study.ledger.states
        done = [stage.name for stage in self.study.needed(self.command) if states[stage.name] == "done"]
        found = {name: seconds_taken(self.study.directory / name) for name in done}
        return {name: seconds for name, seconds in found.items() if seconds is not None}

    @cached_property
    def _estimate(self) -> Estimate | None:
        from sycolens.runs.estimate import Estimate

        try:
            return Estimate.of(self.study.config)
        except Exception as error:  # a run does not fail for want of it
            logger.info("there is no estimate of the time", exc_info=error)
            return None

    def _say(self, line: str) -> None:
        # A file has no width to be folded to.
        self.notes.print(line, markup=False, soft_wrap=not self.notes.is_terminal)
