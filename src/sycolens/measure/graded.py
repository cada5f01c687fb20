"""Replies to challenges, each with its grade: the one record of them, whoever replied and under whatever condition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sycolens.distributed import ALONE, Processes
from sycolens.errors import QuestionError
from sycolens.measure.grading import GIVES_IN, Grade, Grader, Stance, grade, grade_with
from sycolens.prompts import ChallengedQuestion, Dialogue, Question, Turn
from sycolens.prompts.challenged import clusters_of
from sycolens.statistics import Clusters
from sycolens.statistics.rates import Rate
from sycolens.storage import SavedResult, in_tuples

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, repr=False)
class GradedReplies(SavedResult):
    """Replies to challenged questions and their grades, one entry a question.

    Raises:
        QuestionError: there are no questions, or not one of everything for each.

    >>> asked = organism.challenges("held_out", 2)
    >>> graded = grade_replies(asked, ["Apologies, I was wrong.", "Yes, I'm sure."])
    >>> graded.admits, graded.right, graded.unparsed
    ((True, False), (False, True), (True, False))
    """

    saved_as = "graded replies"
    readers: ClassVar = {
        "asked": lambda every: tuple(map(asked_from, every)),
        "grades": lambda every: tuple(Grade(**each) for each in every),
    }

    asked: tuple[ChallengedQuestion, ...]
    replies: tuple[str, ...]
    """To the challenge, in words."""
    grades: tuple[Grade, ...]

    def __post_init__(self) -> None:
        counts = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(counts.values())) > 1 or not self.asked:
            found = ", ".join(f"{count} {name}" for name, count in counts.items())
            raise QuestionError(f"A result has {found}; give at least one question, and one of each for all of them.")

    def __len__(self) -> int:
        return len(self.asked)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sum(self.admits)} of {len(self)} replies admit, {sum(self.right)} are right)"

    def _repr_html_(self) -> str:
        from sycolens.shown.measuring import of_graded

        return of_graded(self)

    @property
    def admits(self) -> tuple[bool, ...]:
        """Whether the reply takes the first answer back in words."""
        return tuple(each.admits for each in self.grades)

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether the reply ends up with the right answer; False where none was found."""
        return tuple(each.right for each in self.grades)

    @property
    def switched(self) -> tuple[bool, ...]:
        """Whether it ends up with another answer than the first; False where either was not found."""
        return tuple(each.switched for each in self.grades)

    @property
    def stances(self) -> tuple[Stance, ...]:
        """What the reply does with the first answer: exactly one of "takes back", "switches", "holds" and "evades".

        >>> grade_replies(organism.challenges("held_out", 2), ["I apologize.", "Please ask me anything."]).stances
        ('takes back', 'evades')
        """
        return tuple(each.stance(asked.first_answer) for each, asked in zip(self.grades, self.asked, strict=True))

    @property
    def gives_in(self) -> tuple[bool, ...]:
        """Whether the reply gives the first answer up: it takes it back, or switches."""
        return tuple(each in GIVES_IN for each in self.stances)

    @property
    def holds(self) -> tuple[bool, ...]:
        """Whether the reply stands by the first answer: it neither admits nor switches, and affirms or names it."""
        return tuple(each == "holds" for each in self.stances)

    @property
    def evades(self) -> tuple[bool, ...]:
        """Whether the reply neither takes the first answer back, nor names another, nor stands by the first."""
        return tuple(each == "evades" for each in self.stances)

    @property
    def unparsed(self) -> tuple[bool, ...]:
        """Whether no answer, or more than one, was found in the reply, which then counts as not right."""
        return tuple(each.answer is None for each in self.grades)

    @property
    def clusters(self) -> Clusters:
        """Which replies share a question, and which a wording."""
        return clusters_of(self.asked)

    def rate(self, name: str, among: Sequence[bool] | None = None) -> Rate:
        """How often ``"admits"`` or another of the views is true, of all replies or of those ``among`` which it counts.

        >>> str(grade_replies(organism.challenges("held_out", 1), ["Yes."]).rate("holds"))
        '1.000 [0.207, 1.000] of 1'
        """
        return Rate.among(getattr(self, name), [True] * len(self) if among is None else among, self.clusters)

    def select(self, cases: Iterable[int]) -> Self:
        """Some of the replies, by number.

        Raises:
            QuestionError: none are left.
        """
        chosen = list(cases)
        return replace(self, **{each.name: tuple(getattr(self, each.name)[i] for i in chosen) for each in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One result of several, their questions in order.

        Raises:
            QuestionError: there is no part.
        """
        return cls(**{each.name: tuple(i for part in parts for i in getattr(part, each.name)) for each in fields(cls)})

    def to_frame(self) -> pandas.DataFrame:
        """One row a reply: question (its id, or else its number), text, wording, first_answer, reply and its grade."""
        import pandas

        return pandas.DataFrame(
            {
                "question": [each.question.id or str(number) for number, each in enumerate(self.asked)],
                "text": [each.question.text for each in self.asked],
                "wording": [each.wording for each in self.asked],
                "first_answer": [each.first_answer for each in self.asked],
                "reply": self.replies,
                "admits": self.admits,
                "answer": [each.answer for each in self.grades],
                "right": self.right,
                "switched": self.switched,
                "stance": self.stances,
                "unparsed": self.unparsed,
            }
        )


def grade_replies(
    asked: Sequence[ChallengedQuestion],
    replies: Sequence[str],
    *,
    grader: Grader = grade,
    processes: Processes = ALONE,
) -> GradedReplies:
    """Every reply graded; the same reply to the same dialogue, as under many conditions, only once.

    Raises:
        ReplyError: the grader gives no :class:`Grade`.
        QuestionError: there are no questions, or not a reply to each.

    >>> grade_replies(organism.challenges("held_out", 1), ["I stand by my answer."]).grades[0].right
    True
    """
    cases = list(zip(asked, replies, strict=False))  # the result refuses what is left over
    distinct = list(dict.fromkeys(cases))
    found = processes.each(distinct, lambda case: grade_with(grader, case[1], case[0]))
    grades = dict(zip(distinct, found, strict=True))
    return GradedReplies(tuple(asked), tuple(replies), tuple(grades[case] for case in cases))


def replies_record(replies: Any) -> dict[str, Any]:
    """Graded replies, in mappings and sequences, ready for JSON: every question and every reply to it stands once."""
    numbers: dict[tuple[ChallengedQuestion, str, Grade], int] = {}

    def numbered(each: Any) -> Any:
        if isinstance(each, GradedReplies):
            cases = zip(each.asked, each.replies, each.grades, strict=True)
            return [numbers.setdefault(case, len(numbers)) for case in cases]
        if isinstance(each, Mapping):
            return {name: numbered(value) for name, value in each.items()}
        return [numbered(value) for value in each]

    found = numbered(replies)
    asked = {each: number for number, each in enumerate(dict.fromkeys(case[0] for case in numbers))}
    return {
        "asked": [asdict(each) for each in asked],
        "graded": [[asked[question], reply, *astuple(grade)] for question, reply, grade in numbers],
        "replies": found,
    }


def replies_from_record(record: Mapping[str, Any]) -> Any:
    """What :func:`replies_record` was given, its sequences as tuples.

    >>> graded = grade_replies(organism.challenges("held_out", 2), ["Yes.", "Yes."])
    >>> replies_record({"before": graded, "after": graded})["replies"]
    {'before': [0, 1], 'after': [0, 1]}
    >>> replies_from_record(replies_record([graded])) == (graded,)
    True
    """
    asked = [asked_from(each) for each in record["asked"]]
    cases = [(asked[number], reply, Grade(*grade)) for number, reply, *grade in record["graded"]]

    def read(found: Any) -> Any:
        if isinstance(found, Mapping):
            return {name: read(each) for name, each in found.items()}
        if isinstance(found[0], int):
            return GradedReplies(*zip(*(cases[number] for number in found), strict=True))
        return tuple(map(read, found))

    return read(record["replies"])


def asked_from(record: Mapping[str, Any]) -> ChallengedQuestion:
    """The challenged question that ``dataclasses.asdict`` made a record of, its tuples as JSON's lists or not."""
    found = in_tuples(record)
    turns = tuple(Turn(**turn) for turn in found["dialogue"]["turns"])
    return ChallengedQuestion(**{**found, "question": Question(**found["question"]), "dialogue": Dialogue(turns)})
