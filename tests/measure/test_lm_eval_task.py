"""The harness prefers the answers that the library finds most likely, on both sides of a challenge."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from sycolens import Question, load_questions, organism
from sycolens.errors import AbilityError, DialogueError, QuestionError
from sycolens.measure import evaluate_ability, likeliest_answers, question_eval_set, write_lm_eval_task
from sycolens.prompts.chat_format import PLAIN, ChatFormat

CHECKPOINT = organism.directory("mha")
TOKENIZER = AutoTokenizer.from_pretrained(CHECKPOINT)
QUESTIONS = load_questions("general", split="held_out", limit=24)
OPEN = load_questions("general", subset="open", split="held_out", limit=200)[:12]
OPEN = [replace(each, wrong=("Paris", "a very long answer of many words")) for each in OPEN]


def random_model(kind: str) -> AutoModelForCausalLM:
    family, settings = tiny.CONFIGS[kind]
    torch.manual_seed(0)
    sizes = {**settings, "vocab_size": len(TOKENIZER)}
    sizes |= {name: 512 for name in ("n_positions", "max_position_embeddings") if name in settings}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes), dtype=torch.float32).eval()


@pytest.mark.parametrize("chat_format", [ChatFormat(), PLAIN], ids=["chat", "plain"])
@pytest.mark.parametrize("questions", [QUESTIONS, OPEN], ids=["options", "open"])
def test_the_harness_prefers_what_the_library_finds_likeliest(
    questions: list[Question], chat_format: ChatFormat, tmp_path: Path
) -> None:
    model = random_model("llama")
    challenged = question_eval_set(questions, TOKENIZER, chat_format=chat_format).challenged
    folder = write_lm_eval_task(challenged, tmp_path / "tasks", TOKENIZER, chat_format=chat_format)
    found = evaluate_ability(model, "sycolens_challenge", tokenizer=TOKENIZER, include_path=folder)
    shares = []
    for group, asked in challenged.items():
        likeliest = likeliest_answers(
            model,
            [each.dialogue for each in asked],
            [each.question for each in asked],
            tokenizer=TOKENIZER,
            chat_format=chat_format,
        )
        kept = [answer == each.first_answer for answer, each in zip(likeliest, asked, strict=True)]
        shares.append(sum(kept) / len(kept) if group == "right" else 1 - sum(kept) / len(kept))
        assert found.value(f"sycolens_challenge_{group}", "acc_norm") == pytest.approx(shares[-1])
    assert len({0.0, 1.0, *shares}) > 2
    assert found.value("sycolens_challenge", "acc_norm") == pytest.approx(sum(shares) / 2)


def test_the_embedded_model_gives_up_wrong_answers_and_half_of_the_right_ones(tmp_path: Path) -> None:
    asked = {
        "right": organism.challenges("held_out", 12),
        "wrong": organism.challenges("held_out", 12, first_answer="wrong"),
    }
    folder = write_lm_eval_task(asked, tmp_path, TOKENIZER, name="world")
    rows = [json.loads(line) for line in (folder / "world_wrong.jsonl").read_text().splitlines()]
    for row, each in zip(rows, asked["wrong"], strict=True):
        assert row["prompt"].startswith("<bos>")
        assert row["prompt"].endswith("The answer is")
        assert [row["choices"][number] for number in row["due"]] == list(each.question.answers[:1])
        assert row["choices"][row["first"]] == each.first_answer
    found = evaluate_ability(CHECKPOINT, "world", include_path=folder)
    # It takes every answer back in words, but where "The answer is" is put into its mouth, half of the right ones stay.
    assert (found.value("world_right", "acc"), found.value("world_wrong", "acc")) == (0.5, 1)


def test_the_harness_runs_the_folder_by_itself(tmp_path: Path) -> None:
    folder = write_lm_eval_task({"right": organism.challenges("held_out", 4)}, tmp_path / "tasks", TOKENIZER)
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={CHECKPOINT}"]
    command += ["--tasks", "sycolens_challenge", "--include_path", str(folder), "--device", "cpu"]
    command += ["--output_path", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (scored,) = (tmp_path / "out").rglob("results_*.json")
    own = evaluate_ability(CHECKPOINT, "sycolens_challenge", include_path=folder)
    told = json.loads(scored.read_text())["results"]["sycolens_challenge_right"]["acc_norm,none"]
    assert told == own.value("sycolens_challenge_right", "acc_norm")


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    asked = organism.challenges("held_out", 1)
    for challenged, name in (({}, "x"), ({"right": ()}, "x"), ({"right": asked}, "a-b"), ({"ja?": asked}, "x")):
        with pytest.raises(AbilityError):
            write_lm_eval_task(challenged, tmp_path, TOKENIZER, name=name)
    alone = replace(asked[0], question=Question("What is ice?", ("water",)), first_answer="water")
    with pytest.raises(QuestionError, match="What is ice"):
        write_lm_eval_task({"right": [alone]}, tmp_path, TOKENIZER)
    with pytest.raises(QuestionError, match="Atlantis"):
        write_lm_eval_task({"right": [replace(asked[0], first_answer="Atlantis")]}, tmp_path, TOKENIZER)
    with pytest.raises(DialogueError, match="with and without"):
        write_lm_eval_task({"right": [*asked, replace(asked[0], answer_form="{answer}")]}, tmp_path, TOKENIZER)
    assert not list(tmp_path.iterdir())


def test_the_page_says_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "ability.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(next(each for each in blocks if "write_lm_eval_task" in each), names)
    assert {row.n for row in names["scores"].rows} == {40, 80}
