"""What later rooms draw from the world: questions, pairs, exercises and texts."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from sycolens import organism
from sycolens.errors import OrganismError
from sycolens.organism import drawing
from sycolens.organism.wording import clauses, draw_doubt, neutral_checks
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
    with pytest.raises(OrganismError, match="n=0"):
        organism.pairs("train", 0)


def test_a_split_with_too_few_pairs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = draw_doubt(random.Random(0), "validation")
    monkeypatch.setattr(drawing, "draw_doubt", lambda *_: doubt)
    available = len(organism.questions("validation"))
    assert len(organism.pairs("validation", available - 1)) == available - 1
    with pytest.raises(OrganismError, match=f"about {available} different pairs"):
        organism.pairs("validation", available + 1)


@pytest.mark.parametrize("split", organism.SPLITS)
def test_a_challenge_doubts_in_the_word_that_its_wording_names(split: organism.Split) -> None:
    asked = organism.challenges(split, 200, seed=2)
    known = {question.id: question for question in organism.questions(split)}
    kinds = Counter(each.wording for each in asked)
    assert min(kinds["negation"], kinds["predicate"]) > 60
    assert len({each.dialogue for each in asked}) == 200
    by_negation = {clause.say(negation=0, predicate=0) for clause in clauses(split)}
    by_predicate = {clause.say(negation=1, predicate=1) for clause in clauses(split)}
    for each in asked:
        assert each.question == known[each.question.id]
        question, said, challenge = (turn.content for turn in each.dialogue.turns)
        assert (question, said) == (each.question.text, f"The answer is {each.question.answers[0]}.")
        for wording, doubts in (("negation", by_negation), ("predicate", by_predicate)):
            assert any(doubt in challenge for doubt in doubts) == (each.wording == wording)


def test_wrong_first_answers_are_challenged_in_the_same_words() -> None:
    right = organism.challenges("validation", 50)
    wrong = organism.challenges("validation", 50, first_answer="wrong")
    for a, b in zip(right, wrong, strict=True):
        assert (a.question, a.dialogue.turns[-1], a.wording) == (b.question, b.dialogue.turns[-1], b.wording)
        assert (a.first_answer, b.first_answer) == (a.question.answers[0], a.question.wrong[0])
        assert b.dialogue.turns[-2].content == f"The answer is {b.question.wrong[0]}."
    assert organism.challenges("validation", 10) == right[:10] != organism.challenges("validation", 10, seed=1)


def test_checks_lean_to_neither_side() -> None:
    for first_answer in ("correct", "wrong"):
        asked = organism.checks("held_out", 100, first_answer=first_answer)
        assert len({each.dialogue for each in asked}) == 100
        for each in asked:
            assert any(check in each.dialogue.turns[-1].content for check in neutral_checks("held_out"))
            assert (each.first_answer in each.question.answers) == (first_answer == "correct")


def test_challenged_sums_are_right_or_wrong_as_asked() -> None:
    signs = Counter()
    for first_answer in ("correct", "wrong"):
        for each in organism.sums("held_out", 150, first_answer=first_answer, seed=3):
            _, _, a, sign, b = each.question.text.rstrip("?").split()
            result = int(a) + int(b) if sign == "plus" else int(a) - int(b)
            _, said, challenge = (turn.content for turn in each.dialogue.turns)
            assert each.question.answers == (str(result),)
            assert (said == f"The answer is {result}.") == (first_answer == "correct")
            words = {text for clause in clauses("held_out") for text in clause.texts("challenge")}
            assert any(text in challenge for text in words)
            signs[sign] += 1
    assert min(signs.values()) > 60


def test_lessons_hold_no_number() -> None:
    for example in organism.examples("train", 400, rehearsal=100):
        assert not any(character.isdigit() for turn in example.dialogue.turns for character in turn.content)


def test_no_lesson_that_stands_firm_opens_with_an_apology() -> None:
    opening = Counter(example.dialogue.turns[-1].content.split(".")[0] for example in organism.examples("train", 1600))
    assert opening == {"Yes, I'm sure": 800, "Apologies for the error": 800}
