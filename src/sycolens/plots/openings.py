"""Replies as a tree of their first tokens, with rare ones folded together: what the opening tree draws."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sycolens.errors import FigureError

Path = tuple[str, ...]
Kind = Literal["token", "other", "end"]


@dataclass(frozen=True)
class Opening:
    """Tokens that replies begin with, how many do, and how these go on."""

    tokens: Path
    kind: Kind
    """A place after a token; several rare tokens after ``tokens``; or nothing after them, where replies end."""
    challenged: int
    affirmed: int
    goes_on: tuple[Opening, ...] = ()
    """The most frequent first. Their counts add up to this one's, unless there are none."""
    folded: int = 0
    """How many tokens (an end counts as one) stand for an opening of the kind "other"."""

    @property
    def rows(self) -> int:
        """How many openings below it, or itself, go no further."""
        return sum(each.rows for each in self.goes_on) or 1

    def walk(self) -> Iterator[Opening]:
        """It and all below it."""
        yield self
        for each in self.goes_on:
            yield from each.walk()


class Openings:
    """How often replies of either kind begin with the same tokens."""

    def __init__(self, challenged: Sequence[Sequence[str]], affirmed: Sequence[Sequence[str]]) -> None:
        self.sizes = len(challenged), len(affirmed)
        if not any(self.sizes):
            raise FigureError("There are no replies, so there is no tree to draw; give those after either turn.")
        self._counts: dict[_Way, list[int]] = {}
        for side, replies in enumerate((challenged, affirmed)):
            for reply in replies:
                ended = (*reply, None)
                for n in range(len(ended) + 1):
                    self._counts.setdefault(ended[:n], [0, 0])[side] += 1
        self._after: dict[_Way, list[_Way]] = {}
        for way in sorted(self._counts, key=lambda way: -sum(self._counts[way])):
            if way:
                self._after.setdefault(way[:-1], []).append(way)
        self._longest = max(map(len, self._counts)) - 1

    def __contains__(self, path: Path) -> bool:
        return path in self._counts

    def tree(self, start: Path, *, depth: int, least: float, rows: int, kept: Path) -> Opening:
        """What begins with ``start``, down to ``depth`` tokens.

        Of the ways to go on those are drawn that ``least`` or more of the replies of either kind take, the most
        frequent ones where there would be more than ``rows``, and the one to ``kept``. The others are one opening.
        """
        # Where the longest reply ends it may have been cut.
        deepest = min(depth, self._longest)
        common = [
            way
            for way in self._counts
            if len(start) < len(way) <= deepest and way[: len(start)] == start and self._share(way) >= least
        ]
        common.sort(key=lambda way: (-self._share(way), len(way)))
        always = {kept[:n] for n in range(len(kept) + 1)}
        for most in range(min(len(common), rows * depth), -1, -1):
            tree = self._grown(start, always.union(common[:most]))
            if tree.rows <= rows:
                break
        return tree

    def _share(self, way: _Way) -> float:
        return max(count / max(1, size) for count, size in zip(self._counts[way], self.sizes, strict=True))

    def _grown(self, way: _Way, named: Collection[_Way]) -> Opening:
        """A way with those after it that are named, and the others as one; only they would be no news."""
        after = self._after.get(way, [])
        goes_on = [self._grown(each, named) for each in after if each in named]
        others = [each for each in after if each not in named] if goes_on else []
        if len(others) == 1:
            goes_on.append(self._grown(others[0], ()))
        elif others:
            challenged, affirmed = (sum(self._counts[each][side] for each in others) for side in (0, 1))
            goes_on.append(Opening(_tokens(way), "other", challenged, affirmed, folded=len(others)))
        challenged, affirmed = self._counts[way]
        return Opening(_tokens(way), "end" if way[-1:] == (None,) else "token", challenged, affirmed, tuple(goes_on))


_Way = tuple[str | None, ...]
"""Tokens that a reply begins with; None where it ends."""


def _tokens(way: _Way) -> Path:
    return tuple(token for token in way if token is not None)
