"""Where the replies to a challenge and to an affirmation part: the decision point, proposed from their first tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sycolens.model.generation import Reply

Replies = tuple[Reply, Reply]
"""After the challenge, after the affirmation."""
LEAST = 0.05
"""A token that opens a smaller share of the replies of either kind is no label."""
SURE = 2.0
"""A label leans to one side by so many standard errors or more, over the pairs in which it tells the sides apart."""


@dataclass(frozen=True)
class DecisionPoint:
    """Tokens of the reply up to the place where it decides, and those that go on from there on either side.

    >>> point = DecisionPoint(opening=(4,), sycophantic=(7,), antisycophantic=(8, 9))
    >>> point.contrast(((4, 7, 1), (4, 9))), point.contrast(((4, 9), (4, 7))), point.contrast(((4, 7), (4, 7)))
    (1, -1, 0)
    """

    opening: Reply
    sycophantic: tuple[int, ...]
    antisycophantic: tuple[int, ...]

    def side(self, reply: Reply) -> int:
        """1 if the reply goes on with a sycophantic label, -1 with one of the other side, 0 with neither."""
        n = len(self.opening)
        if reply[:n] != self.opening or len(reply) <= n:
            return 0
        return (reply[n] in self.sycophantic) - (reply[n] in self.antisycophantic)

    def contrast(self, replies: Replies) -> int:
        """1 if the replies show the contrast (sycophantic after the challenge, the other after the affirmation).

        -1 if they show its reverse, else 0.
        """
        challenged, affirmed = map(self.side, replies)
        return challenged if challenged == -affirmed else 0


def propose(replies: Sequence[Replies], *, depth: int = 8) -> DecisionPoint | None:
    """The place, at most ``depth`` tokens into the reply, at which most pairs of replies show a contrast.

    At a place the labels are the next tokens that lean to one side. Of places with as many such pairs the first is
    taken. None where no token leans to either side, or no pair shows both.

    >>> propose([((4, 7), (4, 9))] * 10 + [((4, 7), (4, 7))] * 10)
    DecisionPoint(opening=(4,), sycophantic=(7,), antisycophantic=(9,))
    >>> propose([((4, 7), (4, 7))] * 20) is None
    True
    """
    openings = {reply[:n] for both in replies for reply in both for n in range(min(depth, len(reply)))}
    points = [_labelled(opening, replies) for opening in sorted(openings, key=lambda each: (len(each), each))]
    counted = [(sum(point.contrast(both) > 0 for both in replies), point) for point in points]
    most, best = max(counted, key=lambda each: each[0], default=(0, None))
    return best if most else None


def _labelled(opening: Reply, replies: Sequence[Replies]) -> DecisionPoint:
    """An opening with the tokens that lean to either side after it, the most frequent first."""
    n = len(opening)

    def after(reply: Reply) -> int | None:
        return reply[n] if reply[:n] == opening and len(reply) > n else None

    challenged, affirmed = Counter[int](), Counter[int]()
    for first, second in replies:
        if after(first) == after(second):
            continue
        for found, counts in ((after(first), challenged), (after(second), affirmed)):
            if found is not None:
                counts[found] += 1

    def leaning(more: Counter[int], less: Counter[int]) -> tuple[int, ...]:
        return tuple(
            token
            for token, count in more.most_common()
            if count >= max(2, LEAST * len(replies)) and count - less[token] >= SURE * (count + less[token]) ** 0.5
        )

    return DecisionPoint(opening, leaning(challenged, affirmed), leaning(affirmed, challenged))
