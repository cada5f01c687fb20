"""Questions from the hub by name, or from the user's own files."""

from __future__ import annotations

import csv
import json
import random
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, get_args

from sycolens.errors import QuestionError
from sycolens.prompts.questions import Question
from sycolens.prompts.sources import CONVERTERS, HUB, Format, HubSource, recognize

Located = tuple[str, str, Any]
"""Where a row stands (for messages), its default id, and the row itself, or the error that reading it gave."""
_SUFFIXES = (".csv", ".json", ".jsonl")


def load_questions(
    name_or_path: str | Path,
    *,
    subset: str | None = None,
    split: str | None = None,
    format: Format = "auto",
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    max_characters: int | None = None,
    bad_rows: Literal["raise", "skip"] = "raise",
) -> list[Question]:
    """Questions of a known set, of any set on the hub that looks like one, or of local files.

    The names "mmlu", "aqua", "truthfulqa", "triviaqa", "math" and "sycophancy-eval" are fetched through ``datasets``
    (no remote code is run), with ``subset`` and ``split`` as the hub calls them; so is "owner/name". Anything else is
    a CSV, JSON or JSON lines file, or a folder of them: in our own form (text or question, answers or answer; optional
    options, wrong, source, id) or as the sets above are published. ``format="auto"`` tells the form from the fields.
    A folder that is called like a known set is written with a slash: "./mmlu".

    ``limit`` keeps the first rows, ``max_characters`` drops questions with a longer text (the authors' code: 768), and
    ``sample`` then draws that many with ``seed`` (the authors': 100), in the order of the source.

    Raises:
        QuestionError: an unknown name, a file that cannot be read, a row that does not fit (named with file and line,
            or left out with a warning under ``bad_rows="skip"``), or fewer questions than ``sample``.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "quiz.jsonl"
    >>> _ = path.write_text('{"question": "Which is a planet?", "options": ["Sirius", "Mars"], "answer": "B"}')
    >>> load_questions(path)[0].answers
    ('B', 'Mars')
    """
    if format not in get_args(Format):
        raise QuestionError(f"format={format!r} is unknown; choose among {', '.join(get_args(Format))}.")
    for option, value in (("limit", limit), ("sample", sample), ("max_characters", max_characters)):
        if value is not None and value < 1:
            raise QuestionError(f"{option}={value} leaves no question; give a number of at least 1, or None.")
    hub = _on_hub(name_or_path)
    if hub is not None:
        rows = _hub_rows(hub, subset, split)
        format = format if format != "auto" or not hub.format else hub.format  # type: ignore[assignment]
    elif subset or split:
        raise QuestionError(f"{name_or_path} is a local file, which has no subset or split; leave them out.")
    else:
        rows = _local_rows(Path(name_or_path), format)
    questions = _convert(islice(rows, limit), format, bad_rows)
    if max_characters is not None:
        questions = [question for question in questions if len(question.text) <= max_characters]
    if not questions:
        raise QuestionError(f"{name_or_path} holds no questions that fit; check the file, and max_characters.")
    if sample is not None:
        if sample > len(questions):
            raise QuestionError(
                f"sample={sample}, but {name_or_path} gives only {len(questions)} questions; ask for fewer."
            )
        chosen = sorted(random.Random(seed).sample(range(len(questions)), sample))
        questions = [questions[k] for k in chosen]
    return questions


def _convert(rows: Iterator[Located], format: str, bad_rows: str) -> list[Question]:
    questions, bad = [], []
    for where, id_, row in rows:
        form = format
        try:
            if isinstance(row, QuestionError):
                raise row
            if not isinstance(row, Mapping):
                raise QuestionError(f"a row is {row!r}, not a set of named fields.")
            if form == "auto":
                form = recognize(row)
            question = CONVERTERS[form](row)
        except QuestionError as error:
            bad.append(f"{where}: {error}")
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            named = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            bad.append(f"{where}: not a row of the form {form!r} ({named}).")
        else:
            questions.append(question if question.id else replace(question, id=id_))
        if bad and bad_rows == "raise":
            raise QuestionError(bad[0] + ' (bad_rows="skip" leaves such rows out.)')
    if bad:
        warnings.warn(f"{len(bad)} rows were left out; the first: {bad[0]}", stacklevel=3)
    return questions


# --- the hub ---------------------------------------------------------------------------------------------------------


def _on_hub(name_or_path: str | Path) -> HubSource | None:
    if isinstance(name_or_path, Path):
        return None
    if name_or_path in HUB:
        return HUB[name_or_path]
    known = [source for source in HUB.values() if source.repository == name_or_path]
    if known:
        return known[0]
    path = Path(name_or_path)
    owner_and_name = name_or_path.count("/") == 1 and not name_or_path.startswith((".", "/", "~"))
    if owner_and_name and not path.exists() and path.suffix not in _SUFFIXES:
        return HubSource(name_or_path, "", (), "")
    return None


def _hub_rows(source: HubSource, subset: str | None, split: str | None) -> Iterator[Located]:
    import datasets

    split = split or source.split
    if not split:
        raise QuestionError(f"Which part of {source.repository} is meant? Name it with split=, and maybe subset=.")
    subsets: tuple[str | None, ...] = (subset,) if subset else source.subsets or (None,)
    for name in subsets:
        where = "/".join((source.repository, *([name] if name else []), split))
        try:
            if source.file:
                address = f"hf://datasets/{source.repository}/{source.file}"
                table = datasets.load_dataset("text", data_files=address, split=split)
            else:
                table = datasets.load_dataset(source.repository, name, split=split)
        except Exception as error:  # network, cache, wrong names: whatever the hub's client raises
            raise QuestionError(
                f"{where} could not be loaded from the hub: {error} Check the names, or pass a file of your own."
            ) from error
        for number, row in enumerate(table):
            place = f"{where}, row {number}"
            yield place, f"{where}:{number}", _json(row["text"]) if source.file else row


# --- local files -----------------------------------------------------------------------------------------------------


def _local_rows(path: Path, format: str) -> Iterator[Located]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        if not files:
            raise QuestionError(f"{path} holds no {', '.join(_SUFFIXES)} files.")
        return chain.from_iterable(_local_rows(file, format) for file in files)
    if not path.exists():
        raise QuestionError(
            f"{str(path)!r} is no file or folder here, and no known question set; the sets known by name are "
            f"{', '.join(HUB)}."
        )
    if path.suffix not in _SUFFIXES:
        raise QuestionError(f"{path} ends in {path.suffix!r}; questions are read from {', '.join(_SUFFIXES)} files.")
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
