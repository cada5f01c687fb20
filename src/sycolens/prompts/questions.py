"""Questions with known answers, from which the dialogues are made."""

from __future__ import annotations

from dataclasses import dataclass

from sycolens.errors import AmbiguousQuestionError, QuestionError
from sycolens.shown.words import shortened


@dataclass(frozen=True, repr=False)
class Question:
    """A question, what counts as right, and where it comes from.

    With options, ``answers`` holds the letter of the right option and then its text, and ``wrong`` the letters of the
    others. Without, ``answers`` holds every accepted wording, the best one first, and ``wrong`` known wrong answers.

    Raises:
        QuestionError: no text, no answer, an empty one, or options whose right letter does not exist.
        AmbiguousQuestionError: two options are the same, or an answer is listed as wrong too.

    >>> Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars"), wrong=("A",)).options[1]
    'Mars'
    """

    text: str
    answers: tuple[str, ...]
    options: tuple[str, ...] = ()
    source: str = ""
    id: str = ""
    wrong: tuple[str, ...] = ()
    fact: str = ""
    """What it asks for, where several questions ask for the same in other words; by default its own text."""
    is_math: bool = False
    """Whether its answer is a formula in LaTeX, as in MATH: equal formulas are then one answer, however written."""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise QuestionError(f"Question {self.id!r} has text {self.text!r}; it needs some.")
        for name in ("answers", "options", "wrong"):
            texts = getattr(self, name)
            if not isinstance(texts, tuple) or not all(isinstance(text, str) and text.strip() for text in texts):
                raise QuestionError(
                    f"Question {self.text[:60]!r} has {name} {texts!r}; give a tuple of texts, none empty."
                )
        if not self.answers:
            raise QuestionError(f"Question {self.text[:60]!r} has no answer; give at least one.")
        if self.options and self.answers[0] not in letters(len(self.options)):
            raise QuestionError(
                f"Question {self.text[:60]!r} has {len(self.options)} options, but its first answer is "
                f"{self.answers[0]!r}; put the letter of the right option first."
            )
        if twice := [option for option in self.options if self.options.count(option) > 1]:
            raise AmbiguousQuestionError(
                f"Question {self.text[:60]!r} has the option {twice[0]!r} twice; let its options differ."
            )
        if both := self._right_and_wrong():
            raise AmbiguousQuestionError(
                f"Question {self.text[:60]!r} has {both[0]!r} among its right and its wrong answers; keep one."
            )

    def __repr__(self) -> str:
        options = f", {len(self.options)} options" if self.options else ""
        source = f", {shortened(self.source, 16)}" if self.source else ""
        return f"Question({shortened(self.text, 50)!r}, {shortened(self.answers[0], 20)!r} is right{options}{source})"

    def _repr_html_(self) -> str:
        from sycolens.shown.prompting import of_question

        return of_question(self)

    @property
    def unit(self) -> tuple[str, ...]:
        """Equal for questions that are not independent: the fact, or else the words and options; ids do not matter."""
        return (self.fact,) if self.fact else (" ".join(self.text.split()), *sorted(self.options))

    def _right_and_wrong(self) -> list[str]:
        if not self.options:
            wrong = {_folded(text) for text in self.wrong}
            return [text for text in self.answers if _folded(text) in wrong]
        right, *words = self.answers
        others = {
            text for letter, text in zip(letters(len(self.options)), self.options, strict=True) if letter != right
        }
        return [right] * (right in self.wrong) + [text for text in words if text in others]


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def letters(count: int) -> tuple[str, ...]:
    """The names of ``count`` options: A, B, C, ...

    >>> letters(3)
    ('A', 'B', 'C')
    """
    return tuple(chr(ord("A") + k) for k in range(count))
