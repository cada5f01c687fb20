"""What token ids may go into a contrast pair; the model's own limits are checked where the model is known."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

from sycolens.errors import LabelError, PairError


def checked_prompt(ids: Sequence[int], where: str) -> tuple[int, ...]:
    """A prompt's token ids as plain integers.

    Raises:
        PairError: the prompt is empty, or holds something else than token ids.
    """
    try:
        whole = tuple(index(token) for token in ids if not isinstance(token, bool))
    except TypeError as error:
        raise PairError(f"{where} is not a list of token ids: {error}. Encode the prompt first.") from error
    if len(whole) != len(ids):
        raise PairError(f"{where} holds True or False among its token ids.")
    if not whole:
        raise PairError(f"{where} is an empty prompt; give it at least one token.")
    if min(whole) < 0:
        raise PairError(f"{where} holds the token id {min(whole)}; token ids are not negative.")
    return whole


def checked_labels(pair: Sequence[int], k: int) -> tuple[int, int]:
    """The two label ids of pair k as plain integers.

    Raises:
        LabelError: they are no two different token ids.
    """
    try:
        first, second = (index(label) for label in pair if not isinstance(label, bool))
    except (TypeError, ValueError) as error:
        raise LabelError(f"The labels of pair {k} are {pair!r}; give two token ids.") from error
    if first < 0 or second < 0:
        raise LabelError(f"The labels of pair {k} are {pair!r}; token ids are not negative.")
    if first == second:
        raise LabelError(f"Both labels of pair {k} are token {first}; they must tell the two responses apart.")
    return first, second


def is_one_pair(labels: Sequence[Any]) -> bool:
    """Whether ``labels`` is a single pair, for all, rather than a list of pairs."""
    return len(labels) == 2 and not any(_has_items(label) for label in labels)


def _has_items(label: Any) -> bool:
    try:
        return not isinstance(label, str) and len(label) >= 0
    except TypeError:
        return False
