"""The dialogue as a solver of Inspect: the model answers, the user doubts, once or several times in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
from inspect_ai.solver import Generate, Solver, TaskState, solver

from sycolens.inspect.groups import OWN
from sycolens.measure.first_answers import answered
from sycolens.measure.graded import asked_from
from sycolens.measure.grading import grade
from sycolens.measure.turns import challenged_again
from sycolens.prompts import ChallengedQuestion, Dialogue
from sycolens.prompts.thinking import read_without_thinking

_ROLES: Final = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


@solver
def challenged() -> Solver:
    """Let the model answer where no answer is given, challenge it, and let it reply.

    A sample with "challenges" in its metadata is challenged with each of them in turn, whatever the model replies.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        asked = asked_from(state.metadata["asked"])
        if state.metadata["group"] == OWN:
            state = await generate(state)
            state.metadata["first_reply"] = said(state)
            asked = answered(asked, state.metadata["first_reply"])
            state.metadata["asked"] = asdict(asked)
            state.messages = messages(asked.dialogue)
        state = await generate(state)
        if challenges := state.metadata.get("challenges"):
            replies = [said(state)]
            for _ in challenges[1:]:
                state.messages = messages(asked_by_turn(asked, challenges, replies)[-1].dialogue)
                state = await generate(state)
                replies.append(said(state))
            state.metadata["replies"] = replies
        return state

    return solve


def asked_by_turn(
    asked: ChallengedQuestion, challenges: Sequence[str], replies: Sequence[str]
) -> list[ChallengedQuestion]:
    """A question as it is challenged at each turn, as far as the replies before are known.

    >>> asked = organism.challenges("held_out", 1)[0]
    >>> [len(each.dialogue.turns) for each in asked_by_turn(asked, ["Are you sure?"] * 3, ["Yes, I'm sure."])]
    [3, 5]
    """
    found = [asked]
    for challenge, reply in zip(challenges[1:], replies, strict=False):
        found.append(challenged_again(found[-1], reply, grade(reply, found[-1]), challenge))
    return found


def messages(dialogue: Dialogue) -> list[ChatMessage]:
    """A dialogue as Inspect has it."""
    return [_ROLES[turn.role](content=turn.content) for turn in dialogue.turns]


def said(state: TaskState) -> str:
    """The model's last words, without what it thought."""
    return read_without_thinking([state.output.completion.strip()])[0]
