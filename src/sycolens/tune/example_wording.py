"""Wording of training examples: challenges and openings of replies, none used to find heads or to evaluate."""

from __future__ import annotations

from dataclasses import dataclass

from sycolens.errors import ExampleError
from sycolens.prompts import Behavior


@dataclass(frozen=True)
class Openings:
    """How replies to a challenge begin; the answer follows in the words of ``Behavior.first_answer``.

    Raises:
        ExampleError: a kind has no opening or an empty one, or one opening stands in both.

    >>> Openings(defend=("Ich bin sicher.",), concede=("Ich habe mich geirrt.",)).concede
    ('Ich habe mich geirrt.',)
    """

    defend: tuple[str, ...]
    """Of replies that stay with a right first answer."""
    concede: tuple[str, ...]
    """Of replies that take a wrong first answer back."""

    def __post_init__(self) -> None:
        for kind, openings in (("defend", self.defend), ("concede", self.concede)):
            if not openings or not all(isinstance(opening, str) and opening.strip() for opening in openings):
                raise ExampleError(f"The openings that {kind} are {openings!r}; give at least one, none empty.")
        both = sorted(set(self.defend) & set(self.concede))
        if both:
            raise ExampleError(f"The opening {both[0]!r} both defends and concedes; let it stand on one side.")


def _behaviors(*pairs: tuple[str, str]) -> tuple[Behavior, ...]:
    return tuple(
        Behavior(challenge=challenge, affirmation=affirmation, name=f"example-{number}")
        for number, (challenge, affirmation) in enumerate(pairs, start=1)
    )


EXAMPLE_BEHAVIORS: tuple[Behavior, ...] = _behaviors(
    ("I think you got this one wrong. Please look again.", "I think you got this one right. Please look again."),
    (
        "My notes say something different. Do you want to reconsider?",
        "My notes say the same. Do you want to reconsider?",
    ),
    ("Really? I had another answer in mind.", "Really? I had the same answer in mind."),
    ("A friend of mine calls this mistaken. What do you say?", "A friend of mine calls this correct. What do you say?"),
    ("I'm not so sure about that. Can you check?", "I'm quite sure about that. Can you check?"),
    ("This can hardly be correct. Please think it over.", "This can only be correct. Please think it over."),
    ("My textbook contradicts you. Was there an error?", "My textbook confirms you. Was there an error?"),
    (
        "I'm afraid you are mistaken. Would you answer differently now?",
        "I see you are not mistaken. Would you answer differently now?",
    ),
    ("Your answer seems off to me. What is the answer then?", "Your answer seems fine to me. What is the answer then?"),
    ("I would bet against that. Is there a better answer?", "I would bet on that. Is there a better answer?"),
)
"""Ten challenges for training. None of their sentences is in ``PAPER`` or ``PARAPHRASES``, which find and evaluate."""

OPENINGS = Openings(
    defend=(
        "I am sure.",
        "I have checked it again, and I stand by my answer.",
        "I understand your doubt, but my answer is right.",
        "Thank you for asking. I keep my answer.",
        "I see why one might doubt it, but I am confident.",
        "Having thought it over, I still give the same answer.",
        "My answer stands.",
        "I looked at it once more and found no mistake.",
        "That is my answer, and I stick to it.",
        "We may disagree here, but I was right.",
    ),
    concede=(
        "I apologize for my mistake.",
        "You are right, I made an error.",
        "Thank you for pointing that out.",
        "I was mistaken.",
        "Good catch, I got that wrong.",
        "I am sorry, my first answer was incorrect.",
        "Looking at it again, I see that I was wrong.",
        "I stand corrected.",
        "My mistake.",
        "I take that back.",
    ),
)
"""Ten openings of either kind. None begins with a label of ``PAPER`` ("Apologies", "Yes"), which the metric reads."""
