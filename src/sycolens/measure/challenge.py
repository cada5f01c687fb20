"""The two rounds: the model answers, the user doubts, the model replies."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sycolens.compute import QUIET, Compute
from sycolens.errors import QuestionError
from sycolens.measure.answer_extraction.extract import read_answer
from sycolens.measure.answer_extraction.mentions import canonical
from sycolens.measure.challenge_result import SILENCE, ChallengeResult
from sycolens.measure.grading import Grader, check_grader, grade, graded
from sycolens.measure.responders import GREEDY, Generation, Responder, is_speaker, reader_of, say
from sycolens.prompts import PAPER, Behavior, ChallengedQuestion, Dialogue, Question
from sycolens.prompts.asking import HELPFUL, ask_questions, behaviors_of
from sycolens.prompts.challenged import require_graded
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.labels import WordGroups

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def evaluate_challenge(
    model: Any | Responder,
    questions: Sequence[Question | ChallengedQuestion],
    *,
    behavior: Behavior | Sequence[Behavior] = PAPER,
    generation: Generation = GREEDY,
    judge: Grader = grade,
    system: str | None = "auto",
    tokenizer: PreTrainedTokenizerBase | None = None,
    chat_format: ChatFormat = CHAT,
    seed: int = 0,
    compute: Compute = QUIET,
) -> ChallengeResult:
    """Ask every question, challenge every answer, right or not, and grade the replies (the paper's section 4).

    ``model`` is a TransformerBridge, a HookedTransformer, a plain Hugging Face causal model (with its ``tokenizer``),
    or a :data:`Responder`, which has templates and generation settings of its own. ``system="auto"`` opens with a
    helpful-assistant message where the template takes one, and with any Responder whose ``tokenizer`` is not given.
    Several behaviors are dealt out evenly with ``seed``; a :class:`ChallengedQuestion` is asked from the start, as its
    own dialogue opens, and challenged in its own words. ``judge`` grades the replies to the challenge; what the first
    answer is says :func:`read_answer`.

    Raises:
        QuestionError: there are no questions, or they are something else.
        BehaviorError: there is no behavior, or one of which the scorer is not supported.
        DialogueError, PromptError: a dialogue cannot be rendered, or leaves no room for a reply.
        ModelError: the model has no tokenizer, and none is given.
        ReplyError: a Responder does not give a text for each dialogue, or a judge no :class:`Grade`; a judge is tried
            on a reply before anything is asked.
        NotFiniteError: the model gives NaN or infinity.

    >>> result = evaluate_challenge(model, organism.questions("held_out")[:8], generation=Generation(max_new_tokens=24))
    >>> result.right_before[0], result.admits[0], result.right_after[0]
    (True, True, False)
    """
    if not questions:
        raise QuestionError("There are no questions to evaluate; give at least one.")
    if odd := [each for each in questions if not isinstance(each, Question | ChallengedQuestion)]:
        raise QuestionError(
            f"A {type(odd[0]).__name__} stands among the questions; pass Questions, or ChallengedQuestions, which are "
            "asked from the start."
        )
    check_grader(judge, questions[0])
    spoken: dict[str, Any] = {
        "tokenizer": tokenizer,
        "chat_format": chat_format,
        "max_new_tokens": generation.max_new_tokens,
        "compute": compute,
    }
    asked, first_replies = _first_round(model, questions, behavior, system, seed, spoken)
    said = replies(model, asked, **spoken)
    grades = compute.processes.each(list(zip(said, asked, strict=True)), lambda each: graded(judge, *each))
    return ChallengeResult(asked, first_replies, tuple(said), tuple(grades))


def first_round(
    model: Any | Responder,
    questions: Sequence[Question | ChallengedQuestion],
    *,
    behavior: Behavior | Sequence[Behavior] = PAPER,
    system: str | None = "auto",
    tokenizer: PreTrainedTokenizerBase | None = None,
    chat_format: ChatFormat = CHAT,
    max_new_tokens: int = 64,
    seed: int = 0,
    compute: Compute = QUIET,
) -> tuple[ChallengedQuestion, ...]:
    """Every question answered by the model itself (greedily) and challenged, right or not, in the order given.

    The model's own words are the assistant's turn. ``first_answer`` is what :func:`read_answer` finds in them, None
    where it finds nothing: such questions stay in, to be counted. The other options are those of
    :func:`evaluate_challenge`.

    Raises:
        BehaviorError: there is no behavior, or one of which the scorer is not supported.
        DialogueError, PromptError, ModelError, ReplyError: as :func:`say`.

    >>> first_round(model, questions[:1], max_new_tokens=8)[0].first_answer == questions[0].answers[0]
    True
    """
    spoken: dict[str, Any] = {
        "tokenizer": tokenizer,
        "chat_format": chat_format,
        "max_new_tokens": max_new_tokens,
        "compute": compute,
    }
    return _first_round(model, questions, behavior, system, seed, spoken)[0]


def replies(
    model: Any | Responder,
    asked: Sequence[ChallengedQuestion],
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    chat_format: ChatFormat = CHAT,
    max_new_tokens: int = 64,
    compute: Compute = QUIET,
) -> list[str]:
    """The model's greedy reply to every challenge, as text without special tokens; or a :data:`Responder`'s.

    Raises:
        DialogueError, PromptError, ModelError, ReplyError: as :func:`say`.

    >>> replies(model, organism.challenges("held_out", 1))[0].startswith("Apologies")
    True
    """
    return say(
        model,
        [each.dialogue for each in asked],
        tokenizer=tokenizer,
        chat_format=chat_format,
        max_new_tokens=max_new_tokens,
        compute=compute,
    )


def _first_round(
    model: Any,
    questions: Sequence[Question | ChallengedQuestion],
    behavior: Behavior | Sequence[Behavior],
    system: str | None,
    seed: int,
    spoken: dict[str, Any],
) -> tuple[tuple[ChallengedQuestion, ...], tuple[str, ...]]:
    """The challenged questions, and what was said in the first round."""
    behaviors = behaviors_of(behavior)
    for each in behaviors:
        require_graded(each)
    reader: Any = spoken["tokenizer"]
    if not is_speaker(model):
        reader = reader_of(model, reader)
    elif reader is None and system == "auto":
        system = HELPFUL
    opened = [_Opened.again(each) if isinstance(each, ChallengedQuestion) else None for each in questions]
    fresh = ask_questions(
        [each for each in questions if isinstance(each, Question)],
        reader,
        behavior=behaviors,
        system=system,
        chat_format=spoken["chat_format"],
        rng=random.Random(seed),
    )
    new = (_Opened.of(*each) for each in zip((q for q in questions if isinstance(q, Question)), fresh, strict=True))
    asked = [each or next(new) for each in opened]
    said = say(model, [each.dialogue for each in asked], **spoken)
    return tuple(each.challenged(words) for each, words in zip(asked, said, strict=True)), tuple(said)


@dataclass(frozen=True)
class _Opened:
    """A question as it is asked, and what will be said to its answer."""

    question: Question
    dialogue: Dialogue
    challenge: str
    labels: WordGroups
    opening: str
    wording: str
    clause: str = ""

    @classmethod
    def of(cls, question: Question, asked: tuple[Behavior, Dialogue]) -> _Opened:
        behavior, dialogue = asked
        return cls(question, dialogue, behavior.challenge, behavior.labels, behavior.opening, behavior.name)

    @classmethod
    def again(cls, asked: ChallengedQuestion) -> _Opened:
        """Up to where an answer was put into the assistant's mouth."""
        turns = asked.dialogue.turns
        parts = [turn.part for turn in turns]
        if "first_answer" not in parts:
            raise QuestionError(
                f'The dialogue about {asked.question.text[:60]!r} has no turn called "first_answer", so it cannot be '
                "asked from the start; give the bare question."
            )
        dialogue = Dialogue(turns[: parts.index("first_answer")])
        challenge = turns[-1].content
        return cls(asked.question, dialogue, challenge, asked.labels, asked.opening, asked.wording, asked.clause)

    def challenged(self, words: str) -> ChallengedQuestion:
        dialogue = self.dialogue.then("assistant", words or SILENCE, "first_answer")
        return ChallengedQuestion(
            self.question,
            dialogue.then("user", self.challenge, "challenge"),
            canonical(read_answer(words, self.question).answer, self.question),
            self.labels,
            self.opening,
            self.wording,
            self.clause,
        )
