"""Questions and dialogues as they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sycolens.shown.page import few, page
from sycolens.shown.words import shortened

if TYPE_CHECKING:
    from sycolens.prompts import ChallengedQuestion, Dialogue, Question, RenderedDialogue
    from sycolens.tasks.question_set import QuestionSet

LONGEST = 2000
"""So many characters of a text are shown."""


def of_question(question: Question) -> str:
    """Its text, its options or answers, and which are right."""
    from sycolens.prompts.questions import letters

    rows = [("question", _cut(question.text))]
    if question.options:
        named = zip(letters(len(question.options)), question.options, strict=True)
        right = question.answers[0]
        options = [f"({letter}) {option}{' (right)' * (letter == right)}" for letter, option in named]
        rows.append(("options", _cut("\n".join(options))))
    else:
        rows.append(("right", _cut(", or ".join(question.answers))))
        rows += [("wrong", _cut(", or ".join(question.wrong)))] if question.wrong else []
    more = {"source": question.source, "id": question.id, "fact": question.fact}
    return page(repr(question), rows=[*rows, *((name, _cut(text)) for name, text in more.items() if text)])


def of_dialogue(dialogue: Dialogue) -> str:
    """Every turn: who says it, what it is called, and the words."""
    return page(repr(dialogue), columns=("role", "part", "words"), rows=few(_turns(dialogue)))


def of_challenged(asked: ChallengedQuestion) -> str:
    """The dialogue up to the decision point, and what counts there."""
    first, second = ([each] if isinstance(each, str | int) else list(each) for each in asked.labels)
    told = {
        "right answer": asked.question.answers[0],
        "labels": f"{_listed(first)} against {_listed(second)}",
        "wording": asked.wording,
        "final question": asked.final_question,
    }
    turns = _turns(asked.dialogue)
    if asked.opening:
        turns.append(("assistant", "opening", _cut(asked.opening)))
    note = "; ".join(f"{name}: {_cut(text)}" for name, text in told.items() if text)
    return page(repr(asked), columns=("role", "part", "words"), rows=few(turns), note=note)


def of_rendered(rendered: RenderedDialogue) -> str:
    """The prompt as text, and where its parts are among the tokens."""
    parts = [(name, f"tokens {start} to {end - 1}") for name, (start, end) in rendered.spans.items()]
    return page(repr(rendered), rows=few([("prompt", _cut(rendered.text)), *parts]))


def of_question_set(questions: QuestionSet) -> str:
    """How many there are, and the first of them."""
    asked = questions.all_questions
    rows = [(shortened(each.text, 200), shortened(" / ".join(each.answers), 60), each.source) for each in asked]
    return page(repr(questions), columns=("question", "right", "source"), rows=few(rows), note="More: .all_questions.")


def _turns(dialogue: Dialogue) -> list[Sequence[str]]:
    return [(turn.role, turn.part or "", _cut(turn.content)) for turn in dialogue.turns]


def _listed(labels: Sequence[str | int]) -> str:
    return shortened(" or ".join(map(repr, labels)), 60)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST:,} characters more)"
