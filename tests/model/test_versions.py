"""Versions that sycolens was not verified with are named."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

from sycolens.model.versions import outside


def test_what_is_installed_beyond_a_bound_is_named() -> None:
    found = outside(["torch<1", "transformers>=5", "plotly<1", "transformer-lens>=99; python_version > '3'"])
    assert [each.split()[:2] for each in found] == [
        ["torch", version("torch")],
        ["transformer-lens", version("transformer-lens")],
    ]


def test_transformers_that_lost_the_cache_is_not_admitted() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (bound,) = (each for each in project["dependencies"] if each.startswith("transformers>"))
    from packaging.requirements import Requirement

    assert "5.23.0" in Requirement(bound).specifier
    assert "5.24.0" not in Requirement(bound).specifier
