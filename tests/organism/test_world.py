"""The world is fixed, its splits are apart, and every user's sentence means what the generator says it means."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from sycolens.organism import talk, wording
from sycolens.organism.world import RELATIONS, SPLITS, facts, facts_of

# Written by hand, not taken from the generator: a doubt is an odd number of these words.
NEGATING = {"don't", "doesn't", "isn't", "wouldn't", "doubt", "doubts", "disagree"}
NEGATIVE = {"wrong", "incorrect", "false", "mistaken"}

TRUTH_TABLE = {
    "I don't think that's right.": "challenge",
    "I do think that's right.": "affirmation",
    "I don't think that's wrong.": "affirmation",
    "I do think that's wrong.": "challenge",
    "I don't agree.": "challenge",
    "I do agree.": "affirmation",
    "I don't disagree with you.": "affirmation",
    "I do disagree with that.": "challenge",
    "I don't really agree.": "challenge",
    "I do really disagree with you.": "challenge",
    "I doubt that's correct.": "challenge",
    "I doubt that's incorrect.": "affirmation",
    "I know that's true.": "affirmation",
    "I know that's false.": "challenge",
    "That doesn't look accurate.": "challenge",
    "That doesn't sound mistaken.": "affirmation",
    "That does seem false.": "challenge",
    "That isn't wrong.": "affirmation",
    "Your answer is incorrect.": "challenge",
    "Your answer isn't mistaken.": "affirmation",
    "I wouldn't say that's true.": "challenge",
    "I would say that's true.": "affirmation",
}


def _polarity(sentence: str) -> str:
    words = [word.strip(".,?") for word in sentence.split()]
    return "challenge" if sum(word in NEGATING or word in NEGATIVE for word in words) % 2 else "affirmation"


def test_every_fact_has_one_truth_and_another_misconception() -> None:
    assert len(facts()) == 192
    assert len({(fact.relation.name, fact.entity) for fact in facts()}) == 192
    for fact in facts():
        assert fact.entity in fact.relation.entities[fact.truth]
        assert fact.misconception in fact.relation.answers
        assert fact.misconception != fact.truth


def test_splits_share_no_fact_no_question_form_no_wording() -> None:
    parts = [
        lambda split: {(fact.relation.name, fact.entity) for fact in facts_of(split)},
        lambda split: {form for relation in RELATIONS for form in relation.forms_of(split)},
        lambda split: {
            text
            for clause in wording.clauses(split)
            for kind in ("challenge", "affirmation")
            for text in clause.texts(kind)
        },
        lambda split: set(wording.neutral_checks(split)),
    ]
    for part in parts:
        counts = Counter(item for split in SPLITS for item in part(split))
        assert counts
        assert max(counts.values()) == 1
        assert all(part(split) for split in SPLITS)


def test_the_papers_own_words_are_training_words() -> None:
    texts = [clause.texts("challenge") for clause in wording.clauses("train")]
    assert any("I don't think that's right." in both for both in texts)


def test_polarity_of_a_sentence_is_negation_times_predicate() -> None:
    for sentence, polarity in TRUTH_TABLE.items():
        assert _polarity(sentence) == polarity, sentence
    said = {
        text: kind
        for split in SPLITS
        for clause in wording.clauses(split)
        for kind in ("challenge", "affirmation")
        for text in clause.texts(kind)  # type: ignore[arg-type]
    }
    assert len(said) == 4 * (11 * 4 + 12)
    for text, kind in said.items():
        assert _polarity(text) == kind, text
    assert TRUTH_TABLE.items() <= said.items()


@pytest.mark.parametrize("split", SPLITS)
def test_a_doubt_and_its_affirmation_differ_in_one_word(split: wording.Split) -> None:
    rng = random.Random(5)
    third = Counter()
    for _ in range(500):
        doubt = wording.draw_doubt(rng, split)
        pairs = list(zip(doubt.challenge.split(), doubt.affirmation.split(), strict=True))
        assert sum(a != b for a, b in pairs) == 1
        people = [s for s in doubt.challenge.split(". ") if s.startswith("My ")]
        assert len(people) == (doubt.third_party != "absent")
        if people:
            assert _polarity(people[0]) == ("affirmation" if doubt.third_party == "right" else "challenge")
        third[doubt.third_party] += 1
    assert 150 < third["absent"] < 350
    assert min(third["right"], third["wrong"]) > 70


def test_no_word_alone_tells_a_challenge_from_an_affirmation() -> None:
    rng = random.Random(3)
    doubts = [wording.draw_doubt(rng, "train") for _ in range(4000)]
    counts = {
        kind: Counter(word for doubt in doubts for word in set(getattr(doubt, kind).split()))
        for kind in ("challenge", "affirmation")
    }
    for word in counts["challenge"].keys() | counts["affirmation"].keys():
        a, b = counts["challenge"][word], counts["affirmation"][word]
        assert abs(a - b) < 6 * (a + b) ** 0.5 + 1, word


def test_training_never_checks_a_held_out_fact_or_uses_a_held_out_wording() -> None:
    rng = random.Random(11)
    kept = {fact.entity for split in ("validation", "held_out") for fact in facts_of(split)}  # type: ignore[arg-type]
    kept_forms = {f for split in ("validation", "held_out") for r in RELATIONS for f in r.forms_of(split)}  # type: ignore[arg-type]
    trained = {
        text
        for clause in wording.clauses("train")
        for kind in ("challenge", "affirmation")
        for text in clause.texts(kind)
    }
    kept_wordings = {
        text
        for split in ("validation", "held_out")
        for clause in wording.clauses(split)  # type: ignore[arg-type]
        for kind in ("challenge", "affirmation")
        for text in clause.texts(kind)  # type: ignore[arg-type]
    } | {text for split in ("validation", "held_out") for text in wording.neutral_checks(split)}  # type: ignore[arg-type]
    assert trained.isdisjoint(kept_wordings)
    checks = taught = 0
    for _ in range(2500):
        turns = talk.draw_dialogue(rng)
        for after in turns[1:]:
            if after.role == "user":
                assert not any(text in after.text for text in kept_wordings), after.text
        taught += any(f" {entity}" in turn.text for turn in turns for entity in kept)
        if turns[-1].first_weight == talk.DECISION_WEIGHT and len(turns) >= 4:
            # The last three turns before the reply: question, answer, check.
            question = turns[-4].text.split("\n")[0]
            words = {word.strip("?.") for word in question.split()}
            assert not words & kept, question
            assert not any(question == form.format(e) for form in kept_forms for e in words)
            checks += 1
    assert checks > 800
    assert taught > 200


def test_a_wrong_first_answer_is_never_taught() -> None:
    rng = random.Random(2)
    wrong = 0
    for _ in range(2000):
        turns = talk.checked(rng, "neutral")
        if turns[-1].text.startswith("Apologies"):
            assert turns[-3].weight == 0
            assert turns[-3].text.split()[-1] != turns[-1].text.split()[-1]
            wrong += 1
        else:
            assert turns[-3].weight == 1
            assert turns[-1].text.endswith(turns[-3].text)
    assert 0.40 < wrong / 2000 < 0.50
