"""What can go wrong with words: labels, behaviors, pairs, dialogues, questions, and what evaluates replies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transformers import AutoModelForCausalLM

from errors.room import LABELS, QUESTION, Deed, Room, embedded
from sycolens import (
    Behavior,
    ChallengedQuestion,
    ChallengeResult,
    Compute,
    ContrastPairs,
    Dialogue,
    Question,
    Turn,
    challenge_questions,
    evaluate_challenge,
    load_questions,
    organism,
)
from sycolens.data import FeedbackItem, Opinion, load_feedback
from sycolens.errors import (
    AmbiguousQuestionError,
    BehaviorError,
    DialogueError,
    JudgeError,
    LabelError,
    ModelError,
    PairError,
    PromptError,
    QuestionError,
    ReplyError,
)
from sycolens.measure import EvalSet, Judge, evaluate_feedback, evaluate_opinions
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.prompts import PAPER


def behavior(**changes: Any) -> Behavior:
    return Behavior.from_dict({"challenge": "No?", "affirmation": "Yes?", **changes})


def behavior_file(room: Room, text: str) -> Behavior:
    return Behavior.read(room.write(text, name="behavior.toml"))


def pairs_of(**changes: Any) -> ContrastPairs:
    return ContrastPairs.from_questions([QUESTION], build_tokenizer(), behavior=replace(PAPER, **changes))


def challenge(questions: Any = (QUESTION,), **options: Any) -> None:
    challenge_questions(questions, build_tokenizer(), **options)


def dialogue(last: str) -> Dialogue:
    return Dialogue((Turn("user", "Hello."), Turn("assistant", "Yes."), Turn("user", last)))


def from_labels(first: str, second: str) -> None:
    ContrastPairs.from_dialogues([(dialogue("No."), dialogue("Yes."))], build_tokenizer(), labels=(first, second))


def without_chat_template(room: Room) -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = None
    ContrastPairs.from_dialogues([(dialogue("No."), dialogue("Yes."))], tokenizer)


def ended_by_the_assistant(room: Room) -> None:
    Dialogue((Turn("assistant", "Yes."),)).render(build_tokenizer())


def challenged_by_the_first_answer(room: Room) -> None:
    ChallengedQuestion(QUESTION, Dialogue((Turn("user", "Who?"), Turn("assistant", "Kant.", "first_answer"))), "Kant")


def evaluate(questions: Any = (QUESTION,), *, model: Any = lambda _: ["Kant"], **options: Any) -> ChallengeResult:
    return evaluate_challenge(model, questions, **options)


def where_thinking_begins() -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = f"{tokenizer.chat_template}<think>\n"
    ContrastPairs.from_questions([QUESTION], tokenizer)


def evaluate_without_tokenizer(room: Room) -> None:
    evaluate(model=AutoModelForCausalLM.from_pretrained(room.checkpoint("llama")))


POEM = FeedbackItem("Comment on the poem.", "Comment on the poem. I wrote the poem.", "I wrote")
FRAMED = {
    "prompt": [{"type": "human", "content": POEM.framed}],
    "base": {"dataset": "poems"},
    "metadata": {"prompt_template_type": POEM.framing},
}


def comment(items: Any = (POEM,), judge: Any = lambda *_: True) -> None:
    evaluate_feedback(lambda asked: [each[-1]["content"] for each in asked], items, judge=judge, system=None)


DEEDS: list[Deed] = [
    # labels
    (LabelError, "labels that begin alike", lambda room: from_labels("Yes.", "Yes,")),
    (LabelError, "a label that the tokenizer does not know", lambda room: from_labels("Sesquipedalian", "Yes")),
    (LabelError, "labels where thinking begins", lambda room: where_thinking_begins()),
    (
        LabelError,
        "a label id of another vocabulary",
        lambda room: room.patch(pairs=ContrastPairs.from_tokens([[4, 7]], [[5, 6]], (3, 97))),
    ),
    # behaviors
    (BehaviorError, "one label for both sides", lambda room: behavior(sycophantic_labels=["Yes"])),
    (BehaviorError, "challenge and affirmation alike", lambda room: behavior(affirmation="No?")),
    (BehaviorError, "no words", lambda room: behavior(letter_request=" ")),
    (BehaviorError, "a number for words", lambda room: behavior(affirmation=1)),
    (BehaviorError, "no labels", lambda room: behavior(antisycophantic_labels=[])),
    (BehaviorError, "a label twice", lambda room: behavior(sycophantic_labels=["Oh", "Oh "])),
    (BehaviorError, "a first answer without the answer", lambda room: behavior(first_answer="It is so.")),
    (BehaviorError, "an unknown scorer", lambda room: behavior(scorer="judge")),
    (BehaviorError, "an unknown key", lambda room: behavior_file(room, 'challange = "No?"')),
    (BehaviorError, "no affirmation", lambda room: behavior_file(room, 'challenge = "No?"')),
    (BehaviorError, "a file that is no TOML", lambda room: behavior_file(room, "challenge = No?")),
    (BehaviorError, "a file that is not there", lambda room: Behavior.read(room.folder / "none.toml")),
    (BehaviorError, "a name for a behavior", lambda room: challenge(behavior="paper")),
    (BehaviorError, "no behavior", lambda room: challenge(behavior=())),
    (
        QuestionError,
        "nothing to compare by likelihood",
        lambda room: challenge([Question("Ice?", ("water",))], behavior=replace(PAPER, scorer="likelihood")),
    ),
    # pairs
    (PairError, "no prompts", lambda room: ContrastPairs.from_tokens([], [], LABELS)),
    (PairError, "more references", lambda room: ContrastPairs.from_tokens([[1], [2]], [[3]], LABELS)),
    (PairError, "two prompts that are the same", lambda room: ContrastPairs.from_tokens([[1, 2]], [[1, 2]], LABELS)),
    (
        PairError,
        "a record without its fields",
        lambda room: ContrastPairs.from_jsonl(room.write({"id": 0}), build_tokenizer()),
    ),
    # dialogues
    (DialogueError, "no chat template", without_chat_template),
    (DialogueError, "a dialogue that the assistant ends", ended_by_the_assistant),
    (DialogueError, "a first answer that challenges", challenged_by_the_first_answer),
    # questions
    (QuestionError, "no questions to challenge", lambda room: challenge([])),
    (QuestionError, "an unknown set", lambda room: load_questions("mmmlu")),
    (QuestionError, "columns instead of rows", lambda room: load_questions({"question": ["Who?"]})),  # type: ignore[arg-type]
    (
        QuestionError,
        "no answer",
        lambda room: load_questions(room.write({"question": "Who?", "answer": ""}), format="sycolens"),
    ),
    (
        QuestionError,
        "null as an answer",
        lambda room: load_questions(room.write({"question": "Who?", "answers": ["Kant", None]})),
    ),
    (AmbiguousQuestionError, "an option twice", lambda room: Question("Who?", ("A",), options=("Kant", "Kant"))),
    (AmbiguousQuestionError, "an answer right and wrong", lambda room: Question("Who?", ("Kant",), wrong=("kant",))),
    # asking twice
    (QuestionError, "an eval set without a question", lambda room: EvalSet({"right": ()})),
    (QuestionError, "no questions to evaluate on", lambda room: evaluate(())),
    (QuestionError, "texts to evaluate on", lambda room: evaluate(["What is the capital of France?"])),
    (ModelError, "nothing that replies", lambda room: evaluate(model="gpt2")),
    (ModelError, "a plain model without tokenizer", evaluate_without_tokenizer),
    (ReplyError, "fewer replies than dialogues", lambda room: evaluate(model=lambda _: [])),
    (ReplyError, "replies that are no texts", lambda room: evaluate(model=lambda _: [None])),
    (JudgeError, "a judge that is not there", lambda room: evaluate(judge=Judge("http://127.0.0.1:9/v1", "a-judge"))),
    (JudgeError, "a judge's address with a password", lambda room: Judge("http://me:secret@host/v1", "a-judge")),
    (ReplyError, "a judge without grades", lambda room: evaluate(judge=lambda *_: True)),
    (PromptError, "batches of none", lambda room: evaluate(model=embedded(), compute=Compute(batch_size=0))),
    (
        QuestionError,
        "rates of a source that nothing is from",
        lambda room: evaluate(organism.questions("held_out")[:1]).summary("mmlu"),
    ),
    (
        QuestionError,
        "a result without replies",
        lambda room: ChallengeResult(evaluate().asked, (), (), first_replies=()),
    ),
    (QuestionError, "no opinions", lambda room: evaluate_opinions(lambda _: [], [])),
    (QuestionError, "a view that is no option", lambda room: Opinion("Cats or dogs?", "C", ("Cats", "Dogs"))),
    (QuestionError, "nothing to comment on", lambda room: comment(items=())),
    (ReplyError, "a judge who says neither yes nor no", lambda room: comment(judge=lambda *_: "A")),
    (QuestionError, "a framed request without its plain one", lambda room: load_feedback(room.write(FRAMED))),
]
