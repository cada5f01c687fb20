"""General ability, task by task, as scored by lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class AbilityRow:
    """One score of one task, or of a group of tasks such as MMLU."""

    task: str
    metric: str
    """Such as "acc" or "exact_match"."""
    filter: str
    """How the reply was read before it was scored, such as "strict-match"; "none" if as it was."""
    value: float
    stderr: float | None
    """Standard error of the value; None where there is none, e.g. for a single question."""
    n: int
    """Questions scored."""
    shots: int | None
    """Worked examples before each question; None for a group whose tasks differ in it."""
    version: str
    """The task's own version: values compare only where it is the same."""


@dataclass(frozen=True, repr=False)
class AbilityResult:
    """All scores of a model, task by task.

    >>> row = AbilityRow("gsm8k", "exact_match", "strict-match", 0.2, 0.04, n=100, shots=5, version="3.0")
    >>> AbilityResult((row,), lm_eval="0.4.13").value("gsm8k")
    0.2
    """

    rows: tuple[AbilityRow, ...]
    lm_eval: str
    """Version of lm-evaluation-harness that scored."""

    def __repr__(self) -> str:
        tasks = {row.task for row in self.rows}
        return f"AbilityResult({len(self.rows)} scores of {len(tasks)} tasks, lm-eval {self.lm_eval})"

    def value(self, task: str, metric: str | None = None, filter: str | None = None) -> float:
        """The first score of a task, or the one of a metric and filter.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if row.task == task and metric in (None, row.metric) and filter in (None, row.filter):
                return row.value
        raise KeyError(f"no score of {task} by this name; scored are {', '.join(sorted({r.task for r in self.rows}))}")

    def to_frame(self) -> pandas.DataFrame:
        """One row a score: task, metric, filter, value, stderr, n, shots, version."""
        import pandas

        columns = [field.name for field in fields(AbilityRow)]
        frame = pandas.DataFrame([asdict(row) for row in self.rows], columns=columns)
        return frame.astype({"stderr": float, "n": int, "shots": "Int64"})

    def record(self) -> dict[str, Any]:
        """Everything, ready for JSON; :meth:`from_record` reads it."""
        return {"rows": [asdict(row) for row in self.rows], "lm_eval": self.lm_eval}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> AbilityResult:
        """What :meth:`record` gave."""
        return cls(tuple(AbilityRow(**row) for row in record["rows"]), record["lm_eval"])
