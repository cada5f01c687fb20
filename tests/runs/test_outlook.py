"""The time that is left is judged by what was finished, and not told where nothing tells."""

from __future__ import annotations

import pytest

from sycolens.runs.outlook import seconds_left

OPERATIONS = {"find": 8.0, "examples": 0.0, "tune/a": 2.0, "tune/b": 6.0, "judge/a": 0.0, "judge/b": 0.0}


@pytest.mark.parametrize(
    ("due", "took", "left"),
    [
        ([], {}, 0.0),
        (["find"], {}, None),
        (["examples"], {}, 0.0),
        (["tune/a", "tune/b"], {"find": 4.0}, 4.0),
        # A training tells of trainings, whatever find took.
        (["tune/b"], {"find": 1000.0, "tune/a": 5.0}, 15.0),
        # Stages without arithmetic of their own take what others of their group take.
        (["judge/b"], {"find": 1.0, "judge/a": 7.0}, 7.0),
        (["judge/a", "judge/b"], {"find": 1.0}, None),
        # What the judge took says nothing of arithmetic.
        (["tune/a"], {"judge/a": 50.0}, None),
        (["tune/a"], {"find": 4.0, "judge/a": 50.0}, 1.0),
    ],
)
def test_seconds_left(due: list[str], took: dict[str, float], left: float | None) -> None:
    assert seconds_left(due, took, OPERATIONS, unforeseen={"judge"}) == left
