"""Look before patching: what does this model say when it is challenged, and where in its reply does it decide?"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from sycolens.compute import Compute
from sycolens.counts import check_counts
from sycolens.decision.point import DecisionPoint, propose
from sycolens.decision.result import Case, Look
from sycolens.decision.words import in_words
from sycolens.errors import BehaviorError, DialogueError, QuestionError
from sycolens.find import patch_heads
from sycolens.measure.challenge import first_round
from sycolens.measure.grading import first_is_right
from sycolens.measure.known import FIRST_ANSWER
from sycolens.measure.responders import reader_of
from sycolens.model.batched_generation import generate
from sycolens.model.hooked import Geometry
from sycolens.prompts import PAPER, Behavior, ContrastPairs, Dialogue, Question
from sycolens.prompts.asking import answer_questions, behaviors_of
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.thinking import CLOSED, TURN_OFF, begins_block
from sycolens.prompts.tokens import spelled


def look(
    model: Any,
    questions: Sequence[Question],
    *,
    behavior: Behavior | Sequence[Behavior] = PAPER,
    system: str | None = "auto",
    max_new_tokens: int = 16,
    depth: int = 8,
    chat_format: ChatFormat = CHAT,
    seed: int = 0,
    compute: Compute = Compute(),
) -> Look:
    """What a model says when it is challenged, where its reply decides, and the labels to read there.

    Every question is asked and answered by the model; then it is challenged and affirmed in the words of every
    behavior, with the right answer put into the assistant's mouth and, where the model's own was right, with that. The
    replies to one half of the questions propose a decision point and labels (:func:`propose`), and the wording that
    shows most contrast there; the other half says how often the contrast shows (:attr:`Look.contrast`).

    Raises:
        QuestionError: there are fewer than four questions.
        BehaviorError: two behaviors have one name.
        DialogueError: the chat template opens a thinking block, so that no reply opens at its end.
        BehaviorError, DialogueError, PromptError, ModelError, NotFiniteError: as :func:`first_round`.

    >>> seen = look(model, organism.questions("validation")[:16], compute=QUIET)
    >>> seen.behavior.opening, seen.behavior.labels
    ('', (('Apologies',), ('Yes',)))
    """
    if len(questions) < 4:
        raise QuestionError(f"There are {len(questions)} questions; look asks at least four, two to propose labels.")
    check_counts(QuestionError, max_new_tokens=max_new_tokens, depth=depth)
    behaviors, tokenizer = behaviors_of(behavior), reader_of(model, None)
    if len({each.name for each in behaviors}) < len(behaviors):
        raise BehaviorError("Two behaviors have one name, by which their replies are told apart; give each its own.")
    if begins_block(tokenizer, chat_format):
        raise DialogueError(
            "The chat template opens a thinking block, so what would be looked at is how the model begins to think. "
            f"{TURN_OFF}; set another chat template; or leave look out and write a behavior whose opening closes the "
            f"block ({CLOSED!r})."
        )
    options: dict[str, Any] = {"system": system, "chat_format": chat_format, "seed": seed}
    own = first_round(model, questions, behavior=behaviors[0], max_new_tokens=FIRST_ANSWER, compute=compute, **options)
    known = list(map(first_is_right, own))
    kinds: list[tuple[int, Behavior, Literal["given", "own"], Dialogue]] = []
    for each in behaviors:
        given = answer_questions(questions, tokenizer, behavior=each, first_answer="correct", **options)
        kinds += [(number, each, "given", answered.dialogue) for number, answered in enumerate(given)]
        kinds += [(i, each, "own", Dialogue(own[i].dialogue.turns[:-1])) for i in range(len(own)) if known[i]]
    dialogues = [
        dialogue.then("user", words, "challenge")
        for _, each, _, dialogue in kinds
        for words in (each.challenge, each.affirmation)
    ]
    prompts = [dialogue.render(tokenizer, chat_format=chat_format).token_ids for dialogue in dialogues]
    replies = generate(model, prompts, tokenizer=tokenizer, max_new_tokens=max_new_tokens, compute=compute)
    cases = tuple(
        Case(number, each.name, answer, (replies[2 * i], replies[2 * i + 1]))
        for i, (number, each, answer, _) in enumerate(kinds)
    )
    proposing = frozenset(random.Random(f"look {seed}").sample(range(len(questions)), len(questions) // 2))
    point = propose([each.replies for each in _given(cases, proposing)], depth=depth)
    chosen = behaviors[0] if point is None else _most_contrast(behaviors, point, _given(cases, proposing))
    if point is not None:
        chosen = in_words(chosen, point, tokenizer, dialogues[0], chat_format)
    others = [question for number, question in enumerate(questions) if number not in proposing]
    pairs = ContrastPairs.from_questions(others, tokenizer, behavior=chosen, max_characters=None, **options)
    # One head is patched for the sake of what is read without a patch.
    read = patch_heads(model, pairs, heads=[(0, 0)], compute=compute)
    return Look(
        asked=tuple(questions),
        first_replies=tuple(each.dialogue.turns[-2].content for each in own),
        known=tuple(known),
        proposing=tuple(sorted(proposing)),
        cases=cases,
        pieces=tuple(spelled(tokenizer, replies)),
        point=point,
        behavior=chosen,
        reference_logits=read.reference_logits,
        counterfactual_logits=read.counterfactual_logits,
        model_name=Geometry.of(model).name,
    )


def _given(cases: Iterable[Case], questions: frozenset[int]) -> list[Case]:
    return [case for case in cases if case.answer == "given" and case.question in questions]


def _most_contrast(behaviors: Sequence[Behavior], point: DecisionPoint, cases: Sequence[Case]) -> Behavior:
    """The behavior whose replies show most contrast; of equals the first."""

    def shown(behavior: Behavior) -> int:
        return sum(point.contrast(case.replies) for case in cases if case.wording == behavior.name)

    return max(behaviors, key=shown)
