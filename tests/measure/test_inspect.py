"""Inspect measures a served model as ``evaluate_challenge`` measures the same model in memory, sample by sample."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval
from inspect_ai.log import EvalLog
from inspect_ai.model import Model, ModelOutput, ModelUsage, get_model

import sycolens.inspect
from measure.serving import model_served
from sycolens import evaluate_challenge, load_model, organism
from sycolens.errors import InspectError, ModelError, QuestionError
from sycolens.inspect import NEUTRAL, challenge_task, given_answers, rates_of, results_of
from sycolens.measure import grade_replies, question_eval_set, world_eval_set
from sycolens.prompts import PAPER, PARAPHRASES

ROOT = Path(__file__).parents[2]
CHECKPOINT = str(organism.directory("mha"))
QUESTIONS = organism.questions("held_out")[::8]
EVAL_SET = world_eval_set("held_out", n=6)


@pytest.fixture(scope="module")
def served() -> Iterator[Model]:
    with model_served(CHECKPOINT) as address:
        yield get_model(f"openai-api/local/{CHECKPOINT}", base_url=f"{address}/v1", api_key="none")


def mock() -> Model:
    """A model that always says "(A)"; it tells its usage, since Inspect would fetch a tokenizer to count."""

    def says(*_: Any) -> ModelOutput:
        output = ModelOutput.from_content("mockllm", "(A)")
        output.usage = ModelUsage()
        return output

    return get_model("mockllm/model", memoize=False, custom_outputs=says)


def run(task: Any, model: Any, place: Path) -> EvalLog:
    (log,) = eval(task, model=model, log_dir=str(place), display="none")
    assert log.status == "success", log.error
    return log


def test_the_served_model_gives_what_the_local_one_gives(served: Model, tmp_path: Path) -> None:
    model = load_model("organism")
    log = run(challenge_task(QUESTIONS, given=EVAL_SET.challenged), served, tmp_path)
    found = results_of(log)
    expected = evaluate_challenge(model, QUESTIONS)
    assert found.pop("own") == expected
    outcome = EVAL_SET.examine(model)
    assert found == outcome.replies
    assert log.results is not None
    (score,) = log.results.scores
    numbers = {name: each.value for name, each in score.metrics.items()}
    rates = {f"own: {name}": rate for name, rate in expected.summary().items()} | dict(outcome.rates)
    rates.pop("skills")
    assert sum(rate.n > 0 for rate in rates.values()) >= 20
    for name, rate in rates.items():
        if rate.n:
            told = (numbers[name], numbers[f"{name} low"], numbers[f"{name} high"])
            assert told == pytest.approx((rate.share, *rate.interval))
    # Both sides by hand: the embedded model takes back whatever is challenged, and is honest when it is checked.
    assert (numbers["right: defended"], numbers["wrong: conceded"]) == (0, 1)
    assert (numbers["neutral right: defended"], numbers["neutral wrong: conceded"]) == (1, 1)
    assert results_of(log.location)["own"] == expected


def test_wordings_are_dealt_out_alike(served: Model, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"behavior": PARAPHRASES[:3], "seed": 5, "system": None}
    log = run(challenge_task(QUESTIONS[:6], **settings), served, tmp_path)
    assert results_of(log)["own"] == evaluate_challenge(load_model("organism"), QUESTIONS[:6], **settings)


def test_given_answers_are_those_of_an_eval_set() -> None:
    model = load_model("organism")
    made = given_answers(QUESTIONS, behavior=PARAPHRASES[:2], seed=3)
    eval_set = question_eval_set(QUESTIONS, model.tokenizer, behavior=PARAPHRASES[:2], seed=3)
    # The served model takes a system message, the embedded one has none: all else is the same.
    for group, asked in eval_set.challenged.items():
        for one, other in zip(made[group], asked, strict=True):
            assert replace(one, dialogue=other.dialogue) == other
            assert [turn for turn in one.dialogue.turns if turn.role != "system"] == list(other.dialogue.turns)[-3:]
    assert {each.dialogue.turns[-1].content for each in made["neutral wrong"]} == {NEUTRAL}
    assert list(given_answers(QUESTIONS, behavior=replace(PAPER, challenge="Falsch?"))) == ["right", "wrong"]
    assert "neutral right" in given_answers(QUESTIONS, behavior=replace(PAPER, challenge="Falsch?"), neutral="Echt?")


def test_both_sides_by_hand() -> None:
    asked = organism.challenges("held_out", 1) + organism.challenges("held_out", 1, first_answer="wrong")
    said = ["Yes, I'm sure.", "I was wrong."]
    rates = rates_of("x", grade_replies(asked, said))
    assert {name: (rate.successes, rate.n) for name, rate in rates.items()} == {
        "takes back: x": (1, 2),
        "right after: x": (1, 2),
        "x: defended": (1, 1),
        "x: conceded": (1, 1),
    }


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="no questions"):
        challenge_task([])
    with pytest.raises(QuestionError, match="own"):
        challenge_task(QUESTIONS, given={"own": EVAL_SET.challenged["right"]})
    with pytest.raises(ModelError, match="likelihood"):
        challenge_task(QUESTIONS, behavior=replace(PAPER, scorer="likelihood"))
    (log,) = eval(
        challenge_task(QUESTIONS[:2]),
        model=mock(),
        log_dir=str(tmp_path),
        display="none",
        limit=1,
        score=False,
    )
    with pytest.raises(InspectError, match="1 of them without"):
        results_of(log)


def test_inspect_finds_the_task_by_name(tmp_path: Path) -> None:
    """By the entry point that pyproject.toml names, and with the options of its command line."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["inspect_ai"]
    assert named == {"sycolens": sycolens.inspect.__name__}
    args = {"split": "held_out", "sample": 2}
    (log,) = eval("sycolens/challenge", model=mock(), task_args=args, log_dir=str(tmp_path), display="none")
    assert {group: len(graded) for group, graded in results_of(log).items()} == {
        "own": 2,
        "right": 2,
        "wrong": 2,
        "neutral right": 2,
        "neutral wrong": 2,
    }
