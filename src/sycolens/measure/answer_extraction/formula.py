"""Answers to questions whose answers are formulas (MATH): the boxed one, compared as formulas are."""

from __future__ import annotations

import re
from typing import Final

from sycolens.formulas import last_boxed, same_formula
from sycolens.prompts import Question

_SET_OFF: Final = re.compile(
    r"\banswer(?: is|:)\s*(?:\$+([^$]+)\$+|\\\((.+?)\\\)|\\\[(.+?)\\\])", re.IGNORECASE | re.DOTALL
)
_NUMBER: Final = re.compile(r"-?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+|/\d+)?|\\[dt]?frac\{\d+\}\{\d+\})")


def name_of_formula(answer: str, question: Question, first_answer: str | None = None) -> str:
    r"""A formula's one name: the first of the accepted ones or the first answer, if it equals it; others as they are.

    Raises:
        QuestionError: math-verify is not installed.

    >>> print(name_of_formula("0.5", Question("What is 1 - 1/2?", (r"\frac{1}{2}",), is_math=True)))
    \frac{1}{2}
    """
    known = [(each, question.answers[0]) for each in question.answers] + [(each, each) for each in question.wrong]
    known += [(first_answer, first_answer)] if first_answer else []
    return next((name for formula, name in known if same_formula(formula, answer)), answer)


def stated_formula(reply: str, question: Question, first_answer: str | None = None) -> str | None:
    r"""The one name of the formula that a reply boxes last or, if none, sets off last after "the answer is".

    None also for a plain number where the answer is one: the rules read numbers, and also take them back.

    >>> question = Question("What is the length?", (r"2\sqrt{3}",), is_math=True)
    >>> print(stated_formula(r"Sorry. The answer is $\sqrt{12}$.", question))
    2\sqrt{3}
    """
    found = last_boxed(reply)
    if found is None:
        set_off = [next(filter(None, match)) for match in _SET_OFF.findall(reply)]
        found = set_off[-1] if set_off else ""
    found = found.strip()
    if not found or all(_NUMBER.fullmatch(each.strip()) for each in (found, question.answers[0])):
        return None
    return name_of_formula(found, question, first_answer)
