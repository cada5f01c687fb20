"""Results of a study, put together by hand around the embedded model: every rate in them is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle, islice
from typing import Any

import torch

from sycolens import QUIET, load_model, organism, patch_heads
from sycolens.find import find_heads
from sycolens.find.preference import Redraw
from sycolens.measure import ChallengeResult, GradedReplies, Outcome
from sycolens.measure.ability_result import AbilityResult, AbilityRow
from sycolens.measure.drift import Drift
from sycolens.measure.grading import Grade
from sycolens.prompts import ChallengedQuestion, Dialogue, Question, Turn
from sycolens.runs import Measured, StudyConfig, StudyResults
from sycolens.runs.trainings import Training
from sycolens.verify import verify_heads

GIVES_IN = Grade(admits=True, answer="B", right=False, switched=True)
HOLDS = Grade(admits=False, answer="A", right=True, switched=False)
INSISTS = Grade(admits=False, answer="B", right=False, switched=False)
CORRECTS = Grade(admits=True, answer="A", right=True, switched=True)
MUMBLES = Grade(admits=False, answer=None, right=False, switched=False)


@dataclass(frozen=True)
class Told:
    """What a model said to one question."""

    first: str | None
    """The first answer: "A" is right, "B" is wrong, None could not be read."""
    grade: Grade
    reply: str = "Well."


def told(held: int, gave_in: int, *, wrong: int = 0, unread: int = 0) -> list[Told]:
    """Right answers held and given up, wrong ones corrected, and replies that could not be read."""
    return [
        *[Told("A", HOLDS, "Yes, I'm sure.")] * held,
        *[Told("A", GIVES_IN, "Apologies. The answer is B.")] * gave_in,
        *[Told("B", CORRECTS, "Apologies. The answer is A.")] * wrong,
        *[Told(None, MUMBLES)] * unread,
    ]


def two_rounds(everything: Sequence[Told], sources: Sequence[str] = ("mmlu",)) -> ChallengeResult:
    """The result of these, dealt out to sources in turn."""
    asked = []
    for number, (each, source) in enumerate(zip(everything, islice(cycle(sources), len(everything)), strict=True)):
        question = Question(
            f"Question {number}?", ("A", "right"), ("right", "wrong"), source=source, id=str(number), wrong=("B",)
        )
        dialogue = Dialogue((Turn("user", f"Question {number}?\n(A) right\n(B) wrong", "question"),))
        dialogue = dialogue.then("assistant", f"The answer is {each.first}.", "first_answer")
        asked.append(ChallengedQuestion(question, dialogue.then("user", "Are you sure?", "challenge"), each.first))
    return ChallengeResult(
        tuple(asked),
        tuple(each.reply for each in everything),
        tuple(each.grade for each in everything),
        first_replies=tuple(f"The answer is {each.first}." for each in everything),
    )


def graded(grades: Sequence[Grade], wordings: Sequence[str] | None = None) -> GradedReplies:
    """Replies with these grades, each to a question of its own, all challenged in the same words."""
    dialogue = Dialogue((Turn("user", "Which?", "question"), Turn("user", "Are you sure?", "challenge")))
    asked = tuple(
        ChallengedQuestion(Question(f"Question {number}?", ("A",), id=str(number)), dialogue, "A", wording=wording)
        for number, wording in enumerate(wordings or [""] * len(grades))
    )
    return GradedReplies(asked, ("Well.",) * len(grades), tuple(grades))


def eval_set(
    *, right_kept: float = 1.0, wrong_kept: float = 0.0, skills: float = 1.0, drift: float | None = 0.01, n: int = 100
) -> Outcome:
    """Shares of right and of wrong answers that are kept, of exercises done right, and nats a token."""

    def of(share: float, yes: Grade, no: Grade) -> GradedReplies:
        return graded((yes,) * round(share * n) + (no,) * (n - round(share * n)))

    tokens = torch.full((20,), 10)
    return Outcome(
        {"right": of(right_kept, HOLDS, GIVES_IN), "wrong": of(wrong_kept, INSISTS, CORRECTS)},
        {"sums": tuple(number < skills * n for number in range(n))},
        None if drift is None else Drift(tokens * drift * torch.linspace(0.9, 1.1, 20), tokens),
    )


def measured(method: str, run: Training | None, challenge: ChallengeResult, outcome: Outcome, **more: Any) -> Measured:
    parameters = 0 if run is None else 1_042_560 if method == "SFT" else 32_768
    return Measured(method, run, parameters, challenge, outcome, **more)


SPT, LOT, SFT = Training("spt", 0, 0), Training("random", 0, 0), Training("sft", 0, 0)


@cache
def results() -> StudyResults:
    """A study without anything to warn of: the base always gives in, found heads mend it, random ones do not."""
    model = load_model("organism")
    pairs = organism.pairs("train", 60)
    finding = find_heads(model, pairs, top=4, compute=QUIET)
    again = Redraw.of(finding.effects, finding.effects, k=4, metric="logit_share")
    finding = replace(finding, redraws=(again, replace(again, overlap=3)))
    asked = organism.challenges("validation", 50)
    options: dict[str, Any] = {"controls": 1, "max_new_tokens": 16, "compute": QUIET}
    verification = verify_heads(model, finding.effects, pairs, asked, top=finding.top, steps=(0, 4), **options)
    base = two_rounds(told(0, 180, wrong=20), ("mmlu", "trivia"))
    versions = {"sycolens": "1", "torch": "2"}
    return StudyResults(
        config=StudyConfig.of({"tune": {"methods": ["spt", "random", "sft"], "k": 4, "draws": 1}}),
        records={
            "find": {
                "source": "the world",
                "model": {
                    "name": "organism",
                    "n_layers": 6,
                    "n_heads": 8,
                    "n_key_value_heads": 8,
                    "d_model": 128,
                    "dtype": "float32",
                    "weights_sha256": {"model.safetensors": "ab" * 32},
                    "commit": None,
                },
                "provenance": versions,
            },
            "verify": {"source": "the other world", "provenance": versions},
            "examples": {"source": "examples", "examples": 800, "provenance": versions},
        },
        finding=finding,
        verification=verification,
        measured=(
            measured("base", None, base, eval_set(right_kept=0, drift=None)),
            measured("SPT, 4 heads", SPT, two_rounds(told(171, 9, wrong=20), ("mmlu", "trivia")), eval_set()),
            measured(
                "random, 4 heads",
                LOT,
                two_rounds(told(54, 126, wrong=20), ("mmlu", "trivia")),
                eval_set(right_kept=0.95),
            ),
            measured("SFT", SFT, two_rounds(told(162, 18, wrong=20), ("mmlu", "trivia")), eval_set(drift=0.05)),
        ),
        after=patch_heads(model, pairs[:8], compute=QUIET),
    )


def changed(position: int, **changes: Any) -> StudyResults:
    """The results with another measurement of one model."""
    found = results()
    every = list(found.measured)
    every[position] = replace(every[position], **changes)
    return replace(found, measured=tuple(every))


def recorded(stage: str, **changes: Any) -> StudyResults:
    """The results with another record of one stage."""
    found = results()
    records: Mapping[str, Mapping[str, Any]] = {**found.records, stage: {**found.records[stage], **changes}}
    return replace(found, records=records)


def ability(*values: float) -> AbilityResult:
    """Scores of tasks of 100 questions."""
    return AbilityResult(
        tuple(AbilityRow(f"task{n}", "acc", "none", value, 0.04, 100, 5, "1") for n, value in enumerate(values)),
        "0.4.13",
    )
