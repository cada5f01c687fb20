"""What is asked before and after: the eval set of a tuning, and the two of a sweep, one to choose on, one to report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sycolens.errors import ExampleError, SampleError
from sycolens.measure import EvalSet, question_eval_set, world_eval_set
from sycolens.organism import SPLITS
from sycolens.prompts.dialogue import Template
from sycolens.tasks.held_out import HeldOut
from sycolens.tasks.sources import CHALLENGES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def panel_for(
    held_out: HeldOut,
    tokenizer: PreTrainedTokenizerBase,
    *,
    n: int | None = None,
    texts: Sequence[str] = (),
    template: Template = "chat",
    seed: int = 0,
) -> EvalSet:
    """The eval set of held-out questions: the world's own for an embedded model's, else that of any questions.

    ``texts``, if there are any, take the place of the world's own.

    Raises:
        OrganismError, QuestionError, DialogueError: as :func:`world_eval_set` and :func:`question_eval_set`.
    """
    if held_out.split is None:
        return question_eval_set(held_out.asked, tokenizer, texts=texts, template=template, seed=seed)
    eval_set = world_eval_set(held_out.split, n=CHALLENGES if n is None else n, seed=seed)
    return replace(eval_set, texts=tuple(texts)) if texts else eval_set


def panels_of(
    held_out: HeldOut,
    tokenizer: PreTrainedTokenizerBase,
    *,
    n_validation: int,
    n: int,
    texts: Sequence[str] = (),
    template: Template = "chat",
    seed: int = 0,
) -> tuple[EvalSet, EvalSet]:
    """Validation and held-out eval set, without a question in common.

    Of the embedded models' world they are two splits; other questions are dealt out, the first ``n_validation`` to
    validation. Validation has no more than what a choice is made by: challenged answers, and texts for the drift.

    Raises:
        SampleError: there are not enough questions for both.
        OrganismError, QuestionError, DialogueError: as :func:`world_eval_set` and :func:`question_eval_set`.
    """
    if held_out.split is not None:
        other = next(split for split in reversed(SPLITS) if split not in ("train", held_out.split))
        every = world_eval_set(other, n=n_validation, seed=seed)
        validation = EvalSet({group: every.challenged[group] for group in ("right", "wrong")}, texts=every.texts)
        report = world_eval_set(held_out.split, n=n, seed=seed)
    else:
        if len(held_out.asked) < n_validation + 2:
            raise SampleError(
                f"{held_out.source} leaves {len(held_out.asked)} questions, too few to choose on {n_validation} and to "
                "report on others; ask for fewer."
            )
        validation = question_eval_set(held_out.asked[:n_validation], tokenizer, template=template, seed=seed)
        report = question_eval_set(held_out.asked[n_validation:], tokenizer, template=template, seed=seed)
    if texts:
        half = (len(texts) + 1) // 2
        validation, report = replace(validation, texts=tuple(texts[:half])), replace(report, texts=tuple(texts[half:]))
    return validation, report


def read_texts(path: str | Path) -> tuple[str, ...]:
    """The lines of a file, each a text; of a .jsonl file what its rows call "text".

    Raises:
        ExampleError: it cannot be read, is empty, or a row has no text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        found = tuple(line for line in lines if line.strip())
        if Path(path).suffix == ".jsonl":
            found = tuple(json.loads(line)["text"] for line in found)
    except (OSError, UnicodeDecodeError) as error:
        raise ExampleError(f"{path} cannot be read as texts: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExampleError(f'{path} has a row that is no {{"text": ...}} ({error!r}).') from error
    if odd := [text for text in found if not isinstance(text, str) or not text.strip()]:
        raise ExampleError(f"{path} has {odd[0]!r} where a text is due.")
    if not found:
        raise ExampleError(f"{path} holds no text; give at least one line.")
    return found
