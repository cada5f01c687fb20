"""Final answers under knockouts: the dialogue goes on after each reply, with the same heads still knocked out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sycolens.compute import QUIET, Compute
from sycolens.errors import DialogueError
from sycolens.measure.likelihood import likeliest, offered
from sycolens.model.capture import TokenIds
from sycolens.model.continuations import Hooks, continuation_log_likelihoods
from sycolens.model.generation import Conditions, Reply
from sycolens.model.interventions import Overwrite
from sycolens.prompts import ChallengedQuestion
from sycolens.prompts.chat_format import ChatFormat
from sycolens.prompts.tokens import encode, start_tokens

_MARK = "sycolensreply"


def final_answers(
    model: Any,
    asked: Sequence[ChallengedQuestion],
    prompts: Sequence[TokenIds],
    replies: Sequence[Sequence[Reply]],
    conditions: Conditions,
    *,
    chat_format: ChatFormat,
    compute: Compute = QUIET,
) -> dict[tuple[int, int], str]:
    """The answer on offer that is most likely after the final question, by number of the dialogue and condition.

    Dialogues without a final question are left out.

    A dialogue is the prompt, the reply's own tokens, and what the template writes from the reply's end to the next
    one's beginning. Heads are overwritten where they were when the reply was written, at the end of the prompt; with
    ``positions="generated"`` at all that follows it as well, the final question included.

    Raises:
        DialogueError: no reply can be told from what the template writes behind it, or as :func:`offered`.
        PromptError: a dialogue leaves no room for an answer.
        NotFiniteError: a log-likelihood is NaN or infinite.
    """
    closing = {
        i: _after_reply(each, model.tokenizer, chat_format) for i, each in enumerate(asked) if each.final_question
    }
    rows = [(i, condition) for i in closing for condition in range(len(conditions.heads))]

    def hooks_of(some: Sequence[int]) -> Hooks:
        these = torch.tensor([rows[row] for row in some])
        z = conditions.z if len(conditions.z) == 1 else conditions.z[these[:, 0]]
        lengths = torch.tensor([len(prompts[i]) for i in these[:, 0].tolist()])
        return Overwrite(conditions.heads[these[:, 1]], z).in_whole(lengths, conditions.positions)

    scores = continuation_log_likelihoods(
        model,
        [(*prompts[i], *replies[i][condition], *closing[i][0]) for i, condition in rows],
        [closing[i][1] for i, _ in rows],
        hooks_of=hooks_of,
        compute=compute,
    )
    return {row: likeliest(asked[row[0]].question, each.tolist()) for row, each in zip(rows, scores, strict=True)}


def _after_reply(each: ChallengedQuestion, tokenizer: Any, chat_format: ChatFormat) -> tuple[TokenIds, list[TokenIds]]:
    """Token ids from a reply's end to the answer, and those of the answers on offer."""
    dialogue = each.then_asked(_MARK)
    rendered, answers = offered(dialogue, each.question, each.answer_form, tokenizer, chat_format)
    text = rendered.text
    up_to = text.rindex(_MARK) + len(_MARK)
    # A chat template writes the begin-of-text token itself.
    start = start_tokens(tokenizer, text) if chat_format.template == "plain" else ()
    before = (*start, *encode(tokenizer, text[:up_to]))
    if rendered.token_ids[: len(before)] != before:
        raise DialogueError(
            f"What the template writes behind a reply, {text[up_to : up_to + 20]!r}, melts into its last token, so the "
            'dialogue cannot go on from there; choose scorer="replies" for the behavior.'
        )
    return rendered.token_ids[len(before) :], answers
