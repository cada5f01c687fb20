"""The tasks: ``inspect eval sycolens/challenge``, and the same from Python with questions of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig

from sycolens.counts import check_counts
from sycolens.data import load_questions
from sycolens.errors import ModelError, QuestionError
from sycolens.inspect.groups import OWN, given_answers, system_message
from sycolens.inspect.scoring import stance
from sycolens.inspect.solving import challenged, messages
from sycolens.measure.first_answers import asked_from_the_start, before_answer, given_answers_of, in_a_row
from sycolens.prompts import PAPER, Behavior, ChallengedQuestion, Question


@task
def challenge(
    questions: str = "general",
    subset: str | None = None,
    split: str | None = None,
    sample: int | None = None,
    behavior: str | None = None,
    neutral: str | None = None,
    system: str | None = "auto",
    max_tokens: int = 64,
    seed: int = 0,
    turns: int = 1,
) -> Task:
    """``inspect eval sycolens/challenge -T questions=mmlu -T sample=100``: a question set, as :func:`challenge_task`.

    ``questions``, ``subset``, ``split`` and ``sample`` are those of :func:`load_questions`, ``behavior`` is a file that
    :meth:`Behavior.read` takes. Beside its own answers the model is challenged on given ones (:func:`given_answers`),
    all of them ``turns`` times in a row.

    Raises:
        QuestionError, BehaviorError: the questions or the behavior cannot be read.
        QuestionError, ModelError: as :func:`challenge_task`.
    """
    found = load_questions(questions, subset=subset, split=split, sample=sample, seed=seed)
    words = PAPER if behavior is None else Behavior.read(behavior)
    given = given_answers(found, behavior=words, neutral=neutral, system=system, seed=seed)
    return challenge_task(
        found, given=given, behavior=words, system=system, max_tokens=max_tokens, turns=turns, seed=seed
    )


def challenge_task(
    questions: Sequence[Question | ChallengedQuestion],
    *,
    given: Mapping[str, Sequence[ChallengedQuestion]] | None = None,
    behavior: Behavior | Sequence[Behavior] = PAPER,
    system: str | None = "auto",
    max_tokens: int = 64,
    turns: int = 1,
    seed: int = 0,
) -> Task:
    """The two rounds of :func:`evaluate_challenge` as a task of Inspect, one sample a question.

    Dialogues, grades, rates and intervals are those of :func:`evaluate_challenge` on the same model; the model replies
    greedily (temperature 0). ``given`` are answers that are put into its mouth, by the name of their group, such as
    those of :func:`given_answers` or of an eval set (``EvalSet.challenged``). ``turns`` is how many challenges follow
    each other, on own answers and on given ones. The other options are those of :func:`evaluate_challenge`.

    Raises:
        QuestionError: there are no questions, a group is called "own", or ``turns`` is no whole number from 1.
        QuestionError: a given answer's dialogue has no turn called "first_answer", and there are several turns.
        BehaviorError: there is no behavior.
        ModelError: a behavior has the scorer "likelihood", which a served model does not give.

    >>> task = challenge_task(organism.questions("held_out")[:4], given={"right": organism.challenges("held_out", 2)})
    >>> len(task.dataset)
    6
    """
    if not questions:
        raise QuestionError("There are no questions to evaluate; give at least one.")
    if given and OWN in given:
        raise QuestionError(f"A group of given answers is called {OWN!r}, like the model's own; call it otherwise.")
    check_counts(QuestionError, turns=turns)
    own = asked_from_the_start(questions, behavior=behavior, system=system_message(system), seed=seed)
    groups = {OWN: own, **(given or {})}
    if any(each.final_question for asked in groups.values() for each in asked):
        raise ModelError(
            'Inspect gives texts, and no likelihoods to compare answers by; choose scorer="replies" for the behavior.'
        )
    samples = []
    for group, asked in groups.items():
        several = _in_a_row(questions if group == OWN else asked, asked, behavior, turns, own=group == OWN)
        samples += [
            Sample(
                id=f"{group}-{number}",
                input=messages(before_answer(each) if group == OWN else each.dialogue),
                target=list(each.question.answers),
                metadata={"group": group, "number": number, "asked": asdict(each), **more},
            )
            for number, (each, more) in enumerate(zip(asked, several, strict=True))
        ]
    config = GenerateConfig(temperature=0, max_tokens=max_tokens)
    return Task(samples, solver=challenged(), scorer=stance(), config=config, name="challenge")


def _in_a_row(
    questions: Sequence[Question | ChallengedQuestion],
    asked: Sequence[ChallengedQuestion],
    behavior: Behavior | Sequence[Behavior],
    turns: int,
    *,
    own: bool,
) -> list[dict[str, Any]]:
    """What each sample has beside its question where there are several challenges; nothing where there is one."""
    if turns == 1:
        return [{}] * len(asked)
    challenges = [in_a_row(before, after, behavior, turns) for before, after in zip(questions, asked, strict=True)]
    if own:
        return [{"challenges": list(each)} for each in challenges]
    first_replies = given_answers_of(asked)[1]
    pairs = zip(challenges, first_replies, strict=True)
    return [{"challenges": list(each), "first_reply": reply} for each, reply in pairs]
