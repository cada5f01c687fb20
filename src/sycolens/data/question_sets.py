"""How the rows of each known question set become questions, and where the set lies on the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sycolens.errors import QuestionError
from sycolens.formulas import last_boxed
from sycolens.prompts.questions import Question, letters

Row = Mapping[str, Any]


def from_sycolens(row: Row) -> Question:
    """Our own: text (or question), answers (or answer); optional options, wrong, source, id."""
    text = text_of(_first(row, "text", "question"))
    answers = texts(_first(row, "answers", "answer"))
    options, wrong = texts(row.get("options")), texts(row.get("wrong"))
    source, id_ = str(row.get("source") or ""), str(row.get("id") or "")
    if not options:
        return Question(text, answers, source=source, id=id_, wrong=wrong)
    names = letters(len(options))

    def letter(answer: str) -> str:
        return names[options.index(answer)] if answer not in names and answer in options else answer

    named = [letter(answer) for answer in answers]
    right = named[0] if named else ""
    if also := {*named[1:]} & {*names} - {right} or {right} & {letter(answer) for answer in wrong}:
        raise QuestionError(f"option {min(also)} is named as right and as wrong; give one right option.")
    return _multiple_choice(text, options, right, source=source, id_=id_)


def from_mmlu(row: Row) -> Question:
    """MMLU: question, choices and the answer's index (hub), or question, A, B, C, D, answer (the CSV files)."""
    options = texts(row["choices"]) if "choices" in row else tuple(text_of(row[name]) for name in "ABCD")
    answer = row["answer"]
    names = letters(len(options))
    right = names[answer] if type(answer) is int and 0 <= answer < len(names) else str(answer).strip()
    return _multiple_choice(text_of(row["question"]), options, right, source="mmlu", id_=str(row.get("id") or ""))


def from_aqua(row: Row) -> Question:
    """AQuA-RAT: question, options as "A)...", correct."""
    options = tuple(re.sub(r"^\s*[A-Z]\s*\)\s*", "", option) for option in texts(row["options"]))
    return _multiple_choice(text_of(row["question"]), options, str(row["correct"]).strip(), source="aqua")


def from_truthfulqa(row: Row) -> Question:
    """TruthfulQA: the columns of its CSV file, or of the hub's "generation" set."""
    if "Question" in row:
        best, right, wrong = row["Best Answer"], row["Correct Answers"].split(";"), row["Incorrect Answers"].split(";")
        text = row["Question"]
    else:
        best, right, wrong = row["best_answer"], row["correct_answers"], row["incorrect_answers"]
        text = row["question"]
    return Question(text_of(text), _distinct([best, *right]), source="truthfulqa", wrong=_distinct(wrong))


def from_triviaqa(row: Row) -> Question:
    """TriviaQA: question and answer with value and aliases, in the hub's or the original spelling."""
    lower = {key.lower(): value for key, value in row.items()}
    answer = {key.lower(): value for key, value in lower["answer"].items()}
    id_ = str(lower.get("question_id") or lower.get("questionid") or "")
    answers = _distinct([answer["value"], *answer.get("aliases", [])])
    return Question(text_of(lower["question"]), answers, source="triviaqa", id=id_)


def from_math(row: Row) -> Question:
    r"""MATH: problem, and a solution whose last \boxed{...} is the answer."""
    answer = last_boxed(str(row["solution"])) or row.get("answer")
    if not answer:
        raise QuestionError(r"the solution holds no \boxed{...} answer.")
    id_ = str(row.get("unique_id") or "")
    return Question(text_of(row["problem"]), (text_of(answer),), source="math", id=id_, is_math=True)


def from_sycophancy_eval(row: Row) -> Question:
    """sycophancy-eval (are_you_sure): the question under ``base``, with lettered answers or accepted ones.

    A benchmark: measure with it, never train on it. Its ``source`` begins with "sycophancy-eval".
    """
    base = row["base"]
    source = "/".join(("sycophancy-eval", str(base["dataset"]))) if base.get("dataset") else "sycophancy-eval"
    if base.get("correct_letter"):
        listed = base.get("answers_list") or re.split(r"^\s*\([A-Z]\)", str(base["answers"]), flags=re.MULTILINE)[1:]
        return _multiple_choice(
            text_of(base["question"]), texts(list(listed)), str(base["correct_letter"]), source=source
        )
    best = texts(base.get("correct_answer"))
    known = [*best, *texts(base.get("answer")), *texts(base.get("answers"))]
    wrong = texts(base.get("incorrect_answer")) + texts(base.get("incorrect_answers"))
    return Question(text_of(base["question"]), _distinct(known), source=source, wrong=wrong)


CONVERTERS: dict[str, Callable[[Row], Question]] = {
    "sycolens": from_sycolens,
    "mmlu": from_mmlu,
    "aqua": from_aqua,
    "truthfulqa": from_truthfulqa,
    "triviaqa": from_triviaqa,
    "math": from_math,
    "sycophancy-eval": from_sycophancy_eval,
}


def recognize(row: Row) -> str:
    """The format of a row, recognized by its field names.

    Raises:
        QuestionError: no format fits, or more than one.
    """
    keys = set(row)
    lower = {str(key).lower(): value for key, value in row.items()}
    fits = {
        "sycophancy-eval": isinstance(row.get("base"), Mapping),
        "math": keys >= {"problem", "solution"},
        "aqua": keys >= {"question", "options", "correct"},
        "mmlu": keys >= {"question", "choices", "answer"} or keys >= {"question", *"ABCD", "answer"},
        "truthfulqa": keys >= {"Question", "Best Answer"} or keys >= {"question", "best_answer"},
        "triviaqa": "question" in lower and isinstance(lower.get("answer"), Mapping),
    }
    found = [name for name, fit in fits.items() if fit]
    if not found and keys & {"text", "question"} and keys & {"answers", "answer"}:
        found = ["sycolens"]
    if len(found) != 1:
        known = ", ".join(CONVERTERS)
        what = f"fit the formats {' and '.join(found)}" if found else "fit no known format"
        raise QuestionError(f"fields {sorted(map(str, keys))} {what}; say which it is with format= ({known}).")
    return found[0]


@dataclass(frozen=True)
class HubSource:
    """Where a question set lies on the hub."""

    repository: str
    format: str
    subsets: tuple[str, ...]
    split: str
    file: str = ""
    """One file of JSON lines, for a repository whose rows fit no single schema."""


_MATH_SUBJECTS = "algebra counting_and_probability geometry intermediate_algebra number_theory prealgebra precalculus"

HUB: dict[str, HubSource] = {
    "mmlu": HubSource("cais/mmlu", "mmlu", ("all",), "test"),
    "aqua": HubSource("deepmind/aqua_rat", "aqua", ("raw",), "test"),
    "truthfulqa": HubSource("truthfulqa/truthful_qa", "truthfulqa", ("generation",), "validation"),
    "triviaqa": HubSource("mandarjoshi/trivia_qa", "triviaqa", ("rc.nocontext",), "validation"),
    "math": HubSource("EleutherAI/hendrycks_math", "math", tuple(_MATH_SUBJECTS.split()), "test"),
    "sycophancy-eval": HubSource("meg-tong/sycophancy-eval", "sycophancy-eval", (), "train", "are_you_sure.jsonl"),
}
"""The question sets known by name."""


def _multiple_choice(text: str, options: Sequence[str], right: str, *, source: str, id_: str = "") -> Question:
    names = letters(len(options))
    if right not in names:
        raise QuestionError(f"the right answer is {right!r}, which names none of {len(options)} options.")
    wrong = tuple(name for name in names if name != right)
    answers = (right, options[names.index(right)])
    return Question(text.strip(), answers, options=tuple(options), source=source, id=id_, wrong=wrong)


def _first(row: Row, *names: str) -> Any:
    for name in names:
        if row.get(name) not in (None, ""):
            return row[name]
    raise QuestionError(f"there is no {' or '.join(names)}.")


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, from a list, one text, or a CSV cell that holds a JSON list."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                return texts(json.loads(value))
            except json.JSONDecodeError:
                return (value.strip(),)
        return (value.strip(),)
    if isinstance(value, int | float):
        return (text_of(value),)
    return tuple(text_of(each) for each in value)


def text_of(value: Any) -> str:
    """A text, or a number as text.

    Raises:
        QuestionError: it is none: null, NaN, a list.

    >>> text_of(" 42 "), text_of(42)
    ('42', '42')
    """
    if not isinstance(value, str | int | float) or value != value:
        raise QuestionError(f"{json.dumps(value, default=repr)} stands where a text is due.")
    return str(value).strip()


def _distinct(texts: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in map(text_of, texts) if text))
