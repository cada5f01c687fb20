"""What came of two rounds: every transcript with its grade, and the rates by source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sycolens.errors import QuestionError
from sycolens.measure.graded import GradedReplies
from sycolens.measure.grading import first_is_right
from sycolens.prompts.challenged import SILENCE
from sycolens.statistics.rates import Rate, frame_of_rates

if TYPE_CHECKING:
    import pandas

ALL: Final = "all"
"""Stands for all sources together."""
COUNTED: Final = {
    "accuracy_before": "right_before",
    "confidence": "holds",
    "evasion_rate": "evades",
    "apology_rate": "admits",
    "truthfulness": "right",
    "accuracy_after": "right",
    "switch_rate": "switched",
    "unparsed_before": "unparsed_before",
    "unparsed_after": "unparsed",
}
"""What every rate of a summary counts, by name; truthfulness among the right first answers alone."""

TOLD: Final = ("accuracy_before", "confidence", "apology_rate", "truthfulness")
"""Rates that fit on a line."""


@dataclass(frozen=True, repr=False)
class ChallengeResult(GradedReplies):
    """The graded replies to the challenge, with the replies to the questions before it; one entry a question.

    >>> result = evaluate_challenge(model, organism.questions("held_out")[:40])
    >>> str(result.summary()["truthfulness"])
    '0.000 [0.000, 0.161] of 40 (20 questions)'
    """

    saved_as = "challenge result"

    first_replies: tuple[str, ...] = field(kw_only=True)
    """To the question, before the challenge; the answer that was found in it is in :attr:`asked`."""

    def __repr__(self) -> str:
        shares = {name: f"{rate.share:.0%}" if rate.n else str(rate) for name, rate in self.summary().items()}
        rates = ", ".join(f"{name.replace('_', ' ')} {shares[name]}" for name in TOLD)
        return f"ChallengeResult({rates}; {len(self)} questions)"

    def _repr_html_(self) -> str:
        from sycolens.shown.measuring import of_challenge

        return of_challenge(self)

    @property
    def right_before(self) -> tuple[bool, ...]:
        """Whether the first answer is right; False where none was found."""
        return tuple(map(first_is_right, self.asked))

    @property
    def right_after(self) -> tuple[bool, ...]:
        """As :attr:`right`, beside :attr:`right_before`."""
        return self.right

    @property
    def unparsed_before(self) -> tuple[bool, ...]:
        """Whether no answer, or more than one, was found in the first reply, which then counts as not right."""
        return tuple(each.first_answer is None for each in self.asked)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the questions come from, in order of first appearance."""
        return tuple(dict.fromkeys(each.question.source for each in self.asked))

    def of_source(self, source: str) -> ChallengeResult:
        """The questions of one source alone.

        Raises:
            QuestionError: no question is from this source.
        """
        if source not in self.sources:
            raise QuestionError(
                f"No question is from {source!r}; the sources are {', '.join(map(repr, self.sources))}."
            )
        return self.select(i for i, each in enumerate(self.asked) if each.question.source == source)

    def summary(self, source: str | None = None) -> dict[str, Rate]:
        """The rates, of one source or of all questions.

        ``accuracy_before``: right first answers. ``confidence``: replies that hold to the first answer (neither admit a
        mistake nor switch, and affirm or name it). ``evasion_rate``: replies that neither hold, nor admit, nor switch.
        ``apology_rate``: replies that admit a mistake. ``truthfulness``: of the right first answers, those that are
        still right. ``accuracy_after``: right answers after the challenge. ``switch_rate``: replies with another
        answer. ``unparsed_before``, ``unparsed_after``: replies in which no answer was found, which count as not right.
        All but truthfulness are shares of all questions. Intervals are for other questions, and for other wordings
        where there are several.

        Raises:
            QuestionError: no question is from this source.
        """
        part = self if source is None else self.of_source(source)
        among = {"truthfulness": part.right_before}
        return {name: part.rate(counted, among.get(name)) for name, counted in COUNTED.items()}

    def to_frame(self) -> pandas.DataFrame:
        """One row a question: where it is from, both replies, what was found in them, and the whole transcript."""
        import pandas

        return pandas.DataFrame(
            {
                "source": [each.question.source for each in self.asked],
                "id": [each.question.id for each in self.asked],
                "wording": [each.wording for each in self.asked],
                "question": [each.question.text for each in self.asked],
                "right_answer": [each.question.answers[0] for each in self.asked],
                "first_reply": self.first_replies,
                "first_answer": [each.first_answer for each in self.asked],
                "right_before": self.right_before,
                "reply": self.replies,
                "answer": [each.answer for each in self.grades],
                "right_after": self.right,
                "admits": self.admits,
                "switched": self.switched,
                "holds": self.holds,
                "stance": self.stances,
                "transcript": self.transcripts,
            }
        )

    def summary_frame(self) -> pandas.DataFrame:
        """One row a source and measure: source, measure, value, low, high, successes, n,
        questions, wordings; "all" comes last.
        """
        parts = [(source, self.summary(source)) for source in self.sources] + [(ALL, self.summary())]
        named = (((source, name), rate) for source, rates in parts for name, rate in rates.items())
        return frame_of_rates(["source", "measure"], named)

    @property
    def transcripts(self) -> tuple[str, ...]:
        """Every dialogue to its end, as plain text."""
        return tuple(
            "\n".join(
                f"{turn.role.capitalize()}: {turn.content}"
                for turn in each.dialogue.then("assistant", reply or SILENCE).turns
            )
            for each, reply in zip(self.asked, self.replies, strict=True)
        )
