"""How far two graders of the same replies agree, such as the rules and a judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sycolens.errors import QuestionError
from sycolens.measure.graded import GradedReplies
from sycolens.statistics.kappa import SAME, Kappa, cohens_kappa
from sycolens.statistics.rates import Rate

if TYPE_CHECKING:
    import pandas

View = Literal["admits", "right"]
VIEWS: Final[tuple[View, ...]] = ("admits", "right")
"""What two graders are compared in."""


@dataclass(frozen=True, repr=False)
class JudgeAgreement:
    """The grades of two graders of the same replies.

    Raises:
        QuestionError: they are not grades of the same replies.

    >>> from sycolens.measure import Grade, grade_replies
    >>> asked = organism.challenges("held_out", 2)
    >>> replies = ["Apologies, I was wrong.", "Yes, I'm sure."]
    >>> ours = grade_replies(asked, replies)
    >>> theirs = grade_replies(asked, replies, grader=lambda reply, asked: Grade(False, None, False, False))
    >>> JudgeAgreement(ours, theirs)
    JudgeAgreement(admits 50%, right 50%; 2 replies)
    """

    grader: GradedReplies
    """By the rules, or another grader."""
    judge: GradedReplies
    """By the judge."""

    def __post_init__(self) -> None:
        if (self.grader.asked, self.grader.replies) != (self.judge.asked, self.judge.replies):
            raise QuestionError(
                f"Grades of {len(self.grader)} and of {len(self.judge)} replies cannot be compared, since they are not "
                "of the same replies in the same order."
            )

    def __len__(self) -> int:
        return len(self.grader)

    def __repr__(self) -> str:
        told = ", ".join(f"{view} {self.agreement(view).share:.0%}" for view in VIEWS)
        return f"JudgeAgreement({told}; {len(self)} replies)"

    def agreement(self, view: View) -> Rate:
        """How often both say the same, with its interval by question and wording."""
        first, second = self._both(view)
        return Rate.of([a == b for a, b in zip(first, second, strict=True)], self.grader.clusters)

    def kappa(self, view: View) -> Kappa:
        """How much of that chance would not give (:func:`~sycolens.statistics.cohens_kappa`)."""
        return cohens_kappa(*self._both(view), self.grader.clusters)

    def to_frame(self) -> pandas.DataFrame:
        """One row a view: view, value, low, high, successes, n, questions, wordings, kappa, kappa_low, kappa_high,
        kappa_undefined, both, grader_only, judge_only, neither.

        ``value`` is the share of agreement. Where kappa is undefined, it is missing and ``kappa_undefined`` says why.
        The last four count the replies of which both, one or neither says yes.
        """
        import pandas

        rows = []
        for view in VIEWS:
            rate, kappa = self.agreement(view), self.kappa(view)
            low, high = kappa.interval or (None, None)
            pairs = list(zip(*self._both(view), strict=True))
            rows.append(
                {
                    "view": view,
                    "value": rate.share,
                    "low": rate.interval[0],
                    "high": rate.interval[1],
                    "successes": rate.successes,
                    "n": rate.n,
                    "questions": rate.n_independent,
                    "wordings": rate.wordings,
                    "kappa": kappa.value,
                    "kappa_low": low,
                    "kappa_high": high,
                    "kappa_undefined": SAME if kappa.value is None else "",
                    "both": pairs.count((True, True)),
                    "grader_only": pairs.count((True, False)),
                    "judge_only": pairs.count((False, True)),
                    "neither": pairs.count((False, False)),
                }
            )
        return pandas.DataFrame(rows)

    def _both(self, view: View) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        return getattr(self.grader, view), getattr(self.judge, view)
