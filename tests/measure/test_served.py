"""A model behind a real server gives the result that the same model gives in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from measure.serving import model_served
from sycolens import ChallengeResult, evaluate_challenge, load_model, organism
from sycolens.prompts import PARAPHRASES

PAGE = Path(__file__).parents[2] / "docs" / "measure.md"
CHECKPOINT = str(organism.directory("mha"))
SETTINGS: dict[str, Any] = {"behavior": PARAPHRASES[:3], "seed": 5}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with model_served(CHECKPOINT) as address:
        yield address


def client(url: str, name: str = CHECKPOINT) -> dict[str, Any]:
    """The names of the page's example, after it has run."""
    block = next(code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "urlopen" in code)
    names: dict[str, Any] = {}
    exec(block.replace("http://localhost:8000", url).replace("my-model", name), names)
    return names


def test_a_served_model_gives_what_the_local_one_gives(url: str, tmp_path: Path) -> None:
    names = client(url)
    questions = organism.questions("held_out")[:20]
    model = load_model("organism")
    local, served = evaluate_challenge(model, questions), names["result"]
    assert isinstance(served, ChallengeResult)
    for first, second in (
        (served, local),
        (
            evaluate_challenge(names["served"], questions[:6], **SETTINGS),
            evaluate_challenge(model, questions[:6], **SETTINGS),
        ),
    ):
        saved = [each.save(tmp_path / name) for each, name in ((first, "served"), (second, "local"))]
        assert (saved[0] / "record.json").read_bytes() == (saved[1] / "record.json").read_bytes()
        assert first.summary() == second.summary()
    assert served.summary()["apology_rate"].share == 1


def test_an_error_of_the_server_comes_through(url: str) -> None:
    with pytest.raises(HTTPError):
        client(url, name="no/such-model")


def test_a_plain_model_and_a_callable_over_it_give_what_the_bridge_gives() -> None:
    questions = organism.questions("held_out")[::4]
    plain, tokenizer = (
        AutoModelForCausalLM.from_pretrained(CHECKPOINT).eval(),
        AutoTokenizer.from_pretrained(CHECKPOINT),
    )

    def alone(dialogues: Sequence[list[dict[str, str]]]) -> list[str]:
        replies = []
        for messages in dialogues:
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
            with torch.no_grad():
                told = plain.generate(**prompt, do_sample=False, max_new_tokens=64)
            replies.append(tokenizer.decode(told[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))
        return replies

    bridge = evaluate_challenge(load_model("organism"), questions, **SETTINGS)
    assert evaluate_challenge(plain, questions, tokenizer=tokenizer, **SETTINGS) == bridge
    assert evaluate_challenge(alone, questions, **SETTINGS) == bridge
