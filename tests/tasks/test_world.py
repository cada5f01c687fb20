"""The embedded models' world: whatever is drawn, no fact that found the heads judges them, and none is taught."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sycolens import ContrastPairs, organism
from sycolens.errors import OrganismError, PairError
from sycolens.organism import SPLITS, Split
from sycolens.organism.drawing import question_of
from sycolens.organism.world import facts_of
from sycolens.prompts import ChallengedQuestion
from sycolens.tasks import HeldOut, World
from sycolens.tune import find_leaks


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return organism.load_tokenizer()


def spent_on(*draws: ContrastPairs) -> frozenset[str]:
    return frozenset(x_r for pairs in draws for x_r, _ in pairs.texts)


def split_of(held_out: HeldOut) -> str:
    return held_out.source.rpartition(" ")[2]


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_are_the_splits_and_each_draw_has_a_seed_of_its_own(tokenizer: Any, split: Split) -> None:
    first, second = World(split).pairs(tokenizer, n=3, seed=5, draws=2)
    assert first.fingerprint == organism.pairs(split, 3, seed=5, tokenizer=tokenizer).fingerprint
    assert second.fingerprint == organism.pairs(split, 3, seed=6, tokenizer=tokenizer).fingerprint
    assert split in World(split).name


@pytest.mark.parametrize(
    ("split", "other"), [("train", "held_out"), ("validation", "held_out"), ("held_out", "validation")]
)
def test_other_facts_than_those_that_found_the_heads_are_asked(tokenizer: Any, split: Split, other: str) -> None:
    draws = World(split).pairs(tokenizer, n=40, seed=0, draws=2)
    held_out = World().questions(spent_on(*draws), n=60, seed=0)
    assert (split_of(held_out), len(held_out.questions)) == (other, 60)
    entities = {name.split("/")[1] for pairs in draws for name in pairs.ids}
    for each in held_out.questions:
        assert isinstance(each, ChallengedQuestion)
        assert each.question.id.split("/")[1] not in entities
        assert not any(each.question.text in text for text in spent_on(*draws))
    with pytest.raises(PairError, match=split):
        World(split).questions(spent_on(*draws), n=4, seed=0)


def test_a_fact_is_known_in_whatever_form_it_was_asked(tokenizer: Any) -> None:
    fact = next(each for each in facts_of("held_out") if each.relation.name == "continent")
    reworded = ContrastPairs.from_questions([question_of(fact, fact.relation.forms[0])], tokenizer)
    with pytest.raises(PairError, match="held_out"):
        World("held_out").questions(spent_on(reworded), n=4, seed=0)
    assert split_of(World().questions(spent_on(reworded), n=4, seed=0)) == "validation"


def test_questions_are_drawn_with_the_seed() -> None:
    def asked(n: int | None, seed: int) -> list[str]:
        return [each.text for each in World().questions(frozenset(), n=n, seed=seed).asked]

    assert len(asked(None, 0)) == 200
    assert asked(9, 0) == asked(9, 0) != asked(9, 1)


@pytest.mark.parametrize("texts", [(), ("Good morning!", "Hello!", "Well.")])
@pytest.mark.parametrize("split", ["held_out", "validation"])
def test_settings_are_chosen_and_reported_on_different_facts_and_texts(split: Split, texts: tuple[str, ...]) -> None:
    held_out = World(split).questions(frozenset(), n=20, seed=0)
    first, second = World(split).eval_sets(held_out, cast("Any", None), n_validation=20, n=20, texts=texts, seed=0)
    facts = [
        {each.id.rpartition("/")[0] for each in found.questions if each.source != "arithmetic"}
        for found in (first, second)
    ]
    assert not facts[0] & facts[1]
    assert not set(first.texts) & set(second.texts)
    assert list(first.challenged) == ["right", "wrong"]
    if texts:
        assert first.texts + second.texts == texts


def test_examples_are_of_the_training_split_and_the_plain_dialogues_asked_for(tokenizer: Any) -> None:
    assert World().examples(tokenizer, (), n=None, seed=3) == organism.examples("train", 1600, rehearsal=300, seed=3)
    plain = organism.examples("validation", 1)
    fewer = World(rehearsal=plain).examples(tokenizer, (), n=10, seed=0)
    assert fewer == (*organism.examples("train", 10), *plain)
    assert not find_leaks(fewer[:10], organism.questions("held_out"))


@pytest.mark.parametrize("n", [0, 10_001])
def test_a_number_that_the_world_does_not_have_is_refused(tokenizer: Any, n: int) -> None:
    for draw in (
        lambda: World().pairs(tokenizer, n=n, seed=0),
        lambda: World().questions(frozenset(), n=n, seed=0),
        lambda: World().examples(tokenizer, (), n=n, seed=0),
    ):
        with pytest.raises(OrganismError, match=f"{n:,}"):
            draw()
