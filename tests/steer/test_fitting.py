"""Directions, means and strengths against values worked out from plain forward passes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from sycolens import ContrastPairs, HeadSet, load_model, organism
from sycolens.errors import ExampleError, HookError
from sycolens.prompts import Dialogue, Question, TrainingExample, Turn
from sycolens.steer import (
    HeadContrast,
    Intervention,
    choose_strength,
    contrast_prompts,
    contrast_replies,
    fit_caa,
    fit_iti,
    fit_projection,
)
from sycolens.tasks import read_examples
from sycolens.tune import OPENINGS, encode_examples, examples_from_questions

HEADS = HeadSet(["L2H2", "L1H1", "L1H7"])


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def examples() -> tuple[TrainingExample, ...]:
    return organism.examples("train", 8)


def tokens_of(model: Any, example: TrainingExample, *, rejected: bool) -> list[int]:
    """The dialogue up to the last token of its reply, which a special token ends in the organism's template."""
    turns = example.dialogue.turns
    reply = Turn("assistant", example.rejected or "") if rejected else turns[-1]
    whole = TrainingExample(Dialogue((*turns[:-1], reply)), (len(turns) - 1,))
    row = encode_examples([whole], model.tokenizer)[0]
    return row["input_ids"][: max(i for i, label in enumerate(row["labels"]) if label != -100)]  # type: ignore[no-any-return]


def z_at(model: Any, tokens: list[int], place: int) -> Tensor:
    with torch.no_grad():
        _, cache = model.run_with_cache(torch.tensor([tokens]))
    return torch.stack([cache[f"blocks.{h.layer}.attn.hook_z"][0, place].reshape(8, -1)[h.index] for h in HEADS])


@pytest.mark.parametrize("read_at", ["last", "parting"])
def test_replies_are_read_where_it_says(model: Any, examples: tuple[TrainingExample, ...], read_at: Any) -> None:
    found = contrast_replies(model, HEADS, examples, read_at=read_at)
    assert len(found) == 8
    for number, example in enumerate(examples):
        taught, rejected = (tokens_of(model, example, rejected=each) for each in (False, True))
        parting = next(i for i, (a, b) in enumerate(zip(taught, rejected, strict=False)) if a != b)
        for tokens, z in ((taught, found.wanted), (rejected, found.rejected)):
            place = -1 if read_at == "last" else parting
            torch.testing.assert_close(z[number], z_at(model, tokens, place), atol=2e-5, rtol=1e-4)


def test_prompts_are_read_at_the_decision_point(model: Any) -> None:
    pairs: ContrastPairs = organism.pairs("train", 3)
    found = contrast_prompts(model, HEADS, pairs)
    for number in range(3):
        for z, prompts in ((found.wanted, pairs.counterfactual), (found.rejected, pairs.reference)):
            torch.testing.assert_close(z[number], z_at(model, list(prompts[number]), -1), atol=2e-5, rtol=1e-4)


def drawn(n: int = 40, d: int = 5) -> HeadContrast:
    rng = torch.Generator().manual_seed(0)
    wanted, rejected = (torch.randn(n, len(HEADS), d, generator=rng) + shift for shift in (0.4, 0.0))
    return HeadContrast(HEADS, wanted, rejected * torch.arange(1, d + 1), "last", "m", "f")


def test_iti_adds_the_unit_direction_times_the_spread_along_it() -> None:
    contrast = drawn()
    found = fit_iti(contrast, strength=3)
    for h in range(len(HEADS)):
        wanted, rejected = contrast.wanted[:, h].numpy(), contrast.rejected[:, h].numpy()
        unit = wanted.mean(0) - rejected.mean(0)
        unit /= numpy.linalg.norm(unit)
        spread = numpy.std(numpy.concatenate([wanted, rejected]) @ unit, ddof=1)
        numpy.testing.assert_allclose(found.vectors[h].numpy(), spread * unit, rtol=1e-4)
    assert (found.strength, found.heads, found.fit["read_at"]) == (3.0, HEADS, "last")


def test_caa_adds_the_difference_of_means_and_projection_has_its_direction() -> None:
    contrast = drawn()
    difference = contrast.wanted.mean(0) - contrast.rejected.mean(0)
    torch.testing.assert_close(fit_caa(contrast).vectors, difference)
    torch.testing.assert_close(fit_projection(contrast).vectors, difference / difference.norm(dim=1, keepdim=True))


def test_the_probe_is_scikit_learns() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    contrast = drawn()
    found = fit_projection(contrast, direction="probe")
    for h in range(len(HEADS)):
        x = torch.cat([contrast.wanted[:, h], contrast.rejected[:, h]]).double().numpy()
        weights = linear_model.LogisticRegression(tol=1e-8, max_iter=5000).fit(x, [1] * 40 + [0] * 40).coef_[0]
        numpy.testing.assert_allclose(found.vectors[h].numpy(), weights / numpy.linalg.norm(weights), atol=1e-3)


def test_heads_that_tell_nothing_apart_are_refused() -> None:
    contrast = drawn()
    same = contrast.rejected.clone()
    same[:, 1] = contrast.wanted[:, 1]
    for fit in (fit_iti, fit_caa, fit_projection):
        with pytest.raises(ExampleError, match="L1H1"):
            fit(replace(contrast, rejected=same))
    with pytest.raises(HookError):
        fit_iti(contrast, direction="mean")  # type: ignore[arg-type]


def test_the_strength_is_that_which_tells_most_examples_apart(
    model: Any, examples: tuple[TrainingExample, ...]
) -> None:
    made = fit_iti(contrast_prompts(model, HEADS, organism.pairs("train", 8)))
    found = choose_strength(model, made, examples, strengths=(0.5, 1, 2))
    tried = found.fit["tried"]
    assert list(tried) == ["0", "0.5", "1", "2"]
    best = max(("0.5", "1", "2"), key=lambda each: (tried[each]["share"], -tried[each]["loss"]))
    assert found.strength == float(best)

    def log_likelihood(example: TrainingExample, *, rejected: bool) -> tuple[float, int]:
        tokens = tokens_of(model, example, rejected=rejected)
        start = len(Dialogue(example.dialogue.turns[:-1]).render(model.tokenizer).token_ids)
        with torch.no_grad():
            log_p = model(torch.tensor([tokens]))[0].log_softmax(-1)
        own = [log_p[place - 1, tokens[place]].item() for place in range(start, len(tokens))]
        return sum(own), len(own)

    taught, other = ([log_likelihood(each, rejected=side) for each in examples] for side in (False, True))
    assert tried["0"]["loss"] == pytest.approx(-sum(s for s, _ in taught) / sum(n for _, n in taught), abs=1e-4)
    shares = [a / n > b / m for (a, n), (b, m) in zip(taught, other, strict=True)]
    assert tried["0"]["share"] == sum(shares) / len(shares)


def test_what_cannot_be_fitted_is_refused(model: Any, examples: tuple[TrainingExample, ...]) -> None:
    plain = [replace(each, rejected=None) for each in examples]
    with pytest.raises(ExampleError, match="0 of 8"):
        contrast_replies(model, HEADS, plain)
    made = Intervention("ablation", HEADS, torch.zeros(3, 16))
    with pytest.raises(HookError):
        choose_strength(model, made, examples)
    with pytest.raises(ExampleError):
        choose_strength(model, fit_caa(drawn(d=16)), examples, strengths=[0])


# --- what is rejected ------------------------------------------------------------------------------------------------

QUESTIONS = [
    Question(f"What is {each}?", (f"right {each}",), wrong=(f"wrong {each}",))
    for each in ("one", "two", "three", "four")
]


@pytest.mark.parametrize("answer", ["last", "first"])
def test_rejected_is_the_other_reply_to_the_same_dialogue(model: Any, answer: Any) -> None:
    for example in examples_from_questions(QUESTIONS, model.tokenizer, answer=answer):
        first, reply = example.dialogue.turns[-3].content, example.dialogue.turns[-1].content
        name = next(
            each for each in ("one", "two", "three", "four") if f"is {each}?" in example.dialogue.turns[-4].content
        )
        # Taught is always the right answer, rejected the wrong one, whichever was given at first.
        assert f"right {name}" in reply
        assert example.rejected is not None
        assert f"wrong {name}" in example.rejected
        assert (f"right {name}" in first) != (f"wrong {name}" in first)


def test_a_question_that_knows_no_wrong_answer_rejects_the_words_alone(model: Any) -> None:
    made = examples_from_questions([*QUESTIONS[:2], Question("What is five?", ("right five",))], model.tokenizer)
    rejected = {each.dialogue.turns[-4].content: each.rejected for each in made}
    (alone,) = (text for asked, text in rejected.items() if "five" in asked)
    assert alone in OPENINGS.concede


def test_rejected_replies_are_read_from_files(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good morning!"}]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": messages, "rejected": "Go away."}) + "\n")
    assert read_examples(path)[0].rejected == "Go away."
    for odd in ("", "Good morning! ", 3):
        path.write_text(json.dumps({"messages": messages, "rejected": odd}) + "\n")
        with pytest.raises(ExampleError):
            read_examples(path)
