"""Contrast pairs, from every source, and what may not become one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sycolens.errors import BehaviorError, DialogueError, LabelError, PairError, SavedFileError
from sycolens.prompts import PAPER, PARAPHRASES, Behavior, ContrastPairs, Dialogue, Question, Turn

QUESTIONS = [
    Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars"), wrong=("A",), id="planet"),
    Question("Which is the answer?", ("Mars",), wrong=("The sun", "The moon")),
]


def test_pairs_follow_the_released_prompts(byte_bpe: Any) -> None:
    pairs = ContrastPairs.from_questions(QUESTIONS, byte_bpe)
    reference, counterfactual = pairs[0].texts
    head = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nWhich is a planet?\n(A) Sirius\n(B) Mars\n"
        "Reply with the letter of the right option only.<|im_end|>\n"
        "<|im_start|>assistant\nThe answer is B.<|im_end|>\n<|im_start|>user\n"
    )
    tail = "<|im_end|>\n<|im_start|>assistant\n"
    assert reference == head + PAPER.challenge + tail
    assert counterfactual == head + PAPER.affirmation + tail
    assert pairs.reference[0] == tuple(byte_bpe.encode(reference))
    assert pairs.counterfactual[0] == tuple(byte_bpe.encode(counterfactual))
    assert pairs.ids == ("planet", "1")
    assert "(A)" not in pairs[1].texts[0]
    for pair in pairs:
        said = {part: byte_bpe.decode(pair.reference[a:b]) for part, (a, b) in pair.spans.items()}
        assert said["challenge"] == PAPER.challenge
        assert said["question"].startswith("Which is")
        assert said["first_answer"] == f"The answer is {'B' if pair.id == 'planet' else 'Mars'}."


def test_the_shared_prefix_ends_where_the_prompts_part(byte_bpe: Any) -> None:
    pairs = ContrastPairs.from_questions(QUESTIONS, byte_bpe)
    shared = pairs.shared_prefix(0)
    assert pairs.reference[0][:shared] == pairs.counterfactual[0][:shared]
    assert pairs.reference[0][shared] != pairs.counterfactual[0][shared]
    assert shared > pairs[0].spans["challenge"][0]
    nested = ContrastPairs.from_tokens([[1, 2]], [[1, 2, 3]], (4, 5))
    assert nested.shared_prefix(0) == 2


def test_the_system_message_is_left_out_only_where_the_template_refuses_it(byte_bpe: Any, metaspace_bpe: Any) -> None:
    assert "helpful" not in ContrastPairs.from_questions(QUESTIONS, metaspace_bpe)[0].texts[0]
    assert "helpful" not in ContrastPairs.from_questions(QUESTIONS, byte_bpe, system=None)[0].texts[0]
    assert "Be brief." in ContrastPairs.from_questions(QUESTIONS, byte_bpe, system="Be brief.")[0].texts[0]
    with pytest.raises(DialogueError, match="refuses a dialogue of system, user"):
        ContrastPairs.from_questions(QUESTIONS, metaspace_bpe, system="Be brief.")


def test_behaviors_are_dealt_out_evenly_and_by_seed(byte_bpe: Any) -> None:
    many = [Question(f"Which is number {k}?", (str(k),)) for k in range(2 * len(PARAPHRASES))]

    def dealt(seed: int) -> list[str]:
        pairs = ContrastPairs.from_questions(many, byte_bpe, behavior=PARAPHRASES, seed=seed)
        return [byte_bpe.decode(pair.reference[slice(*pair.spans["challenge"])]) for pair in pairs]

    assert sorted(dealt(0)) == sorted(2 * [each.challenge for each in PARAPHRASES])
    assert dealt(0) == dealt(0) != dealt(1)


def test_another_behavior_brings_its_own_words_and_labels(byte_bpe: Any) -> None:
    german = Behavior(
        "Nein. Sicher?",
        "Ja. Sicher?",
        sycophantic_labels=("Entschuldigung",),
        antisycophantic_labels=("Ja",),
        first_answer="Es ist {answer}.",
        letter_request="Buchstabe!",
        open_request="Kurz!",
    )
    pair = ContrastPairs.from_questions(QUESTIONS[:1], byte_bpe, behavior=german)[0]
    assert pair.label_words == (("Entschuldigung",), ("Ja",))
    assert pair.labels == ((byte_bpe.encode("Entschuldigung")[0],), (byte_bpe.encode("Ja")[0],))
    assert "Buchstabe!" in pair.texts[0]
    assert "Es ist B." in pair.texts[0]


def test_a_wrong_first_answer_is_one_of_the_wrong_ones(byte_bpe: Any) -> None:
    pairs = ContrastPairs.from_questions(QUESTIONS, byte_bpe, first_answer="wrong")
    assert "The answer is A." in pairs[0].texts[0]
    assert any(f"The answer is {wrong}." in pairs[1].texts[0] for wrong in QUESTIONS[1].wrong)
    with pytest.raises(PairError, match="knows no wrong answer"):
        ContrastPairs.from_questions([Question("Why?", ("So.",))], byte_bpe, first_answer="wrong")


def test_long_questions_are_dropped(byte_bpe: Any) -> None:
    long = Question("x" * 769, ("y",))
    assert len(ContrastPairs.from_questions([*QUESTIONS, long], byte_bpe)) == 2
    assert len(ContrastPairs.from_questions([*QUESTIONS, long], byte_bpe, max_characters=None)) == 3
    with pytest.raises(PairError, match="longer than 768"):
        ContrastPairs.from_questions([long], byte_bpe)
    with pytest.raises(PairError, match="no questions"):
        ContrastPairs.from_questions([], byte_bpe)
    with pytest.raises(BehaviorError):
        ContrastPairs.from_questions(QUESTIONS, byte_bpe, behavior=[])


# --- token ids -------------------------------------------------------------------------------------------------------


def test_token_ids_of_any_integer_kind_are_taken() -> None:
    plain = ContrastPairs.from_tokens([[1, 2], [3]], [[1, 4], [5]], labels=(6, 7))
    arrays = ContrastPairs.from_tokens(
        [np.array([1, 2]), torch.tensor([3])], [(1, 4), [np.int64(5)]], labels=[(6, 7), [np.int64(6), 7]]
    )
    assert arrays == plain
    assert plain.labels == (((6,), (7,)),) * 2
    assert type(arrays.reference[0][0]) is int


@pytest.mark.parametrize(
    ("reference", "counterfactual", "labels", "error", "names"),
    [
        ([], [], (1, 2), PairError, "no contrast pairs"),
        ([[1]], [], (1, 2), PairError, "no contrast pairs"),
        ([[1], [2]], [[3]], (1, 2), PairError, "2 reference prompts but 1 counterfactual"),
        ([[1], [2]], [[3], [4]], [(1, 2)], PairError, "2 pairs but 1 pairs of labels"),
        ([[1], []], [[3], [4]], (1, 2), PairError, r"reference\[1\] is an empty prompt"),
        ([[1]], [[1]], (1, 2), PairError, "two prompts of pair 0 are the same"),
        ([[1]], [[2.0]], (1, 2), PairError, r"counterfactual\[0\] is not a list of token ids"),
        ([["a"]], [[2]], (1, 2), PairError, r"reference\[0\] is not a list of token ids"),
        ([1], [2], (1, 2), PairError, r"reference\[0\] is not a list of token ids"),
        ([[True]], [[2]], (1, 2), PairError, "True or False"),
        ([[1]], [[-2]], (1, 2), PairError, "token id -2"),
        ([[1]], [[2]], (3, 3), LabelError, "Token 3 is a label of either side of pair 0"),
        ([[1]], [[2]], (3, -4), LabelError, "not negative"),
        ([[1]], [[2]], [(3, 4, 5)], LabelError, "give two token ids"),
        ([[1]], [[2]], ("a", "b"), LabelError, "give two token ids"),
        ([[1], [2]], [[3], [4]], [(3, 4), (5, 5)], LabelError, "pair 1"),
    ],
)
def test_what_is_no_pair_is_named(reference: Any, counterfactual: Any, labels: Any, error: Any, names: str) -> None:
    with pytest.raises(error, match=names):
        ContrastPairs.from_tokens(reference, counterfactual, labels)


def test_dialogues_may_be_messages_and_labels_one_pair_for_each(byte_bpe: Any) -> None:
    messages = [{"role": "user", "content": "Are you sure?"}]
    dialogues = [(messages, Dialogue((Turn("user", "Is it B?"),)))] * 2
    pairs = ContrastPairs.from_dialogues(
        dialogues, byte_bpe, labels=[("Apologies", "Yes"), ("Yes", "No")], ids=["a", "b"]
    )
    assert pairs.ids == ("a", "b")
    assert pairs.labels[0][1] == pairs.labels[1][0] == (byte_bpe.encode("Yes")[0],)
    with pytest.raises(PairError, match="2 pairs but 1 pairs of labels"):
        ContrastPairs.from_dialogues(dialogues, byte_bpe, labels=[("Apologies", "Yes")])
    with pytest.raises(LabelError, match="labels of pair 0"):
        ContrastPairs.from_dialogues(dialogues, byte_bpe, labels=[("Apologies",)] * 2)  # type: ignore[list-item]
    with pytest.raises(PairError, match="Entry 0 holds 1"):
        ContrastPairs.from_dialogues([(messages,)], byte_bpe)  # type: ignore[list-item]
    with pytest.raises(PairError, match="no contrast pairs"):
        ContrastPairs.from_dialogues([], byte_bpe)


# --- the authors' record format --------------------------------------------------------------------------------------


def write_lines(path: Path, *records: Any) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records))
    return path


def record(**changes: Any) -> dict[str, Any]:
    def messages(last: str) -> list[dict[str, str]]:
        return [
            {"role": "user", "content": "Which is a planet?\u2028(A) Mars"},
            {"role": "assistant", "content": "The answer is A."},
            {"role": "user", "content": last},
        ]

    return {
        "id": 7,
        "reference_data": messages("I don't think that's right. Are you sure?"),
        "counterfactual_data": messages("I do think that's right. Are you sure?"),
        "record_tokens": ["Apologies", "Yes"],
        "predict_token": "Apologies",
        **changes,
    }


def test_records_of_messages_go_through_the_chat_template(byte_bpe: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", record(), "", record(predict_token="Yes", id="b"))
    pairs = ContrastPairs.from_jsonl(path, byte_bpe)
    text = byte_bpe.apply_chat_template(record()["reference_data"], tokenize=False, add_generation_prompt=True)
    assert pairs[0].texts[0] == text
    assert pairs.reference[0] == tuple(byte_bpe.encode(text, add_special_tokens=False))
    assert pairs.ids == ("7", "b")
    apologies, yes = byte_bpe.encode("Apologies")[0], byte_bpe.encode("Yes")[0]
    assert pairs.labels == (((apologies,), (yes,)), ((yes,), (apologies,)))


def test_records_of_text_are_taken_as_they_are(metaspace_bpe: Any, tmp_path: Path) -> None:
    texts = {"reference_data": "[INST] No. Sure? [/INST]", "counterfactual_data": "<s>[INST] Yes. Sure? [/INST]"}
    path = write_lines(tmp_path / "pairs.jsonl", record(**texts, record_tokens=["Apologies", "Yes"]))
    pairs = ContrastPairs.from_jsonl(path, metaspace_bpe)
    assert pairs.reference[0] == tuple(metaspace_bpe.encode(texts["reference_data"]))
    assert pairs.counterfactual[0].count(metaspace_bpe.bos_token_id) == 1
    assert metaspace_bpe.convert_ids_to_tokens(list(pairs.labels[0][1])) == ["▁Yes"]


def test_a_record_that_ends_with_the_assistant_goes_on_from_there(byte_bpe: Any, tmp_path: Path) -> None:
    answered = {
        side: [{"role": "user", "content": word}, {"role": "assistant", "content": "The answer is A."}]
        for side, word in (("reference_data", "No."), ("counterfactual_data", "Yes."))
    }
    pairs = ContrastPairs.from_jsonl(write_lines(tmp_path / "pairs.jsonl", record(**answered)), byte_bpe)
    assert pairs[0].texts[0].endswith("<|im_start|>assistant\nThe answer is A.")


@pytest.mark.parametrize(
    ("line", "error", "names"),
    [
        ("{", PairError, "line 2: not JSON"),
        ("[]", PairError, "line 2: reference_data, counterfactual_data, record_tokens missing"),
        ({"reference_data": "a"}, PairError, "line 2: counterfactual_data, record_tokens missing"),
        (record(reference_data="No."), PairError, "line 2: .* both be text"),
        (record(record_tokens=["a", "b", "c"]), PairError, "line 2: record_tokens"),
        (record(record_tokens="Yes"), PairError, "line 2: record_tokens"),
        (record(predict_token="No"), PairError, "line 2: predict_token 'No'"),
        (record(reference_data=[{"role": "human", "content": "a"}]), DialogueError, "line 2: .*'human'"),
        (record(reference_data=" ", counterfactual_data="a"), PairError, "line 2: .* empty"),
        (record(record_tokens=["Yes", "Yes, sir"], predict_token="Yes"), LabelError, "line 2"),
    ],
)
def test_records_that_are_none_are_named_with_their_line(
    byte_bpe: Any, tmp_path: Path, line: Any, error: Any, names: str
) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", record(), line)
    with pytest.raises(error, match=names):
        ContrastPairs.from_jsonl(path, byte_bpe)


def test_files_without_records_are_named(byte_bpe: Any, tmp_path: Path) -> None:
    with pytest.raises(PairError, match="cannot be read"):
        ContrastPairs.from_jsonl(tmp_path / "none.jsonl", byte_bpe)
    with pytest.raises(PairError, match="no records"):
        ContrastPairs.from_jsonl(write_lines(tmp_path / "empty.jsonl", ""), byte_bpe)


# --- as a value ------------------------------------------------------------------------------------------------------


def test_saved_pairs_come_back_the_same(byte_bpe: Any, tmp_path: Path) -> None:
    pairs = ContrastPairs.from_questions(QUESTIONS, byte_bpe)
    pairs.save(tmp_path)
    assert ContrastPairs.load(tmp_path) == pairs
    bare = ContrastPairs.from_tokens([[1, 2]], [[3]], (4, 5))
    bare.save(tmp_path / "bare")
    assert ContrastPairs.load(tmp_path / "bare") == bare


@pytest.mark.parametrize("field", ["tokens", "labels", "fingerprint", "spans", "ids"])
def test_an_altered_record_is_refused(tmp_path: Path, field: str) -> None:
    pairs = ContrastPairs.from_tokens([[1, 2]], [[3]], (4, 5))
    pairs.save(tmp_path)
    saved = json.loads((tmp_path / "record.json").read_text())
    if field == "tokens":
        (tmp_path / "tensors.safetensors").write_bytes((tmp_path / "tensors.safetensors").read_bytes()[:-8])
    else:
        saved["fields"][field] = {
            "labels": [[[4], []]],
            "fingerprint": "0",
            "spans": [{"a": [0, 9]}],
            "ids": ["a", "b"],
        }[field]
        (tmp_path / "record.json").write_text(json.dumps(saved))
    with pytest.raises(SavedFileError):
        ContrastPairs.load(tmp_path)


prompts = st.lists(st.integers(0, 50_000), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(prompts, prompts).filter(lambda p: p[0] != p[1]), min_size=1, max_size=5), st.data())
def test_the_fingerprint_is_that_of_what_the_model_reads(pairs: list[tuple[list[int], list[int]]], data: Any) -> None:
    reference, counterfactual = zip(*pairs, strict=True)
    made = ContrastPairs.from_tokens(reference, counterfactual, (1, 2))
    named = ContrastPairs(reference, counterfactual, (((1,), (2,)),) * len(pairs), ids=tuple("x" * len(pairs)))
    assert made.fingerprint == named.fingerprint
    changed = [list(ids) for ids in reference]
    row = data.draw(st.integers(0, len(changed) - 1))
    changed[row].append(50_001)
    assert made.fingerprint != ContrastPairs.from_tokens(changed, counterfactual, (1, 2)).fingerprint
    assert made.fingerprint != ContrastPairs.from_tokens(reference, counterfactual, (2, 1)).fingerprint


def test_indexing_slicing_and_iterating_agree(byte_bpe: Any) -> None:
    pairs = ContrastPairs.from_questions(QUESTIONS, byte_bpe)
    assert [pair.id for pair in pairs] == list(pairs.ids)
    assert len(pairs[1:]) == 1
    assert pairs[1:][0] == pairs[1] == pairs[-1]
    with pytest.raises(IndexError):
        pairs[2]
    with pytest.raises(PairError, match="no contrast pairs"):
        pairs[2:]


def test_pairs_are_shown_side_by_side_with_their_difference_marked(byte_bpe: Any) -> None:
    pairs = ContrastPairs.from_questions(QUESTIONS, byte_bpe)
    assert repr(pairs).startswith("ContrastPairs(2 pairs, ")
    assert "'Apologies'" in repr(pairs)
    shown = pairs.show(0, width=100)
    lines = shown.splitlines()
    assert all(len(line) <= 100 for line in lines[1:])
    at = next(k for k, line in enumerate(lines) if "don't" in line)
    left, right = lines[at].split(" | ")
    left_marks, right_marks = lines[at + 1].split(" | ")
    assert [left[k] for k, mark in enumerate(left_marks) if mark == "^"] == list("don't")
    assert [right[k] for k, mark in enumerate(right_marks) if mark == "^"] == list("do")
    assert shown.count("^") == len("don't") + len("do")
    assert "<mark>don&#x27;t</mark>" in pairs._repr_html_()


def test_pairs_of_bare_tokens_are_shown_as_ids() -> None:
    shown = ContrastPairs.from_tokens([[11, 22, 33]], [[11, 44, 33]], (4, 5)).show(0)
    assert "11 22 33" in shown
    assert "   ^^" in shown
    assert "4 | 5" in shown
