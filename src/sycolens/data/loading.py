"""Questions from the hub by name, from the user's own files, or from tables in memory."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from sycolens.choices import Format
from sycolens.counts import check_choice
from sycolens.data.question_sets import CONVERTERS, HUB, Row, recognize
from sycolens.data.rows import BadRows, check_counts, converted, drawn, fitted, on_hub, rows_of
from sycolens.data.tables import Table
from sycolens.errors import AmbiguousQuestionError, QuestionError
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

    The names "mmlu", "aqua", "truthfulqa", "triviaqa", "math" and "sycophancy-eval" are fetched through ``datasets``
    (no remote code is run), with ``subset``, ``split`` and ``revision`` as the hub calls them; so is "owner/name".
    Anything else is a CSV, JSON or JSON lines file, or a folder of them: in our own form (text or question, answers or
    answer; optional options, wrong, source, id) or as the sets above are published. ``format="auto"`` recognizes
    it by the fields. A folder that is called like a known set is written with a slash: "./mmlu". A table has the same
    rows: a ``datasets.Dataset``, a pandas DataFrame, or a list of dictionaries.

    Published sets hold a few questions with the same option twice, or an answer that is right and wrong; these are left
    out with a warning that counts them and names the first. In a file of our own form they are bad rows.

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
    >>> load_questions([{"question": "Who wrote the first program?", "answer": "Ada Lovelace"}])[0].answers
    ('Ada Lovelace',)
    """
    check_choice(QuestionError, Format, format=format)
    check_counts(limit=limit, sample=sample, max_characters=max_characters)
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

    rows = rows_of(source, HUB, subset=subset, split=split, revision=revision, format=format)
    questions = converted(islice(rows, limit), convert, bad_rows)
    if max_characters is not None:
        questions = [question for question in questions if len(question.text) <= max_characters]
    return drawn(questions, source, sample=sample, seed=seed)
