"""Examples from questions: some defend a right first answer, the others concede a wrong one and correct it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING, Final, Literal

from sycolens.choices import AnswerPlace
from sycolens.counts import check_choice
from sycolens.errors import ExampleError
from sycolens.prompts import Behavior, ChallengedQuestion, Question
from sycolens.prompts.asking import answer_questions
from sycolens.prompts.behavior import is_in_papers_words
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.questions import letters
from sycolens.prompts.training_example import Teach, TrainingExample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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


def example_behaviors(behavior: Behavior) -> tuple[Behavior, ...]:
    """How examples of a behavior are challenged: where it is in the paper's words, or paraphrases of them, in others.

    No evaluation uses these. A behavior in words of its own is taught in them, since there are no others.

    >>> from dataclasses import replace
    >>> from sycolens.prompts import PAPER
    >>> example_behaviors(replace(PAPER, first_answer="It is {answer}."))[0].first_answer
    'It is {answer}.'
    """
    if not is_in_papers_words(behavior):
        return (behavior,)
    own = {name: getattr(behavior, name) for name in ("first_answer", "letter_request", "open_request")}
    return tuple(replace(each, **own) for each in EXAMPLE_BEHAVIORS)


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


HALF: Final = 0.5
"""Share of conceding examples unless said otherwise: the paper's."""
Dealt = dict[Literal["correct", "wrong"], list[Question]]
"""Questions by the first answer that they get."""


def examples_from_questions(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    *,
    behavior: Behavior | Sequence[Behavior] = EXAMPLE_BEHAVIORS,
    openings: Openings = OPENINGS,
    concede: float = HALF,
    answer: AnswerPlace = "last",
    teach: Teach = "reply",
    system: str | None = "auto",
    chat_format: ChatFormat = CHAT,
    seed: int = 0,
) -> tuple[TrainingExample, ...]:
    """One example a question: question, first answer, challenge, and the reply to learn, in random order.

    In exactly half of them the first answer is right and the reply defends it; in the others it is wrong (one of
    ``Question.wrong``), and the reply concedes and gives the right one. Both halves are challenged in the same
    words, equally often, and each deals its openings out evenly. ``concede`` is another share of conceding examples,
    from 0 (all defend) to below 1.

    The share is the same within every ``Question.source``, lest the kind of question tell the kind of reply. So at
    most half of a source (1 - ``concede``) may be questions that know no wrong answer, which can only be defended.
    Where the share does not come out even, one question of a source, drawn with ``seed``, is left out.

    ``answer="first"`` names the answer before the opening, "The answer is Lima. I was mistaken.", so that the model has
    said what it knows when it comes to defending or conceding. Small models learn that sooner.

    Only the reply is taught; ``teach="right_answers"`` teaches right first answers too, never a wrong one. What is
    ``rejected`` gives a right answer up for a wrong one, or stands by a wrong one, in the same words. The other
    options are those of ``challenge_questions``.

    Raises:
        ExampleError: ``concede`` is no such share; a source has too few questions for it, or too few that know a wrong
            answer; an unknown ``answer`` or ``teach``.
        BehaviorError: there is no behavior.

    >>> examples = examples_from_questions(questions, tokenizer)
    >>> len(examples), [turn.part for turn in examples[0].dialogue.turns]
    (384, ['system', 'question', 'first_answer', 'challenge', 'reply'])
    """
    check_choice(ExampleError, AnswerPlace, answer=answer)
    rng = random.Random(f"lessons {seed}")
    examples = []
    for first_answer, chosen in deal_first_answers(questions, rng, concede=concede).items():
        if not chosen:
            continue
        answered = answer_questions(
            chosen,
            tokenizer,
            behavior=behavior,
            system=system,
            first_answer=first_answer,
            chat_format=chat_format,
            seed=seed,
        )
        own, other = openings.defend, openings.concede
        if first_answer == "wrong":
            own, other = other, own
        # Questions and behaviors come in random order, so openings may come in turn.
        for each, opening, against in zip(answered, cycle(own), cycle(other), strict=False):
            challenged = each.dialogue.then("user", each.behavior.challenge, "challenge")
            asked = ChallengedQuestion(each.question, challenged, each.answer, wording=each.behavior.name)
            question = each.question
            # Rejected is to stand by a wrong answer, or to give a right one up, for a wrong one where one is known.
            instead = each.answer if first_answer == "wrong" else next(iter(question.wrong), None)
            said = [opening, _worded(question.answers[0], question, each.behavior)]
            rejected = [against, *([] if instead is None else [_worded(instead, question, each.behavior)])]
            if answer == "first":
                said, rejected = said[::-1], rejected[::-1]
            asked_and_taught = TrainingExample.from_reply(
                asked, " ".join(said), teach=teach, rejected=" ".join(rejected)
            )
            examples.append(asked_and_taught)
    rng.shuffle(examples)
    return tuple(examples)


def deal_first_answers(questions: Sequence[Question], rng: random.Random, *, concede: float = HALF) -> Dealt:
    """Which questions get a right first answer and which a wrong one, source by source.

    Raises:
        ExampleError: as :func:`examples_from_questions`.

    >>> dealt = deal_first_answers(questions, random.Random(0), concede=0.25)
    >>> [len(dealt[first_answer]) for first_answer in ("correct", "wrong")]
    [288, 96]
    """
    if isinstance(concede, bool) or not isinstance(concede, int | float) or not 0 <= concede < 1:
        raise ExampleError(
            f"concede={concede!r} is no share of examples that concede; give a number from 0, with which all defend, "
            "to below 1, such as 0.5."
        )
    if not questions:
        raise ExampleError("There are no questions to make examples of; give at least two.")
    by_source = defaultdict(list)
    for question in questions:
        by_source[question.source].append(question)
    dealt: Dealt = {"correct": [], "wrong": []}
    for source, members in by_source.items():
        conceding, defending = _part(concede, len(members)), _part(1 - concede, len(members))
        rng.shuffle(members)
        fallible = [place for place, question in enumerate(members) if question.wrong]
        if not defending or (concede and not conceding):
            raise ExampleError(
                f"Source {source!r} has {len(members)} question{'s' * (len(members) > 1)}, too few to concede a share "
                f"of {concede:g} of them and defend the others; give it more, or let Question.source be the same for "
                "all."
            )
        if len(fallible) < conceding:
            raise ExampleError(
                f"{len(members) - len(fallible)} of the {len(members)} questions of source {source!r} know no wrong "
                f"answer and could only be defended; fill Question.wrong, or leave some out, until {conceding} of them "
                "know one, or concede less."
            )
        conceded = fallible[:conceding]
        defended = sorted(set(range(len(members))) - set(conceded))[:defending]
        dealt["wrong"] += [members[place] for place in conceded]
        dealt["correct"] += [members[place] for place in defended]
    return dealt


def _part(share: float, count: int) -> int:
    """A share of a number, rounded down; what floating point misses of a whole number is no reason to lose one."""
    return int(share * count + 1e-9)


def _worded(answer: str, question: Question, behavior: Behavior) -> str:
    """An answer as the behavior words it; of options both letter and text."""
    if question.options:
        answer = f"({answer}) {question.options[letters(len(question.options)).index(answer)]}"
    if "{answer}." in behavior.first_answer:
        answer = answer.rstrip(".")
    return behavior.first_answer.replace("{answer}", answer)
