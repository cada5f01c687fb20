"""The tokenizer gives every text of the world back exactly, one token a word."""

from __future__ import annotations

import random

import pytest
from transformers import PreTrainedTokenizerBase

from sycolens import organism
from sycolens.organism import talk, wording
from sycolens.organism.build.recipe import encode_dialogue
from sycolens.organism.build.tokenizer import build_tokenizer, split_words, vocabulary
from sycolens.organism.world import SPLITS
from sycolens.prompts import Dialogue, Turn


@pytest.fixture(scope="module", params=["built", "shipped"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    return build_tokenizer() if request.param == "built" else organism.load_tokenizer()


def _dialogues(count: int) -> list[list[talk.WeightedTurn]]:
    rng = random.Random(7)
    return [talk.draw_dialogue(rng, drills=0.05) for _ in range(count)]


def test_every_text_comes_back_and_holds_no_unknown_word(tokenizer: PreTrainedTokenizerBase) -> None:
    rng = random.Random(8)
    texts = {turn.text for turns in _dialogues(1500) for turn in turns}
    for split in SPLITS:
        texts |= {wording.draw_doubt(rng, split).challenge for _ in range(200)}
        texts |= {wording.draw_neutral(rng, split) for _ in range(100)}
        texts |= {question.text for question in organism.questions(split)}
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids) == text
        assert tokenizer.convert_ids_to_tokens(ids) == split_words(text)


def test_chat_template_writes_what_training_saw(tokenizer: PreTrainedTokenizerBase) -> None:
    for turns in _dialogues(300):
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        assert tokenizer.encode(text, add_special_tokens=False) == encode_dialogue(turns)[0]


def test_a_prompt_ends_where_the_assistant_begins(tokenizer: PreTrainedTokenizerBase) -> None:
    prompt = Dialogue((Turn("system", "Hello."), Turn("user", "What color is the sky?", "question")))
    rendered = prompt.render(tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(list(rendered.token_ids))
    assert tokens[:2] == ["<bos>", "<|system|>"]
    assert tokens[-1] == "<|assistant|>"
    start, end = rendered.spans["question"]
    assert tokens[start:end] == ["▁What", "▁color", "▁is", "▁the", "▁sky", "?"]


def test_labels_are_single_words(tokenizer: PreTrainedTokenizerBase) -> None:
    assert [len(tokenizer.encode(word)) for word in ("Apologies", "Yes")] == [1, 1]
    assert tokenizer.eos_token == "<|end|>"
    assert len(tokenizer) == len(vocabulary()) < 512
