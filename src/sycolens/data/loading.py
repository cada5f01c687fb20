"""Questions that come with the library, from the hub, from files, or from tables in memory."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path

from sycolens.choices import KNOWN_SETS, Format
from sycolens.counts import check_choice
from sycolens.data import general
from sycolens.data.question_sets import CONVERTERS, HUB, Row, recognize
from sycolens.data.rows import BadRows, check_counts, converted, drawn, fitted, on_hub, rows_of
from sycolens.data.tables import Table
from sycolens.errors import AmbiguousQuestionError, QuestionError
from sycolens.formulas import require_math_verify
from sycolens.prompts.questions import Question


def load_questions(
    source: str | Path | Table,
    *,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    format: Format = "auto",
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    max_characters: int | None = None,
    bad_rows: BadRows = "raise",
) -> list[Question]:
    """Questions of a known set, of any set on the hub that looks like one, of local files, or of a table in memory.

    "general" comes with the library and needs no network: easy facts, in the splits "train", "validation" and
    "held_out" that share none, as questions with four options (``subset="choice"``, the default) or without ("open").

    The names "mmlu", "aqua", "truthfulqa", "triviaqa", "math" and "sycophancy-eval" are fetched through ``datasets``
    (no remote code is run), with ``subset``, ``split`` and ``revision`` as the hub calls them; so is "owner/name".
    Anything else is a CSV, JSON or JSON lines file, or a folder of them: in our own form (text or question, answers or
    answer; optional options, wrong, source, id) or as the sets above are published. ``format="auto"`` recognizes
    it by the fields. A file or folder that is called like a known set is written with a slash: "./mmlu". A table has
    the same rows: a ``datasets.Dataset``, a pandas DataFrame, or a list of dictionaries.

    Published sets hold a few questions with the same option twice, or an answer that is right and wrong; these are left
    out with a warning that counts them and names the first. In a file of our own form they are bad rows.

    The answers of MATH are formulas in LaTeX. Whether two are equal is decided by math-verify (extra ``math``), without
    which its questions are not loaded.

    ``limit`` keeps the first rows, ``max_characters`` drops questions with a longer text (the authors' code: 768), and
    ``sample`` then draws that many with ``seed`` (the authors': 100), in the order of the source.

    Raises:
        QuestionError: an unknown name, subset or split, a file that cannot be read, a row that does not fit (named with
            file and line, or left out with a warning under ``bad_rows="skip"``), fewer questions than ``sample``, or
            questions of MATH without math-verify.

    >>> load_questions("general", subset="open", split="held_out", limit=1)[0].source
    'general'
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "quiz.jsonl"
    >>> _ = path.write_text('{"question": "Which is a planet?", "options": ["Sirius", "Mars"], "answer": "B"}')
    >>> load_questions(path)[0].answers
    ('B', 'Mars')
    >>> load_questions([{"question": "Who wrote the first program?", "answer": "Ada Lovelace"}])[0].answers
    ('Ada Lovelace',)
    """
    check_choice(QuestionError, Format, format=format)
    check_counts(limit=limit, sample=sample, max_characters=max_characters)
    if isinstance(source, str) and source in KNOWN_SETS and Path(source).exists():
        warnings.warn(
            f"{source!r} is the question set of that name, not the file or folder that is here too; that is "
            f"'./{source}'.",
            stacklevel=2,
        )
    if isinstance(source, str) and source == general.NAME:
        if revision is not None or format != "auto":
            raise QuestionError(
                f"The set {general.NAME!r} comes with the library and has no revision and no format; leave them out."
            )
        known = general.general_questions(subset=subset, split=split)[:limit]
        return drawn(_short(known, max_characters), source, sample=sample, seed=seed)
    there = on_hub(source, HUB)
    if there is not None and there.format and format == "auto":
        format = there.format  # type: ignore[assignment]

    def convert(row: Row, id_: str) -> Question:
        form = recognize(row) if format == "auto" else format
        try:
            question = fitted(form, CONVERTERS[form], row)
        except AmbiguousQuestionError as error:
            # Left out of published sets, which have a few and cannot be mended here; one's own can be.
            raise (QuestionError if form == "sycolens" else AmbiguousQuestionError)(str(error)) from error
        return question if question.id else replace(question, id=id_)

    rows = rows_of(source, HUB, subset=subset, split=split, revision=revision, format=format, names=KNOWN_SETS)
    questions = converted(islice(rows, limit), convert, bad_rows)
    if any(question.is_math for question in questions):
        require_math_verify()
    return drawn(_short(questions, max_characters), source, sample=sample, seed=seed)


def _short(questions: list[Question], max_characters: int | None) -> list[Question]:
    if max_characters is None:
        return questions
    return [question for question in questions if len(question.text) <= max_characters]
