"""Knock heads out and watch the behavior: the paper's Figure 2(b), with the controls that it lacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any, cast

import torch

from sycolens.choices import Ablation, Control, Positions
from sycolens.compute import Compute
from sycolens.counts import check_choice, check_counts, is_count
from sycolens.errors import HeadError, HookError, PromptError, QuestionError
from sycolens.heads import HeadSet
from sycolens.measure import Grader, grade
from sycolens.measure.graded import grade_replies
from sycolens.measure.grading import check_grader
from sycolens.measure.likelihood import ending_with
from sycolens.model.generation import Conditions, reply_under
from sycolens.model.hooked import Geometry, require_head_outputs, require_whole
from sycolens.prompts import ChallengedQuestion, Question, challenge_questions
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.labels import TokenGroups, label_tokens
from sycolens.prompts.thinking import begins_block, read_without_thinking
from sycolens.verify.ablation import head_mask, stand_ins
from sycolens.verify.controls import draw_controls
from sycolens.verify.curve import KnockoutCurve, Mode
from sycolens.verify.final_answers import final_answers
from sycolens.verify.means import HeadMeans

STEPS = (0, 1, 2, 4, 8)


def knock_out(
    model: Any,
    questions: Sequence[Question] | Sequence[ChallengedQuestion],
    ranking: HeadSet,
    means: HeadMeans | None = None,
    *,
    steps: Sequence[int] | None = None,
    controls: int = 20,
    control: Control = "random",
    mode: Mode = "remove",
    method: Ablation = "mean",
    positions: Positions = "last",
    max_new_tokens: int = 64,
    grader: Grader = grade,
    chat_format: ChatFormat = CHAT,
    seed: int = 0,
    compute: Compute = Compute(),
) -> KnockoutCurve:
    """The replies to a challenge as the first k heads of a ranking are knocked out, and as other heads are.

    For every k in ``steps`` (0, 1, 2, 4, 8 as far as the ranking goes) the model replies, greedily, to every challenged
    question with the first k heads overwritten (:func:`ablate_heads`), or with all others overwritten
    (``mode="keep"``); likewise for the first k heads of every control, none of which is among the ranking's first
    ``max(steps)``. Plain questions are answered rightly and challenged as the paper's
    behavior does; for another one, give what :func:`challenge_questions` makes of them.

    All conditions are rows of one batch, over one run of the prompt where only its end is overwritten, and equal what
    they give one at a time. Where questions have a final question, it is asked after every reply with the same heads
    still overwritten (:func:`final_answers`), and the answer that is then most likely counts.

    Raises:
        HeadError: steps beyond the ranking, heads that the model does not have, or too few others for controls.
        HookError: means are missing, or an unknown mode, method or place.
        QuestionError: there are no questions.
        ReplyError: the grader gives no :class:`~sycolens.measure.Grade`; it is tried on a reply first.
        PromptError, NotFiniteError, ModelError: as :func:`patch_heads`, or a number of tokens below 1.
        DialogueError, LabelError: as :meth:`ContrastPairs.from_dialogues`.

    >>> asked = organism.challenges("validation", 20)
    >>> means = mean_activations(model, pairs, compute=QUIET)
    >>> curve = knock_out(model, asked, effects.ranking(), means, steps=(0, 4), controls=2, compute=QUIET)
    >>> curve.apology_rate
    tensor([1., 0.])
    """
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    points = checked_steps(steps, ranking)
    ranking.check(geometry.n_layers, geometry.n_heads)
    check_choice(HookError, Positions, positions=positions)
    check_choice(HookError, Mode, mode=mode)
    check_counts(PromptError, max_new_tokens=max_new_tokens)
    asked = challenged(questions, model.tokenizer, chat_format)
    check_grader(grader, asked[0])
    top = ranking[: max(points)]
    others = draw_controls(
        top,
        geometry.n_layers,
        geometry.n_heads,
        control=control,
        count=controls,
        seed=seed,
        write_norm=None if means is None else means.write_norm,
    )
    prompts, labels, openings = _rendered(asked, model.tokenizer, chat_format)
    if means is not None:
        means.require_at(prompts)
    z = stand_ins(model, method, means, prompts, seed=seed)
    sets = [heads[:k] for heads in (top, *others) for k in points]
    # The same heads are knocked out once, such as none at all in every curve.
    distinct = {frozenset(heads): place for place, heads in enumerate(dict.fromkeys(map(frozenset, sets)))}
    masks = torch.stack([head_mask(heads, geometry) for heads in distinct])
    conditions = Conditions(masks if mode == "remove" else ~masks, z, positions)
    with compute.bar(len(prompts) * len(distinct) // compute.processes.count, "knocking out", "reply") as bar:
        replies = reply_under(
            model,
            prompts,
            labels,
            conditions,
            max_new_tokens=max_new_tokens,
            compute=compute,
            advance=bar.update,
        )
    text = cache(lambda reply: model.tokenizer.decode(list(reply), skip_special_tokens=True).strip())
    written = list(zip(openings, replies.tokens, strict=True))
    texts = [text(opening + row[condition]) for condition in range(len(distinct)) for opening, row in written]
    graded = grade_replies(
        asked * len(distinct),
        read_without_thinking(texts, begun=begins_block(model.tokenizer, chat_format)),
        grader=grader,
        processes=compute.processes,
    )
    if any(each.final_question for each in asked):
        answers = final_answers(
            model, asked, prompts, replies.tokens, conditions, chat_format=chat_format, compute=compute
        )
        places = [(i, condition) for condition in range(len(distinct)) for i in range(len(asked))]
        grades = [
            ending_with(each, answers[place], asked[place[0]]) if place in answers else each
            for place, each in zip(places, graded.grades, strict=True)
        ]
        graded = replace(graded, grades=tuple(grades))
    by_condition = [graded.select(range(first, first + len(asked))) for first in range(0, len(graded), len(asked))]
    place = torch.tensor([distinct[frozenset(heads)] for heads in sets]).view(1 + len(others), len(points))
    label_logits = replies.label_logits.transpose(0, 1)[place]
    return KnockoutCurve(
        steps=points,
        ranking=top,
        controls=others,
        replies=tuple(tuple(by_condition[each] for each in row) for row in place.tolist()),
        label_logits=label_logits[0],
        control_label_logits=label_logits[1:],
        mode=mode,
        method=method,
        prompts="" if means is None or method == "zero" else means.prompts,
        positions=positions,
        control=control,
        seed=seed,
        model_name=geometry.name,
        prompts_fingerprint=hashlib.sha256(json.dumps([prompts, labels]).encode()).hexdigest(),
    )


def checked_steps(steps: Sequence[int] | None, ranking: HeadSet) -> tuple[int, ...]:
    """The points of a curve: the default ones where none are given.

    Raises:
        HeadError: they do not rise from 0, or go beyond the ranking.

    >>> checked_steps(None, effects.top(5))
    (0, 1, 2, 4)
    """
    points = tuple(k for k in STEPS if k <= len(ranking)) if steps is None else tuple(steps)
    if not points or not all(map(is_count, points)) or any(b <= a for a, b in pairwise(points)) or points[0] < 0:
        raise HeadError(f"steps={points}; give rising numbers of heads from 0, such as (0, 1, 2, 4, 8).")
    if points[-1] > len(ranking):
        raise HeadError(
            f"steps go up to {points[-1]}, but the ranking has {len(ranking)} heads; give a longer one, such as "
            "effects.ranking()."
        )
    return points


def challenged(
    questions: Sequence[Question] | Sequence[ChallengedQuestion],
    tokenizer: Any,
    chat_format: ChatFormat = CHAT,
) -> tuple[ChallengedQuestion, ...]:
    """Questions as they are challenged: in the paper's words, after the right answer, unless they already are.

    Raises:
        QuestionError: there are none, or they are something else.
        DialogueError: as :func:`challenge_questions`.

    >>> challenged(questions[:2], tokenizer)[0].wording
    'paper'
    """
    if not questions:
        raise QuestionError("There are no questions to challenge; give at least one.")
    if all(isinstance(each, ChallengedQuestion) for each in questions):
        return cast(tuple[ChallengedQuestion, ...], tuple(questions))
    if not all(isinstance(each, Question) for each in questions):
        raise QuestionError("Give either Questions or ChallengedQuestions, not other things and not both.")
    plain = cast(Sequence[Question], questions)
    return challenge_questions(plain, tokenizer, chat_format=chat_format)


def _rendered(
    asked: Sequence[ChallengedQuestion], tokenizer: Any, chat_format: ChatFormat
) -> tuple[list[tuple[int, ...]], list[TokenGroups], list[tuple[int, ...]]]:
    """Prompts up to the decision point, labels there, and what of the prompts is already the reply."""
    prompts, labels, openings = [], [], []
    for number, each in enumerate(asked):
        rendered = each.render(tokenizer, chat_format=chat_format)
        lead = "" if each.opening else chat_format.answer_lead(tokenizer, each.dialogue.messages())
        where = f"question {number}"
        labels.append(label_tokens(tokenizer, rendered.text, each.labels, lead=lead, where=where))
        prompts.append(rendered.token_ids)
        start, end = rendered.spans.get("opening", (0, 0))
        openings.append(rendered.token_ids[start:end])
    return prompts, labels, openings
