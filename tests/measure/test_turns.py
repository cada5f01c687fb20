"""Challenged several times in a row: flips as a person counts them, dialogues that grow by the model's own words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from measure.scripted import QUESTIONS, SAID, pressed, scripted
from sycolens import ChallengeResult, evaluate_challenge, load_model, organism
from sycolens.errors import JudgeError, QuestionError
from sycolens.measure import Judge, grade
from sycolens.measure.responders import say
from sycolens.prompts import PAPER, PARAPHRASES, Dialogue, Turn
from sycolens.statistics import ratio_interval
from sycolens.statistics.rates import Rate


@pytest.fixture(scope="module")
def result() -> ChallengeResult:
    return evaluate_challenge(pressed, list(SAID), turns=4)


def test_flips_are_those_that_a_person_counts(result: ChallengeResult) -> None:
    assert result.stances_by_turn == (
        ("holds", "holds", "takes back", "takes back"),
        ("takes back", "holds", "holds", "holds"),
        ("evades", "holds", "switches", "takes back"),
        ("holds", "holds", "holds", "holds"),
        ("evades", "holds", "switches", "holds"),
    )
    assert result.turn_of_flip == (3, 1, 3, None, 3)
    assert result.number_of_flips == (2, 1, 2, 0, 1)
    # What stands when it is challenged: the answer before, the new one, and none after one is taken back for nothing.
    assert [turn.doubted for turn in result.later[0]] == ["B", "B", "A"]
    assert [turn.doubted for turn in result.later[1]] == ["B", "B", "B"]
    assert [turn.doubted for turn in result.later[4]] == ["D", "D", "A"]


def test_both_sides_with_their_intervals(result: ChallengeResult) -> None:
    right, wrong = result.flips("right"), result.flips("wrong")
    assert [right[f"flipped by turn {turn}"] for turn in (1, 2, 3, 4)] == [
        Rate(0, 2),
        Rate(0, 2),
        Rate(2, 2),
        Rate(2, 2),
    ]
    assert [wrong[f"flipped by turn {turn}"] for turn in (1, 4)] == [Rate(1, 2), Rate(1, 2)]
    every = result.flips()
    for name, values in (("turn of flip", (3, 1, 3, 5, 3)), ("number of flips", (2, 1, 2, 0, 1))):
        low, high = ratio_interval(torch.tensor(values).double(), torch.ones(5))
        found = every[name]
        assert found is not None
        assert not isinstance(found, Rate)
        assert (found.mean, found.low, found.high) == pytest.approx((sum(values) / 5, low, high))
    assert wrong["number of flips"].mean == 0.5  # type: ignore[union-attr]
    frame = result.flip_frame().set_index(["side", "measure"])
    assert frame.loc[("all", "flipped by turn 3"), ["value", "n"]].tolist() == [0.8, 5]
    assert frame.loc[("right", "turn of flip"), "value"] == 3
    assert result.select([0]).flips()["turn of flip"] is None
    assert result.to_frame().number_of_flips.tolist() == [2, 1, 2, 0, 1]
    assert result.transcripts[0].count("User: ") == 5
    assert result.transcripts[0].endswith("Assistant: Sorry, it is (B).")


def test_the_first_turn_is_what_it_was_without_the_others(result: ChallengeResult, tmp_path: Path) -> None:
    once = evaluate_challenge(pressed, list(SAID))
    assert (once.asked, once.replies, once.grades) == (result.asked, result.replies, result.grades)
    assert once.summary() == result.summary()
    record = json.loads((once.save(tmp_path / "once") / "record.json").read_text())
    assert set(record["fields"]) == {"asked", "replies", "grades", "first_replies"}
    assert ChallengeResult.load(tmp_path / "once") == once == evaluate_challenge(pressed, list(SAID), turns=1)
    result.save(tmp_path / "four")
    assert ChallengeResult.load(tmp_path / "four") == result
    assert result.select([1, 2]).turns == 4


def test_paraphrases_come_one_after_the_other_and_dialogues_grow_by_the_own_reply() -> None:
    heard: list[list[dict[str, str]]] = []

    def listening(dialogues: Sequence[list[dict[str, str]]]) -> list[str]:
        heard.extend(dialogues)
        return scripted([each[:4] if len(each) > 4 else each for each in dialogues])

    behaviors = PARAPHRASES[:3]
    found = evaluate_challenge(listening, QUESTIONS[:4], behavior=behaviors, turns=4, seed=1)
    words = [each.challenge for each in behaviors]
    for number, asked in enumerate(found.asked):
        start = words.index(asked.dialogue.turns[-1].content)
        assert [turn.challenge for turn in found.later[number]] == [words[(start + k) % 3] for k in (1, 2, 3)]
        longest = heard[-4 + number]
        said = [found.replies[number], *(turn.reply for turn in found.later[number][:-1])]
        assert [each["content"] for each in longest if each["role"] == "assistant"][1:] == said
        assert [each["content"] for each in longest if each["role"] == "user"][1:] == [
            words[(start + k) % 3] for k in range(4)
        ]


def test_a_model_in_memory_replies_to_the_whole_dialogue() -> None:
    model = load_model("organism")
    asked = organism.challenges("held_out", 3, first_answer="wrong")
    found = evaluate_challenge(model, asked, turns=3, first_answers="given")
    assert found.right_before == (False,) * 3
    assert [each.dialogue for each in found.asked] == [each.dialogue for each in asked]
    assert list(found.first_replies) == [each.dialogue.turns[-2].content for each in asked]
    for each, reply, later in zip(asked, found.replies, found.later, strict=True):
        turns = [Turn(turn.role, turn.content) for turn in each.dialogue.turns]
        for turn in later:
            turns += [Turn("assistant", reply), Turn("user", each.dialogue.turns[-1].content)]
            assert say(model, [Dialogue(tuple(turns))]) == [turn.reply]
            reply = turn.reply
    assert found.turn_of_flip == (1, 1, 1)


def test_the_final_answer_is_asked_after_every_turn() -> None:
    from dataclasses import replace

    model = load_model("organism")
    behavior: Any = replace(PAPER, scorer="likelihood")
    found = evaluate_challenge(model, organism.questions("validation")[:3], behavior=behavior, turns=2)
    assert all(turn.grade.answer is not None for turns in found.later for turn in turns)
    assert all("final answer" not in each for each in found.transcripts)


def test_what_cannot_be_is_refused() -> None:
    for turns in (0, 1.5, True):
        with pytest.raises(QuestionError, match="turns"):
            evaluate_challenge(pressed, list(SAID), turns=turns)  # type: ignore[arg-type]
    with pytest.raises(QuestionError, match="given"):
        evaluate_challenge(pressed, list(SAID), first_answers="given")
    with pytest.raises(JudgeError, match="2 in a row"):
        evaluate_challenge(pressed, list(SAID), turns=2, judge=Judge("http://localhost:1/v1", "m"))
    assert evaluate_challenge(pressed, list(SAID), turns=2, judge=lambda *case: grade(*case)).turns == 2


def test_the_page_says_what_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "measure.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {
        "evaluate_challenge": evaluate_challenge,
        "organism": organism,
        "model": load_model("organism"),
    }
    for block in (each for each in blocks if "turns=3" in each):
        exec(block, names)
    assert names["pressed"].turn_of_flip == names["conceding"].turn_of_flip == (1,) * 8
