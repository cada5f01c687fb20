"""Where a model is served, and the package that asks there: addresses hold no secret, keys are in the environment."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from sycolens.errors import JudgeError

KEY_VARIABLE: Final = "SYCOLENS_JUDGE_KEY"
"""Environment variable that holds the key of a judge's endpoint, where it wants one."""


def check_url(base_url: str) -> None:
    """Refuse what is no address, and one that holds a secret, since addresses are written down.

    Raises:
        JudgeError: see above.

    >>> check_url("http://localhost:8000/v1")
    """
    if any(mark in base_url for mark in "@?#"):
        raise JudgeError(
            "base_url holds a user, a password or a query, and an address is written down; put a key into the "
            f"environment variable {KEY_VARIABLE} (key_variable)."
        )
    try:
        parts = urlsplit(base_url)
    except ValueError as error:
        raise JudgeError(f"base_url={base_url!r} is no address: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise JudgeError(f"base_url={base_url!r} is no address; give one such as 'http://localhost:8000/v1'.")


def require_openai() -> None:
    """See that the client is installed.

    Raises:
        JudgeError: it is not.

    >>> require_openai()
    """
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise JudgeError(
            "A judge is asked with the package 'openai', which is not installed: pip install 'sycolens[judge]'"
        ) from error
