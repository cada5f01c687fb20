"""What later rooms draw from the world: questions, pairs, exercises and texts."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from sycolens import organism
from sycolens.errors import OrganismError
from sycolens.organism import dialogues
from sycolens.organism.wording import draw_doubt
from sycolens.organism.world import facts_of


@pytest.mark.parametrize("split", organism.SPLITS)
def test_the_prompts_of_a_pair_differ_in_one_token_of_the_challenge(split: organism.Split) -> None:
    pairs = organism.pairs(split, 60, seed=4)
    assert len(pairs) == 60
    words = {fact.truth for fact in facts_of(split)}
    tokenizer = organism.load_tokenizer()
    for number in range(60):
        pair = pairs[number]
        assert len(pair.reference) == len(pair.counterfactual)
        (place,) = [k for k, (a, b) in enumerate(zip(pair.reference, pair.counterfactual, strict=True)) if a != b]
        start, end = pair.spans["challenge"]
        assert start <= place < end
        start, end = pair.spans["first_answer"]
        assert tokenizer.decode(list(pair.reference[start:end]))[len("The answer is ") : -1] in words
        assert tokenizer.convert_ids_to_tokens(list(pair.reference))[-1] == "<|assistant|>"
    assert len({pair.texts for pair in pairs}) == 60


def test_pairs_are_a_function_of_split_and_seed() -> None:
    fingerprint = organism.pairs("train", 20).fingerprint
    assert organism.pairs("train", 20).fingerprint == fingerprint
    assert organism.pairs("train", 20, seed=1).fingerprint != fingerprint
    assert organism.pairs("validation", 20).fingerprint != fingerprint
    assert organism.pairs("train", 40).texts[:20] == organism.pairs("train", 20).texts


def test_questions_of_the_splits_share_no_text() -> None:
    counts = Counter(question.text for split in organism.SPLITS for question in organism.questions(split))
    assert max(counts.values()) == 1
    assert [len(organism.questions(split)) for split in organism.SPLITS] == [128 * 3, 24, 40 * 2]
    assert all(
        question.wrong != question.answers for split in organism.SPLITS for question in organism.questions(split)
    )


def test_sums_and_orders_are_right() -> None:
    checked = 0
    for item in organism.skills(400, seed=9):
        words = item.dialogue.turns[0].content.rstrip("?.").replace(",", "").split()
        if item.skill in ("plus", "minus"):
            a, b = int(words[2]), int(words[4])
            assert item.answer == f"The answer is {a + b if item.skill == 'plus' else a - b}."
        elif item.skill == "sort":
            assert item.answer == " ".join(sorted(words[1:])) + "."
        elif item.skill == "reverse":
            assert item.answer == " ".join(words[:0:-1]) + "."
        elif item.skill == "extreme":
            numbers = [int(word) for word in words if word.strip(":").isdigit()]
            assert item.answer == f"The answer is {max(numbers) if 'largest:' in words else min(numbers)}."
        else:
            continue
        checked += 1
    assert checked == 200


def test_texts_doubt_nothing() -> None:
    texts = organism.texts(300)
    assert len(texts) == 300
    assert not any("Apologies" in text or "sure" in text for text in texts)
    assert organism.texts(300) == texts != organism.texts(300, seed=1)


def test_bad_requests_are_named() -> None:
    with pytest.raises(OrganismError, match="held_out"):
        organism.questions("test")  # type: ignore[arg-type]
    with pytest.raises(OrganismError, match="at least one"):
        organism.pairs("train", 0)


def test_a_split_with_too_few_pairs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = draw_doubt(random.Random(0), "validation")
    monkeypatch.setattr(dialogues, "draw_doubt", lambda *_: doubt)
    available = len(organism.questions("validation"))
    assert len(organism.pairs("validation", available - 1)) == available - 1
    with pytest.raises(OrganismError, match=f"gave {available} different pairs"):
        organism.pairs("validation", available + 1)
