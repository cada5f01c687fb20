"""The user's own files: pairs of prompts, dialogues to learn from, texts to measure drift on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sycolens.data.tables import Table, rows_in, title_of
from sycolens.errors import ExampleError, PairError, SycolensError
from sycolens.measure.eval_set import EvalSet
from sycolens.prompts import ContrastPairs, Dialogue, Question
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.training_example import TrainingExample
from sycolens.tasks.question_set import some
from sycolens.tasks.task import Cost, HeldOut, deal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LARGEST = 2**30
"""Bytes of a file that is read whole."""


COST: Final = Cost()


@dataclass(frozen=True)
class UserFiles:
    """Finished pairs that find heads, or finished dialogues to learn from. Neither says which answers are right."""

    path: Path
    chat_format: ChatFormat = CHAT
    dialogues: tuple[TrainingExample, ...] = ()
    """Of a file of dialogues; those of ``rehearsal`` come after them."""
    rehearsal: tuple[TrainingExample, ...] = ()
    draws: int = 1
    cost: Cost = COST

    @property
    def name(self) -> str:
        return str(self.path)

    def pairs(
        self, tokenizer: PreTrainedTokenizerBase, *, n: int | None, seed: int, draws: int = 1
    ) -> tuple[ContrastPairs, ...]:
        """``n`` pairs a draw, or all; draws have no pair in common.

        Raises:
            PairError: there are not enough pairs, or a record is malformed.
            SavedFileError, DialogueError, LabelError: as the methods of :class:`ContrastPairs`.
        """
        if self.path.is_dir():
            pairs = ContrastPairs.load(self.path)
        else:
            pairs = ContrastPairs.from_jsonl(self.path, tokenizer, chat_format=self.chat_format)
        count = len(pairs) if n is None else n
        return tuple(
            pairs.select(chosen) for chosen in deal(len(pairs), count, seed, draws, f"{self.path} has", "pairs")
        )

    def questions(self, spent: Set[str], *, n: int | None, seed: int) -> HeldOut:
        """Refused.

        Raises:
            PairError: always.
        """
        self._refuse()

    def eval_set(
        self, held_out: HeldOut, tokenizer: PreTrainedTokenizerBase, *, texts: Sequence[str], seed: int
    ) -> EvalSet:
        """Refused.

        Raises:
            PairError: always.
        """
        self._refuse()

    def eval_sets(
        self,
        held_out: HeldOut,
        tokenizer: PreTrainedTokenizerBase,
        *,
        n_validation: int,
        n: int,
        texts: Sequence[str],
        seed: int,
    ) -> tuple[EvalSet, EvalSet]:
        """Refused.

        Raises:
            PairError: always.
        """
        self._refuse()

    def examples(
        self, tokenizer: PreTrainedTokenizerBase, evaluated: Sequence[Question], *, n: int | None, seed: int
    ) -> tuple[TrainingExample, ...]:
        """1,600 of the dialogues unless said otherwise, or all if they are fewer.

        Raises:
            ExampleError: there are fewer than ``n``, or none.
        """
        if not self.dialogues:
            raise ExampleError(
                f"{self.path} holds pairs, which nothing can be learned from; name questions or a file of dialogues to "
                "make examples of (examples.source)."
            )
        return (*some(self.dialogues, n, seed, f"{self.name} has", "dialogues"), *self.rehearsal)

    def _refuse(self) -> NoReturn:
        raise PairError(
            f"{self.path} holds finished prompts, which do not say which answers are right, so replies cannot be "
            'graded. Name questions to verify and measure on (questions = "mmlu", or a file).'
        )


def read_examples(source: str | Path | Table) -> tuple[TrainingExample, ...]:
    """Dialogues from a JSON lines file, or from a table in memory (Dataset, DataFrame, list of dictionaries).

    A row is ``{"messages": [{"role": ..., "content": ...}, ...]}``, of which every turn of the assistant is taught
    unless ``"taught": [...]`` names some by number, from 0; or ``{"prompt": [...], "completion": [...]}`` with messages
    in both, of which the completion's are taught. These are the conversational forms that TRL reads. Beside messages,
    ``"rejected": "..."`` is what should not be said in place of the last turn, which steering needs.

    Raises:
        ExampleError: the file or table cannot be read, or a row is no such dialogue; it is named.

    >>> asked, reply = {"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good morning!"}
    >>> read_examples([{"prompt": [asked], "completion": [reply]}])[0].taught
    (1,)
    """
    if isinstance(source, str | Path):
        lines = enumerate(_lines_of(source, "dialogues"), start=1)
        rows: Iterator[tuple[str, Any]] = ((f"{source}, line {number}", line) for number, line in lines if line.strip())
    else:
        rows = rows_in(ExampleError, source)
    found = []
    for where, row in rows:
        try:
            found.append(_example(json.loads(row) if isinstance(row, str) else row))
        except (ValueError, TypeError, RecursionError) as error:
            what = error if isinstance(error, SycolensError) else f"not a dialogue ({error})."
            raise ExampleError(
                f'{where}: {what} A row is {{"messages": [{{"role": "user", "content": ...}}, ...]}}, with "taught" if '
                'not all is to be learned, or {"prompt": [...], "completion": [...]}, with messages in both.'
            ) from error
    if not found:
        raise ExampleError(f"{title_of(source)} holds no dialogues; give at least one row.")
    return tuple(found)


def holds_dialogues(name: str) -> bool:
    """Whether a file's first row is a dialogue, and not a question."""
    path = Path(name)
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            row = json.loads(next((line for line in file if line.strip()), ""))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(row, dict) and ("messages" in row or {"prompt", "completion"} <= row.keys())


def read_texts(path: str | Path) -> tuple[str, ...]:
    """The lines of a file, each a text; of a .jsonl file what its rows call "text".

    Raises:
        ExampleError: it cannot be read, is empty, or a row has no text.
    """
    found = tuple(line for line in _lines_of(path, "texts") if line.strip())
    if Path(path).suffix == ".jsonl":
        try:
            found = tuple(json.loads(line)["text"] for line in found)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExampleError(f'{path} has a row that is no {{"text": ...}} ({error!r}).') from error
    if odd := [text for text in found if not isinstance(text, str) or not text.strip()]:
        raise ExampleError(f"{path} has {odd[0]!r} where a text is due.")
    if not found:
        raise ExampleError(f"{path} holds no text; give at least one line.")
    return found


def _lines_of(path: str | Path, what: str) -> list[str]:
    try:
        if Path(path).stat().st_size > LARGEST:
            raise ExampleError(f"{path} is larger than {LARGEST // 2**20:,} MiB; give fewer {what}.")
        return Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ExampleError(f"{path} cannot be read as {what}: {error}") from error


def _example(row: Any) -> TrainingExample:
    if not isinstance(row, Mapping):
        raise ExampleError("there are no messages.")
    prompt, completion, taught = (row.get(name) for name in ("prompt", "completion", "taught"))
    if row.get("messages") is None and isinstance(prompt, list) and isinstance(completion, list):
        dialogue, first = Dialogue.from_messages([*prompt, *completion]), len(prompt)
        replies = [turn for turn in range(first, len(dialogue.turns)) if dialogue.turns[turn].role == "assistant"]
        return TrainingExample(dialogue, tuple(replies))
    if not isinstance(row.get("messages"), list):
        raise ExampleError("there are no messages.")
    if taught is not None and not (isinstance(taught, list) and all(type(turn) is int for turn in taught)):
        raise ExampleError(f"taught is {taught!r}; give a list of turn numbers.")
    own = None if taught is None else tuple(taught)
    return TrainingExample.from_messages(row["messages"], taught=own, rejected=row.get("rejected"))
