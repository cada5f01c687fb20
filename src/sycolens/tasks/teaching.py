"""Where examples come from: the embedded model's world, questions that the evaluation leaves, or a file of dialogues."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sycolens import organism
from sycolens.data import load_questions
from sycolens.errors import ExampleError, SycolensError
from sycolens.model.loading import EMBEDDED
from sycolens.organism import Split
from sycolens.prompts import Question
from sycolens.prompts.asking import ask
from sycolens.prompts.dialogue import Template
from sycolens.prompts.training_example import TrainingExample
from sycolens.runs.saved import FormerFinding
from sycolens.tasks.sources import LONGEST, WORLD
from sycolens.tune import examples_from_questions, find_leaks

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Thing = TypeVar("Thing")

EXAMPLES: Final = 1600
"""How many examples are taught unless said otherwise, or all that a smaller source gives."""
REHEARSAL: Final = 300
"""How many plain dialogues of the embedded models' world are mixed in unless said otherwise."""


class LessonSource(Protocol):
    """Something that examples can be drawn from."""

    @property
    def name(self) -> str:
        """Where the examples come from, for the record."""

    def draw(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0
    ) -> tuple[TrainingExample, ...]:
        """``n`` examples, and all plain dialogues that are mixed in."""


@dataclass(frozen=True)
class WorldLessons:
    """The embedded models' world, some plain dialogues of it mixed in."""

    split: Split = "train"
    rehearsal: int | tuple[TrainingExample, ...] = REHEARSAL

    @property
    def name(self) -> str:
        return f"the embedded model's world, split {self.split}"

    def draw(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0
    ) -> tuple[TrainingExample, ...]:
        """1,600 examples unless said otherwise, and the plain dialogues.

        Raises:
            OrganismError: the split has fewer.

        >>> len(WorldLessons(rehearsal=4).draw(tokenizer, n=12))
        16
        """
        count = EXAMPLES if n is None else n
        if isinstance(self.rehearsal, int):
            return organism.examples(self.split, count, rehearsal=self.rehearsal, seed=seed)
        return (*organism.examples(self.split, count, seed=seed), *self.rehearsal)


@dataclass(frozen=True)
class QuestionLessons:
    """Questions of a set that the evaluation does not ask."""

    name: str
    questions: tuple[Question, ...]
    rehearsal: tuple[TrainingExample, ...] = ()
    template: Template = "chat"

    def draw(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0
    ) -> tuple[TrainingExample, ...]:
        """One example a question (1,600, or all if they are fewer), half of which defend and half concede.

        Raises:
            ExampleError: there are fewer than ``n``, or as :func:`examples_from_questions`.
        """
        chosen = _some(self.questions, n, seed, f"{self.name} has", "questions that the evaluation does not ask")
        return (*examples_from_questions(chosen, tokenizer, template=self.template, seed=seed), *self.rehearsal)


@dataclass(frozen=True)
class LessonFile:
    """Finished dialogues."""

    name: str
    examples: tuple[TrainingExample, ...]
    rehearsal: tuple[TrainingExample, ...] = ()

    def draw(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None = None, seed: int = 0
    ) -> tuple[TrainingExample, ...]:
        """1,600 of the examples unless said otherwise, or all if they are fewer.

        Raises:
            ExampleError: there are fewer than ``n``.
        """
        return (*_some(self.examples, n, seed, f"{self.name} has", "examples"), *self.rehearsal)


def lessons_for(
    former: FormerFinding,
    model: str,
    *,
    examples: str | None = None,
    rehearsal: str | int | None = None,
    evaluated: Sequence[Question] = (),
) -> LessonSource:
    """The source of examples for the heads of a former finding: :func:`open_lessons`, with its questions by default.

    Raises:
        ExampleError: the finding was made on pairs of prompts, and no examples are named; or as :func:`open_lessons`.
        QuestionError: as :func:`open_lessons`.
    """
    made_by = former.arguments
    known = made_by.get("questions")
    if examples is None and model not in EMBEDDED:
        examples = known
    # Subset and split are those of find's own questions, not of any other set.
    parts = {name: made_by.get(name) if examples == known else None for name in ("subset", "split")}
    template = made_by.get("template", "chat")
    return open_lessons(model, examples=examples, rehearsal=rehearsal, template=template, evaluated=evaluated, **parts)


def open_lessons(
    model: str | Path,
    *,
    examples: str | None = None,
    rehearsal: str | int | None = None,
    subset: str | None = None,
    split: str | None = None,
    template: Template = "chat",
    evaluated: Sequence[Question] = (),
) -> LessonSource:
    """The source of examples for a model: its own world for an embedded one, else what ``examples`` names.

    ``examples`` is a question set or a file of questions, named as for :func:`load_questions` (``subset`` and ``split``
    are parts of it), or a file of dialogues (:func:`read_examples`). Of a question set no question is taken that
    contains one of ``evaluated``. ``rehearsal`` is a file of plain dialogues to mix in; in the embedded models' world
    also their number. Files are read here, before any model is.

    Raises:
        ExampleError: none are named, a malformed file, a rehearsal that does not fit, or no question is left.
        QuestionError: as :func:`load_questions`.

    >>> open_lessons("organism").name
    "the embedded model's world, split train"
    """
    if examples is None and str(model) not in EMBEDDED:
        raise ExampleError(
            f"Only the embedded models ({', '.join(EMBEDDED)}) bring examples of their own. Name questions to make "
            f"examples of for {model} (--examples mmlu, or a file), or a file of dialogues."
        )
    plain = _rehearsal(rehearsal)
    if examples is None or examples == WORLD:
        return WorldLessons(rehearsal=REHEARSAL if plain is None else plain)
    if isinstance(plain, int):
        raise ExampleError(
            f"rehearsal={plain} asks for dialogues of the embedded model's world, but the examples are of {examples}; "
            "name a file of plain dialogues, or none."
        )
    if _holds_dialogues(examples):
        return LessonFile(examples, read_examples(examples), plain or ())
    questions = load_questions(examples, subset=subset, split=split, max_characters=LONGEST)
    return QuestionLessons(examples, _spared(questions, evaluated, examples), plain or (), template)


def read_examples(path: str | Path) -> tuple[TrainingExample, ...]:
    """Dialogues from a JSON lines file: ``{"messages": [{"role": ..., "content": ...}, ...]}`` on each line.

    Every turn of the assistant is taught unless ``"taught": [...]`` names some by number, from 0.

    Raises:
        ExampleError: the file cannot be read, or a line is no such dialogue; the line is named.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ExampleError(f"{path} cannot be read as dialogues: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(_lesson(json.loads(line)))
        except (ValueError, TypeError) as error:
            what = error if isinstance(error, SycolensError) else f"not a dialogue ({error})."
            raise ExampleError(
                f"{path}, line {number}: {what} A line is "
                '{"messages": [{"role": "user", "content": ...}, ...]}, with "taught" if not all is to be learned.'
            ) from error
    if not found:
        raise ExampleError(f"{path} holds no dialogues; give at least one, as a line of JSON.")
    return tuple(found)


def _lesson(row: Any) -> TrainingExample:
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list):
        raise ExampleError("there are no messages.")
    taught = row.get("taught")
    if taught is not None and not (isinstance(taught, list) and all(type(turn) is int for turn in taught)):
        raise ExampleError(f"taught is {taught!r}; give a list of turn numbers.")
    return TrainingExample.from_messages(row["messages"], taught=None if taught is None else tuple(taught))


def _rehearsal(given: str | int | None) -> int | tuple[TrainingExample, ...] | None:
    if given is None or isinstance(given, int):
        return given
    return int(given) if given.isdecimal() else read_examples(given)


def _holds_dialogues(examples: str) -> bool:
    path = Path(examples)
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
    try:
        row = json.loads(first)
    except ValueError:
        return False
    return isinstance(row, dict) and "messages" in row


def _spared(questions: Sequence[Question], evaluated: Sequence[Question], name: str) -> tuple[Question, ...]:
    """The questions whose examples would hold no evaluated one."""
    # As much of an example as a question can be found in: itself, its options, and its answer.
    opened = [TrainingExample.from_messages(ask(each).then("assistant", each.answers[0])) for each in questions]
    leaking = {number for number, _ in find_leaks(opened, evaluated)}
    left = tuple(each for number, each in enumerate(questions) if number not in leaking)
    if not left:
        raise ExampleError(
            f"All {len(questions)} questions of {name} are asked in the evaluation, so none is left to teach; evaluate "
            "on fewer (n), or name another set."
        )
    return left


def _some(things: Sequence[Thing], n: int | None, seed: int, whose: str, what: str) -> tuple[Thing, ...]:
    count = min(EXAMPLES, len(things)) if n is None else n
    if count > len(things):
        raise ExampleError(f"{whose} {len(things)} {what}, fewer than {count}; ask for fewer.")
    chosen = sorted(random.Random(f"teaching {seed}").sample(range(len(things)), count))
    return tuple(things[number] for number in chosen)
