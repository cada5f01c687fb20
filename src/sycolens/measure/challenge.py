"""The two rounds: the model answers, the user doubts, the model replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sycolens.compute import QUIET, Compute
from sycolens.counts import check_choice, check_counts
from sycolens.errors import JudgeError, QuestionError
from sycolens.measure.challenge_result import ChallengeResult
from sycolens.measure.first_answers import (
    FirstAnswers,
    answered,
    answered_with,
    asked_from_the_start,
    before_answer,
    given_answers_of,
    in_a_row,
)
from sycolens.measure.graded import grade_replies
from sycolens.measure.grading import Grader, check_grader, grade
from sycolens.measure.judge import Judge
from sycolens.measure.likelihood import likeliest_answers, with_final_answers
from sycolens.measure.responders import GREEDY, Generation, Responder, say, system_of
from sycolens.measure.turns import later_turns
from sycolens.prompts import PAPER, Behavior, ChallengedQuestion, Question
from sycolens.prompts.chat_format import CHAT, ChatFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def evaluate_challenge(
    model: Any | Responder,
    questions: Sequence[Question | ChallengedQuestion],
    *,
    behavior: Behavior | Sequence[Behavior] = PAPER,
    generation: Generation = GREEDY,
    judge: Grader = grade,
    turns: int = 1,
    first_answers: FirstAnswers = "own",
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

    ``turns`` is how many challenges follow each other, whatever the model replies to each: the dialogue grows by its
    own reply and the same challenge, or the next of several behaviors. What a later reply gives up is the answer that
    stood then (:attr:`ChallengeResult.turn_of_flip`, :attr:`ChallengeResult.number_of_flips`).
    ``first_answers="given"`` keeps the answers that stand in challenged questions, such as wrong ones.

    With the scorer "likelihood" nothing is parsed: the first answer is the one on offer that the model finds most
    likely, and after its reply to the challenge it is asked for its final answer, which is found in the same way.

    Raises:
        QuestionError: there are no questions, or they are something else, or offer no answers to compare.
        QuestionError: ``turns`` is no whole number from 1, or bare questions are to keep given answers.
        JudgeError: a :class:`Judge` is to grade more than one turn, which its rubric does not know.
        BehaviorError: there is no behavior.
        DialogueError, PromptError: a dialogue cannot be rendered, or leaves no room for a reply.
        ModelError: the model has no tokenizer, and none is given; a Responder where likelihoods are compared.
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
    check_counts(QuestionError, turns=turns)
    check_choice(QuestionError, FirstAnswers, first_answers=first_answers)
    if turns > 1 and isinstance(judge, Judge):
        raise JudgeError(
            f"A Judge is asked about the reply to one challenge, and here are {turns} in a row; grade them by the "
            "rules, or by a grader of your own."
        )
    check_grader(judge, questions[0])
    options: dict[str, Any] = {"tokenizer": tokenizer, "chat_format": chat_format, "compute": compute}
    longest = generation.max_new_tokens
    if first_answers == "given":
        asked, first_replies = given_answers_of(questions)
    else:
        asked, first_replies = _first_round(model, questions, behavior, system, seed, longest, options)
    said = replies(model, asked, max_new_tokens=longest, **options)
    found = grade_replies(asked, said, grader=judge, processes=compute.processes)
    found = with_final_answers(model, found, **options)
    challenges = [in_a_row(before, after, behavior, turns) for before, after in zip(questions, asked, strict=True)]
    later = later_turns(model, found, challenges, judge=judge, max_new_tokens=longest, **options)
    return ChallengeResult(found.asked, found.replies, found.grades, first_replies=first_replies, later=later)


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
    where it finds nothing: such questions stay in, to be counted. With the scorer "likelihood" the answer that the
    model finds most likely is its turn. The other options are those of :func:`evaluate_challenge`.

    Raises:
        BehaviorError: there is no behavior.
        DialogueError, PromptError, ModelError, ReplyError: as :func:`say`.

    >>> first_round(model, questions[:1], max_new_tokens=8)[0].first_answer == questions[0].answers[0]
    True
    """
    options: dict[str, Any] = {"tokenizer": tokenizer, "chat_format": chat_format, "compute": compute}
    return _first_round(model, questions, behavior, system, seed, max_new_tokens, options)[0]


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
    max_new_tokens: int,
    options: dict[str, Any],
) -> tuple[tuple[ChallengedQuestion, ...], tuple[str, ...]]:
    """The challenged questions, and the replies of the first round."""
    tokenizer, chat_format = options["tokenizer"], options["chat_format"]
    options = {**options, "compute": options["compute"].part("first answers")}
    system = system_of(model, system, tokenizer, chat_format)
    asked = asked_from_the_start(
        questions, behavior=behavior, system=system, tokenizer=tokenizer, chat_format=chat_format, seed=seed
    )
    unanswered = [before_answer(each) for each in asked]
    read = [number for number, each in enumerate(asked) if not each.final_question]
    compared = [number for number, each in enumerate(asked) if each.final_question]
    said = say(model, [unanswered[i] for i in read], max_new_tokens=max_new_tokens, **options) if read else []
    given = {i: answered(asked[i], reply) for i, reply in zip(read, said, strict=True)}
    first = dict(zip(read, said, strict=True))
    if compared:
        found = likeliest_answers(
            model,
            [unanswered[i] for i in compared],
            [asked[i].question for i in compared],
            [asked[i].answer_form for i in compared],
            **options,
        )
        for i, answer in zip(compared, found, strict=True):
            first[i] = asked[i].answer_form.replace("{answer}", answer)
            given[i] = answered_with(asked[i], first[i], answer)
    return tuple(given[i] for i in range(len(asked))), tuple(first[i] for i in range(len(asked)))
