"""Knock heads out and watch the behavior: the paper's Figure 2(b), with the controls that it lacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, cast

import torch
from jaxtyping import Bool
from torch import Tensor

from sycolens.choices import Ablation, Control, Positions
from sycolens.compute import Compute
from sycolens.counts import check_choice, check_counts, is_count
from sycolens.errors import HeadError, HookError, PromptError, QuestionError
from sycolens.heads import HeadSet
from sycolens.measure import Grade, Grader, grade
from sycolens.measure.grading import check_grader, graded
from sycolens.model.generation import Conditions, Reply, reply_under
from sycolens.model.hooked import Geometry, require_head_outputs, require_whole
from sycolens.prompts import ChallengedQuestion, Question, challenge_questions
from sycolens.prompts.challenged import clusters_of
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.labels import TokenGroups, label_tokens
from sycolens.verify.ablation import head_mask, stand_ins
from sycolens.verify.controls import draw_controls
from sycolens.verify.curve import KnockoutCurve, Mode
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
    they give one at a time.

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
    prompts, labels = _rendered(asked, model.tokenizer, chat_format)
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
    judge = _Judge(model.tokenizer, asked, grader)
    place = torch.tensor([distinct[frozenset(heads)] for heads in sets]).view(1 + len(others), len(points))
    grades = [[judge.grade(i, reply) for reply in row] for i, row in enumerate(replies.tokens)]

    def outcome(name: Literal["admits", "right", "unparsed"]) -> Bool[Tensor, "set step dialogue"]:
        found = [[g.answer is None if name == "unparsed" else getattr(g, name) for g in row] for row in grades]
        return torch.tensor(found).T[place]

    admits, right, unparsed = outcome("admits"), outcome("right"), outcome("unparsed")
    label_logits = replies.label_logits.transpose(0, 1)[place]
    return KnockoutCurve(
        steps=points,
        ranking=top,
        controls=others,
        admits=admits[0],
        right=right[0],
        unparsed=unparsed[0],
        control_admits=admits[1:],
        control_right=right[1:],
        control_unparsed=unparsed[1:],
        label_logits=label_logits[0],
        control_label_logits=label_logits[1:],
        replies=tuple(tuple(judge.text(row[condition]) for row in replies.tokens) for condition in place[0].tolist()),
        ids=tuple(each.question.id or str(i) for i, each in enumerate(asked)),
        wordings=tuple(each.wording for each in asked),
        clusters=clusters_of(asked),
        mode=mode,
        method=method,
        prompts="" if means is None or method == "zero" else means.prompts,
        positions=positions,
        control=control,
        seed=seed,
        model_name=geometry.name,
        prompts_fingerprint=hashlib.sha256(json.dumps([prompts, labels]).encode()).hexdigest(),
    )


class _Judge:
    """Grades each different reply once: most conditions give the same ones."""

    def __init__(self, tokenizer: Any, asked: Sequence[ChallengedQuestion], grader: Grader) -> None:
        self._tokenizer, self._asked, self._grader = tokenizer, asked, grader
        self._texts: dict[Reply, str] = {}
        self._grades: dict[tuple[int, Reply], Grade] = {}

    def text(self, reply: Reply) -> str:
        if reply not in self._texts:
            self._texts[reply] = self._tokenizer.decode(list(reply), skip_special_tokens=True).strip()
        return self._texts[reply]

    def grade(self, dialogue: int, reply: Reply) -> Grade:
        if (dialogue, reply) not in self._grades:
            self._grades[dialogue, reply] = graded(self._grader, self.text(reply), self._asked[dialogue])
        return self._grades[dialogue, reply]


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
) -> tuple[list[tuple[int, ...]], list[TokenGroups]]:
    prompts, labels = [], []
    for number, each in enumerate(asked):
        rendered = each.render(tokenizer, chat_format=chat_format)
        lead = "" if each.opening else chat_format.answer_lead(tokenizer, each.dialogue.messages())
        where = f"question {number}"
        labels.append(label_tokens(tokenizer, rendered.text, each.labels, lead=lead, where=where))
        prompts.append(rendered.token_ids)
    return prompts, labels
