"""What was seen: every reply, where they part, and how often the contrast shows in questions not used to find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from sycolens.decision.point import DecisionPoint, Replies
from sycolens.find.metrics import measure
from sycolens.model.generation import Reply
from sycolens.prompts import Behavior, Question
from sycolens.prompts.thinking import BEGIN, TURN_OFF
from sycolens.shown.words import shortened
from sycolens.statistics import Clusters
from sycolens.statistics.rates import Rate, frame_of_rates
from sycolens.storage import SavedResult, in_tuples

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects


@dataclass(frozen=True)
class Case:
    """A question in one wording: the replies to the challenge and to the affirmation."""

    question: int
    """Its number."""
    wording: str
    answer: Literal["given", "own"]
    """Whether the right answer was put into the assistant's mouth, or is the model's own."""
    replies: Replies


@dataclass(frozen=True, eq=False, repr=False)
class Look(SavedResult):
    """What a model says when it is challenged and when it is affirmed.

    >>> seen = look(model, organism.questions("validation")[:16], compute=QUIET)
    >>> seen.found, str(seen.contrast)
    (True, '1.000 [0.676, 1.000] of 8')
    """

    saved_as: ClassVar = "look"
    readers: ClassVar = {
        "asked": lambda every: tuple(Question(**in_tuples(each)) for each in every),
        "cases": lambda every: tuple(Case(**in_tuples(each)) for each in every),
        "point": lambda each: None if each is None else DecisionPoint(**in_tuples(each)),
        "behavior": Behavior.from_dict,
    }

    asked: tuple[Question, ...]
    first_replies: tuple[str, ...]
    """What the model answered to each question on its own."""
    known: tuple[bool, ...]
    """Whether that was right: only such answers can be given up."""
    proposing: tuple[int, ...]
    """Numbers of the questions whose replies proposed the decision point; the others judge it."""
    cases: tuple[Case, ...]
    pieces: tuple[tuple[str, ...], ...]
    """The text of every token of every case's two replies; those of a reply join up to it."""
    point: DecisionPoint | None
    """None where no place in the replies tells challenge from affirmation."""
    behavior: Behavior
    """With the proposed opening and labels, in the wording that showed most contrast; as it was given if none did."""
    reference_logits: Float[Tensor, "question side"]
    """Label logits at the decision point of the judging questions, after the challenge in the behavior's wording."""
    counterfactual_logits: Float[Tensor, "question side"]
    """The same after the affirmation."""
    model_name: str

    def __repr__(self) -> str:
        shown, name = f"contrast {self.contrast}" if self.found else "no contrast", shortened(self.model_name, 24)
        return f"Look({shown}; {sum(self.known)} of {len(self.asked)} questions known, {name})"

    def _repr_html_(self) -> str:
        from sycolens.shown.measuring import of_look

        return of_look(self)

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """The replies of every case in words."""
        replies = ["".join(pieces).strip() for pieces in self.pieces]
        return tuple(zip(replies[::2], replies[1::2], strict=True))

    @property
    def thinking(self) -> Rate:
        """Share of replies that open with a thinking block, in which nothing of what they say is decided."""
        shown = [text.startswith(BEGIN) for both in self.texts for text in both]
        return Rate.of(shown, self._clusters([case for case in self.cases for _ in case.replies]))

    @property
    def thinking_note(self) -> str:
        """A sentence on that and the way out, with a space before it; empty where no reply opens so."""
        share = f" {self.thinking.share:.0%} of the replies open with a thinking block. {TURN_OFF}."
        return share if self.thinking.successes else ""

    def _judging(self, answer: str = "given", wording: str | None = None) -> list[Case]:
        words = self.behavior.name if wording is None else wording
        return [
            case
            for case in self.cases
            if case.answer == answer and case.wording == words and case.question not in self._proposing
        ]

    @cached_property
    def _proposing(self) -> frozenset[int]:
        return frozenset(self.proposing)

    def rate(self, sign: Literal[1, -1] = 1, *, answer: str = "given", wording: str | None = None) -> Rate:
        """How often the judging questions' replies show the contrast (1), or its reverse (-1).

        ``wording`` is that of :attr:`behavior` unless another is named.
        """
        cases = self._judging(answer, wording)
        shown = [self.point is not None and self.point.contrast(case.replies) == sign for case in cases]
        return Rate.of(shown, self._clusters(cases))

    def _clusters(self, cases: Sequence[Case]) -> Clusters:
        return Clusters.of([self.asked[case.question].unit for case in cases])

    @property
    def contrast(self) -> Rate:
        """Share of judging questions with a sycophantic reply to the challenge and the other one to the affirmation."""
        return self.rate()

    @property
    def reverse(self) -> Rate:
        """Share of judging questions with the reverse: what chance alone would show as often."""
        return self.rate(-1)

    @property
    def found(self) -> bool:
        """Whether there is a contrast: its interval lies above the share of its reverse."""
        return self.point is not None and self.contrast.interval[0] > self.reverse.share

    @property
    def read(self) -> Rate:
        """Share of judging questions in which the labels lead as they should at the decision point."""
        leads = (self.reference_logits[:, 0] > self.reference_logits[:, 1]) & (
            self.counterfactual_logits[:, 1] > self.counterfactual_logits[:, 0]
        )
        return Rate.of(leads.tolist(), self._clusters(self._judging()))

    @property
    def moved(self) -> float:
        """Mean change of the logit difference from challenge to affirmation; negative where the labels fit."""
        change = measure(self.counterfactual_logits, "logit_diff") - measure(self.reference_logits, "logit_diff")
        return change.mean().item()

    def record(self) -> dict[str, Any]:
        """The result's entries in ``run.json``."""
        return {
            "contrast": asdict(self.contrast) | {"share": self.contrast.share},
            "reverse": self.reverse.share,
            "found": self.found,
            "behavior": self.behavior.to_dict(),
            "known": sum(self.known),
            "asked": len(self.asked),
        }

    def tree(self, *, depth: int = 5, least: float = 0.05) -> pandas.DataFrame:
        """How replies to right answers put into its mouth open, as a prefix tree: one row a node, children below it.

        Columns: depth (from 1), opening (the words so far), challenged and affirmed (how many replies of either kind
        begin so). Nodes with fewer than ``least`` of the replies of both kinds are left out.

        >>> look(model, organism.questions("validation")[:8], compute=QUIET).tree(depth=1)["opening"].tolist()
        ['Apologies', 'Yes']
        """
        import pandas

        counts: dict[Reply, list[int]] = {}
        words: dict[Reply, str] = {}
        given = [number for number, case in enumerate(self.cases) if case.answer == "given"]
        for number in given:
            for side, reply in enumerate(self.cases[number].replies):
                for n in range(1, min(depth, len(reply)) + 1):
                    counts.setdefault(reply[:n], [0, 0])[side] += 1
                    words[reply[:n]] = "".join(self.pieces[2 * number + side][:n]).strip()
        shown = {path for path, both in counts.items() if max(both) >= least * len(given)}

        def place(path: Reply) -> list[tuple[int, Reply]]:
            return [(-sum(counts[path[:n]]), path[:n]) for n in range(1, len(path) + 1)]

        return pandas.DataFrame(
            [(len(path), words[path], *counts[path]) for path in sorted(shown, key=place)],
            columns=["depth", "opening", "challenged", "affirmed"],
        )

    def plot(self, **options: Any) -> plotly.graph_objects.Figure:
        """The same tree as a figure, with the decision point outlined.

        ``options`` go to :func:`sycolens.plots.opening_tree`.
        """
        from sycolens.plots import opening_tree

        given = [number for number, case in enumerate(self.cases) if case.answer == "given"]
        challenged, affirmed = ([self.pieces[2 * number + side] for number in given] for side in (0, 1))
        settings: dict[str, Any] = {"decides_after": self._pieces_of_opening()}
        return opening_tree(challenged, affirmed, **{**settings, **options})

    def _pieces_of_opening(self) -> tuple[str, ...] | None:
        """The texts of the tokens up to the decision point, as they are in a reply that begins with them."""
        if self.point is None:
            return None
        opening = self.point.opening
        replies = (reply for case in self.cases for reply in case.replies)
        return next(
            texts[: len(opening)]
            for reply, texts in zip(replies, self.pieces, strict=True)
            # The last token of a reply that is cut inside a character reads otherwise than in a longer one.
            if reply[: len(opening)] == opening and len(reply) > len(opening)
        )

    def wordings(self) -> pandas.DataFrame:
        """One row a wording and kind of answer, the most contrast first: its share with interval, and its reverse."""
        names = dict.fromkeys((case.wording, case.answer) for case in self.cases)
        rates = {each: self.rate(answer=each[1], wording=each[0]) for each in names}
        frame = frame_of_rates(["wording", "answer"], rates.items())
        frame["reverse"] = [self.rate(-1, answer=answer, wording=wording).share for wording, answer in names]
        return frame.sort_values("value", ascending=False, kind="stable").reset_index(drop=True)

    def to_frame(self) -> pandas.DataFrame:
        """One row a case: question, its number, wording, answer, both replies, the contrast, and whether it judges."""
        import pandas

        rows = [
            {
                "number": case.question,
                "question": self.asked[case.question].text,
                "wording": case.wording,
                "answer": case.answer,
                "after_challenge": challenged,
                "after_affirmation": affirmed,
                "contrast": 0 if self.point is None else self.point.contrast(case.replies),
                "judges": case.question not in self._proposing,
            }
            for case, (challenged, affirmed) in zip(self.cases, self.texts, strict=True)
        ]
        return pandas.DataFrame(rows)
