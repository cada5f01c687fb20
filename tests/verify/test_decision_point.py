"""Knockouts and means at a decision point inside the reply, against one hooked pass at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from sycolens import QUIET, ContrastPairs, HeadSet, ablate_heads, attend_to, load_model, mean_activations, organism
from sycolens.errors import DialogueError, LabelError, PairError
from sycolens.prompts import PAPER, Dialogue, Turn, challenge_questions
from sycolens.verify import knock_out

INSIDE = replace(
    PAPER, opening="Apologies for the", sycophantic_labels=(" error", " right"), antisycophantic_labels=(" answer",)
)
HEADS = HeadSet(["L1H1", "L2H2"])


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("organism")


@pytest.fixture(scope="module")
def pairs(model: Any) -> ContrastPairs:
    return ContrastPairs.from_questions(organism.questions("train")[:10], model.tokenizer, behavior=INSIDE)


@pytest.fixture(scope="module")
def asked(model: Any) -> Any:
    return challenge_questions(organism.questions("validation")[:5], model.tokenizer, behavior=INSIDE)


def test_the_prompt_goes_on_with_the_opening(model: Any, pairs: ContrastPairs) -> None:
    plain = ContrastPairs.from_questions(organism.questions("train")[:10], model.tokenizer)
    words = tuple(model.tokenizer.encode("Apologies for the", add_special_tokens=False))
    for pair, bare in zip(pairs, plain, strict=True):
        assert pair.reference == bare.reference + words
        assert pair.counterfactual == bare.counterfactual + words
        assert pair.spans["opening"] == (len(bare.reference), len(pair.reference))
        assert {name: pair.spans[name] for name in bare.spans} == bare.spans


@pytest.mark.parametrize("positions", ["last", "generated"])
def test_replies_and_labels_are_those_of_one_dialogue_at_a_time(
    model: Any, pairs: ContrastPairs, asked: Any, positions: Any
) -> None:
    means = mean_activations(model, pairs, compute=QUIET)
    curve = knock_out(
        model, asked, HEADS, means, steps=(0, 2), controls=1, positions=positions, max_new_tokens=8, compute=QUIET
    )
    for number, each in enumerate(asked):
        prompt = torch.tensor([each.render(model.tokenizer).token_ids])
        start, _ = each.render(model.tokenizer).spans["opening"]
        with ablate_heads(model, HEADS, means=means, positions=positions), torch.no_grad():
            logits = model(prompt)[0, -1]
            ids = model.generate(prompt, max_new_tokens=8, do_sample=False, verbose=False)
        reply = model.tokenizer.decode(ids[0, start:], skip_special_tokens=True).strip()
        assert curve.replies[0][1].replies[number] == reply
        assert reply.startswith("Apologies for the")
        groups = [
            torch.stack([logits[model.tokenizer.encode(word, add_special_tokens=False)[0]] for word in group])
            for group in each.labels
        ]
        due = torch.stack([group.logsumexp(0) for group in groups])
        torch.testing.assert_close(curve.label_logits[1, number], due, atol=1e-4, rtol=1e-4)


def test_means_taken_elsewhere_are_refused(model: Any, pairs: ContrastPairs, asked: Any) -> None:
    with pytest.raises(PairError):
        knock_out(model, asked, HEADS, mean_activations(model, organism.pairs("train", 4), compute=QUIET), controls=1)
    with pytest.raises(PairError):
        knock_out(
            model,
            organism.challenges("validation", 4),
            HEADS,
            mean_activations(model, pairs, compute=QUIET),
            controls=1,
        )


def test_attention_to_the_challenge_leaves_the_opening_out(model: Any, asked: Any) -> None:
    looked = attend_to(model, asked, compute=QUIET)
    for each, (start, end), length in zip(asked, looked.spans, looked.lengths, strict=True):
        spans = each.render(model.tokenizer).spans
        assert (start, end) == (spans["challenge"][0], spans["opening"][0])
        assert length == spans["opening"][1]


def test_a_dialogue_that_ends_with_the_assistant_is_open_there(model: Any) -> None:
    def dialogue(words: str, *more: Turn) -> Dialogue:
        return Dialogue((Turn("user", words), *more))

    said = Turn("assistant", "Apologies for the")
    labels = ((" error",), (" answer",))
    own = [(dialogue("No.", said), dialogue("Yes.", said))]
    bare = [(dialogue("No."), dialogue("Yes."))]
    closed = ContrastPairs.from_dialogues(own, model.tokenizer, labels=labels)
    opened = ContrastPairs.from_dialogues(bare, model.tokenizer, labels=labels, opening="Apologies for the")
    assert closed.reference == opened.reference
    assert closed.labels == opened.labels
    with pytest.raises(DialogueError):
        ContrastPairs.from_dialogues(own, model.tokenizer, labels=labels, opening="Yes")


def test_a_token_that_opens_labels_of_both_sides_is_refused(model: Any) -> None:
    shared = replace(INSIDE, antisycophantic_labels=(" error.",))
    with pytest.raises(LabelError):
        ContrastPairs.from_questions(organism.questions("train")[:2], model.tokenizer, behavior=shared)
