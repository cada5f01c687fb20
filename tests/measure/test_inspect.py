"""Inspect measures a served model as ``evaluate_challenge`` measures the same model in memory, sample by sample."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessage, Model, ModelOutput, ModelUsage, get_model

import sycolens.inspect
from measure.scripted import SAID, pressed
from measure.serving import model_served
from sycolens import ChallengeResult, evaluate_challenge, load_model, organism
from sycolens.errors import InspectError, ModelError, QuestionError
from sycolens.inspect import NEUTRAL, challenge_task, given_answers, rates_of, results_of
from sycolens.measure import GradedReplies, grade_replies, question_eval_set, world_eval_set
from sycolens.prompts import PAPER, PARAPHRASES, Dialogue, challenge_questions

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


def speaking(heard: list[list[dict[str, str]]] | None = None) -> Model:
    """A model that says what is written for it, and puts down what it is asked."""

    def says(asked: list[ChatMessage], *_: Any) -> ModelOutput:
        dialogue = [{"role": str(each.role), "content": each.text} for each in asked]
        if heard is not None:
            heard.append(dialogue)
        output = ModelOutput.from_content("mockllm", pressed([dialogue])[0])
        output.usage = ModelUsage()
        return output

    return get_model("mockllm/model", memoize=False, custom_outputs=says)


def numbers_in(log: EvalLog) -> dict[str, float]:
    assert log.results is not None
    (score,) = log.results.scores
    return {name: each.value for name, each in score.metrics.items()}


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
    numbers = numbers_in(log)
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


def test_several_challenges_in_a_row_give_what_the_local_model_gives(served: Model, tmp_path: Path) -> None:
    """Own answers and given ones, in words that take turns; of given ones each keeps its own."""
    model = load_model("organism")
    settings: dict[str, Any] = {"behavior": PARAPHRASES[:3], "seed": 5, "system": None}
    given = given_answers(QUESTIONS[:8], neutral=NEUTRAL, **settings)
    log = run(challenge_task(QUESTIONS, given=given, turns=3, **settings), served, tmp_path)
    found = results_of(log)
    own = evaluate_challenge(model, QUESTIONS, turns=3, **settings)
    expected = {"own": own} | {
        group: evaluate_challenge(model, asked, turns=3, first_answers="given") for group, asked in given.items()
    }
    assert found == expected == results_of(log.location)
    assert len({turn.challenge for turns in own.later for turn in turns}) == 3
    numbers = numbers_in(log)
    told = 0
    for group, result in expected.items():
        assert isinstance(result, ChallengeResult)
        frame = result.flip_frame().dropna()
        for row in frame[frame.side == "all"].to_dict("records"):
            name = f"{group}: {row['measure']}"
            ends = (numbers[name], numbers[f"{name} low"], numbers[f"{name} high"])
            assert ends == pytest.approx((row["value"], row["low"], row["high"]))
            told += 1
    assert told == 5 * 5
    assert numbers["takes back: right"] == expected["right"].rate("admits").share
    assert numbers["own: confidence"] == own.summary()["confidence"].share


def test_flips_are_those_that_a_person_counts(tmp_path: Path) -> None:
    heard: list[list[dict[str, str]]] = []
    wrong = challenge_questions(list(SAID)[:4], None, first_answer="wrong")
    log = run(challenge_task(list(SAID), given={"wrong": wrong}, turns=4), speaking(heard), tmp_path)
    found = results_of(log)
    own, given = found["own"], found["wrong"]
    assert isinstance(own, ChallengeResult)
    assert isinstance(given, ChallengeResult)
    assert own.turns == given.turns == 4
    assert own.turn_of_flip == (3, 1, 3, None, 3)
    assert own.number_of_flips == (2, 1, 2, 0, 1)
    assert [turn.doubted for turn in own.later[4]] == ["D", "D", "A"]
    assert given.first_replies == tuple(each.dialogue.turns[-2].content for each in wrong)

    asked: list[list[dict[str, str]]] = []

    def listening(dialogues: Sequence[list[dict[str, str]]]) -> list[str]:
        asked.extend(dialogues)
        return pressed(dialogues)

    assert own == evaluate_challenge(listening, list(SAID), turns=4)
    assert given == evaluate_challenge(listening, wrong, turns=4, first_answers="given")
    assert sorted(map(str, heard)) == sorted(map(str, asked))
    numbers = numbers_in(log)
    # Of all five, of the two right ones (the first and the third), of the two wrong ones (the second and the fourth).
    assert [numbers[f"own: flipped by turn {turn}"] for turn in (1, 2, 3, 4)] == [0.2, 0.2, 0.8, 0.8]
    assert [numbers[f"own: flipped by turn {turn} (right)"] for turn in (1, 2, 3, 4)] == [0, 0, 1, 1]
    assert [numbers[f"own: flipped by turn {turn} (wrong)"] for turn in (1, 4)] == [0.5, 0.5]
    assert (numbers["own: turn of flip"], numbers["own: number of flips"]) == (3, 1.2)
    assert (numbers["own: turn of flip (right)"], numbers["own: number of flips (wrong)"]) == (3, 0.5)
    assert numbers["own: turn of flip low"] < 3 < numbers["own: turn of flip high"]
    assert "wrong: flipped by turn 4" in numbers
    assert not [name for name in numbers if name.startswith("wrong") and "(" in name]
    assert log.samples is not None
    values = {str(each.id): (each.scores or {})["stance"].as_dict() for each in log.samples}
    shown = [(values[f"own-{i}"]["turn_of_flip"], values[f"own-{i}"]["number_of_flips"]) for i in range(5)]
    assert shown == [(3, 2), (1, 1), (3, 2), (None, 0), (3, 1)]
    assert (values["own-0"]["stance"], values["own-0"]["right_after"]) == ("holds", True)


def test_one_challenge_leaves_nothing_of_several(tmp_path: Path) -> None:
    wrong = challenge_questions(list(SAID)[:4], None, first_answer="wrong")
    log = run(challenge_task(list(SAID), given={"wrong": wrong}, turns=1), speaking(), tmp_path)
    assert log.samples is not None
    for sample in log.samples:
        score = (sample.scores or {})["stance"]
        known = {"group", "number", "asked"} | ({"first_reply"} if sample.metadata["group"] == "own" else set())
        assert set(sample.metadata) == known
        assert set(score.metadata or {}) == known | {"reply", "grade"}
        assert set(score.as_dict()) == {"stance", "right_before", "right_after"}
    assert not [name for name in numbers_in(log) if "flip" in name]
    assert type(results_of(log)["wrong"]) is GradedReplies
    assert results_of(log)["own"] == evaluate_challenge(pressed, list(SAID))


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
    for turns in (0, 1.5, True):
        with pytest.raises(QuestionError, match=f"turns={turns}"):
            challenge_task(QUESTIONS, turns=turns)  # type: ignore[arg-type]
    bare = EVAL_SET.challenged["right"][0]
    *before, answer, last = bare.dialogue.turns
    nameless = replace(bare, dialogue=Dialogue((*before, replace(answer, part=None), last)))
    assert len(challenge_task(QUESTIONS[:1], given={"x": [nameless]}).dataset) == 2
    with pytest.raises(QuestionError, match="first_answer"):
        challenge_task(QUESTIONS[:1], given={"x": [nameless]}, turns=2)
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
    (log,) = eval(
        "sycolens/challenge",
        model=mock(),
        task_args={**args, "turns": 3},
        log_dir=str(tmp_path),
        display="none",
    )
    for graded in results_of(log).values():
        assert isinstance(graded, ChallengeResult)
        assert (len(graded), graded.turns) == (2, 3)
