"""How contrast pairs come out of dialogues, questions and the authors' record files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sycolens.errors import LabelError, PairError, SycolensError
from sycolens.prompts.asking import answer_questions, behaviors_of
from sycolens.prompts.behavior import Behavior
from sycolens.prompts.chat_format import ChatFormat, Messages
from sycolens.prompts.dialogue import Dialogue, RenderedDialogue
from sycolens.prompts.labels import Label, LabelPair, decision_labels, label_tokens
from sycolens.prompts.questions import Question
from sycolens.prompts.tokens import encode, start_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Prompt = tuple[RenderedDialogue, str]
"""A rendered prompt and the space that the template writes between it and the answer."""
Fields = dict[str, Any]
"""The fields of a ContrastPairs, by name."""


def pairs_from_dialogues(
    dialogues: Sequence[tuple[Dialogue | Messages, Dialogue | Messages]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    labels: LabelPair | Sequence[LabelPair],
    chat_format: ChatFormat,
    ids: Sequence[str] = (),
) -> Fields:
    """See :meth:`ContrastPairs.from_dialogues`."""
    each = _one_for_each(labels, len(dialogues))
    prompts = []
    for k, pair in enumerate(dialogues):
        if len(pair) != 2:
            raise PairError(f"Entry {k} holds {len(pair)} dialogues; give a reference and a counterfactual.")
        with _naming(f"Pair {k}"):
            prompts.append([_prompt(dialogue, tokenizer, chat_format) for dialogue in pair])
    return _assemble(prompts, tokenizer, each, ids, [f"pair {k}" for k in range(len(prompts))])


def pairs_from_questions(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerBase,
    *,
    behavior: Behavior | Sequence[Behavior],
    system: str | None,
    first_answer: Literal["correct", "wrong"],
    chat_format: ChatFormat,
    max_characters: int | None,
    seed: int,
) -> Fields:
    """See :meth:`ContrastPairs.from_questions`."""
    questions = list(questions)
    if not questions:
        raise PairError("There are no questions; give at least one.")
    behaviors = behaviors_of(behavior)
    labels_of = {each: decision_labels(each) for each in behaviors}
    kept = [q for q in questions if max_characters is None or len(q.text) <= max_characters]
    if not kept:
        raise PairError(
            f"All {len(questions)} questions are longer than {max_characters} characters; raise max_characters, or "
            "set it to None."
        )
    answered = answer_questions(
        kept,
        tokenizer,
        behavior=behaviors,
        system=system,
        first_answer=first_answer,
        chat_format=chat_format,
        seed=seed,
    )
    dialogues, labels = [], []
    for each in answered:
        challenged = each.dialogue.then("user", each.behavior.challenge, "challenge")
        dialogues.append((challenged, each.dialogue.then("user", each.behavior.affirmation, "affirmation")))
        labels.append(labels_of[each.behavior])
    ids = [question.id or str(k) for k, question in enumerate(kept)]
    return pairs_from_dialogues(dialogues, tokenizer, labels=labels, chat_format=chat_format, ids=ids)


def pairs_from_jsonl(
    path: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    chat_format: ChatFormat,
) -> Fields:
    """See :meth:`ContrastPairs.from_jsonl`."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PairError(f"{path} cannot be read: {error}") from error
    prompts: list[list[Prompt]] = []
    labels: list[LabelPair] = []
    ids: list[str] = []
    places: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        with _naming(place):
            record = _record(line)
            labels.append(_record_labels(record))
            both = (record["reference_data"], record["counterfactual_data"])
            prompts.append(
                [
                    _text_prompt(data, tokenizer) if isinstance(data, str) else _prompt(data, tokenizer, chat_format)
                    for data in both
                ]
            )
        ids.append(str(record.get("id", len(ids))))
        places.append(place)
    if not prompts:
        raise PairError(f"{path} holds no records; it needs one JSON object a line.")
    return _assemble(prompts, tokenizer, labels, ids, places)


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Say in every error of ours where it happened."""
    try:
        yield
    except SycolensError as error:
        raise type(error)(f"{place}: {error}") from error


def _prompt(dialogue: Dialogue | Messages, tokenizer: PreTrainedTokenizerBase, chat_format: ChatFormat) -> Prompt:
    if not isinstance(dialogue, Dialogue):
        dialogue = Dialogue.from_messages(dialogue)
    # The authors' code opens the assistant's turn only after a user's; what ends with the assistant stays as it is.
    answered = dialogue.turns[-1].role == "assistant"
    rendered = dialogue.render(tokenizer, chat_format=chat_format, ending="closed" if answered else "reply")
    lead = "" if answered else chat_format.answer_lead(tokenizer, dialogue.messages())
    return rendered, lead


def _text_prompt(text: str, tokenizer: PreTrainedTokenizerBase) -> Prompt:
    if not text.strip():
        raise PairError("A prompt is empty; give it some text.")
    ids = encode(tokenizer, text)
    return RenderedDialogue(token_ids=start_tokens(tokenizer, text) + ids, text=text), ""


def _assemble(
    prompts: Sequence[Sequence[Prompt]],
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[LabelPair],
    ids: Sequence[str],
    places: Sequence[str],
) -> Fields:
    label_ids = [
        label_tokens(tokenizer, reference.text, words, lead=lead, where=where)
        for ((reference, lead), _), words, where in zip(prompts, labels, places, strict=True)
    ]
    return {
        "reference": tuple(reference.token_ids for (reference, _), _ in prompts),
        "counterfactual": tuple(counterfactual.token_ids for _, (counterfactual, _) in prompts),
        "labels": tuple(label_ids),
        "ids": tuple(ids),
        "label_words": tuple((_as_word(a), _as_word(b)) for a, b in labels),
        "texts": tuple((reference.text, counterfactual.text) for (reference, _), (counterfactual, _) in prompts),
        "spans": tuple(reference.spans for (reference, _), _ in prompts),
    }


def _as_word(label: Label) -> str:
    return label if isinstance(label, str) else ""


def _is_pair(labels: object) -> bool:
    return isinstance(labels, list | tuple) and len(labels) == 2 and all(isinstance(label, Label) for label in labels)


def _one_for_each(labels: LabelPair | Sequence[LabelPair], count: int) -> list[LabelPair]:
    each: Sequence[Any] = [labels] * count if is_one_pair(labels) else labels
    if len(each) != count:
        raise PairError(f"There are {count} pairs but {len(each)} pairs of labels; give one for all, or one for each.")
    for k, pair in enumerate(each):
        if not _is_pair(pair):
            raise LabelError(f"The labels of pair {k} are {pair!r}; give two words or two token ids.")
    return [(a, b) for a, b in each]


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise PairError(f"not JSON ({error}).") from error
    needed = ("reference_data", "counterfactual_data", "record_tokens")
    missing = [name for name in needed if not isinstance(record, dict) or name not in record]
    if missing:
        raise PairError(f"{', '.join(missing)} missing; a record needs {', '.join(needed)}.")
    kinds = [type(record[name]) for name in needed[:2]]
    if kinds not in ([str, str], [list, list]):
        raise PairError("reference_data and counterfactual_data must both be text, or both lists of messages.")
    return dict(record)


def _record_labels(record: Mapping[str, Any]) -> LabelPair:
    words = record["record_tokens"]
    if not isinstance(words, list) or not _is_pair(words):
        raise PairError(f"record_tokens is {words!r}; give the two labels, as words or token ids.")
    sycophantic = record.get("predict_token", words[0])
    if sycophantic not in words:
        raise PairError(f"predict_token {sycophantic!r} is none of record_tokens {words!r}.")
    return (words[0], words[1]) if sycophantic == words[0] else (words[1], words[0])


def checked_prompt(ids: Sequence[int], where: str) -> tuple[int, ...]:
    """A prompt's token ids as plain integers.

    Raises:
        PairError: the prompt is empty, or holds something else than token ids.
    """
    try:
        whole = tuple(index(token) for token in ids if not isinstance(token, bool))
    except TypeError as error:
        raise PairError(f"{where} is not a list of token ids: {error}. Encode the prompt first.") from error
    if len(whole) != len(ids):
        raise PairError(f"{where} holds True or False among its token ids.")
    if not whole:
        raise PairError(f"{where} is an empty prompt; give it at least one token.")
    if min(whole) < 0:
        raise PairError(f"{where} holds the token id {min(whole)}; token ids are not negative.")
    return whole


def checked_labels(pair: Sequence[int], k: int) -> tuple[int, int]:
    """The two label ids of pair k as plain integers.

    Raises:
        LabelError: they are no two different token ids.
    """
    try:
        first, second = (index(label) for label in pair if not isinstance(label, bool))
    except (TypeError, ValueError) as error:
        raise LabelError(f"The labels of pair {k} are {pair!r}; give two token ids.") from error
    if first < 0 or second < 0:
        raise LabelError(f"The labels of pair {k} are {pair!r}; token ids are not negative.")
    if first == second:
        raise LabelError(f"Both labels of pair {k} are token {first}; they must tell the two responses apart.")
    return first, second


def is_one_pair(labels: Sequence[Any]) -> bool:
    """Whether ``labels`` is a single pair, for all, rather than a list of pairs."""
    return len(labels) == 2 and not any(_has_items(label) for label in labels)


def _has_items(label: Any) -> bool:
    try:
        return not isinstance(label, str) and len(label) >= 0
    except TypeError:
        return False
