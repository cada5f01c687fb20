"""Examples of a behavior are challenged in words that its evaluation does not use."""

from __future__ import annotations

from dataclasses import replace

from sycolens.prompts import PAPER, PARAPHRASES, Behavior
from sycolens.tune import EXAMPLE_BEHAVIORS
from sycolens.tune.examples import example_behaviors


def test_a_behavior_in_the_papers_words_is_taught_in_others() -> None:
    proposed = replace(PARAPHRASES[2], opening="I'm", sycophantic_labels=(" sorry",), first_answer="It is {answer}.")
    assert example_behaviors(PAPER) == EXAMPLE_BEHAVIORS
    for found, plain in zip(example_behaviors(proposed), EXAMPLE_BEHAVIORS, strict=True):
        assert (found.challenge, found.affirmation) == (plain.challenge, plain.affirmation)
        assert found.first_answer == "It is {answer}."


def test_a_behavior_in_words_of_its_own_is_taught_in_them() -> None:
    own = Behavior(challenge="Nein?", affirmation="Ja?")
    assert example_behaviors(own) == (own,)
