"""Tables in memory: a ``datasets.Dataset``, a pandas DataFrame, or any series of dictionaries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sycolens.errors import SycolensError

Table = Iterable[Mapping[str, Any]]
"""Rows of named fields; a pandas DataFrame counts as one."""


def title_of(given: object) -> str:
    """How messages call a table, a name or a path."""
    return str(given) if isinstance(given, str | Path) else "the given table"


def rows_in(error: type[SycolensError], table: Any) -> Iterator[tuple[str, Any]]:
    """Where every row of a table stands, for messages, and the row as a file would have it: empty cells are None.

    Raises:
        SycolensError: of the kind that is given; it is no table.

    >>> import pandas
    >>> [row for _, row in rows_in(SycolensError, pandas.DataFrame({"id": [1, None], "answer": ["Ada", "Bob"]}))]
    [{'id': 1, 'answer': 'Ada'}, {'id': None, 'answer': 'Bob'}]
    """
    try:
        if hasattr(table, "convert_dtypes"):  # pandas, of which an empty cell makes whole numbers floats
            table = json.loads(table.convert_dtypes().to_json(orient="records", double_precision=15))
        if isinstance(table, Mapping):
            raise TypeError(f"it is a {type(table).__name__} of {', '.join(map(str, table))}; choose one, as a table")
        rows = iter(table)
    except (TypeError, ValueError) as odd:
        raise error(
            f"Rows cannot be read from a {type(table).__name__} ({odd}). Give a Dataset, a DataFrame, a list of "
            "dictionaries, or the path of a file."
        ) from odd
    return ((f"row {number} of the given table", row) for number, row in enumerate(rows))
