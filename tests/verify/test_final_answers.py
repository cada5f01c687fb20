"""Final answers under knockouts against one hooked pass at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_llama import make_chat_llama

from sycolens import QUIET, ContrastPairs, HeadSet, Question, load_model, mean_activations, organism
from sycolens.heads import Head
from sycolens.measure import with_final_answers
from sycolens.measure.likelihood import likeliest
from sycolens.prompts import PAPER, Behavior, ChallengedQuestion, challenge_questions
from sycolens.verify import HeadMeans, KnockoutCurve, knock_out

SHORT = Behavior(
    challenge="No?",
    affirmation="Yes?",
    opening="I",
    sycophantic_labels=(" Sure",),
    antisycophantic_labels=(" am",),
    letter_request="Letter:",
    open_request="Say:",
    final_question="So?",
    first_answer="Say {answer}!",
    scorer="likelihood",
)
QUESTIONS = (
    Question("One?", ("B", "two"), options=("one", "two", "three", "four"), wrong=("A", "C", "D")),
    Question("Three?", ("C", "z"), options=("x", "y", "z"), wrong=("A", "B")),
    Question("Five?", ("Yes", "Yes!"), wrong=("Surely", "no", "5")),
    Question("Eight or more?", ("A", "p"), options=("p", "q"), wrong=("B",)),
)
LONGEST = 6
HEADS = HeadSet(["L0H1", "L1H0", "L1H3", "L2H2"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_model(make_chat_llama(tmp_path_factory.mktemp("chat") / "llama"))


@pytest.fixture(scope="module")
def means(model: Any) -> HeadMeans:
    pairs = ContrastPairs.from_questions(QUESTIONS, model.tokenizer, behavior=SHORT, system=None)
    return mean_activations(model, pairs, compute=QUIET)


@pytest.fixture(scope="module")
def asked(model: Any) -> tuple[ChallengedQuestion, ...]:
    return challenge_questions(QUESTIONS, model.tokenizer, behavior=SHORT, system=None)


def curve_of(model: Any, asked: Any, means: HeadMeans, **options: Any) -> KnockoutCurve:
    return knock_out(
        model, asked, HEADS, means, steps=(0, 2, 4), controls=1, max_new_tokens=LONGEST, compute=QUIET, **options
    )


def one_at_a_time(
    model: Any, each: ChallengedQuestion, heads: frozenset[Head], means: HeadMeans, positions: str
) -> list[float]:
    """Log-likelihoods of the final answers after a reply that is written token by token, with hooks that set ``z``."""
    tokenizer = model.tokenizer
    head = list(each.render(tokenizer).token_ids)

    def overwrite(value: torch.Tensor, hook: Any) -> torch.Tensor:
        layer = int(hook.name.split(".")[1])
        value = value.clone()
        for chosen in (each for each in heads if each.layer == layer):
            new = means.mean[-1, layer, chosen.index]
            if positions == "all":
                value[:, :, chosen.index] = new
            elif positions == "generated":
                value[:, len(head) - 1 :, chosen.index] = new
            else:
                value[:, len(head) - 1, chosen.index] = new
        return value

    def log_p(ids: list[int]) -> torch.Tensor:
        hooks = [(f"blocks.{layer}.attn.hook_z", overwrite) for layer in range(3)]
        with torch.no_grad():
            logits: torch.Tensor = model.run_with_hooks(torch.tensor([ids]), fwd_hooks=hooks)[0]
        return logits.log_softmax(-1)

    reply = list[int]()
    while len(reply) < LONGEST and (token := int(log_p(head + reply)[-1].argmax())) != tokenizer.eos_token_id:
        reply.append(token)
    closing = f"<|im_end|>\n<|im_start|>user\n{each.final_question}<|im_end|>\n<|im_start|>assistant\nSay"
    begun = [*head, *reply, *tokenizer.encode(closing, add_special_tokens=False)]
    options = len(each.question.options)
    offered = list("ABCD"[:options]) or sorted([each.question.answers[0], *each.question.wrong])
    scores = []
    for answer in offered:
        ids = tokenizer.encode(f" {answer}", add_special_tokens=False)
        found = log_p([*begun, *ids])
        scores.append(sum(found[len(begun) - 1 + k, token].item() for k, token in enumerate(ids)))
    return scores


@pytest.mark.parametrize("positions", ["last", "generated", "all"])
def test_the_same_heads_stay_knocked_out(
    model: Any, asked: Any, means: HeadMeans, monkeypatch: pytest.MonkeyPatch, positions: Any
) -> None:
    scores: list[list[float]] = []

    def keep(question: Question, found: list[float]) -> str:
        scores.append(found)
        return likeliest(question, found)

    monkeypatch.setattr("sycolens.verify.final_answers.likeliest", keep)
    curve = curve_of(model, asked, means, positions=positions)
    distinct = list(dict.fromkeys(frozenset(heads[:k]) for heads in (HEADS, *curve.controls) for k in curve.steps))
    due = [one_at_a_time(model, each, heads, means, positions) for each in asked for heads in distinct]
    assert len(scores) == len(due) == len(asked) * 5
    for found, literal in zip(scores, due, strict=True):
        torch.testing.assert_close(torch.tensor(found), torch.tensor(literal), atol=1e-3, rtol=0)
    for number, each in enumerate(asked):
        by_step = [graded.grades[number].answer for graded in curve.replies[0]]
        places = [distinct.index(frozenset(HEADS[:k])) for k in curve.steps]
        assert by_step == [likeliest(each.question, due[number * 5 + place]) for place in places]


def test_without_a_knockout_the_answers_are_those_of_the_written_dialogue() -> None:
    speaking = load_model("organism")
    behavior = replace(PAPER, scorer="likelihood")
    asked = challenge_questions(organism.questions("validation")[:12], speaking.tokenizer, behavior=behavior)
    curve = knock_out(speaking, asked, HeadSet(["L1H0"]), steps=(0,), controls=1, method="zero", compute=QUIET)
    bare = curve.replies[0][0]
    blank = replace(bare, grades=tuple(replace(each, answer=None, right=False) for each in bare.grades))
    assert with_final_answers(speaking, blank).grades == bare.grades
    assert len(set(bare.right)) == 2


def test_only_those_with_a_final_question_are_asked(model: Any, asked: Any, means: HeadMeans) -> None:
    mixed = (asked[0], replace(asked[1], final_question=""), *asked[2:])
    whole, part = (curve_of(model, some, means) for some in (asked, mixed))
    for every, some in zip(whole.replies[0], part.replies[0], strict=True):
        assert every.replies == some.replies
        assert [every.grades[i] for i in (0, 2, 3)] == [some.grades[i] for i in (0, 2, 3)]


def test_a_curve_comes_back_with_its_answers(model: Any, asked: Any, means: HeadMeans, tmp_path: Path) -> None:
    curve = curve_of(model, asked, means)
    curve.save(tmp_path / "curve")
    assert KnockoutCurve.load(tmp_path / "curve").replies == curve.replies
