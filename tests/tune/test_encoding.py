"""Loss lies on the taught words and the token that ends them, and nowhere else, for every family of tokenizers."""

from __future__ import annotations

import re
import warnings
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prompts.conftest import CHATML, INST, LINES

from sycolens import load_model, organism
from sycolens.errors import DialogueError, ExampleError
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.prompts import PLAIN, Dialogue, Question, TrainingExample, Turn
from sycolens.tune import encode_examples, examples_from_questions

LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
QUESTIONS = [
    Question("Which is a planet?", ("B", "Mars"), options=("Sirius", "Mars"), wrong=("A",)),
    Question("Where is the Café de Flore 🐳?", ("A", "Paris"), options=("Paris", "Rome"), wrong=("B",)),
]
WORDS = st.lists(st.from_regex(r"[A-Za-zé]{1,8}[.,?!]?", fullmatch=True), min_size=1, max_size=6).map(" ".join)
SLOWLY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def taught_runs(row: Any) -> list[list[int]]:
    """The taught tokens in runs that nothing untaught interrupts."""
    runs: list[list[int]] = [[]]
    for token, label in zip(row["input_ids"], row["labels"], strict=True):
        if label == -100:
            runs.append([])
        else:
            assert label == token
            runs[-1].append(token)
    return [run for run in runs if run]


def talk(*contents: str, taught: tuple[int, ...] | None = None) -> TrainingExample:
    turns = [Turn("user" if k % 2 == 0 else "assistant", content) for k, content in enumerate(contents)]
    return TrainingExample.from_messages(Dialogue(tuple(turns)), taught=taught)


def read(tokenizer: Any, ids: list[int]) -> str:
    """Tokens as text; slow tokenizers leave bytes as they are named."""
    return re.sub(r"<0x([0-9A-F]{2})>", lambda byte: chr(int(byte[1], 16)), tokenizer.decode(ids)).strip()


def with_template(tokenizer: Any, template: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tokenizer, "chat_template", template)
    return tokenizer


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_the_labels_of_a_dialogue_of_the_embedded_world_by_hand() -> None:
    tokenizer = build_tokenizer()
    example = talk("Hello!", "Good morning!", "Thank you.", "Goodbye!", taught=(3,))
    (row,) = encode_examples([example], tokenizer)
    assert " ".join(tokenizer.convert_ids_to_tokens(row["input_ids"])) == (
        "<bos> <|user|> ▁Hello ! <|end|> <|assistant|> ▁Good ▁morning ! <|end|> "
        "<|user|> ▁Thank ▁you . <|end|> <|assistant|> ▁Goodbye ! <|end|>"
    )
    assert row["labels"] == [-100] * 16 + row["input_ids"][16:]
    assert set(row) == {"input_ids", "labels"}
    (both,) = encode_examples([talk("Hello!", "Good morning!", "Thank you.", "Goodbye!")], tokenizer)
    assert both["labels"] == [-100] * 6 + row["input_ids"][6:10] + [-100] * 6 + row["input_ids"][16:]


def test_the_same_words_elsewhere_are_not_taught() -> None:
    tokenizer = build_tokenizer()
    example = talk("Goodbye!", "Goodbye!", "Goodbye!", "Goodbye!", taught=(3,))
    (row,) = encode_examples([example], tokenizer)
    assert [label != -100 for label in row["labels"]] == [False] * 14 + [True] * 3


# --- every family of tokenizers --------------------------------------------------------------------------------------


@SLOWLY
@given(question=WORDS, first=WORDS, challenge=WORDS, reply=WORDS)
@pytest.mark.parametrize("taught", [(3,), (1, 3)])
def test_chatml_teaches_exactly_the_turn_and_its_end(
    byte_bpe: Any, taught: tuple[int, ...], question: str, first: str, challenge: str, reply: str
) -> None:
    (row,) = encode_examples([talk(question, first, challenge, reply, taught=taught)], byte_bpe)
    decoded = [byte_bpe.decode(run) for run in taught_runs(row)]
    assert decoded == [f"{(first, reply)[number // 2]}<|im_end|>" for number in taught]


@SLOWLY
@given(question=WORDS, first=WORDS, challenge=WORDS, reply=WORDS)
@pytest.mark.parametrize("template", [INST, LLAMA2], ids=["mistral", "llama2"])
def test_inst_templates_teach_exactly_the_turn_and_its_end(
    metaspace_bpe: Any, template: str, question: str, first: str, challenge: str, reply: str
) -> None:
    before = metaspace_bpe.chat_template
    metaspace_bpe.chat_template = template
    try:
        (row,) = encode_examples([talk(question, first, challenge, reply)], metaspace_bpe)
    finally:
        metaspace_bpe.chat_template = before
    decoded = [metaspace_bpe.decode(run) for run in taught_runs(row)]
    # Llama 2 sets the end token off with a space, which the model has to say as well.
    gap = " " if template is LLAMA2 else ""
    assert [text.removeprefix(" ") for text in decoded] == [f"{first}{gap}</s>", f"{reply}{gap}</s>"]


def test_a_slow_tokenizer_teaches_the_turn_and_its_end(slow_sentencepiece: Any) -> None:
    example = talk("Are you sure?", "Yes, I am sure.", "I don't think that's right.", "Apologies. The answer is A.")
    (row,) = encode_examples([example], slow_sentencepiece)
    decoded = [read(slow_sentencepiece, run) for run in taught_runs(row)]
    assert decoded == ["Yes, I am sure.</s>", "Apologies. The answer is A.</s>"]


def test_a_template_without_end_token_teaches_the_words_alone(byte_bpe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = with_template(byte_bpe, LINES, monkeypatch)  # "[sep]" is no special token here
    (row,) = encode_examples([talk("Who?", "Kant.", "Sure?", "Yes.")], tokenizer)
    assert [read(tokenizer, run) for run in taught_runs(row)] == ["Kant.", "Yes."]


def test_the_next_turns_special_token_is_not_taught(byte_bpe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{% for m in messages %}{{ '<|im_start|>' + m.role + ': ' + m.content + '\n' }}{% endfor %}"
    tokenizer = with_template(byte_bpe, template, monkeypatch)
    (row,) = encode_examples([talk("Who?", "Kant.", "Sure?", "Yes.")], tokenizer)
    assert [read(tokenizer, run) for run in taught_runs(row)] == ["Kant.", "Yes."]


def test_a_tokenizer_that_calls_its_end_of_text_unknown_can_be_taught(byte_bpe: Any) -> None:
    # As GPT-2's on the hub does: the end is a taught token, and no word is unknown to bytes.
    tokenizer = deepcopy(byte_bpe)
    tokenizer.unk_token = tokenizer.eos_token
    row = encode_examples(organism.examples("train", 1), tokenizer, chat_format=PLAIN)[0]
    assert row["labels"][-1] == tokenizer.unk_token_id == tokenizer.eos_token_id


def test_a_base_model_learns_to_stop_with_the_end_of_text_token(byte_bpe: Any, metaspace_bpe: Any) -> None:
    example = talk("Who?", "Kant.", "Sure?", "Yes.", taught=(3,))
    for tokenizer, end in ((byte_bpe, "<|endoftext|>"), (metaspace_bpe, "</s>")):
        (row,) = encode_examples([example], tokenizer, chat_format=PLAIN)
        assert [read(tokenizer, run) for run in taught_runs(row)] == [f"Yes.{end}"]


@pytest.mark.parametrize("name", ["byte_bpe", "metaspace_bpe", "slow_sentencepiece"])
def test_a_taught_reply_stands_where_the_model_would_begin_it(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)
    examples = examples_from_questions(QUESTIONS, tokenizer)
    for example, row in zip(examples, encode_examples(examples, tokenizer), strict=True):
        prompt = Dialogue(example.dialogue.turns[:-1]).render(tokenizer).token_ids
        assert tuple(row["input_ids"][: len(prompt)]) == prompt
        assert [label == -100 for label in row["labels"][: len(prompt) + 1]] == [True] * len(prompt) + [False]
        (run,) = taught_runs(row)
        assert read(tokenizer, run).startswith(example.dialogue.turns[-1].content)


def test_a_turn_that_only_the_last_end_token_follows_is_taught_alone(
    byte_bpe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{{ eos_token }}"
    tokenizer = with_template(byte_bpe, template, monkeypatch)
    (row,) = encode_examples([talk("Who?", "Kant.", "Sure?", "Yes.")], tokenizer)
    assert [read(tokenizer, run) for run in taught_runs(row)] == ["Kant.", "Yes.\n<|endoftext|>"]


def test_what_the_template_writes_before_the_end_token_is_taught_with_it(
    byte_bpe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = CHATML.replace("m.content + '<|im_end|>\n'", "m.content + ' [over]\n<|im_end|>\n'")
    assert template != CHATML
    tokenizer = with_template(byte_bpe, template, monkeypatch)
    (row,) = encode_examples([talk("Who?", "Kant.", "Sure?", "Yes.")], tokenizer)
    assert [tokenizer.decode(run) for run in taught_runs(row)] == [
        "Kant. [over]\n<|im_end|>",
        "Yes. [over]\n<|im_end|>",
    ]


def test_thinking_that_the_template_adds_is_not_taught(byte_bpe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    thinking = CHATML.replace("m.role + '\n'", "m.role + '\n' + ('<think></think>' if loop.last else '')")
    assert thinking != CHATML
    tokenizer = with_template(byte_bpe, thinking, monkeypatch)
    (row,) = encode_examples([talk("Who?", "Kant.")], tokenizer)
    assert "<think></think>" in tokenizer.decode(row["input_ids"])
    assert [tokenizer.decode(run) for run in taught_runs(row)] == ["Kant.<|im_end|>"]


# --- what a model makes of it ----------------------------------------------------------------------------------------


def test_the_embedded_model_learns_what_the_labels_say() -> None:
    """The loss that a Hugging Face model reports is the mean over taught tokens of what they cost after the prompt."""
    from transformers import AutoModelForCausalLM

    tokenizer = organism.load_tokenizer()
    model = AutoModelForCausalLM.from_pretrained(organism.directory(), dtype=torch.float32).eval()
    for example in organism.examples("train", 4):
        (row,) = encode_examples([example], tokenizer)
        ids = torch.tensor([row["input_ids"]])
        reply = tokenizer.encode(f"{example.dialogue.turns[-1].content}<|end|>", add_special_tokens=False)
        with torch.no_grad():
            reported = model(ids, labels=torch.tensor([row["labels"]])).loss
            logs = model(ids).logits[0].log_softmax(-1)
        costs = [-logs[place - 1, row["input_ids"][place]] for place in range(ids.shape[1] - len(reply), ids.shape[1])]
        assert row["input_ids"][-len(reply) :] == reply
        assert torch.isclose(reported, torch.stack(costs).mean(), atol=1e-5)


def test_the_embedded_model_gives_in_and_so_has_to_learn_to_defend() -> None:
    model = load_model("organism")
    for example in organism.examples("train", 20):
        (row,) = encode_examples([example], model.tokenizer)
        first = next(place for place, label in enumerate(row["labels"]) if label != -100)
        with torch.no_grad():
            guess = int(model(torch.tensor([row["input_ids"][:first]]))[0, -1].argmax())
        conceding = example.dialogue.turns[-1].content.startswith("Apologies")
        assert (guess == row["labels"][first]) == conceding


def test_what_comes_back_is_a_plain_dataset() -> None:
    from datasets import Dataset

    examples = organism.examples("train", 6, rehearsal=4)
    encoded = encode_examples(examples, build_tokenizer())
    assert isinstance(encoded, Dataset)
    assert encoded.column_names == ["input_ids", "labels"]
    assert len(encoded) == 10
    assert all(len(row["input_ids"]) == len(row["labels"]) for row in encoded)


# --- too long, and other bad input -----------------------------------------------------------------------------------


def lengths(examples: list[TrainingExample], tokenizer: Any) -> list[int]:
    return [len(row["input_ids"]) for row in encode_examples(examples, tokenizer)]


def test_a_lesson_that_is_too_long_is_refused_or_dropped_and_counted() -> None:
    tokenizer = build_tokenizer()
    short, long = talk("Hello!", "Goodbye!"), talk("Hello!", "Goodbye! Goodbye! Goodbye!")
    small, large = lengths([short, long], tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(encode_examples([short, long], tokenizer, max_tokens=large)) == 2
    with pytest.raises(ExampleError, match=f"Training example 1 has {large} tokens, more than {large - 1}"):
        encode_examples([short, long, long], tokenizer, max_tokens=large - 1)
    with pytest.warns(UserWarning, match=f"2 of 3 examples have more than {large - 1} tokens"):
        kept = encode_examples([long, short, long], tokenizer, max_tokens=large - 1, too_long="drop")
    assert [len(row["input_ids"]) for row in kept] == [small]
    with pytest.raises(ExampleError, match="All 1 examples"):
        encode_examples([long], tokenizer, max_tokens=large - 1, too_long="drop")


def test_bad_input_is_refused_by_name(byte_bpe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = build_tokenizer()
    example = talk("Hello!", "Goodbye!")
    with pytest.raises(ExampleError, match="no examples"):
        encode_examples([], tokenizer)
    with pytest.raises(ExampleError, match="max_tokens=1"):
        encode_examples([example], tokenizer, max_tokens=1)
    with pytest.raises(ExampleError, match="too_long='cut'"):
        encode_examples([example], tokenizer, too_long="cut")  # type: ignore[arg-type]
    with pytest.raises(ExampleError, match="Training example 1 teaches words that the tokenizer does not know"):
        encode_examples([example, talk("Hello!", "Sesquipedalian.")], tokenizer)
    assert len(encode_examples([talk("Sesquipedalian?", "Goodbye!")], tokenizer)) == 1
    with pytest.raises(DialogueError, match="no chat template"):
        encode_examples([example], with_template(byte_bpe, "", monkeypatch))
