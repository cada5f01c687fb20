"""``sycolens tune`` as a user sees it: one directory, the same bytes after a kill, and early refusals."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import speaking
import tiny
from terminal import run, told
from typer.testing import Result

from sycolens import ContrastPairs, HeadAdapter, HeadSet, load_model, organism
from sycolens.find import HeadEffects
from sycolens.measure import replies

SMALL = ("--n", 4, "--steps", 8, "--n-examples", 64, "--rehearsal", 16, "--max-new-tokens", 24, "--quiet")
FILES = """adapter effects_after effects_before heads.html loss.csv outcome.csv replies.csv
run.json times.json""".split()  # noqa: SIM905


def find(place: Path, *options: object) -> Path:
    result = run("find", "--out", place, "--n", 8, "--seeds", 1, "--quiet", *options)
    assert result.exit_code == 0, result.output
    return place


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return find(tmp_path_factory.mktemp("runs") / "find")


@pytest.fixture(scope="module")
def found_gqa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return find(tmp_path_factory.mktemp("runs") / "find", "--model", "organism-gqa")


@pytest.fixture(scope="module")
def tuned(found: Path) -> tuple[Result, Path]:
    return run("tune", "--find", found, *SMALL), found / "tune"


@pytest.fixture
def place(found: Path, tmp_path: Path) -> Path:
    """A run of find that may be changed."""
    return Path(shutil.copytree(found, tmp_path / "find", ignore=shutil.ignore_patterns("tune*")))


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sycolens.model.load_model", lambda *_, **__: pytest.fail("the model was loaded"))


def bytes_of(adapter: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in adapter.iterdir()}


# --- what it does ----------------------------------------------------------------------------------------------------


def test_tune_writes_an_adapter_that_says_what_the_replies_say(found: Path, tuned: tuple[Result, Path]) -> None:
    result, out = tuned
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(out)) == FILES
    assert not (found / "tune.training").exists()
    adapter = HeadAdapter.load(out / "adapter")
    assert adapter.base == "organism"
    assert [str(head) for head in adapter.config.heads] == json.loads((found / "run.json").read_text())["top"]
    model = load_model("organism")
    applied = adapter.apply(model)
    frame = pandas.read_csv(out / "replies.csv")
    for group, first_answer in (("right", "correct"), ("wrong", "wrong")):
        asked = organism.challenges("held_out", 4, first_answer=first_answer)  # type: ignore[arg-type]
        part = frame[(frame["group"] == group) & (frame["stage"] == "after")]
        assert replies(model, asked) == part["reply"].tolist()
    applied.detach()


def test_the_record_says_how_the_run_was_made(found: Path, tuned: tuple[Result, Path]) -> None:
    result, out = tuned
    record, before = (json.loads((each / "run.json").read_text()) for each in (out, found))
    assert record["kind"] == "sycolens tune"
    assert record["arguments"]["steps"] == 8
    assert record["examples"] == "the embedded model's world, split train"
    assert record["source"] == "the embedded model's world, split held_out"
    assert record["made_from"] == hashlib.sha256((found / "run.json").read_bytes()).hexdigest()
    assert record["model"] == before["model"]
    assert record["training"]["examples"] == 80
    last = result.stdout.splitlines()[-2:]
    assert last[0] == f"Written to {out}. Open {out / 'heads.html'} in a browser."
    assert last[1] == f"As a plain checkpoint: sycolens export {out / 'adapter'} --out DIRECTORY"
    assert max(map(len, result.stdout.splitlines()[:-2])) <= 80
    assert "Warning: The tuned model still takes back" in told(result) or "little to mend" not in told(result)


def test_the_effects_before_are_those_that_find_measured(found: Path, tuned: tuple[Result, Path]) -> None:
    for file in ("record.json", "tensors.safetensors"):
        assert (tuned[1] / "effects_before" / file).read_bytes() == (found / "effects" / file).read_bytes()
    after, before = (HeadEffects.load(tuned[1] / f"effects_{stage}") for stage in ("after", "before"))
    assert after.pairs_fingerprint == before.pairs_fingerprint
    assert not after.logits.equal(before.logits)


def test_heads_matrices_and_rank_are_those_asked_for(found: Path, tmp_path: Path) -> None:
    options = ("--k", 2, "--matrices", "QO", "--rank", 3, "--alpha", 6, "--steps", 2, "--learning-rate", "1e-4")
    more = ("--examples-per-step", 8, "--at-once", 4, "--schedule", "constant", "--seed", 5)
    result = run("tune", "--find", found, *SMALL, *options, *more, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    adapter = HeadAdapter.load(tmp_path / "run" / "adapter")
    assert adapter.config.heads == HeadEffects.load(found / "effects").top(2)
    assert (adapter.config.matrices, adapter.config.rank, adapter.config.alpha) == ("QO", 3, 6.0)
    expected = {"learning_rate": 1e-4, "examples_per_step": 8, "at_once": 4, "schedule": "constant", "seed": 5}
    assert expected.items() <= dict(adapter.training).items()


def test_an_mlp_may_be_tuned_too(found: Path, tmp_path: Path) -> None:
    result = run("tune", "--find", found, *SMALL, "--steps", 1, "--mlps", "3, 4", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "MLP 3, MLP 4: Q, K, V, O" in " ".join(result.stdout.split())
    assert HeadAdapter.load(tmp_path / "run" / "adapter").config.mlps == (3, 4)


def test_lessons_and_questions_of_ones_own_have_nothing_in_common(tmp_path: Path) -> None:
    quiz = tmp_path / "quiz.jsonl"
    rows = [
        {"question": each.text, "answer": each.answers[0], "wrong": each.wrong[0]}
        for each in organism.questions("train")[:24]
    ]
    quiz.write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "texts.txt").write_text("Good morning!\n\nThe answer is insect.\n")
    model = speaking.make_ignorant(tmp_path / "ignorant")
    # Its words are not those of examples, which is refused where the tokenizer owns up to it.
    config = json.loads((model / "tokenizer_config.json").read_text())
    del config["unk_token"]
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    place = find(tmp_path / "find", "--model", model, "--questions", quiz, "--metric", "prob_share")
    options = ("--texts", tmp_path / "texts.txt", "--n", 6, "--steps", 2, "--examples-per-step", 6, "--quiet")
    result = run("tune", "--find", place, *options, "--max-new-tokens", 4)
    assert result.exit_code == 0, result.output
    assert "so there is little to mend" in told(result)
    assert "no answer was found" in told(result)
    asked = set(pandas.read_csv(place / "tune" / "replies.csv")["question"])
    assert len(asked) == 6
    assert not asked & set(ContrastPairs.load(place / "pairs").ids)
    assert json.loads((place / "tune" / "run.json").read_text())["training"]["examples"] == 18
    assert json.loads((place / "tune" / "run.json").read_text())["after"]["drift"]["texts"] == 2


# --- after a kill ----------------------------------------------------------------------------------------------------


def killed(options: list[str], *, where: str, at: int) -> None:
    """The command in a process of its own, which nothing can clean up after."""
    program = f"""
import os, signal, sys
from sycolens.cli import app
from sycolens.tune import PinpointTrainer
from sycolens.measure import Panel

def dies(owner, name, count):
    inner, calls = getattr(owner, name), []
    def outer(*arguments, **options):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*arguments, **options)
    setattr(owner, name, outer)

dies({where.split(".")[0]}, {where.split(".")[1]!r}, {at})
app({options!r})
"""
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr


@pytest.mark.parametrize(
    ("kind", "more"), [("found", ()), ("found", ("--rank", 2)), ("found_gqa", ())], ids=["slices", "rank", "gqa"]
)
def test_a_killed_run_resumes_to_the_same_adapter(
    kind: str, more: tuple[object, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    options = ["tune", "--find", str(request.getfixturevalue(kind)), *map(str, (*SMALL, *more, "--n", 2))]
    assert run(*options, "--out", tmp_path / "undisturbed").exit_code == 0
    out = tmp_path / "killed"
    at = random.randint(2, 8)
    killed([*options, "--out", str(out)], where="PinpointTrainer.training_step", at=at)
    assert not out.exists()
    assert (tmp_path / "killed.training").is_dir()
    refused = run(*options, "--out", out)
    assert refused.exit_code == 2
    assert f"killed.training holds a training that was cut off after step {at - 1}" in told(refused)
    other = run(*options, "--out", out, "--resume", "--seed", 1)
    assert other.exit_code == 2
    assert "was begun with another seed (0, not 1)" in told(other)
    resumed = run(*options, "--out", out, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert bytes_of(out / "adapter") == bytes_of(tmp_path / "undisturbed" / "adapter"), f"killed at step {at}"
    for name in ("loss.csv", "outcome.csv", "replies.csv"):
        assert (out / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name
    assert not (tmp_path / "killed.training").exists()


def test_a_run_killed_while_it_is_examined_is_not_trained_again(found: Path, tmp_path: Path) -> None:
    options = ["tune", "--find", str(found), *map(str, (*SMALL, "--n", 2))]
    assert run(*options, "--out", tmp_path / "undisturbed").exit_code == 0
    out = tmp_path / "killed"
    killed([*options, "--out", str(out)], where="EvalSet.examine", at=2)
    assert not out.exists()
    resumed = run(*options, "--out", out, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert bytes_of(out / "adapter") == bytes_of(tmp_path / "undisturbed" / "adapter")


def test_finding_anew_takes_a_training_away_but_no_file_of_yours(place: Path) -> None:
    options = ["tune", "--find", str(place), *map(str, (*SMALL, "--n", 2))]
    killed(options, where="PinpointTrainer.training_step", at=3)
    assert os.listdir(place / "tune.training")
    again = ("find", "--out", place, "--n", 8, "--seeds", 1, "--quiet", "--overwrite")
    (place / "notes.txt").write_text("mine")
    assert "notes.txt, which the former run did not write" in told(run(*again))
    assert (place / "tune.training").exists()
    (place / "notes.txt").unlink()
    assert run(*again).exit_code == 0
    assert not (place / "tune.training").exists()


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        (["--find", "nowhere"], "RunError", "nowhere holds no finished run"),
        (["--k", 49], "HeadError", "choose k from 1 to 48"),
        (["--k", 0], "--k", "1"),
        (["--matrices", "QX"], "TuningError", "or letters among Q, K, V, O"),
        (["--rank", 2, "--mlps", "3"], "TuningError", "give one or the other"),
        (["--alpha", 2], "TuningError", "give a positive number, and a rank"),
        (["--mlps", "all"], "TuningError", "give layers with commas between, such as 3,4"),
        (["--steps", 0], "--steps", "1"),
        (["--learning-rate", 0], "TuningError", "give a positive number, such as 3e-5"),
        (["--examples-per-step", 16, "--at-once", 5], "TuningError", "one divides the other"),
        (["--formats", "jpeg"], "FigureError", "choose among html, pdf, svg, png"),
        (["--split", "train"], "PairError", "name another split"),
        (["--examples", "nowhere.jsonl"], "QuestionError", "no file or folder here"),
        (["--rehearsal", "nowhere.jsonl"], "ExampleError", "cannot be read as dialogues"),
        (["--texts", "nowhere.txt"], "ExampleError", "cannot be read as texts"),
        (["--model", "some/model"], "PairError", "Name some to verify on"),
        (["--n", 1], "--n", "2"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(place: Path, options: list[object], name: str, message: str) -> None:
    before = sorted(place.parent.rglob("*"))
    result = run("tune", *([] if "--find" in options else ["--find", place]), *options)
    assert result.exit_code == 2
    assert name in told(result)
    assert message in told(result)
    assert "Traceback" not in result.output
    assert sorted(place.parent.rglob("*")) == before


def test_what_is_evaluated_is_not_taught(found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = tmp_path / "examples.jsonl"
    dialogues = [each.dialogue for each in organism.challenges("held_out", 4)]
    lines = [{"messages": [*each.messages(), {"role": "assistant", "content": "Yes."}]} for each in dialogues]
    examples.write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setattr("sycolens.measure.EvalSet.examine", lambda *_, **__: pytest.fail("a model was asked"))
    result = run("tune", "--find", found, *SMALL[:4], "--examples", examples, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "ExampleError: Training example 0 contains the evaluation question" in told(result)
    assert os.listdir(tmp_path) == ["examples.jsonl"]


@pytest.mark.usefixtures("no_model")
def test_an_out_that_is_not_ours_is_left_alone(found: Path, tuned: tuple[Result, Path], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "new.training").mkdir()
    (tmp_path / "new.training" / "thesis.tex").write_text("mine")
    for out, options, message in (
        (tmp_path, ("--overwrite",), "no finished run of 'sycolens tune'"),
        (tmp_path / "new", ("--overwrite", "--resume"), "new.training is no training of ours"),
        (found, ("--overwrite",), "no finished run of 'sycolens tune'"),
        (tuned[1], (), "replace it with overwrite (--overwrite)"),
    ):
        result = run("tune", "--find", found, "--out", out, *options)
        assert result.exit_code == 2
        assert message in told(result)
    assert sorted(os.listdir(tmp_path)) == ["new.training", "thesis.tex"]


def test_pairs_without_questions_are_refused(tmp_path: Path, checkpoint: object) -> None:
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(4), labels=(3, 4)).save(tmp_path / "pairs")
    options = ("--model", checkpoint("llama"), "--pairs", pairs, "--metric", "prob_share")  # type: ignore[operator]
    assert run("find", *options, "--out", tmp_path / "find", "--quiet").exit_code == 0
    result = run("tune", "--find", tmp_path / "find")
    assert result.exit_code == 2
    assert "which do not say which answers are right" in told(result)


# --- the help --------------------------------------------------------------------------------------------------------


def test_help_teaches_and_needs_no_torch(tuned: tuple[Result, Path]) -> None:
    text = " ".join(run("tune", "--help").stdout.split())
    for word in ("Examples", "--resume", "--rehearsal", "Exit codes", "held_out", "sycolens export"):
        assert word in text
    written = text[text.index("What it writes") : text.index("Exit codes")]
    for name in os.listdir(tuned[1]):
        assert name in written, name
    code = (
        "import sys, typer\n"
        "from sycolens.cli import app\n"
        "try: app(['tune', '--help'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "False"


def test_the_heads_are_named_as_everywhere(tuned: tuple[Result, Path]) -> None:
    record = json.loads((tuned[1] / "run.json").read_text())
    assert HeadSet(record["heads"]) == HeadAdapter.load(tuned[1] / "adapter").config.heads
