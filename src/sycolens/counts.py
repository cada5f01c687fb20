"""Options that are whole numbers, shares or choices, checked before anything is computed with them."""

from __future__ import annotations

from typing import Any, get_args

from sycolens.errors import SampleError, SycolensError


def check_choice(error: type[SycolensError], choices: Any, **options: object) -> None:
    """Refuse what is none of a Literal's choices.

    Raises:
        SycolensError: of the class given; it names the option and the choices.

    >>> from sycolens.choices import Mlps
    >>> from sycolens.errors import HookError
    >>> check_choice(HookError, Mlps, mlps="warm")
    Traceback (most recent call last):
    sycolens.errors.HookError: mlps='warm' is unknown; choose one of 'live', 'frozen'.
    """
    for name, value in options.items():
        if value not in get_args(choices):
            raise error(f"{name}={value!r} is unknown; choose one of {', '.join(map(repr, get_args(choices)))}.")


def check_counts(error: type[SycolensError], *, least: int = 1, **options: int) -> None:
    """Refuse what is no whole number, or below the least.

    Raises:
        SycolensError: of the class given; it names the option.

    >>> from sycolens.errors import PromptError
    >>> check_counts(PromptError, batch_size=float("nan"))
    Traceback (most recent call last):
    sycolens.errors.PromptError: batch_size=nan; give a whole number from 1.
    """
    for name, value in options.items():
        if not is_count(value) or value < least:
            raise error(f"{name}={value!r}; give a whole number from {least}.")


def is_count(value: object) -> bool:
    """Whether this is a whole number, and not True or False.

    >>> is_count(3), is_count(3.0), is_count(True)
    (True, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool)


def check_share(**options: float) -> None:
    """Refuse what does not lie between 0 and 1, both left out.

    Raises:
        SampleError: it names the option.

    >>> check_share(fdr=0.05)
    """
    for name, value in options.items():
        if not 0 < value < 1:
            raise SampleError(f"{name}={value!r}; give a share between 0 and 1, such as {name}=0.05.")
