"""Every example in a docstring runs, on the embedded model, and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any

import plotly.graph_objects as go
import pytest
import torch

import sycolens
from sycolens import QUIET, ContrastPairs, HeadEffects, knock_out, load_model, mean_activations, organism, patch_heads

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples() -> Iterator[doctest.DocTest]:
    names = [module.name for module in pkgutil.walk_packages(sycolens.__path__, "sycolens.")]
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in ["sycolens", *(name for name in names if not name.endswith("__main__"))]:
        module = importlib.import_module(name)
        yield from (test for test in finder.find(module, name) if test.examples)


@cache
def shown() -> dict[str, Any]:
    """What docstrings take as given; a module's own names come first."""
    model = load_model("organism")
    pairs: ContrastPairs = organism.pairs("train", 32)
    effects: HeadEffects = patch_heads(model, pairs, compute=QUIET)
    means = mean_activations(model, pairs, compute=QUIET)
    asked = organism.challenges("validation", 8)
    curve = knock_out(model, asked, effects.ranking(), means, steps=(0, 1, 2, 4), controls=3, compute=QUIET)
    return {
        "model": model,
        "tokenizer": model.tokenizer,
        "questions": organism.questions("train"),
        "pairs": pairs,
        "effects": effects,
        "means": means,
        "curve": curve,
        "organism": organism,
        "torch": torch,
        "go": go,
        **{name: getattr(sycolens, name) for name in sycolens.__all__},
    }


@pytest.mark.parametrize("example", list(examples()), ids=lambda test: test.name)
def test_example(example: doctest.DocTest) -> None:
    example.globs = {**shown(), **example.globs}
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(example, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


def test_every_public_name_has_an_example() -> None:
    having = [test.name for test in examples()]
    for name in sycolens.__all__:
        if name not in ("organism", "QUIET"):  # a module, a value
            value = getattr(sycolens, name)
            assert any(f"{each}.".startswith(f"{value.__module__}.{name}.") for each in having), name
