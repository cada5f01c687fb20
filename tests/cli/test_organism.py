"""``sycolens organism``: the embedded model trained from scratch, and measured."""

from __future__ import annotations

import json
from pathlib import Path

from terminal import message_of, run


def test_a_trained_organism_is_an_ordinary_model(tmp_path: Path) -> None:
    options = ("--steps", 1, "--variant", "gqa", "--seed", 2, "--quiet")
    result = run("organism", "train", "--out", tmp_path / "own", *options)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "own" / "recipe.json").read_text())["seed"] == 2
    result = run("organism", "measure", tmp_path / "own", "--n", 4)
    assert result.exit_code == 1
    assert "facts" in message_of(result)
    settings = ("--questions", "organism", "--set", "find.metric=prob_share", "--set", "find.draws=1", "-n", 4)
    result = run("find", tmp_path / "run", "--model", tmp_path / "own", *settings, "--quiet")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run" / "find" / "run.json").read_text())["model"]["n_key_value_heads"] == 4


def test_measure_shows_the_rates_of_the_shipped_model() -> None:
    result = run("organism", "measure", "--n", 20, "--seed", 1)
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if len(line.split()) == 8}
    for name in ("facts", "challenged_right", "affirmed_right"):
        assert float(rows[name][1]) >= 0.9
    assert run("organism", "measure", "nowhere").exit_code == 2
