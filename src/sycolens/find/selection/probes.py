"""Heads by probes: how well each head's output tells a truthful reply from a sycophantic one (Li et al. 2023, ITI)."""

from __future__ import annotations

import hashlib
import json
import random
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from sycolens.compute import Compute
from sycolens.counts import check_counts
from sycolens.errors import ExampleError, SampleError
from sycolens.find.effects import all_heads
from sycolens.find.selection.scores import HeadScores
from sycolens.model.hooked import Geometry, HookedModel, require_head_outputs, require_whole
from sycolens.model.last_outputs import last_outputs
from sycolens.prompts import ChallengedQuestion
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.statistics.logistic import Array, fit_logistic


def probe_heads(
    model: HookedModel,
    challenged: Sequence[ChallengedQuestion],
    *,
    folds: int = 5,
    chat_format: ChatFormat = CHAT,
    seed: int = 0,
    compute: Compute = Compute(),
) -> HeadScores:
    """Accuracy of a logistic regression on each head's output, on questions that it was not fitted on.

    After every challenge of a right first answer the model reads two replies in its own mouth: one that gives the right
    answer again (truthful), one that gives a wrong one (sycophantic), a question's ``wrong`` drawn with ``seed``. Both
    are worded as the first answer is, so that no words of apology tell them apart; the dialogue before and the last
    token are the same. The probe sees a head's ``hook_z`` at that last token.

    Questions are dealt into ``folds``, all dialogues about one fact into the same; probes are fitted on the others and
    judged on it, in turn; every question counts the same. Features are standardized by the fitting part, the penalty is
    scikit-learn's default (C = 1).
    ITI does neither (one split, no standardizing). Chance is 0.5 exactly, as every question has one reply of each kind.
    ``ties`` are the mean held-out log-likelihoods, which rank probes of equal accuracy.

    Dialogues whose question knows no wrong answer, or whose two replies end in different tokens, are left out, with a
    warning.

    Raises:
        ExampleError: a first answer is not the question's right one, or too few dialogues are left.
        SampleError: ``folds`` is no whole number from 2.
        NoHeadOutputError, PromptError, NotFiniteError, HookError, DialogueError: as :func:`~sycolens.mean_activations`.

    >>> probe_heads(model, organism.challenges("train", 40), compute=QUIET)
    HeadScores(by probes, 34 questions, 48 heads, organism)
    """
    check_counts(SampleError, least=2, folds=folds)
    geometry = Geometry.of(model)
    require_head_outputs(model, geometry)
    require_whole(model, geometry)
    prompts, units = _replies(challenged, model, chat_format, seed)
    names = list(dict.fromkeys(units))
    if len(names) < 2 * folds:
        raise ExampleError(
            f"{len(names)} different questions are left to probe, too few for {folds} folds; give at least {2 * folds} "
            "that know a wrong answer (Question.wrong), or fewer folds."
        )
    heads = all_heads(geometry.n_layers, geometry.n_heads)
    z = last_outputs(model, geometry, prompts, heads, desc="reading replies", compute=compute)

    truthful = np.tile([1.0, -1.0], len(units))
    asked = np.repeat([names.index(unit) for unit in units], 2)
    dealt = np.random.default_rng(seed).permutation(len(names)) % folds
    margins = torch.empty(len(prompts), geometry.n_layers, geometry.n_heads, dtype=torch.float64)
    with compute.bar(len(heads), "fitting probes", "head") as bar:
        for place, head in enumerate(heads):
            features = z[:, place].double().numpy()
            margins[:, head.layer, head.index] = torch.as_tensor(
                held_out_margins(features, truthful, dealt[asked], folds=folds)
            )
            bar.update()
    right = torch.where(margins == 0, 0.5, (margins > 0).double())
    by_question = torch.stack([right[asked == number].mean(0) for number in range(len(names))])
    return HeadScores.of_samples(
        by_question.float(),
        ties=torch.nn.functional.logsigmoid(margins).mean(0).float(),
        selection="probes",
        model_name=geometry.name,
        samples_fingerprint=hashlib.sha256(json.dumps(prompts).encode()).hexdigest(),
        options={"folds": str(folds), "dialogues": str(len(units))},
    )


def held_out_margins(
    features: Float[Array, "case feature"], classes: Float[Array, " case"], fold: Array, *, folds: int
) -> Float[Array, " case"]:
    """Log-odds of each case's own class (1 or -1), by a probe that was fitted on the other folds.

    >>> import numpy as np
    >>> classes = np.array([1.0, -1.0] * 4)
    >>> bool((held_out_margins(classes[:, None], classes, np.arange(8) // 4, folds=2) > 0).all())
    True
    """
    margins = np.empty(len(classes))
    for number in range(folds):
        own = fold == number
        center, spread = features[~own].mean(0), features[~own].std(0)
        scaled = (features - center) / np.where(spread > 0, spread, 1.0)
        weights = fit_logistic(scaled[~own], classes[~own])
        margins[own] = classes[own] * (scaled[own] @ weights[:-1] + weights[-1])
    return margins


def _replies(
    challenged: Sequence[ChallengedQuestion], model: Any, chat_format: ChatFormat, seed: int
) -> tuple[list[tuple[int, ...]], list[tuple[str, ...]]]:
    """Prompts that end with a reply, the truthful and the sycophantic one in turn, and the facts they are about."""
    rng = random.Random(f"probes {seed}")
    prompts: list[tuple[int, ...]] = []
    units: list[tuple[str, ...]] = []
    for number, asked in enumerate(challenged):
        question = asked.question
        if asked.first_answer not in question.answers:
            raise ExampleError(
                f"Dialogue {number} challenges the first answer {asked.first_answer!r}, which is not right, so that "
                'taking it back would be no sycophancy; challenge right ones (first_answer="correct").'
            )
        if not question.wrong:
            continue
        both = []
        for answer in (asked.first_answer, rng.choice(question.wrong)):
            reply = asked.answer_form.replace("{answer}", str(answer))
            rendered = asked.dialogue.then("assistant", reply, "reply").render(
                model.tokenizer, chat_format=chat_format, ending="closed"
            )
            both.append(rendered.token_ids[: rendered.spans["reply"][1]])
        if both[0][-1] == both[1][-1]:
            prompts += both
            units.append(question.unit)
    if left_out := len(challenged) - len(units):
        warnings.warn(
            f"{left_out} of {len(challenged)} dialogues are not probed: their questions know no wrong answer, or their "
            "two replies end in different tokens, which would tell them apart.",
            stacklevel=3,
        )
    return prompts, units
