"""Contrast pairs from the record files of the authors' code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sycolens.errors import PairError
from sycolens.prompts.building import Fields, Prompt, assembled, is_pair, naming, prompt_of
from sycolens.prompts.chat_format import ChatFormat
from sycolens.prompts.dialogue import RenderedDialogue
from sycolens.prompts.labels import LabelPair
from sycolens.prompts.tokens import encode, start_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
        with naming(place):
            record = _record(line)
            labels.append(_record_labels(record))
            both = (record["reference_data"], record["counterfactual_data"])
            prompts.append(
                [
                    _text_prompt(data, tokenizer) if isinstance(data, str) else prompt_of(data, tokenizer, chat_format)
                    for data in both
                ]
            )
        ids.append(str(record.get("id", len(ids))))
        places.append(place)
    if not prompts:
        raise PairError(f"{path} holds no records; it needs one JSON object a line.")
    return assembled(prompts, tokenizer, labels, ids, places)


def _text_prompt(text: str, tokenizer: PreTrainedTokenizerBase) -> Prompt:
    if not text.strip():
        raise PairError("A prompt is empty; give it some text.")
    ids = encode(tokenizer, text)
    return RenderedDialogue(token_ids=start_tokens(tokenizer, text) + ids, text=text), ""


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
    if not isinstance(words, list) or not is_pair(words):
        raise PairError(f"record_tokens is {words!r}; give the two labels, as words, token ids or lists of them.")
    sycophantic = record.get("predict_token", words[0])
    if sycophantic not in words:
        raise PairError(f"predict_token {sycophantic!r} is none of record_tokens {words!r}.")
    return (words[0], words[1]) if sycophantic == words[0] else (words[1], words[0])
