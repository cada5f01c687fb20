"""Tables fit the terminal they are shown in, lose no text, and keep names and numbers whole as long as they can."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sycolens.report.folding import FoldingTable

ROWS = [("L31H31", "-12.32 to -10.10", "1,042,560", "0.053*"), ("L0H2", "+0.10 to +0.20", "12", "1")]
HEADERS = ("head", "95% interval", "parameters", "q")


def printed(width: int, *rows: tuple[str, ...], headers: tuple[str, ...] = HEADERS) -> list[str]:
    table = FoldingTable(*headers)
    for row in rows:
        table.add_row(*row)
    file = io.StringIO()
    Console(width=width, file=file).print(table)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", range(24, 90, 3))
def test_no_text_is_lost_at_any_width(width: int) -> None:
    lines = printed(width, *ROWS)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    # Columns stand side by side, so that letters are counted, not read in their order.
    shown = sorted("".join(lines).replace("─", "").replace(" ", ""))
    assert shown == sorted("".join("".join(cells) for cells in (HEADERS, *ROWS)).replace(" ", ""))


@pytest.mark.parametrize("width", range(36, 90, 3))
def test_words_of_cells_stay_whole(width: int) -> None:
    words = " ".join(printed(width, *ROWS)).split()
    for row in ROWS:
        for cell in row:
            assert set(cell.split()) <= set(words)


@pytest.mark.parametrize("width", [27, 40, 60])
def test_a_name_outlives_other_words(width: int) -> None:
    path = "/a/very/long/path/that/cannot/be/shown/in/one/line/of/a/narrow/terminal.json"
    lines = printed(width, ("tune/spt-seed0", path), headers=("stage", "damage"))
    assert max(map(len, lines)) <= width
    assert sum("tune/spt-seed0" in line for line in lines) == 1
    assert "".join("".join(lines).split()).endswith("terminal.json")


def test_where_there_is_room_nothing_folds() -> None:
    lines = printed(80, *ROWS)
    assert [" ".join(line.split()) for line in lines if "H" in line] == [" ".join(row) for row in ROWS]
    assert max(map(len, lines)) < 80
