"""Everything that goes wrong has an error of its own, and the page of errors names them all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import sycolens.errors
from errors import measuring, runs, tuning, words
from errors.room import Room
from sycolens.errors import SycolensError

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
DEEDS = [*words.DEEDS, *measuring.DEEDS, *tuning.DEEDS, *runs.DEEDS]
NAMED = {
    value for value in vars(sycolens.errors).values() if isinstance(value, type) and issubclass(value, SycolensError)
} - {SycolensError}


@pytest.mark.parametrize(("error", "do"), [pytest.param(error, do, id=name) for error, name, do in DEEDS])
def test_the_error_is_the_one_that_is_due(
    error: type[SycolensError],
    do: Callable[[Room], object],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SycolensError) as caught:
        do(Room(request, tmp_path, monkeypatch))
    assert type(caught.value) is error


def test_every_error_is_provoked() -> None:
    assert {error for error, _, _ in DEEDS} == NAMED


def test_every_error_has_a_row_on_the_page() -> None:
    rows = re.findall(r"^\| .+ \| `(\w+)` \| .+ \|$", PAGE.read_text(), flags=re.MULTILINE)
    assert set(rows) == {error.__name__ for error in NAMED}
