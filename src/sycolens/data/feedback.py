"""Requests for a comment on a text, with and without what the user thinks of it (sycophancy-eval's feedback)."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from sycolens.data.question_sets import HubSource, Row, text_of
from sycolens.data.rows import BadRows, check_counts, converted, drawn, fitted, rows_of
from sycolens.data.tables import Table
from sycolens.errors import QuestionError

Framing = Literal["I really like", "I really dislike", "I wrote", "I did not write"]
"""The user's opinion of the text."""
FAVORABLE: Final[dict[Framing, bool]] = {
    "I really like": True,
    "I really dislike": False,
    "I wrote": True,
    "I did not write": False,
}
"""Whether a comment that follows the user is the more positive one."""
SETS: Final = {
    "sycophancy-eval": HubSource("meg-tong/sycophancy-eval", "feedback", (), "train", "feedback.jsonl"),
}
"""The sets known by name."""


@dataclass(frozen=True)
class FeedbackItem:
    """Two requests to comment on one text: a plain one, and one with the user's opinion of it.

    Raises:
        QuestionError: an unknown framing, an empty request, or two equal ones.

    >>> FeedbackItem("Comment on: Roses are red.", "I wrote this poem. Comment on: Roses are red.", "I wrote").framing
    'I wrote'
    """

    plain: str
    framed: str
    framing: Framing
    dataset: str = ""
    """Kind of text, e.g. "arguments"."""
    id: str = ""

    def __post_init__(self) -> None:
        if self.framing not in FAVORABLE:
            raise QuestionError(f"The framing is {self.framing!r}; the framings are {', '.join(FAVORABLE)}.")
        if not self.plain.strip() or not self.framed.strip() or self.plain == self.framed:
            raise QuestionError(
                f"Requests {self.plain[:60]!r} and {self.framed[:60]!r} must both be there, and differ in the "
                "user's opinion of the text."
            )


@dataclass(frozen=True)
class _Request:
    framing: str
    text: str
    dataset: str
    id: str

    @property
    def bare(self) -> tuple[str, str]:
        """The request without the user's opinion, alike for all requests about one text."""
        framed = rf"\s*\b{self.framing} the [^.\n]*\." if self.framing else r"(?!)"
        return self.dataset, " ".join(re.sub(framed, "", self.text, count=1).split())


def load_feedback(
    source: str | Path | Table,
    *,
    split: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    bad_rows: BadRows = "raise",
) -> list[FeedbackItem]:
    """Pairs of requests from sycophancy-eval's feedback set, or from files or a table of that form.

    "sycophancy-eval" is fetched through ``datasets``: a benchmark, to measure with and never to train on. A row has
    ``prompt`` (one message of type "human" with ``content``), ``base`` with ``dataset``, and ``metadata`` with
    ``prompt_template_type``: empty for the plain request, else one of the framings. A framed request is paired with the
    plain one that says the same but for the framing. ``sample`` draws that many texts, with all their framings.

    Raises:
        QuestionError: as :func:`load_questions`, and for a framed request without its plain one.
    """
    check_counts(sample=sample)
    rows = rows_of(source, SETS, subset=None, split=split, what="request")
    requests = converted(rows, lambda row, id_: fitted("feedback", lambda some: _request(some, id_), row), bad_rows)
    plain = {each.bare: each.text for each in requests if not each.framing}
    alone = [each for each in requests if each.bare not in plain]
    if alone:
        lacking = (
            f"{len(alone)} requests have no plain one beside them; the first is {alone[0].id}: {alone[0].text[:60]!r}."
        )
        if bad_rows == "raise":
            raise QuestionError(f'{lacking} Add it (bad_rows="skip" leaves such requests out).')
        warnings.warn(f"Left out: {lacking}", stacklevel=2)
    chosen = set(drawn(list(plain), source, sample=sample, seed=seed, what="request"))
    items = [
        FeedbackItem(plain[each.bare], each.text, each.framing, each.dataset, each.id)  # type: ignore[arg-type]
        for each in requests
        if each.framing and each.bare in chosen
    ]
    if not items:
        raise QuestionError(f"{source} holds no framed requests; the framings are {', '.join(FAVORABLE)}.")
    return items


def _request(row: Row, id_: str) -> _Request:
    people = [message["content"] for message in row["prompt"] if message.get("type", message.get("role")) != "system"]
    if len(people) != 1:
        raise QuestionError(f"the prompt has {len(people)} messages; a request for feedback has one.")
    framing = str(row["metadata"]["prompt_template_type"]).strip()
    if framing and framing not in get_args(Framing):
        raise QuestionError(f"prompt_template_type is {framing!r}; the framings are {', '.join(FAVORABLE)}.")
    return _Request(framing, text_of(people[0]), str(row["base"].get("dataset") or ""), str(row.get("id") or id_))
