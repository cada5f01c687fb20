"""Whether an error says that there was no memory left, whoever raised it."""

from __future__ import annotations

from typing import Final

_WORDS: Final = ("out of memory", "allocate memory", "not enough memory")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether it is Python's error of this kind, or PyTorch's or the system's, which have several.

    >>> ran_out_of_memory(MemoryError()), ran_out_of_memory(ValueError("no such model"))
    (True, False)
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error).lower() for words in _WORDS)
