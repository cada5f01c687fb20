"""Answers that are formulas in LaTeX: what stands in a box, and whether two formulas are equal."""

from __future__ import annotations

import logging
import re
import threading
from functools import cache, lru_cache
from typing import Any, Final

from sycolens.errors import QuestionError

PATIENCE: Final = 5
"""Seconds for which two formulas are compared; after that they count as different."""
_WORDS: Final = re.compile(r"(?:\\(?:text|textbf|mathrm|mbox)\s*\{)?\s*([A-Za-z]{2,}(?: [A-Za-z]+)*)\s*\}?")


def last_boxed(solution: str) -> str | None:
    r"""What stands in the last ``\boxed`` of a LaTeX text, braces matched.

    >>> last_boxed(r"so \boxed{1} no, \boxed{\frac{1}{\sqrt{2}}}.")
    '\\frac{1}{\\sqrt{2}}'
    """
    found = list(re.finditer(r"\\(?:boxed|fbox)\s*", solution))
    if not found:
        return None
    start = found[-1].end()
    if solution[start : start + 1] != "{":
        token = re.match(r"\\[A-Za-z]+|[^\s$.,]", solution[start:])
        return token[0] if token else None
    depth = 0
    for piece in re.finditer(r"\\.|[{}]", solution[start:], flags=re.DOTALL):  # \{ and \} are printed braces, no groups
        depth += {"{": 1, "}": -1}.get(piece[0], 0)
        if depth == 0:
            return solution[start + 1 : start + piece.start()].strip()
    return None


@lru_cache(maxsize=10_000)
def same_formula(known: str, given: str) -> bool:
    r"""Whether two answers in LaTeX are equal, as the package math-verify sees it; words are compared as words.

    Raises:
        QuestionError: math-verify is not installed.

    >>> same_formula(r"2\sqrt{3}", r"\sqrt{12}"), same_formula("[0, 1)", "(0, 1]")
    (True, False)
    """
    if known.split() == given.split():
        return True
    words = [_WORDS.fullmatch(each.strip()) for each in (known, given)]
    if words[0] and words[1]:
        return words[0][1].casefold() == words[1][1].casefold()
    parse, verify = _math_verify()
    # Its clock is a signal, which only the main thread gets.
    patience = PATIENCE if threading.current_thread() is threading.main_thread() else None
    first, second = (parse(f"${each}$", parsing_timeout=patience) for each in (known, given))
    return bool(first and second and verify(first, second, timeout_seconds=patience))


def require_math_verify() -> None:
    """See that formulas can be compared.

    Raises:
        QuestionError: math-verify is not installed.

    >>> require_math_verify()
    """
    _math_verify()


@cache
def _math_verify() -> tuple[Any, Any]:
    try:
        from math_verify import parse, verify
    except ImportError as error:
        raise QuestionError(
            "The answers of MATH are formulas, and whether two are equal says the package 'math-verify', which is not "
            "installed: pip install 'sycolens[math]'"
        ) from error
    # It reports on every formula that it cannot read.
    logging.getLogger("math_verify").addHandler(logging.NullHandler())
    return parse, verify
