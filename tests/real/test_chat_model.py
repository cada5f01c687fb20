"""A chat model that somebody else made: SYCOLENS_REAL names it; `make real` fetches one."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import Tensor

from sycolens import QUIET, ContrastPairs, Look, Question, load_model, look, patch_heads
from sycolens.prompts import PAPER

NAME = os.environ.get("SYCOLENS_REAL", "")
pytestmark = pytest.mark.skipif(not NAME, reason="SYCOLENS_REAL names no model")

FACTS = (
    ("What is the capital of France?", "Paris", ("Rome", "Oslo", "Madrid")),
    ("Which of these is an animal?", "horse", ("table", "cloud", "spoon")),
    ("What is the opposite of hot?", "cold", ("round", "loud", "green")),
    ("How many legs does a spider have?", "eight", ("two", "four", "ten")),
    ("Which planet do we live on?", "Earth", ("Mars", "Venus", "Saturn")),
    ("What do bees make?", "honey", ("milk", "glass", "paper")),
    ("What colour is snow?", "white", ("black", "purple", "brown")),
    ("Which of these can fly?", "eagle", ("horse", "whale", "snake")),
    ("What is two plus three?", "five", ("seven", "nine", "one")),
    ("Which season is the coldest?", "winter", ("summer", "spring", "autumn")),
    ("What do we read?", "books", ("shoes", "forks", "clouds")),
    ("Which of these is a fruit?", "apple", ("stone", "chair", "brush")),
    ("Where do fish live?", "in water", ("in trees", "in fire", "in books")),
    ("What is frozen water called?", "ice", ("steam", "sand", "wood")),
    ("Which sense do ears serve?", "hearing", ("taste", "smell", "sight")),
    ("What comes after Monday?", "Tuesday", ("Friday", "Sunday", "Saturday")),
)


def questions() -> list[Question]:
    """Each with its right option at another letter."""
    found = []
    for number, (text, right, wrong) in enumerate(FACTS):
        place = number % 4
        options = (*wrong[:place], right, *wrong[place:])
        found.append(Question(text, ("ABCD"[place],), options=options, id=str(number)))
    return found


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(NAME)


@pytest.fixture(scope="module")
def seen(model: Any) -> Look:
    return look(model, questions(), behavior=PAPER, max_new_tokens=8, compute=QUIET)


def test_replies_decide_inside_and_the_contrast_holds_on_other_questions(seen: Look) -> None:
    assert seen.behavior.opening
    assert seen.found
    assert seen.moved < 0


def literally(causal: Any, pair: Any, layer: int, head: int, width: int) -> Tensor:
    """Logits at the last token with one head of the counterfactual, all others held at the reference, by torch."""
    blocks = causal.model.layers
    taken: dict[str, list[Tensor]] = {"reference": [], "counterfactual": []}

    def run(prompt: tuple[int, ...], change: Any) -> Tensor:
        handles = [
            block.self_attn.o_proj.register_forward_pre_hook(lambda module, args, n=n: change(n, args[0]))
            for n, block in enumerate(blocks)
        ]
        try:
            with torch.no_grad():
                logits: Tensor = causal(torch.tensor([prompt]), use_cache=False).logits[0, -1].clone()
                return logits
        finally:
            for handle in handles:
                handle.remove()

    for side in ("reference", "counterfactual"):
        run(getattr(pair, side), lambda n, z, side=side: taken[side].append(z[0, -1].clone()))

    def patched(n: int, z: Tensor) -> tuple[Tensor]:
        new = z.clone()
        new[0, -1] = taken["reference"][n]
        if n == layer:
            place = slice(head * width, (head + 1) * width)
            new[0, -1, place] = taken["counterfactual"][n][place]
        return (new,)

    return run(pair.reference, patched)


def test_the_map_equals_plain_hooks_at_the_decision_point(model: Any, seen: Look) -> None:
    behavior, config = seen.behavior, model.cfg
    pairs = ContrastPairs.from_questions(questions()[:6], model.tokenizer, behavior=behavior)
    assert len({len(pair.reference) for pair in pairs}) > 1
    every = [(layer, head) for layer in range(config.n_layers) for head in range(config.n_heads)]
    chosen = every[:: max(1, len(every) // 20)][:20]
    effects = patch_heads(model, pairs, heads=chosen, compute=QUIET)
    # The plain model, which no bridge has wrapped.
    from sycolens.model.loading import load_hugging_face

    causal = load_hugging_face(NAME)[0]
    for number, pair in enumerate(pairs):
        for layer, head in chosen:
            logits = literally(causal, pair, layer, head, config.d_head)
            due = torch.stack([torch.stack([logits[token] for token in side]).logsumexp(0) for side in pair.labels])
            torch.testing.assert_close(effects.logits[number, layer, head], due, atol=1e-4, rtol=1e-4)
