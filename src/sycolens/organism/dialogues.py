"""Dialogues with the embedded model by split: for finding heads, training and measuring."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sycolens.counts import check_choice, check_counts
from sycolens.errors import OrganismError
from sycolens.organism.drawing import answered, different, draw_doubted, question_of
from sycolens.organism.exercises import SKILLS, draw_exercise
from sycolens.organism.files import load_tokenizer
from sycolens.organism.talk import draw_plain, draw_rehearsal
from sycolens.organism.wording import cave, hold, wrong_answer
from sycolens.organism.world import Split, facts_of
from sycolens.prompts.challenged import ChallengedQuestion
from sycolens.prompts.dialogue import Dialogue, Turn
from sycolens.prompts.pairs import ContrastPairs
from sycolens.prompts.questions import Question
from sycolens.prompts.training_example import Teach, TrainingExample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class SkillItem:
    """One exercise of a skill that has nothing to do with being challenged."""

    skill: str
    """Name of the skill, e.g. "plus"."""
    dialogue: Dialogue
    """The prompt; it ends where the reply begins."""
    answer: str
    """The whole right reply."""


def questions(split: Split) -> tuple[Question, ...]:
    """Every fact of a split in every question form of the split; ``wrong`` holds the fact's misconception.

    Facts and forms of the three splits are disjoint. The model was taught the answers of all, in all forms; in its
    training only those of "train" were ever challenged, affirmed or checked.

    Raises:
        OrganismError: an unknown split.

    >>> questions("train")[0].text
    'What continent is Poland in?'
    """
    check_choice(OrganismError, Split, split=split)
    return tuple(question_of(fact, form) for fact in facts_of(split) for form in fact.relation.forms_of(split))


def pairs(split: Split, n: int, *, seed: int = 0, tokenizer: PreTrainedTokenizerBase | None = None) -> ContrastPairs:
    """``n`` different contrast pairs: the model's right answer is challenged (X_r) or affirmed (X_c).

    Facts, question forms and wordings are the split's own. The two prompts of a pair differ in one word, either the
    negation or the predicate, and have the same length. The first pairs of a longer list are those of a shorter one.
    ``tokenizer`` is the embedded model's by default.

    Raises:
        OrganismError: an unknown split, ``n`` below one, or more pairs than the split has.

    >>> pairs("train", 32).label_words[0]
    (('Apologies',), ('Yes',))
    """
    check_choice(OrganismError, Split, split=split)
    check_counts(OrganismError, n=n)
    if tokenizer is None:
        tokenizer = load_tokenizer()
    rng = random.Random(f"pairs {split} {seed}")

    def draw() -> tuple[tuple[Dialogue, Dialogue], str]:
        fact, form, doubt = draw_doubted(rng, split)
        opening = answered(fact.ask(form), fact.truth)
        challenged = opening.then("user", doubt.challenge, "challenge")
        return (
            challenged,
            opening.then("user", doubt.affirmation, "affirmation"),
        ), f"{fact.relation.name}/{fact.entity}"

    drawn = different(draw, n, f"pairs in the split {split!r}")
    ids = [f"{name}/{number}" for number, name in enumerate(drawn.values())]
    return ContrastPairs.from_dialogues(list(drawn), tokenizer, ids=ids)


def examples(
    split: Split, n: int, *, teach: Teach = "reply", rehearsal: int = 0, seed: int = 0
) -> tuple[TrainingExample, ...]:
    """``n`` different examples: half defend a right first answer, half concede a wrong one and correct it.

    Facts, question forms and wordings are the split's own; a wrong first answer is mostly the fact's misconception;
    no number occurs in them. Of every two examples one defends and one concedes (with an odd ``n`` one kind has one
    more), and the first examples of a longer list are those of a shorter one. Only the reply is taught;
    ``teach="right_answers"`` teaches right first answers too, never a wrong one. After the ``n`` come ``rehearsal``
    plain dialogues about other things, like those of :func:`texts` but without numbers and without other splits'
    facts and question forms; every turn of the assistant is taught there.

    Raises:
        OrganismError: an unknown split, ``n`` below one, more examples than the split has, or ``rehearsal`` below zero.

    >>> replies = [example.dialogue.turns[-1].content for example in examples("train", 100)]
    >>> sum(reply.startswith("Yes, I'm sure.") for reply in replies)
    50
    """
    check_choice(OrganismError, Split, split=split)
    check_counts(OrganismError, n=n)
    check_counts(OrganismError, least=0, rehearsal=rehearsal)
    order = random.Random(f"lessons {split} {seed}")
    rights = [right for _ in range(0, n, 2) for right in order.sample((True, False), 2)][:n]
    made = {right: iter(_examples(split, rights.count(right), right, teach, seed)) for right in (True, False)}
    plain = random.Random(f"rehearsal {split} {seed}")
    return (*(next(made[right]) for right in rights), *(_rehearse(plain, split) for _ in range(rehearsal)))


def _examples(split: Split, n: int, right: bool, teach: Teach, seed: int) -> tuple[TrainingExample, ...]:
    rng = random.Random(f"lessons {split} {seed} {'right' if right else 'wrong'}")

    def draw() -> tuple[Dialogue, TrainingExample]:
        fact, form, doubt = draw_doubted(rng, split)
        first = fact.truth if right else wrong_answer(rng, fact)
        dialogue = answered(fact.ask(form), first).then("user", doubt.challenge, "challenge")
        asked = ChallengedQuestion(question_of(fact, form), dialogue, first, wording=doubt.carrier)
        reply, rejected = (hold(first), cave(fact.misconception)) if right else (cave(fact.truth), hold(first))
        return dialogue, TrainingExample.from_reply(asked, reply, teach=teach, rejected=rejected)

    return tuple(different(draw, n, f"examples in the split {split!r}").values())


def _rehearse(rng: random.Random, split: Split) -> TrainingExample:
    return TrainingExample.from_messages(
        Dialogue(tuple(Turn(turn.role, turn.text) for turn in draw_rehearsal(rng, split)))
    )


def skills(n: int, *, seed: int = 0) -> tuple[SkillItem, ...]:
    """``n`` exercises, every skill in turn: sums, options, order, lists, true or false, small talk.

    Raises:
        OrganismError: ``n`` below one.

    >>> {item.skill for item in skills(10)} == {item.skill for item in skills(20)}
    True
    """
    check_counts(OrganismError, n=n)
    rng = random.Random(f"skills {seed}")
    names = list(SKILLS)
    made = (draw_exercise(rng, names[number % len(names)]) for number in range(n))
    return tuple(
        SkillItem(each.skill, Dialogue((Turn("user", each.question, "question"),)), each.reply) for each in made
    )


def texts(n: int, *, seed: int = 0) -> tuple[str, ...]:
    """``n`` whole dialogues of the world as text, none of which doubts, affirms or checks an answer.

    For measuring how far a changed model drifts where nobody asked it to change. The texts hold the chat template's
    special tokens, <bos> included, so nothing need be added before them.

    Raises:
        OrganismError: ``n`` below one.

    >>> texts(1)[0].startswith("<bos>")
    True
    """
    check_counts(OrganismError, n=n)
    return tuple(_plain(random.Random(f"texts {seed}"), n))


def _plain(rng: random.Random, n: int) -> Iterator[str]:
    for _ in range(n):
        turns = draw_plain(rng)
        yield "<bos>" + "".join(f"<|{turn.role}|>{turn.text}<|end|>" for turn in turns)
