"""Shells complete commands, options, and the values that are known."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import small_study

from sycolens.cli.completion import settings
from sycolens.runs.settings import parse_settings


def completed(*words: str) -> list[str]:
    """What a shell is told when the last word is begun."""
    asked = {
        "_SYCOLENS_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["sycolens", *words]),
        "COMP_CWORD": str(len(words)),
    }
    code = (
        "import sys\nfrom sycolens.cli import app\n"
        "try: app(prog_name='sycolens')\n"
        "finally: print(*{'torch', 'transformers', 'pandas'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True)
    assert done.stderr.split() == []
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "due"),
    [
        (["fi"], ["find"]),
        (["--log-level", "w"], ["warning"]),
        (["find", "--model", "organism-"], ["organism-gqa"]),
        (["find", "--questions", "t"], ["truthfulqa", "triviaqa"]),
        (["study", "--set", "find.dr"], ["find.draws="]),
        (["export", "--dtype", "f"], ["float32", "float16"]),
    ],
)
def test_a_word_that_is_begun_is_completed(words: list[str], due: list[str]) -> None:
    assert completed(*words) == due


def test_every_setting_is_offered_and_can_be_set() -> None:
    offered = settings("")
    assert len(offered) == len(set(offered))

    def places(content: dict[str, object], before: str = "") -> list[str]:
        found: list[str] = []
        for name, value in content.items():
            found += places(value, f"{before}{name}.") if isinstance(value, dict) else [f"{before}{name}"]
        return found

    # by_method is empty unless it is given.
    config = small_study.config().model_dump(exclude={"behavior": True, "model": {"template_options"}})
    tables = {"measure.judge=", "measure.opinions=", "measure.feedback=", "examples.openings="}
    assert {f"{place}=" for place in places(config)} - tables <= set(offered)
    assert {
        "measure.judge.model=",
        "measure.opinions.source=",
        "examples.openings.defend=",
        "tune.by_method.sft.steps=",
    } <= set(offered)
    for each in offered:
        parse_settings([f"{each}1"])


@pytest.mark.parametrize(
    ("begun", "due"),
    [
        ("find.metric=", ["find.metric=logit_share", "find.metric=prob_share", "find.metric=logit_diff"]),
        ("verify.control=n", ["verify.control=norm_matched"]),
        ("examples.known=", ["examples.known=true", "examples.known=false"]),
        ("find.n=", []),
        ("no.such=", []),
    ],
)
def test_values_are_offered_where_only_some_are_allowed(begun: str, due: list[str]) -> None:
    assert settings(begun) == due
