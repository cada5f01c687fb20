"""From settings to a task: which of the three is meant by a model and a name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sycolens.choices import EMBEDDED, KNOWN_SETS
from sycolens.data import load_questions
from sycolens.errors import ExampleError, PairError, QuestionError
from sycolens.organism import SPLITS, Split
from sycolens.prompts.behavior import PAPER as THE_PAPER
from sycolens.prompts.behavior import Behavior
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.training_example import TrainingExample
from sycolens.tasks.files import UserFiles, holds_dialogues, read_examples
from sycolens.tasks.question_set import LONGEST, QuestionSet
from sycolens.tasks.task import Task
from sycolens.tasks.world import World
from sycolens.tune.training_config import EMBEDDED as SMALL_MODEL
from sycolens.tune.training_config import PAPER, TrainingConfig

WORLD: Final = "organism"
"""The name by which settings ask for the embedded models' world."""


def open_task(
    model: str,
    *,
    questions: str | None = None,
    pairs: str | None = None,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    rehearsal: str | int | None = None,
    chat_format: ChatFormat = CHAT,
    behavior: Behavior = THE_PAPER,
) -> Task:
    """The task that settings name: the world of an embedded model where nothing is named, a question set, or files.

    Questions are read here, before any model is. ``rehearsal`` is a file of plain dialogues to mix into the training
    examples; of the embedded models' world also their number.

    Raises:
        PairError: both or neither of questions and pairs are given, options that do not go together, a missing file.
        QuestionError: as :func:`load_questions`, or an unknown split of the world.
        ExampleError: a file of dialogues cannot be read, or a rehearsal that does not fit.

    >>> open_task("organism", split="validation").name
    "the embedded model's world, split validation"
    """
    if questions is not None and pairs is not None:
        raise PairError("Both questions and pairs were given; they exclude each other, since pairs need no questions.")
    plain = _rehearsal(rehearsal)
    if pairs is not None:
        if split is not None or subset is not None:
            raise PairError(f"split and subset name parts of a question set; {pairs} is a file of pairs and has none.")
        if not Path(pairs).exists():
            raise PairError(f"{pairs} is not there; give a JSON lines file of records, or a directory of saved pairs.")
        return UserFiles(Path(pairs), chat_format)
    if questions is None and model not in EMBEDDED:
        raise PairError(
            f"Only the embedded models ({', '.join(EMBEDDED)}) bring dialogues of their own. Name questions for "
            f'{model} (questions = "general", "mmlu", or a file), or a file of pairs.'
        )
    if questions is None or questions == WORLD:
        return _world(split, subset, plain, chat_format, behavior)
    if isinstance(plain, int):
        raise ExampleError(
            f"rehearsal={plain} asks for dialogues of the embedded model's world, but the examples are of {questions}; "
            "name a file of plain dialogues, or none."
        )
    if holds_dialogues(questions):
        return UserFiles(Path(questions), chat_format, read_examples(questions), plain or ())
    if questions not in KNOWN_SETS and Path(questions).is_dir() and not _has_questions(Path(questions)):
        raise QuestionError(f"{questions} is a folder without .csv, .json or .jsonl files; name the file of questions.")
    read = load_questions(questions, subset=subset, split=split, revision=revision, max_characters=LONGEST)
    return QuestionSet(questions, tuple(read), chat_format, behavior, plain or ())


def usual_training(model: str) -> TrainingConfig:
    """How a model is trained unless said otherwise: as the paper's, or as fits the small embedded ones.

    >>> usual_training("organism").steps
    120
    """
    return SMALL_MODEL if model in EMBEDDED else PAPER


def _world(
    split: str | None,
    subset: str | None,
    plain: int | tuple[TrainingExample, ...] | None,
    chat_format: ChatFormat,
    behavior: Behavior,
) -> World:
    if behavior != THE_PAPER:
        raise PairError(
            f"The embedded model's world has words of its own, so behavior {behavior.name!r} cannot be asked "
            "there; name questions (find.questions)."
        )
    if subset is not None or chat_format != CHAT:
        raise PairError(
            "The embedded model's world has no subset, and its dialogues need the chat template, which has no options."
        )
    known: dict[str, Split] = {each: each for each in SPLITS}
    if split is not None and split not in known:
        raise QuestionError(f"split={split!r} is no part of the embedded model's world; it has {', '.join(SPLITS)}.")
    chosen = None if split is None else known[split]
    return World(chosen) if plain is None else World(chosen, plain)


def _rehearsal(given: str | int | None) -> int | tuple[TrainingExample, ...] | None:
    if given is None or isinstance(given, int):
        return given
    return int(given) if given.isdecimal() and len(given) < 10 else read_examples(given)


def _has_questions(folder: Path) -> bool:
    return any(path.suffix in (".csv", ".json", ".jsonl") for path in folder.iterdir())
