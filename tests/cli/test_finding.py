"""What a terminal user sees: a run directory, a table, and errors that say what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
import speaking
import tiny
import torch
from terminal import run, told
from typer.testing import Result

from sycolens import ContrastPairs, HeadSet, __version__, load_model, organism, patch_heads
from sycolens.find import HeadEffects

FILES = ["bars.html", "effects", "heads.csv", "heads.json", "heatmap.html", "pairs", "run.json", "times.json"]


@pytest.fixture(scope="module")
def ignorant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speaking.make_ignorant(tmp_path_factory.mktemp("ignorant"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    place = tmp_path_factory.mktemp("runs") / "find"
    return run("find", "--out", place, "--n", 24, "--seed", 3), place


@pytest.fixture
def tiny_pairs(tmp_path: Path) -> Path:
    reference, counterfactual = tiny.random_prompts(6)
    return ContrastPairs.from_tokens(reference, counterfactual, labels=(3, 4)).save(tmp_path / "pairs")


def test_find_measures_the_embedded_model_as_python_does(found: tuple[Result, Path]) -> None:
    result, place = found
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(place)) == FILES
    expected = patch_heads(load_model("organism"), organism.pairs("train", 24, seed=3), progress=False)
    effects = HeadEffects.load(place / "effects")
    torch.testing.assert_close(effects.logits, expected.logits)
    assert effects.pairs_fingerprint == ContrastPairs.load(place / "pairs").fingerprint
    assert HeadSet.from_json((place / "heads.json").read_text()) == expected.top(5)
    table = pandas.read_csv(place / "heads.csv")
    assert list(table["head"]) == [str(head) for head in expected.ranking()]
    assert table["score"].tolist() == pytest.approx(sorted(expected.scores().flatten().tolist()), rel=1e-4, abs=1e-8)


def test_the_table_fits_a_terminal_and_names_the_top(found: tuple[Result, Path]) -> None:
    result, place = found
    *lines, _, written = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert written == f"Written to {place}. Open {place / 'heatmap.html'} in a browser."
    effects = HeadEffects.load(place / "effects")
    for place_in_table, head in enumerate(effects.top(5), start=1):
        row = next(line.split() for line in result.stdout.splitlines() if line.split()[:1] == [str(place_in_table)])
        assert row[1] == str(head)
        assert float(row[2]) == pytest.approx(100 * effects.scores()[head.layer, head.index].item(), abs=0.006)
        low, high = float(row[3]), float(row[5])
        assert low <= float(row[2]) <= high


def test_the_record_says_how_the_run_was_made(found: tuple[Result, Path]) -> None:
    result, place = found
    record = json.loads((place / "run.json").read_text())
    assert record["arguments"]["seed"] == 3
    assert record["arguments"]["n"] == record["pairs"]["count"] == 24
    assert record["pairs"]["fingerprint"] == organism.pairs("train", 24, seed=3).fingerprint
    others = [each["fingerprint"] for each in record["redraws"]]
    assert others == [organism.pairs("train", 24, seed=seed).fingerprint for seed in (4, 5)]
    assert record["model"]["name"] == "organism"
    assert len(record["model"]["weights_sha256"]) == 64
    assert record["provenance"]["sycolens"] == __version__
    for each in record["redraws"]:
        assert f"{each['overlap']} of the top 5" in " ".join(result.stdout.split())


def test_the_embedded_model_shows_the_behavior(found: tuple[Result, Path]) -> None:
    result, place = found
    assert json.loads((place / "run.json").read_text())["preference"]["share"] >= 0.9
    assert "Warning" not in result.stderr


def test_the_same_seed_gives_the_same_bytes(found: tuple[Result, Path], tmp_path: Path) -> None:
    _, place = found
    run("find", "--out", tmp_path / "again", "--n", 24, "--seed", 3, "--quiet")
    for name in ("heads.csv", "heads.json", "effects/tensors.safetensors", "pairs/tensors.safetensors"):
        assert (place / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_a_local_checkpoint_and_saved_pairs(
    checkpoint: Callable[[str], Path], tiny_pairs: Path, tmp_path: Path
) -> None:
    options = ("--model", checkpoint("llama-gqa"), "--pairs", tiny_pairs, "--metric", "logit_diff", "--top", 2)
    result = run("find", *options, "--out", tmp_path / "run", "--quiet")
    assert result.exit_code == 0, result.output
    assert len(pandas.read_csv(tmp_path / "run" / "heads.csv")) == 12
    assert len(HeadSet.from_json((tmp_path / "run" / "heads.json").read_text())) == 2
    assert "mean change of the difference of the label logits" in " ".join(result.stdout.split())
    assert "pairs show the contrast" in told(result)
    assert "pair/s" not in result.stderr


def test_questions_of_ones_own(ignorant: Path, tmp_path: Path) -> None:
    quiz = tmp_path / "quiz.jsonl"
    rows = [{"question": question.text, "answer": question.answers[0]} for question in organism.questions("train")[:9]]
    quiz.write_text("\n".join(map(json.dumps, rows)))
    base = ("find", "--model", ignorant, "--questions", quiz, "--metric", "prob_share", "--quiet")
    result = run(*base, "--n", 4, "--seeds", 2, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["pairs"]["count"] == 4
    assert [each["shared_pairs"] for each in record["redraws"]] == [0]
    assert record["source"] == str(quiz)
    result = run(*base, "--n", 5, "--seeds", 2, "--out", tmp_path / "more")
    assert result.exit_code == 2
    assert "PairError" in result.stderr
    assert not (tmp_path / "more").exists()


def test_a_trained_organism_is_found_in_too(tmp_path: Path) -> None:
    result = run(
        "organism", "train", "--out", tmp_path / "own", "--steps", 1, "--variant", "gqa", "--seed", 2, "--quiet"
    )
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "own" / "recipe.json").read_text())["seed"] == 2
    result = run("organism", "measure", tmp_path / "own", "--n", 4)
    assert result.exit_code == 1
    assert "Not met: facts" in result.stderr
    options = ("--model", tmp_path / "own", "--questions", "organism", "--metric", "prob_share")
    result = run("find", *options, "--n", 4, "--seeds", 1, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model"]["n_key_value_heads"] == 4


def test_measure_tells_the_rates_of_the_shipped_model() -> None:
    result = run("organism", "measure", "--n", 20, "--seed", 1)
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if len(line.split()) == 8}
    assert float(rows["facts"][1]) >= 0.9
    assert float(rows["challenged_right"][1]) >= 0.9
    assert float(rows["affirmed_right"][1]) >= 0.9
    assert run("organism", "measure", "nowhere").exit_code == 2


@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        (["--questions", "mmlu", "--pairs", "x.jsonl"], "PairError", "exclude each other"),
        (["--model", "some/model"], "PairError", "Name questions for some/model (--questions mmlu, or a file)"),
        (["--model", "nowhere", "--questions", "organism"], "ModelError", "Give 'organism', a hub name"),
        (["--split", "test"], "QuestionError", "train, validation, held_out"),
        (["--questions", "nowhere.csv"], "QuestionError", "no file or folder here"),
        (["--device", "cpu", "--device-map", "auto"], "ModelError", "either device or device_map"),
        (["--dtype", "int8"], "ModelError", "not a floating-point type"),
        (["--formats", "jpeg"], "FigureError", "choose among html, pdf, svg, png"),
        (["--top", 49, "--n", 2], "HeadError", "choose top from 1 to 48"),
        (["--fdr", 0, "--n", 2], "SampleError", "fdr=0"),
        (["--n", 1], "--n", "2"),
        (["--metric", "share"], "--metric", "share"),
        (["--seeds", 0], "--seeds", "1"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    options: list[object], name: str, message: str, tmp_path: Path
) -> None:
    result = run("find", "--out", tmp_path / "deep" / "run", *options)
    assert result.exit_code == 2
    assert name in told(result)
    assert message in told(result)
    assert "Traceback" not in result.output
    assert os.listdir(tmp_path) == []


def test_eq_2_that_is_undefined_names_the_way_out(ignorant: Path, tmp_path: Path) -> None:
    result = run("find", "--model", ignorant, "--questions", "organism", "--n", 8, "--out", tmp_path / "run", "--quiet")
    assert result.exit_code == 2
    assert "MetricError" in result.stderr
    assert "prob_share" in result.stderr
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_not_ours_is_left_alone_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sycolens.model.load_model", lambda *_, **__: pytest.fail("the model was loaded"))
    (tmp_path / "thesis.tex").write_text("mine")
    for overwrite in ((), ("--overwrite",)):
        result = run("find", "--out", tmp_path, *overwrite)
        assert result.exit_code == 2
        assert "RunError" in result.stderr
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.fixture
def broken_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("sycolens.plots.save_figure", fail)


@pytest.mark.usefixtures("broken_figures")
def test_a_failure_half_way_leaves_nothing_and_exit_code_1(
    checkpoint: Callable[[str], Path], tiny_pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    options = ("--model", checkpoint("llama"), "--pairs", tiny_pairs, "--metric", "prob_share", "--quiet")
    result = run("find", *options, "--out", out / "run")
    assert result.exit_code == 1
    assert "It failed on the way: OSError: disk full" in result.stderr
    assert "Traceback" not in result.output
    assert os.listdir(out) == []
    result = run("--traceback", "find", *options, "--out", out / "run")
    assert "Traceback" in result.stderr


def test_overwrite_replaces_a_former_run_whole(
    checkpoint: Callable[[str], Path], tiny_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    options = ("find", "--model", checkpoint("llama"), "--pairs", tiny_pairs, "--metric", "prob_share", "--out", out)
    assert run(*options, "--top", 2).exit_code == 0
    refused = run(*options, "--top", 3)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert run(*options, "--top", 3, "--overwrite").exit_code == 0
    assert len(HeadSet.from_json((out / "heads.json").read_text())) == 3
    before = (out / "run.json").read_bytes()
    monkeypatch.setattr("sycolens.plots.save_figure", lambda *_: 1 / 0)
    assert run(*options, "--top", 4, "--overwrite").exit_code == 1
    assert (out / "run.json").read_bytes() == before
    assert sorted(os.listdir(out)) == FILES


def test_help_teaches_and_needs_no_torch() -> None:
    text = run("find", "--help").stdout
    for word in ("Examples", "--questions mmlu", "heads.csv", "Exit codes", "held_out"):
        assert word in text
    code = (
        "import sys, typer\n"
        "from sycolens.cli import app\n"
        "try: app(['find', '--help'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "False"


def test_python_dash_m_is_the_same_program() -> None:
    answer = subprocess.run([sys.executable, "-m", "sycolens", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout == f"sycolens {__version__}\n"


def test_no_command_shows_the_help() -> None:
    result = run()
    assert "find" in result.output
    assert result.exit_code == 2
