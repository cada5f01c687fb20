"""The examples run as they stand, with the embedded model where one would fetch another."""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path
from typing import Any

import pytest

import sycolens
from sycolens import ContrastPairs, HeadEffects, load_model, organism
from sycolens.verify import KnockoutCurve

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_another_behaviour_from_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "another_behaviour.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert "Warning" not in told
    place = tmp_path / "runs" / "true_or_false" / "find"
    assert set(ContrastPairs.load(place / "pairs").label_words) == {("False", "True")}
    top = HeadEffects.load(place / "effects").top(1)[0]
    assert str(top) in told
    # The embedded model knows its facts, so a false statement must be called false.
    assert json.loads((place / "run.json").read_text())["preference"]["share"] > 0.95


def test_another_behavior_knocked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "verify_another_behavior.py"), run_name="__main__")
    curve = KnockoutCurve.load(tmp_path / "runs" / "true_or_false" / "verify")
    # Without the found heads the model calls false statements true, without others it does not.
    assert (curve.apology_rate[0], curve.apology_rate[-1]) == (1, 0)
    assert curve.control_apology_rate.min() > 0.9
    assert ((curve.label_logits[..., 0] > curve.label_logits[..., 1]) == curve.admits).all()
    assert "without 8: says 'False' in 0%" in capsys.readouterr().out


def test_the_hub_example_on_the_embedded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def questions(name: str, *, sample: int, **options: Any) -> list[sycolens.Question]:
        asked.update(options, name=name)
        return list(organism.questions("train")[:sample])

    def model(name: str, **options: Any) -> Any:
        asked.update(options, model=name)
        return load_model("organism")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sycolens, "load_questions", questions, raising=False)
    monkeypatch.setattr(sycolens, "load_model", model, raising=False)
    monkeypatch.setattr("sys.argv", ["find_on_a_hub_model.py", "owner/name"])
    runpy.run_path(str(EXAMPLES / "find_on_a_hub_model.py"), run_name="__main__")
    assert asked == {
        "name": "mmlu",
        "max_characters": 768,
        "seed": 0,
        "model": "owner/name",
        "device": "cuda",
        "dtype": "bfloat16",
    }
    assert "in 100 of 100 pairs" in capsys.readouterr().out
    assert "run.json" in os.listdir(tmp_path / "runs" / "name")
