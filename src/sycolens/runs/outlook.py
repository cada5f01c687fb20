"""How long a run still takes, judged by what its finished stages took."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def seconds_left(
    due: Sequence[str],
    took: Mapping[str, float],
    operations: Mapping[str, float],
    *,
    unforeseen: Collection[str] = (),
) -> float | None:
    """Seconds that the stages ``due`` will take together; None where nothing tells.

    A stage is judged by the finished ones of its own group, such as other trainings, by their operations; where there
    is none, by all finished stages. ``took`` is in seconds. Of the ``unforeseen`` groups operations say nothing, so
    that a finished stage of the same group alone tells of them.

    >>> operations = {"find": 4.0, "tune/a": 2.0, "tune/b": 4.0, "judge/a": 0.0}
    >>> seconds_left(["tune/a", "tune/b"], {"find": 8.0}, operations)
    12.0
    >>> seconds_left(["tune/b"], {"find": 8.0, "tune/a": 3.0}, operations)
    6.0
    >>> seconds_left(["judge/a"], {"find": 8.0}, operations, unforeseen={"judge"}) is None
    True
    """
    left = 0.0
    for stage in due:
        own = {name: seconds for name, seconds in took.items() if _group(name) == _group(stage)}
        if not own and _group(stage) in unforeseen:
            return None
        others = own or {name: seconds for name, seconds in took.items() if _group(name) not in unforeseen}
        work = sum(operations.get(name, 0.0) for name in others)
        if work:
            left += sum(others.values()) * operations.get(stage, 0.0) / work
        elif own:
            left += sum(own.values()) / len(own)
        elif operations.get(stage):
            return None
    return left


def _group(stage: str) -> str:
    return stage.split("/")[0]
