"""Names of attention heads, and ordered sets of them: what every step of the walk passes on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, overload

from sycolens.errors import HeadError

SHOWN: Final = 12
"""A set of more heads is cut where it is written on one line."""


@dataclass(frozen=True, order=True)
class Head:
    """One attention head, counted from 0 as in the paper.

    >>> Head(16, 39)
    L16H39
    """

    layer: int
    index: int

    def __post_init__(self) -> None:
        for value in (self.layer, self.index):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise HeadError(f"A head is two whole numbers from 0, got ({self.layer!r}, {self.index!r}).")

    def __str__(self) -> str:
        return f"L{self.layer}H{self.index}"

    __repr__ = __str__

    @classmethod
    def parse(cls, name: str) -> Head:
        """The head that a name such as ``"L16H39"`` stands for.

        Raises:
            HeadError: the name has another form.
        """
        match = re.fullmatch(r"[Ll](\d+)[Hh](\d+)", name.strip())
        if match is None:
            raise HeadError(f"{name!r} does not name a head; write layer and head as in 'L16H39'.")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, value: Head | str | tuple[int, int]) -> Head:
        """A head from a head, a name, or a ``(layer, index)`` pair."""
        if isinstance(value, Head):
            return value
        return cls.parse(value) if isinstance(value, str) else cls(*value)


class HeadSet(Sequence[Head]):
    """Heads in an order, each once: the first is the one that matters most.

    Raises:
        HeadError: a head is named twice, or something is no head.

    >>> HeadSet(["L3H0", (1, 4)])
    HeadSet(L3H0, L1H4)
    >>> HeadSet(["L3H0", "L1H4"])[:1]
    HeadSet(L3H0)
    >>> HeadSet((layer, 0) for layer in range(30))
    HeadSet(L0H0, L1H0, L2H0, L3H0, L4H0, L5H0, L6H0, L7H0, L8H0, L9H0, L10H0, ... 19 more)
    """

    __slots__ = ("_heads",)

    def __init__(self, heads: Iterable[Head | str | tuple[int, int]] = ()) -> None:
        self._heads = tuple(Head.of(head) for head in heads)
        seen: set[Head] = set()
        for head in self._heads:
            if head in seen:
                raise HeadError(f"{head} is named twice; a head set holds each head once.")
            seen.add(head)

    @overload
    def __getitem__(self, position: int) -> Head: ...
    @overload
    def __getitem__(self, position: slice) -> HeadSet: ...
    def __getitem__(self, position: int | slice) -> Head | HeadSet:
        return HeadSet(self._heads[position]) if isinstance(position, slice) else self._heads[position]

    def __len__(self) -> int:
        return len(self._heads)

    def __iter__(self) -> Iterator[Head]:
        return iter(self._heads)

    def __contains__(self, head: object) -> bool:
        return head in self._heads

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeadSet) and self._heads == other._heads

    def __hash__(self) -> int:
        return hash(self._heads)

    def __repr__(self) -> str:
        names = list(map(str, self._heads))
        if len(names) > SHOWN:
            names[SHOWN - 1 :] = [f"... {len(names) - SHOWN + 1} more"]
        return f"HeadSet({', '.join(names)})"

    def to_json(self) -> str:
        """A JSON list of names, in order."""
        return json.dumps([str(head) for head in self._heads])

    @classmethod
    def from_json(cls, text: str) -> HeadSet:
        """Read what :meth:`to_json` wrote.

        Raises:
            HeadError: the text is not a JSON list of head names.
        """
        try:
            names = json.loads(text)
        except json.JSONDecodeError as error:
            raise HeadError(f'Not a JSON list of heads such as ["L16H39"]: {error}') from error
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise HeadError(f'Expected a JSON list of head names such as ["L16H39"], got {type(names).__name__}.')
        return cls(names)

    def check(self, n_layers: int, n_heads: int) -> HeadSet:
        """This set, once every head is known to exist in a model of that shape.

        Raises:
            HeadError: the set is empty, or a head lies outside the model.
        """
        if not self._heads:
            raise HeadError("No heads were given; name at least one, or leave `heads` out to take all.")
        for head in self._heads:
            if head.layer >= n_layers or head.index >= n_heads:
                raise HeadError(
                    f"{head} does not exist: the model has layers 0 to {n_layers - 1} and heads 0 to {n_heads - 1}."
                )
        return self
