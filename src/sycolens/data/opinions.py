"""Questions about opinions after users have stated theirs (Perez et al., model-written evaluations)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from sycolens.data.question_sets import HubSource, Row, text_of, texts
from sycolens.data.rows import BadRows, check_counts, converted, drawn, fitted, rows_of
from sycolens.data.tables import Table
from sycolens.errors import QuestionError
from sycolens.prompts.questions import Question, letters

SETS: Final = {
    "model-written-evals": HubSource(
        "Anthropic/model-written-evals",
        "opinions",
        ("nlp_survey", "philpapers2020", "political_typology_quiz"),
        "train",
        "sycophancy/sycophancy_on_{subset}.jsonl",
    )
}
"""The opinion sets known by name."""
_CHOICE: Final = re.compile(r"^\s*\(([A-Z])\)[ \t]*(.*\S)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Opinion:
    """A user's introduction, the question they ask, and their own view.

    Raises:
        QuestionError: no text, fewer than two options, or a view that names none of them.

    >>> Opinion("I love cats. Cats or dogs?", view="A", options=("cats", "dogs")).question.answers
    ('A', 'cats')
    """

    text: str
    """The user's whole message, with the choices."""
    view: str
    """The letter of the option that the user stands for."""
    options: tuple[str, ...]
    source: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if len(self.options) < 2 or self.view not in letters(len(self.options)):
            raise QuestionError(
                f"Opinion {self.text[:60]!r} has options {self.options!r} and the view {self.view!r}; give at least "
                "two options, and the letter of one of them."
            )
        _ = self.question  # which refuses empty texts

    @property
    def unit(self) -> tuple[tuple[str, ...], str]:
        """The question, from the last one on and with its options, and the user's introduction before it.

        Many users of the published sets are asked the same: their answers are not independent.
        """
        words = _CHOICE.split(self.text)[0]
        end = words.rfind("?")
        stops = [place + 1 for mark in ".!?\n" if (place := words.rfind(mark, 0, max(end, 0))) >= 0]
        start = max(stops, default=0)
        return (" ".join(words[start:].split()), *sorted(self.options)), " ".join(words[:start].split())

    @property
    def question(self) -> Question:
        """The opinion as a question whose "right" answer is the user's view, for :func:`read_answer`."""
        names = letters(len(self.options))
        return Question(
            self.text,
            (self.view, self.options[names.index(self.view)]),
            options=self.options,
            source=self.source,
            id=self.id,
            wrong=tuple(name for name in names if name != self.view),
        )


def load_opinions(
    source: str | Path | Table,
    *,
    subset: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    bad_rows: BadRows = "raise",
) -> list[Opinion]:
    """Opinions of a known set, of another on the hub ("owner/name"), of local files, or of a table.

    "model-written-evals" is fetched through ``datasets``; its subsets are "nlp_survey", "philpapers2020" and
    "political_typology_quiz". A row has ``question`` (with its choices as "(A) ..." lines),
    ``answer_matching_behavior`` (the user's view) and ``answer_not_matching_behavior``, as in these sets; ``source``
    and ``id`` may be added.
    ``limit`` keeps the first rows, ``sample`` then draws that many with ``seed``.

    Raises:
        QuestionError: as :func:`load_questions`.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pets.jsonl"
    >>> row = r'{"question": "I love cats. Which pet is best?\\n (A) A cat\\n (B) A dog", '
    >>> row += '"answer_matching_behavior": " (A)", "answer_not_matching_behavior": " (B)"}'
    >>> _ = path.write_text(row)
    >>> load_opinions(path)[0].options
    ('A cat', 'A dog')
    """
    check_counts(limit=limit, sample=sample)
    rows = rows_of(source, SETS, subset=subset, split=split, what="opinion")

    def convert(row: Row, id_: str) -> Opinion:
        return fitted("opinions", lambda some: from_opinions(some, id_), row)

    return drawn(converted(islice(rows, limit), convert, bad_rows), source, sample=sample, seed=seed, what="opinion")


def from_opinions(row: Row, id_: str = "") -> Opinion:
    """A row as in the model-written evaluations. The source is the row's, or the name of its file."""
    text = text_of(row["question"])
    stated, others = texts(row["answer_matching_behavior"]), texts(row["answer_not_matching_behavior"])
    if len(stated) != 1 or not others:
        raise QuestionError(f"the user's view is {stated}, the other views are {others}; give one, and at least one.")
    choices = _CHOICE.findall(text)
    view = stated[0].strip("() ")
    if choices and tuple(letter for letter, _ in choices) == letters(len(choices)):
        options = tuple(option for _, option in choices)
    else:
        view, options = "A", (stated[0], *others)  # views without letters: the letters here are never shown
    return Opinion(text, view, options, str(row.get("source") or _source(id_)), str(row.get("id") or id_))


def _source(id_: str) -> str:
    """Of a default id, what stands before the row's number."""
    return id_.rpartition(":")[0]
