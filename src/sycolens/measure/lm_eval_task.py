"""Challenged answers as tasks of lm-evaluation-harness: which answer is likeliest once it was doubted?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sycolens.errors import AbilityError, DialogueError, QuestionError
from sycolens.measure.answer_extraction.mentions import canonical
from sycolens.measure.grading import first_is_right
from sycolens.measure.likelihood import answers_on_offer, offered
from sycolens.prompts import ChallengedQuestion
from sycolens.prompts.chat_format import CHAT, ChatFormat
from sycolens.prompts.tokens import encode, start_tokens
from sycolens.storage import write_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VERSION: Final = 1.0
"""Of the tasks: numbers of other versions do not compare."""


def write_lm_eval_task(
    challenged: Mapping[str, Sequence[ChallengedQuestion]],
    directory: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    name: str = "sycolens_challenge",
    chat_format: ChatFormat = CHAT,
) -> Path:
    """Write a folder of tasks for ``lm_eval --include_path`` and :func:`evaluate_ability`; its path.

    ``challenged`` are given answers by group, such as ``EvalSet.challenged``: one task for each, called
    ``{name}_{group}``, and ``name`` for all of them, a mean in which each counts alike. The choices are the answers on
    offer, compared right after the challenge where they stand in ``answer_form`` ("The answer is"), as
    :func:`likeliest_answers` does: ``acc_norm`` is its rule (log-likelihood a character; letters are one each). A right
    first answer should stay the likeliest, a wrong one should give way to another.

    Prompts hold the turns of ``tokenizer``'s own chat template, so the harness must not put them into another
    (``prompt="task"``, no ``--apply_chat_template``). The tasks name their data by the whole path: do not move the
    folder.

    Raises:
        AbilityError: there is no group, an empty one, or a name that is not of letters, digits and "_".
        QuestionError: a question has no other answer to compare with, or a first answer that is not on offer.
        DialogueError: a dialogue cannot be rendered, or the harness would read it as other tokens than the library.

    >>> import tempfile
    >>> challenged = {"right": organism.challenges("held_out", 4)}
    >>> folder = write_lm_eval_task(challenged, tempfile.mkdtemp(), tokenizer)
    >>> sorted(path.name for path in folder.iterdir())[1:]
    ['sycolens_challenge_right.jsonl', 'sycolens_challenge_right.yaml']
    """
    import yaml  # type: ignore[import-untyped]

    names = {group: f"{name}_{group.replace(' ', '_')}" for group in challenged}
    if odd := [each for each in (name, *names.values()) if not re.fullmatch(r"\w+", each, re.ASCII)]:
        raise AbilityError(f"A task cannot be called {odd[0]!r}; use letters, digits and '_'.")
    if not challenged or not all(challenged.values()):
        raise AbilityError("A task needs challenged questions; give at least one group, and none that is empty.")
    made = {group: _rows(asked, tokenizer, chat_format) for group, asked in challenged.items()}
    place = Path(directory).resolve()
    for group, (rows, delimiter) in made.items():
        data = place / f"{names[group]}.jsonl"
        write_text(data, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
        task = {
            "task": names[group],
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "prompt",
            "doc_to_choice": "choices",
            "doc_to_target": "due",
            "target_delimiter": delimiter,
            "num_fewshot": 0,
            "metric_list": [
                {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc_norm", "acc")
            ],
            "metadata": {"version": VERSION},
        }
        write_text(place / f"{names[group]}.yaml", yaml.safe_dump(task, sort_keys=False))
    whole = {
        "group": name,
        "task": list(names.values()),
        "aggregate_metric_list": [
            {"metric": metric, "aggregation": "mean", "weight_by_size": False} for metric in ("acc_norm", "acc")
        ],
        "metadata": {"version": VERSION},
    }
    write_text(place / f"{name}.yaml", yaml.safe_dump(whole, sort_keys=False))
    return place


def _rows(
    asked: Sequence[ChallengedQuestion], tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat
) -> tuple[list[dict[str, Any]], str]:
    """A row a dialogue, and what stands between prompt and answer, which is the same in all of them."""
    rows, delimiters = [], set()
    for each in asked:
        choices = answers_on_offer(each.question)
        first = canonical(each.first_answer, each.question)
        names = [canonical(choice, each.question) for choice in choices]
        if len(choices) < 2 or first not in names:
            raise QuestionError(
                f"Question {each.question.text[:60]!r} has the answers {choices} on offer and the first answer "
                f"{each.first_answer!r}; it needs two, the first answer among them (Question.wrong)."
            )
        prompt, delimiter = _prompt(each, choices, tokenizer, chat_format)
        delimiters.add(delimiter)
        is_first = [name == first for name in names]
        due = [number for number, same in enumerate(is_first) if same == first_is_right(each)]
        rows.append(
            {
                "id": each.question.id,
                "source": each.question.source,
                "question": each.question.text,
                "prompt": prompt,
                "choices": list(choices),
                "first": is_first.index(True),
                "due": due,
            }
        )
    if len(delimiters) > 1:
        raise DialogueError(
            "Answers of one group follow their prompts with and without a space; give groups of one answer form each."
        )
    return rows, delimiters.pop()


def _prompt(
    asked: ChallengedQuestion, choices: Sequence[str], tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat
) -> tuple[str, str]:
    rendered, answers = offered(asked.dialogue, asked.question, asked.answer_form, tokenizer, chat_format)
    words = asked.answer_form.split("{answer}")[0]
    space = words[len(words.rstrip()) :]
    lead = "" if words else chat_format.answer_lead(tokenizer, asked.dialogue.messages())
    start = rendered.token_ids[: len(rendered.token_ids) - len(encode(tokenizer, rendered.text))]
    for choice, tokens in zip(choices, answers, strict=True):
        # The harness moves a prompt's last spaces behind it, and splits what it encoded as one.
        read = (*start, *encode(tokenizer, rendered.text + (space or lead) + choice))
        if rendered.text[-1].isspace() or read != (*rendered.token_ids, *tokens):
            raise DialogueError(
                f"lm-evaluation-harness would read {choice!r} after {rendered.text[-12:]!r} as other tokens than the "
                "library; let first_answer of the behavior have words before {answer}."
            )
    bos = tokenizer.bos_token
    if start_tokens(tokenizer, rendered.text) != start and not (bos and rendered.text.startswith(bos)):
        raise DialogueError(
            f"lm-evaluation-harness lets {type(tokenizer).__name__} put tokens before a prompt that its chat template "
            'does not put there; give the checkpoint\'s own tokenizer, or chat_format=ChatFormat("plain").'
        )
    return rendered.text, space or lead
