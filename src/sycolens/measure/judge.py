"""A model behind an OpenAI-compatible endpoint that grades replies to a challenge."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

from sycolens.compute import QUIET, Compute
from sycolens.counts import check_counts
from sycolens.endpoint import KEY_VARIABLE, check_url, require_openai
from sycolens.errors import JudgeError
from sycolens.measure.graded import GradedReplies, grade_replies
from sycolens.measure.grading import Grade
from sycolens.measure.verdict import REMINDER, Verdict, prompt_for, read_verdict
from sycolens.measure.verdict_cache import VerdictCache, key_of
from sycolens.prompts import ChallengedQuestion

logger = logging.getLogger(__name__)
Found = TypeVar("Found")

_SHOWN: Final = 300
"""Characters of what an endpoint says that an error quotes."""


@dataclass(frozen=True)
class Judge:
    """Grades replies by asking a model that is served under ``base_url``, such as ``http://localhost:8000/v1``.

    A judge is a :data:`Grader`: give it to :func:`evaluate_challenge` as ``judge``, to :func:`grade_replies` or
    ``knock_out`` as ``grader``. :meth:`grade` asks about many replies, several at once. It is asked greedily
    (temperature 0), and about the same reply to the same dialogue only once.

    Raises:
        JudgeError: ``base_url`` is none, or holds a password or a query; a number is no whole number from 1. When it
            grades: the package ``openai`` is not installed; the endpoint is not reached, refuses, or fails; its verdict
            cannot be read, even after it was asked again.

    >>> judge = Judge("http://localhost:8000/v1", "Qwen/Qwen2.5-72B-Instruct", cache="verdicts.jsonl")
    >>> judge.at_once
    4
    """

    base_url: str
    model: str
    """As the endpoint calls it."""
    cache: str | Path | None = None
    """File in which its verdicts are kept, a line each."""
    key_variable: str = KEY_VARIABLE
    """Environment variable that holds the API key. The key itself is never kept, written or shown."""
    max_tokens: int = 1024
    """Most tokens of a verdict."""
    at_once: int = 4
    """Requests at a time."""
    timeout: float = 120.0
    """Seconds that a verdict may take."""

    def __post_init__(self) -> None:
        check_url(self.base_url)
        check_counts(JudgeError, max_tokens=self.max_tokens, at_once=self.at_once)

    def __call__(self, reply: str, asked: ChallengedQuestion) -> Grade:
        """The grade of one reply."""
        return self._verdict(reply, asked).grade(asked)

    def grade(
        self, asked: Sequence[ChallengedQuestion], replies: Sequence[str], *, compute: Compute = QUIET
    ) -> GradedReplies:
        """Every reply graded, :attr:`at_once` at a time.

        Raises:
            JudgeError: as for the class; the verdicts up to then stay in the cache.
            QuestionError: there are no questions, or not a reply to each.
        """
        cases = dict.fromkeys(zip(asked, replies, strict=False))  # grade_replies refuses what is left over
        due = [(reply, question) for question, reply in cases if self._known(reply, question) is None]
        logger.info("%s: %d verdicts are known, %d are asked for", self.model, len(cases) - len(due), len(due))
        if due:
            _ = self._client  # made once, not in every thread
        with compute.bar(len(due), "verdicts", "verdict") as bar, ThreadPoolExecutor(self.at_once) as pool:
            waiting = [pool.submit(self._verdict, *case) for case in due]
            try:
                for each in as_completed(waiting):
                    each.result()
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return grade_replies(asked, replies, grader=self)

    @cached_property
    def _kept(self) -> VerdictCache:
        return VerdictCache(self.cache)

    @cached_property
    def _client(self) -> Any:
        require_openai()
        from openai import OpenAI

        # A client is not made without a key; an endpoint that wants none does not read it.
        key = os.environ.get(self.key_variable) or "none"
        return OpenAI(base_url=self.base_url, api_key=key, timeout=self.timeout)

    def _known(self, reply: str, asked: ChallengedQuestion) -> Verdict | None:
        said = self._kept.get(key_of(self.model, prompt_for(reply, asked)))
        return None if said is None else read_verdict(said, asked.question)

    def _verdict(self, reply: str, asked: ChallengedQuestion) -> Verdict:
        return self.settle(prompt_for(reply, asked), REMINDER, lambda said: read_verdict(said, asked.question))

    def settle(self, prompt: str, reminder: str, read: Callable[[str], Found | None]) -> Found:
        """What ``read`` finds in the judge's words about a prompt, kept as verdicts are; asked twice at most.

        Raises:
            JudgeError: as for the class.
        """
        kept = self._kept.get(key_of(self.model, prompt))
        if kept is not None and (known := read(kept)) is not None:
            return known
        said = ""
        for words in (prompt, f"{prompt}\n\n{reminder}"):
            said = self._ask(words)
            verdict = read(said)
            if verdict is not None:
                self._kept.put(key_of(self.model, prompt), said)
                return verdict
            logger.info("%s gave no verdict that can be read: %r", self.model, _short(said))
        raise JudgeError(
            f"The judge {self.model!r} gave no verdict that can be read, asked twice; it wrote {_short(said)!r}. "
            f"Choose a model that follows instructions, or allow it more than {self.max_tokens} tokens (max_tokens). "
            f"{self._left()}"
        )

    def _ask(self, prompt: str) -> str:
        client = self._client
        from openai import APIConnectionError, APIStatusError, OpenAIError

        try:
            response = client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt}],
                temperature=0,
                max_tokens=self.max_tokens,
            )
            said = response.choices[0].message.content
        except APIConnectionError as error:
            cause = error.__cause__ or error
            raise JudgeError(
                f"The judge at {self.base_url} is not reached, or broke off ({self._hidden(cause)}). See that it runs, "
                f"and call again. {self._left()}"
            ) from error
        except APIStatusError as error:
            raise JudgeError(f"{self._refusal(error.status_code)} ({self._hidden(error)}). {self._left()}") from error
        # Whatever a server sends that is no chat completion.
        except (OpenAIError, ValueError, AttributeError, IndexError, TypeError) as error:
            raise JudgeError(
                f"{self.base_url} does not answer with chat completions ({self._hidden(error)}); give the address that "
                f"ends before /chat/completions, often in /v1. {self._left()}"
            ) from error
        return said if isinstance(said, str) else ""

    def _refusal(self, status: int) -> str:
        if status in (401, 403):
            return (
                f"The judge at {self.base_url} refuses the key; put one that it takes into the environment variable "
                f"{self.key_variable}, and call again"
            )
        if status == 404:
            return f"{self.base_url} has no model {self.model!r}, or no chat completions; check name and address"
        way_out = "check the name and what it takes" if status < 500 and status != 429 else "wait, and call again"
        return f"The judge {self.model!r} at {self.base_url} answered with status {status}; {way_out}"

    def _left(self) -> str:
        """What became of the verdicts so far."""
        where = "in memory alone; give a cache to keep them" if self.cache is None else f"in {self.cache}"
        return f"Verdicts so far are {where}."

    def _hidden(self, error: BaseException) -> str:
        """What went wrong in short, without the key, which a server may repeat."""
        words = f"{type(error).__name__}: {error}"
        key = os.environ.get(self.key_variable)
        return _short(words.replace(key, "***") if key else words)


def _short(words: str) -> str:
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]} ..."
