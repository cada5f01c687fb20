"""Rows of a set on the hub, by name, of the user's own files (CSV, JSON, JSON lines), or of a table in memory."""

from __future__ import annotations

import csv
import json
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

from sycolens import counts
from sycolens.data.question_sets import HubSource, Row
from sycolens.data.tables import Table, rows_in, title_of
from sycolens.errors import AmbiguousQuestionError, QuestionError
from sycolens.hub import in_words, way_out
from sycolens.memory import ran_out_of_memory

T = TypeVar("T")
Located = tuple[str, str, Any]
"""Where a row stands (for messages), its default id, and the row itself, or the error that reading it gave."""
BadRows = Literal["raise", "skip"]
_SUFFIXES = (".csv", ".json", ".jsonl")


def rows_of(
    source: str | Path | Table,
    known: Mapping[str, HubSource],
    *,
    subset: str | None,
    split: str | None,
    revision: str | None = None,
    format: str = "",
    what: str = "question",
    names: Sequence[str] | None = None,
) -> Iterator[Located]:
    """The rows of a known set, of another on the hub ("owner/name"), of local files, or of a table.

    An unknown name is answered with ``names``, by default those of the known sets.

    Raises:
        QuestionError: an unknown name, a file or table that cannot be read, or a subset of one.
    """
    there = on_hub(source, known)
    if there is not None:
        return _hub_rows(there, subset, split, revision)
    if subset or split or revision:
        kind = "a local file" if isinstance(source, str | Path) else "in memory"
        raise QuestionError(f"{title_of(source)} is {kind}, which has no subset, split or revision; leave them out.")
    if isinstance(source, str | Path):
        return _local_rows(Path(source), format, tuple(known) if names is None else names, what)
    found = rows_in(QuestionError, source)
    return ((where, f"table:{number}", row) for number, (where, row) in enumerate(found))


def converted(rows: Iterable[Located], convert: Callable[[Row, str], T], bad_rows: BadRows) -> list[T]:
    """Every row (and its default id) as ``convert`` makes it; a bad one is an error, or left out with a warning.

    An ambiguous one is left out in any case.
    """
    made, bad = [], []
    for where, id_, row in rows:
        try:
            if isinstance(row, QuestionError):
                raise row
            if not isinstance(row, Mapping):
                raise QuestionError(f"a row is {row!r}, not a set of named fields.")
            made.append(convert(row, id_))
        except QuestionError as error:
            bad.append(f"{where}: {error}")
            if bad_rows == "raise" and not isinstance(error, AmbiguousQuestionError):
                raise QuestionError(bad[0] + ' (bad_rows="skip" leaves such rows out.)') from error
    if bad:
        warnings.warn(f"{len(bad)} rows were left out; the first: {bad[0]}", stacklevel=3)
    return made


def fitted(form: str, convert: Callable[[Row], T], row: Row) -> T:
    """What ``convert`` makes of a row.

    Raises:
        QuestionError: whatever is wrong with the row.
    """
    try:
        return convert(row)
    except QuestionError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        named = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise QuestionError(f"not a row of the form {form!r} ({named}).") from error


def drawn(
    some: list[T], source: str | Path | Table, *, sample: int | None, seed: int, what: str = "question"
) -> list[T]:
    """As many as asked for, drawn with ``seed``, in the order they have.

    Raises:
        QuestionError: there are none, or fewer.
    """
    if not some:
        raise QuestionError(f"{title_of(source)} holds no {what}s that fit; check the file, and max_characters.")
    if sample is None:
        return some
    if sample > len(some):
        raise QuestionError(f"sample={sample}, but {title_of(source)} gives only {len(some)} {what}s; ask for fewer.")
    return [some[k] for k in sorted(random.Random(seed).sample(range(len(some)), sample))]


def check_counts(**options: int | None) -> None:
    """Limits and samples are numbers of at least 1, or None.

    Raises:
        QuestionError: one is not.
    """
    counts.check_counts(QuestionError, **{option: value for option, value in options.items() if value is not None})


# --- the hub ---------------------------------------------------------------------------------------------------------


def on_hub(source: str | Path | Table, sets: Mapping[str, HubSource]) -> HubSource | None:
    """Where a set lies on the hub; None for local files and tables."""
    if not isinstance(source, str):
        return None
    if source in sets:
        return sets[source]
    known = [each for each in sets.values() if each.repository == source]
    if known:
        return known[0]
    path = Path(source)
    owner_and_name = source.count("/") == 1 and not source.startswith((".", "/", "~"))
    if owner_and_name and not path.exists() and path.suffix not in _SUFFIXES:
        return HubSource(source, "", (), "")
    return None


def _hub_rows(source: HubSource, subset: str | None, split: str | None, revision: str | None) -> Iterator[Located]:
    import datasets

    split = split or source.split
    if not split:
        raise QuestionError(f"Which part of {source.repository} is meant? Name it with split=, and maybe subset=.")
    subsets: tuple[str | None, ...] = (subset,) if subset else source.subsets or (None,)
    for name in subsets:
        where = "/".join((source.repository, *([name] if name else []), split))
        try:
            if source.file:
                version = f"@{revision}" if revision else ""
                address = f"hf://datasets/{source.repository}{version}/{source.file.format(subset=name)}"
                table = datasets.load_dataset("text", data_files=address, split=split)
            else:
                table = datasets.load_dataset(source.repository, name, split=split, revision=revision)
        except Exception as error:  # network, cache, wrong names: whatever the hub's client raises
            if ran_out_of_memory(error):
                raise
            raise QuestionError(
                f"{where} could not be loaded from the hub ({in_words(error)}). "
                f"{way_out(error, 'Check the names, or pass a file of your own.')}"
            ) from error
        for number, row in enumerate(table):
            place = f"{where}, row {number}"
            yield place, f"{where}:{number}", _json(row["text"]) if source.file else row


# --- local files -----------------------------------------------------------------------------------------------------


def _local_rows(path: Path, format: str, names: Sequence[str], what: str) -> Iterator[Located]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        if not files:
            raise QuestionError(f"{path} holds no {', '.join(_SUFFIXES)} files.")
        return chain.from_iterable(_local_rows(file, format, names, what) for file in files)
    if not path.exists():
        raise QuestionError(
            f"{str(path)!r} is no file or folder here, and no known {what} set; the sets known by name are "
            f"{', '.join(names)}."
        )
    if path.suffix not in _SUFFIXES:
        raise QuestionError(f"{path} ends in {path.suffix!r}; {what}s are read from {', '.join(_SUFFIXES)} files.")
    return _csv_rows(path, format) if path.suffix == ".csv" else _json_rows(path)


def _csv_rows(path: Path, format: str) -> Iterator[Located]:
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header: list[str] | None = None
            for cells in reader:
                line = reader.line_num
                if not any(cells):
                    continue
                if header is None:
                    # MMLU's own files have no header: question, four options, letter.
                    looks_so = format == "mmlu" or cells[-1].strip() in ("A", "B", "C", "D")
                    headless = len(cells) == 6 and looks_so and "question" not in cells
                    header = ["question", *"ABCD", "answer"] if headless else cells
                    if not headless:
                        continue
                where = f"{path}, line {line}"
                row: Any = dict(zip(header, cells, strict=False))
                if len(cells) != len(header):
                    row = QuestionError(f"there are {len(cells)} cells under {len(header)} columns.")
                yield where, f"{path.stem}:{line}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QuestionError(f"{path} cannot be read as CSV (after line {line}): {error}") from error


def _json_rows(path: Path) -> Iterator[Located]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"{path} cannot be read: {error}") from error
    whole = _json(text) if path.suffix == ".json" else None
    if isinstance(whole, Mapping) and isinstance(whole.get("Data"), list):
        whole = whole["Data"]  # TriviaQA's own files
    if isinstance(whole, list):
        for number, row in enumerate(whole):
            yield f"{path}, entry {number}", f"{path.stem}:{number}", row
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", f"{path.stem}:{number}", _json(line)


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return QuestionError(f"not JSON ({error}).")
