"""The examples run as they stand, with the embedded model where one would fetch another."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Lock, Thread
from types import ModuleType
from typing import Any

import pytest
import tiny
import torch
from chat_llama import make_chat_llama
from prompts.conftest import byte_bpe
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import sycolens
from sycolens import (
    Generation,
    HeadAdapter,
    HeadSet,
    PinpointConfig,
    evaluate_challenge,
    load_model,
    load_questions,
    organism,
    pinpoint,
)
from sycolens.find import Finding
from sycolens.measure import evaluate_ability
from sycolens.model.continuations import continuation_log_likelihoods
from sycolens.prompts.tokens import encode
from sycolens.tune import PAPER, TrainingConfig
from sycolens.verify import KnockoutCurve

__all__ = ["byte_bpe"]
EXAMPLES = Path(__file__).parents[1] / "examples"


def test_another_behavior_from_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "another_behavior.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "Warning" not in shown
    place = tmp_path / "runs" / "true_or_false" / "find"
    finding = Finding.load(place)
    assert set(finding.pairs.label_words) == {(("False",), ("True",))}
    assert str(finding.top[0]) in shown
    # The embedded model knows its facts, so a false statement must be called false.
    assert finding.preference.share > 0.95


def test_another_behavior_knocked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "verify_another_behavior.py"), run_name="__main__")
    curve = KnockoutCurve.load(tmp_path / "runs" / "true_or_false" / "verify")
    # Without the found heads the model calls false statements true, without others it does not.
    assert (curve.apology_rate[0], curve.apology_rate[-1]) == (1, 0)
    assert curve.control_apology_rate.min() > 0.9
    assert ((curve.label_logits[..., 0] > curve.label_logits[..., 1]) == curve.admits).all()
    assert "without 8: says 'False' in 0%" in capsys.readouterr().out


def test_the_hub_example_on_the_embedded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def questions(name: str, *, sample: int, **options: Any) -> list[sycolens.Question]:
        asked.update(options, name=name)
        return list(organism.questions("train")[:sample])

    def model(name: str, **options: Any) -> Any:
        asked.update(options, model=name)
        return load_model("organism")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sycolens, "load_questions", questions, raising=False)
    monkeypatch.setattr(sycolens, "load_model", model, raising=False)
    monkeypatch.setattr("sys.argv", ["find_on_a_hub_model.py", "owner/name"])
    runpy.run_path(str(EXAMPLES / "find_on_a_hub_model.py"), run_name="__main__")
    assert asked == {
        "name": "mmlu",
        "max_characters": 768,
        "seed": 0,
        "model": "owner/name",
        "device": "cuda",
        "dtype": "bfloat16",
    }
    assert "in 100 of 100 pairs" in capsys.readouterr().out
    assert len(Finding.load(tmp_path / "runs" / "name").pairs) == 100


@pytest.fixture(scope="module")
def untaught(byte_bpe: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A checkpoint of an architecture that knows nothing, with a tokenizer that reads any text."""

    def make(kind: str) -> Path:
        place = tmp_path_factory.mktemp(kind)
        family, settings = tiny.CONFIGS[kind]
        torch.manual_seed(0)
        longer = {"vocab_size": len(byte_bpe), "max_position_embeddings": 2048, "sliding_window": None}
        config = AutoConfig.for_model(family, **{**settings, **longer})
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(place)
        byte_bpe.save_pretrained(place)
        return place

    return make


def quiz(path: Path, n: int, first: int = 0) -> str:
    """Questions with options, as JSON lines."""
    rows = [
        {"question": f"What is {i} plus {i}?", "options": [str(2 * i), str(2 * i + 1), str(3 * i + 2)], "answer": "A"}
        for i in range(first, first + n)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def load(name: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> ModuleType:
    """An example as a module, to be asked for less, with options as on the command line."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr("sys.argv", [f"{name}.py", *options])
    return module


def test_mistral_step_by_step_on_an_untaught_one(
    untaught: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--questions", quiz(tmp_path / "quiz.jsonl", 18), "--asked", quiz(tmp_path / "other.jsonl", 3, 50)]
    options += ["--model", str(untaught("mistral")), "--device", "cpu", "--dtype", "float32", "--metric", "prob_share"]
    example = load("mistral_7b", monkeypatch, *options)
    assert (example.HEADS, example.TRAINING, example.REPLY.max_new_tokens) == (32, PAPER, 256)
    fewer = {"HEADS": 2, "TO_FIND": 4, "TO_VERIFY": 3, "TO_TEACH": 8, "TO_ASK": 3, "REPLY": Generation(4)}
    for name, value in fewer.items():
        monkeypatch.setattr(example, name, value)
    monkeypatch.setattr(example, "TRAINING", TrainingConfig(steps=2, examples_per_step=4, at_once=4, bf16=False))
    example.main()
    shown = capsys.readouterr().out
    assert "without 2 heads: apologizes in 0%" in shown
    assert re.search(r"all +truthfulness", shown)
    out = tmp_path / "runs" / "mistral-7b"
    adapter = HeadAdapter.load(out / "tune" / "adapter")
    assert adapter.config.matrices == "QO"
    assert len(adapter.config.heads) == 2
    assert AutoModelForCausalLM.from_pretrained(out / "exported").config.model_type == "mistral"
    with pytest.raises(SystemExit):
        example.main()  # nothing is written over
    assert "choose another --out" in capsys.readouterr().err


def test_llama_as_a_study_on_an_untaught_one(
    untaught: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--questions", quiz(tmp_path / "quiz.jsonl", 40), "--asked", quiz(tmp_path / "other.jsonl", 3, 50)]
    options += ["--model", str(untaught("llama")), "--device", "cpu", "--dtype", "float32", "--metric", "prob_share"]
    example = load("llama_2_7b_chat", monkeypatch, *options)
    assert example.SETTINGS["tune"]["k"] == example.SETTINGS["find"]["top"] == 32
    fewer: dict[str, dict[str, Any]] = {
        "find": {"n": 4, "draws": 1, "top": 2},
        "verify": {"n": 3, "controls": 1, "max_new_tokens": 4},
        "examples": {"n": 8},
        "tune": {"methods": ["spt", "random"], "k": 2, "draws": 1, "examples_per_step": 4, "at_once": 4}
        | {"by_method": {kind: {"steps": 2} for kind in ("spt", "random")}},
        "measure": {"n": 3, "max_new_tokens": 4},
    }
    monkeypatch.setattr(example, "SETTINGS", fewer)
    example.main()
    shown = capsys.readouterr().out
    assert re.search(r"^base +holds on: .* of 6 +stays right", shown, flags=re.MULTILINE)
    assert (tmp_path / "runs" / "llama-2-7b-chat" / "report" / "report.html").is_file()
    example.main()  # it is all there
    assert capsys.readouterr().out == shown


class Served(ThreadingHTTPServer):
    """The embedded model as it lies in a checkpoint, behind the protocol that OpenAI's clients speak."""

    def __init__(self, place: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.model, self.tokenizer = AutoModelForCausalLM.from_pretrained(place), AutoTokenizer.from_pretrained(place)
        self.lock = Lock()

    def reply(self, messages: list[dict[str, str]], longest: int) -> str:
        prompt = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with self.lock:
            said = self.model.generate(**prompt, max_new_tokens=longest, do_sample=False)
        return str(self.tokenizer.decode(said[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))


class Answering(BaseHTTPRequestHandler):
    server: Served

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (self.path, asked["model"], asked["temperature"]) == ("/v1/chat/completions", "tuned", 0)
        said = self.server.reply(asked["messages"], asked["max_tokens"])
        content = json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Be quiet."""


@pytest.mark.parametrize("own", [False, True], ids=["world", "file"])
def test_a_served_tuned_model_is_the_tuned_model(
    own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model("organism")
    with pinpoint(model, PinpointConfig(HeadSet(["L1H1", "L2H2", "L1H0"]))) as tuned, torch.no_grad():
        for parameter in tuned.parameters.values():
            parameter.mul_(-0.5)  # some harm, so that it is not the base that is served
        place = HeadAdapter.of(tuned).export("organism", tmp_path / "tuned")
        here = evaluate_challenge(model, organism.challenges("held_out", 8), generation=Generation(24))
    base = evaluate_challenge(model, organism.challenges("held_out", 8), generation=Generation(24))
    assert here.replies != base.replies
    options = ["tuned", "--n", "8", "--max-tokens", "24"]
    if own:
        rows = [asdict(each) for each in organism.questions("held_out")[:8]]
        (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
        options += ["--questions", str(tmp_path / "own.jsonl")]
    with Served(place) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        load("serve_tuned_model", monkeypatch, *options, "--url", url).main()
        server.shutdown()
    shown = capsys.readouterr().out
    if own:
        assert "accuracy_before" in shown
    else:
        assert shown.startswith(here.transcripts[0])
        assert all(f"{name:18} {rate}" in shown for name, rate in here.summary().items())


def test_a_task_of_general_ability_without_a_hub(tmp_path: Path) -> None:
    """The harness's accuracy is that of our own likelihoods of the options' words."""
    write = runpy.run_path(str(EXAMPLES / "offline_task.py"))["write_task"]
    folder = write(tmp_path / "tasks").parent
    rows = [json.loads(line) for line in (folder / "general.jsonl").read_text().splitlines()]
    assert len(rows) == len(load_questions("general", split="held_out"))
    model = load_model(make_chat_llama(tmp_path / "chat"))
    found = evaluate_ability(model, ["sycolens_general"], include_path=folder, limit=12)
    prompts = [f"Question: {row['question']}\nAnswer:" for row in rows[:12]]
    ids = [encode(model.tokenizer, text) for text in prompts]
    options = [[encode(model.tokenizer, f" {option}") for option in row["options"]] for row in rows[:12]]
    scores = continuation_log_likelihoods(model, ids, options)
    right = [each.argmax().item() == row["right"] for each, row in zip(scores, rows[:12], strict=True)]
    assert found.value("sycolens_general", "acc") == pytest.approx(sum(right) / 12)
    assert 0 < sum(right) < 12
