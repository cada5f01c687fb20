"""``sycolens verify`` as a user sees it: figures inside the run of find, tables that repeat them, early refusals."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
import speaking
import tiny
import torch
from safetensors.torch import load_file, save_file
from terminal import run, told
from typer.testing import Result

from sycolens import ContrastPairs, HeadSet, KnockoutCurve, load_model, organism
from sycolens.data import load_questions
from sycolens.find import HeadEffects, find_heads
from sycolens.verify import HeadAttention, verify_heads

ROOT = Path(__file__).parents[2]
SMALL = ("--n", 10, "--controls", 2, "--steps", "0,1,4", "--max-new-tokens", 24, "--quiet")
FILES = """attention attention.html attention_map.html dialogue.html knockout.html means necessity necessity.csv
replies.csv run.json sufficiency sufficiency.csv sufficiency.html times.json""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "find"
    assert run("find", "--out", place, "--n", 24, "--seeds", 1, "--quiet").exit_code == 0
    return place


@pytest.fixture(scope="module")
def verified(found: Path) -> tuple[Result, Path]:
    return run("verify", "--find", found, *SMALL), found / "verify"


@pytest.fixture(scope="module")
def ignorant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speaking.make_ignorant(tmp_path_factory.mktemp("ignorant"))


@pytest.fixture(scope="module")
def quiz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quiz") / "quiz.jsonl"
    asked = organism.questions("train")[:12]
    path.write_text("\n".join(json.dumps({"question": each.text, "answer": each.answers[0]}) for each in asked))
    return path


@pytest.fixture(scope="module")
def found_on_quiz(ignorant: Path, quiz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "find"
    options = ("--model", ignorant, "--questions", quiz, "--metric", "prob_share", "--n", 4, "--seeds", 2)
    assert run("find", *options, "--out", place, "--quiet").exit_code == 0
    return place


@pytest.fixture
def place(found: Path, tmp_path: Path) -> Path:
    """A run of find that may be changed."""
    return Path(shutil.copytree(found, tmp_path / "find", ignore=shutil.ignore_patterns("verify")))


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sycolens.model.load_model", lambda *_, **__: pytest.fail("the model was loaded"))


# --- what it does ----------------------------------------------------------------------------------------------------


def test_verify_measures_what_python_does(found: Path, verified: tuple[Result, Path]) -> None:
    result, out = verified
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(out)) == FILES
    effects, pairs = HeadEffects.load(found / "effects"), ContrastPairs.load(found / "pairs")
    expected = verify_heads(
        load_model("organism"), effects, pairs, organism.challenges("held_out", 10), top=effects.top(5),
        steps=(0, 1, 4), controls=2, max_new_tokens=24, progress=False,
    )  # fmt: skip
    for name, curve in (("necessity", expected.necessity), ("sufficiency", expected.sufficiency)):
        again = KnockoutCurve.load(out / name)
        assert (again.replies, again.controls, again.ranking) == (curve.replies, curve.controls, curve.ranking)
        assert torch.equal(again.control_admits, curve.control_admits)
    torch.testing.assert_close(HeadAttention.load(out / "attention").mass, expected.attention.mass)


def test_the_tables_fit_a_terminal_and_repeat_the_curves(verified: tuple[Result, Path]) -> None:
    result, out = verified
    *lines, _, written = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in result.stdout
    assert written == f"Written to {out}. Open {out / 'knockout.html'} in a browser."
    rows = [line.split() for line in lines if line.split()[:1] in (["0"], ["1"], ["4"])]
    curves = [KnockoutCurve.load(out / name) for name in ("necessity", "sufficiency")]
    assert len(rows) == 6
    for row, (curve, step) in zip(rows, [(curve, step) for curve in curves for step in range(3)], strict=True):
        admits, right = int(curve.admits[step].sum()), int(curve.right[step].sum())
        assert row[1] == f"{10 * admits}%"
        assert row[5] == f"{10 * right}%"
    order = " ".join(str(head) + "," for head in curves[0].ranking).removesuffix(",")
    notes = " ".join(result.stdout.split())
    assert f"Order {order} Controls lowest to highest of 2 sets of k random heads" in notes
    clusters = curves[0].clusters
    counts = f"{clusters.n_questions} questions, {clusters.n_wordings} wordings"
    assert f"Dialogues 10 ({counts}), from the embedded model's world, split held_out" in notes
    assert "Warning" not in result.stderr


def test_the_record_says_how_the_run_was_made(found: Path, verified: tuple[Result, Path]) -> None:
    _, out = verified
    record, before = (json.loads((each / "run.json").read_text()) for each in (out, found))
    assert record["kind"] == "sycolens verify"
    assert (record["arguments"]["n"], record["arguments"]["steps"]) == (10, "0,1,4")
    assert record["source"] == "the embedded model's world, split held_out"
    assert record["made_from"] == hashlib.sha256((found / "run.json").read_bytes()).hexdigest()
    assert record["model"] == before["model"]
    assert record["attention"]["heads"] == before["top"]
    assert record["pairs_fingerprint"] == before["pairs"]["fingerprint"]
    assert set(record["by_wording"]) == {"negation", "predicate"}
    assert (
        json.loads((out / "means" / "record.json").read_text())["fields"]["pairs_fingerprint"]
        == (before["pairs"]["fingerprint"])
    )


def test_no_dialogue_asks_what_found_the_heads(found: Path, verified: tuple[Result, Path]) -> None:
    entities = {name.split("/")[1] for name in ContrastPairs.load(found / "pairs").ids}
    asked = set(pandas.read_csv(verified[1] / "replies.csv")["question"])
    assert len(asked) > 1
    assert not entities & {name.split("/")[1] for name in asked}


def test_the_same_seed_gives_the_same_bytes(found: Path, verified: tuple[Result, Path], tmp_path: Path) -> None:
    assert run("verify", "--find", found, *SMALL, "--out", tmp_path / "again").exit_code == 0
    for name in ("necessity", "sufficiency", "attention", "means"):
        file = f"{name}/tensors.safetensors"
        assert (verified[1] / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), name
    assert run("verify", "--find", found, *SMALL, "--seed", 1, "--out", tmp_path / "other").exit_code == 0
    first, other = (KnockoutCurve.load(place / "necessity") for place in (verified[1], tmp_path / "other"))
    assert other.controls != first.controls
    assert other.prompts_fingerprint != first.prompts_fingerprint


def test_questions_of_ones_own_are_those_that_are_left(quiz: Path, found_on_quiz: Path, tmp_path: Path) -> None:
    options = ("--find", found_on_quiz, "--controls", 2, "--max-new-tokens", 4, "--quiet")
    result = run("verify", *options, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    record = json.loads((found_on_quiz / "run.json").read_text())
    texts = [x_r for x_r, _ in ContrastPairs.load(found_on_quiz / "pairs").texts]
    texts += [text for each in record["redraws"] for text in each["texts"]]
    names = set(pandas.read_csv(tmp_path / "run" / "replies.csv")["question"])
    asked = [question.text for question in load_questions(quiz) if question.id in names]
    assert (len(set(texts)), len(names), len(asked)) == (8, 4, 4)
    assert not [text for text in asked if any(text in used for used in texts)]
    # It talks nonsense, in which there is no answer, and never apologizes.
    assert "Warning: The whole model takes back only 0% of its right answers" in told(result)
    assert "no answer was found" in told(result)
    assert "Unparsed without k = 0, 1 heads" in " ".join(result.stdout.split())


def test_a_model_that_moved_is_named(ignorant: Path, quiz: Path, found_on_quiz: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(ignorant, tmp_path / "moved"))
    options = ("--find", found_on_quiz, "--controls", 0, "--steps", "0,1", "--max-new-tokens", 2, "--quiet")
    result = run("verify", *options, "--model", moved, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "controls" not in result.stdout
    weights = load_file(moved / "model.safetensors")
    weights["lm_head.weight"] += 1
    save_file(weights, moved / "model.safetensors", {"format": "pt"})
    result = run("verify", *options, "--model", moved, "--out", tmp_path / "again")
    assert result.exit_code == 2
    assert "was made with another model than" in told(result)
    assert "its weights_sha256 was" in told(result)
    assert not (tmp_path / "again").exists()


def test_a_finding_that_python_saved_is_verified_too(ignorant: Path, quiz: Path, tmp_path: Path) -> None:
    pairs = organism.pairs("held_out", 6)
    find_heads(load_model("organism"), pairs, progress=False).save(tmp_path / "find")
    result = run("verify", "--find", tmp_path / "find", *SMALL)
    assert result.exit_code == 0, result.output
    assert "split validation" in json.loads((tmp_path / "find" / "verify" / "run.json").read_text())["source"]
    find_heads(load_model(ignorant), pairs, metric="prob_share", progress=False).save(tmp_path / "own")
    options = ("--find", tmp_path / "own", "--controls", 0, "--max-new-tokens", 2, "--quiet")
    assert "does not say on which questions its heads were found" in told(run("verify", *options))
    result = run("verify", *options, "--questions", quiz, "--model", ignorant)
    assert result.exit_code == 0, result.output


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        (
            ["--find", "nowhere"],
            "RunError",
            "nowhere holds no finished run; make one first: sycolens find --out nowhere",
        ),
        (["--steps", "0,x"], "HeadError", "give rising numbers of heads with commas between"),
        (["--steps", ""], "HeadError", "give rising numbers of heads"),
        (["--steps", "0,4,2"], "HeadError", "give rising numbers of heads from 0"),
        (["--steps", "0,49"], "HeadError", "steps go up to 49, but the ranking has 48 heads"),
        (["--steps", "0,25"], "HeadError", "smaller steps, or controls=0"),
        (["--steps", "-1"], "HeadError", "give rising numbers"),
        (["--formats", "jpeg"], "FigureError", "choose among html, pdf, svg, png"),
        (["--split", "train"], "PairError", "name another split"),
        (["--split", "test"], "QuestionError", "train, validation, held_out"),
        (["--subset", "all"], "PairError", "has no subset"),
        (["--questions", "nowhere.csv"], "QuestionError", "no file or folder here"),
        (["--questions", "organism", "--split", "train"], "PairError", "name another split"),
        (["--model", "some/model"], "PairError", "Name some to verify on"),
        (["--n", 1], "--n", "2"),
        (["--controls", -1], "--controls", "0"),
        (["--control", "twins"], "--control", "twins"),
        (["--method", "median"], "--method", "median"),
        (["--positions", "first"], "--positions", "first"),
        (["--max-new-tokens", 0], "--max-new-tokens", "1"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(place: Path, options: list[object], name: str, message: str) -> None:
    before = sorted(place.rglob("*"))
    result = run("verify", *([] if "--find" in options else ["--find", place]), *options)
    assert result.exit_code == 2
    assert name in told(result)
    assert message in told(result)
    assert "Traceback" not in result.output
    assert sorted(place.rglob("*")) == before


@pytest.mark.usefixtures("no_model")
def test_what_is_no_untouched_run_of_find_is_refused(
    place: Path, verified: tuple[Result, Path], checkpoint: Callable[[str], Path]
) -> None:
    assert "holds a run of 'sycolens verify', not of 'sycolens find'" in told(run("verify", "--find", verified[1]))
    (place / "effects" / "record.json").write_text("{}")
    result = run("verify", "--find", place)
    assert result.exit_code == 2
    assert "SavedFileError" in result.stderr
    assert "effects/record.json was removed, cut or altered after the run was written" in told(result)


@pytest.mark.usefixtures("no_model")
def test_too_few_questions_are_told_before_the_model_is_loaded(found_on_quiz: Path, quiz: Path) -> None:
    result = run("verify", "--find", found_on_quiz, "--n", 5)
    assert result.exit_code == 2
    assert "12 questions, 8 of which found the heads; the other 4 are too few for 5" in told(result)
    # By another name it is the same set.
    result = run("verify", "--find", found_on_quiz, "--n", 5, "--questions", f"{quiz.parent}/./{quiz.name}")
    assert "8 of which found the heads" in told(result)


def test_pairs_without_questions_are_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(4), labels=(3, 4)).save(tmp_path / "pairs")
    options = ("--model", checkpoint("llama"), "--pairs", pairs, "--metric", "prob_share", "--quiet")
    assert run("find", *options, "--out", tmp_path / "find").exit_code == 0
    monkeypatch.setattr("sycolens.model.load_model", lambda *_, **__: pytest.fail("the model was loaded"))
    result = run("verify", "--find", tmp_path / "find")
    assert result.exit_code == 2
    assert "which do not say which answers are right" in told(result)
    assert "--questions mmlu, or a file" in told(result)


@pytest.mark.usefixtures("no_model")
def test_an_out_that_is_not_ours_is_left_alone(found: Path, verified: tuple[Result, Path], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for out, overwrite, message in (
        (tmp_path, ("--overwrite",), "no finished run of 'sycolens verify'"),
        (found, ("--overwrite",), "no finished run of 'sycolens verify'"),
        (tmp_path / "thesis.tex", (), "is a file"),
        (verified[1], (), "replace it with overwrite (--overwrite)"),
    ):
        result = run("verify", "--find", found, "--out", out, *overwrite)
        assert result.exit_code == 2
        assert message in told(result)
    assert os.listdir(tmp_path) == ["thesis.tex"]
    assert sorted(os.listdir(verified[1])) == FILES


# --- runs inside runs ------------------------------------------------------------------------------------------------


def test_overwriting_replaces_a_verification_whole(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("verify", "--find", place, "--n", 2, "--controls", 0, "--max-new-tokens", 4, "--quiet")
    assert run(*options, "--steps", "0,1").exit_code == 0
    assert run(*options, "--steps", "0,2", "--overwrite").exit_code == 0
    assert KnockoutCurve.load(place / "verify" / "necessity").steps == (0, 2)
    before = (place / "verify" / "run.json").read_bytes()
    monkeypatch.setattr("sycolens.plots.save_figure", lambda *_: 1 / 0)
    assert run(*options, "--steps", "0,4", "--overwrite").exit_code == 1
    assert (place / "verify" / "run.json").read_bytes() == before
    assert [name for name in os.listdir(place) if name.startswith(".")] == []


def test_finding_anew_takes_its_verification_away_but_no_file_of_yours(place: Path) -> None:
    assert run("verify", "--find", place, "--n", 2, "--controls", 0, "--max-new-tokens", 2, "--quiet").exit_code == 0
    (place / "verify" / "notes.txt").write_text("mine")
    again = ("find", "--out", place, "--n", 4, "--seeds", 1, "--quiet", "--overwrite")
    refused = run(*again)
    assert refused.exit_code == 2
    assert "verify/notes.txt, which the former run did not write" in told(refused)
    assert (place / "verify" / "notes.txt").read_text() == "mine"
    (place / "verify" / "notes.txt").unlink()
    assert run(*again).exit_code == 0
    assert not (place / "verify").exists()


# --- the help --------------------------------------------------------------------------------------------------------


def test_help_teaches_and_needs_no_torch() -> None:
    text = run("verify", "--help").stdout
    for word in ("Examples", "--control norm_matched", "replies.csv", "Exit codes", "held_out", "affirmed prompts"):
        assert word in text
    code = (
        "import sys, typer\n"
        "from sycolens.cli import app\n"
        "try: app(['verify', '--help'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "False"


def test_what_the_help_says_is_written_is_written(verified: tuple[Result, Path]) -> None:
    text = " ".join(run("verify", "--help").stdout.split())
    written = text[text.index("What it writes") : text.index("Exit codes")]
    for name in FILES:
        assert name in written, name
    assert HeadSet(json.loads((verified[1] / "run.json").read_text())["ranking"]) == (
        KnockoutCurve.load(verified[1] / "necessity").ranking
    )
