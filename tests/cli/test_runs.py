"""``sycolens find``, ``verify``, ``tune``, ``measure``, ``sweep`` and ``study`` as a user types them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small_study
import tomlkit
from chat_llama import make_chat_llama
from terminal import message_of, run
from typer.testing import Result

from sycolens import __version__
from sycolens.errors import ModelError
from sycolens.runs import Study, StudyConfig
from sycolens.runs.study import GROUPS

ROOT = Path(__file__).parents[2]
COMMANDS = tuple(GROUPS)


def write_settings(directory: Path, **sections: Any) -> Path:
    """A directory with the small study's settings, as a user would write them."""
    directory.mkdir(exist_ok=True)
    config = small_study.config(**sections).model_dump(exclude_none=True)
    (directory / "study.toml").write_text(tomlkit.dumps(config))
    return directory


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    return write_settings(tmp_path / "study")


@pytest.fixture
def computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages are refused or made without a model."""
    monkeypatch.setattr("sycolens.runs.context.load_model", lambda *_, **__: pytest.fail("the model was loaded"))


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("sycolens.runs.stages.find.make", fail)


# --- what is made ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_makes_its_stages_and_what_they_need(command: str, tmp_path: Path) -> None:
    needed = [stage.name.split("/")[0] for stage in Study(tmp_path, StudyConfig()).needed(command)]
    assert (
        list(dict.fromkeys(needed))
        == {
            "look": ["look"],
            "find": ["find"],
            "verify": ["find", "verify"],
            "tune": ["find", "examples", "tune"],
            "measure": ["find", "examples", "tune", "measure"],
            "sweep": ["find", "examples", "sweep"],
            "study": ["find", "verify", "examples", "tune", "measure", "repatch"],
        }[command]
    )


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("sweep", "look")])
def test_what_is_done_is_shown_within_a_terminals_width(
    command: str, width: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    place = shutil.copytree(made, tmp_path / "study")
    result = run(command, place, "--quiet")
    assert result.exit_code == 0, result.output
    *lines, _, written = result.stdout.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in result.stdout
    assert str(place / "report" / "report.html") in written
    due = {"find": "L1H1", "verify": "controls", "tune": "16,384", "measure": "SPT, 2 heads", "study": "SPT, 2 heads"}
    assert due[command] in result.stdout
    assert small_study.contents(place) == small_study.contents(made)


def test_the_table_of_heads_says_what_was_found(made: Path, tmp_path: Path) -> None:
    place = shutil.copytree(made, tmp_path / "study")
    rows = {line.split()[0]: line.split() for line in run("find", place).stdout.splitlines() if line.strip()}
    finding = Study(made).results().finding
    for number, head in enumerate(finding.top, start=1):
        row = rows[str(number)]
        low, high = float(row[3]), float(row[5])
        assert row[1] == str(head)
        assert float(row[2]) == pytest.approx(100 * finding.effects.scores()[head.layer, head.index].item(), abs=0.006)
        assert low <= float(row[2]) <= high


def test_a_run_tells_its_stages_in_plain_lines(made: Path, tmp_path: Path) -> None:
    place = shutil.copytree(made, tmp_path / "study")
    for stage in ("verify", "measure/sft-seed0"):
        shutil.rmtree(place / stage)
    result = run("study", place)
    assert result.exit_code == 0, result.stderr
    names = list(Study(place).states)
    told = [line for line in result.stderr.splitlines() if not line.startswith("Warning: ")]
    begins = [f"[{names.index(stage) + 1}/{len(names)}] {stage}: " for stage in ("verify", "measure/sft-seed0")]
    for line, begin in zip(told, [begins[0], "verify: ", begins[1], "measure/sft-seed0: "], strict=True):
        assert line.startswith(begin)
    # Other trainings were measured, so it is known how long this one takes.
    assert "left)" in told[2]
    assert "\r" not in result.stderr
    assert run("study", place, "--quiet").stderr.startswith("Warning: ")


def test_a_run_goes_on_without_estimate_and_findings(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ModelError("no configuration")

    monkeypatch.setattr("sycolens.runs.estimate.shape_and_size", fail)
    monkeypatch.setattr("sycolens.report.findings.csv.DictReader", fail)
    result = run("find", begun)
    assert result.exit_code == 0, result.stderr
    first, second = result.stderr.splitlines()[:2]
    assert first.startswith("[1/1] find: ")
    assert "prompts" not in first
    assert second.startswith("find: done (")


def test_two_processes_make_the_study_that_one_makes(begun: Path, made: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "sycolens", "study", str(begun), "--quiet"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-20000:]
    one, two = Study(made).results(), Study(begun).results()
    assert one.finding.effects.logits.equal(two.finding.effects.logits)
    assert one.verification is not None
    assert two.verification is not None
    assert one.verification.necessity.replies == two.verification.necessity.replies
    for alone, shared in zip(one.measured, two.measured, strict=True):
        assert alone.challenge.replies == shared.challenge.replies
        assert alone.outcome.replies == shared.outcome.replies
        if alone.outcome.drift is not None:
            assert shared.outcome.drift is not None
            # Gradients are summed in another order.
            assert shared.outcome.drift.mean == pytest.approx(alone.outcome.drift.mean, rel=1e-2)


def test_make_study_works_twice(made: Path, tmp_path: Path) -> None:
    place = shutil.copytree(made, tmp_path / "study")
    recipe = ["make", "--dry-run", "study", f"OUT={place}"]
    lines = subprocess.run(recipe, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    typed = [line.split("bin/sycolens ")[1].split() for line in lines if "bin/sycolens " in line]
    assert typed == [["study", str(place)]]
    for _ in range(2):
        assert run(*typed[0]).exit_code == 0


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("computes_nothing")
def test_options_become_study_toml_and_comments_stay(made: Path, tmp_path: Path) -> None:
    place = tmp_path / "study"
    shutil.copytree(made / "find", place / "find")
    text = "seed = 0  # as ever\n\n[find]  # my pairs\nn = 8\ndraws = 1\n\n[report]\ntitle = 'Mine'  # a title\n"
    (place / "study.toml").write_text(text)
    result = run("find", place, "--set", "find.top=4", "--batch-size", 3, "--set", "report.title=Ours", "--quiet")
    assert result.exit_code == 0, message_of(result)
    assert (place / "study.toml").read_text() == (
        "seed = 0  # as ever\n\n[find]  # my pairs\nn = 8\ndraws = 1\ntop = 4\n\n"
        '[report]\ntitle = "Ours"  # a title\n\n[compute]\nbatch_size = 3\n'
    )
    before = (place / "study.toml").stat().st_mtime_ns
    assert run("find", place, "--quiet").exit_code == 0
    assert (place / "study.toml").stat().st_mtime_ns == before


@pytest.mark.usefixtures("computes_nothing")
@pytest.mark.parametrize(
    ("command", "options", "due"),
    [
        ("find", ["-n", 5], {"find": {"n": 5}}),
        ("study", ["-n", 5], {"find": {"n": 5}}),
        ("verify", ["-n", 5], {"verify": {"n": 5}}),
        ("tune", ["-n", 5], {"examples": {"n": 5}}),
        ("measure", ["-n", 5], {"measure": {"n": 5}}),
        ("sweep", ["-n", 5], {"sweep": {"n": 5}}),
        ("find", ["--seed", 3, "--dtype", "bfloat16", "--device", "cpu"], {"seed": 3, "compute": {"device": "cpu"}}),
        ("find", ["--questions", 'an 😀 "a".csv'], {"find": {"questions": 'an 😀 "a".csv'}}),
        ("find", ["--model", "some/model", "--revision", "1"], {"model": {"name": "some/model", "revision": "1"}}),
        ("find", ["--model", "some/model", "--pairs", "p.jsonl"], {"find": {"pairs": "p.jsonl"}}),
        ("find", ["--set", "tune.by_method.spt.steps=3"], {"tune": {"by_method": {"spt": {"steps": 3}}}}),
    ],
)
def test_options_are_settings(
    command: str, options: list[object], due: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[StudyConfig] = []

    def kept(study: Study, *_: object, **__: object) -> None:
        found.append(study.config)
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "run", kept)
    assert run(command, tmp_path / "study", *options, "--quiet").exit_code == 130
    settings = found[0].model_dump()

    def agree(one: Any, other: Any) -> bool:
        return all(agree(value, other[key]) for key, value in one.items()) if isinstance(one, dict) else one == other

    assert agree(due, settings)


@pytest.mark.usefixtures("computes_nothing")
def test_a_behavior_file_is_what_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    behavior = tmp_path / "doubt.toml"
    behavior.write_text('challenge = "No?"\naffirmation = "Yes?"\nname = "doubt"\n')
    result = run("find", tmp_path / "study", "--behavior", behavior, "--dry-run")
    assert result.exit_code == 2
    assert "doubt" in message_of(result)  # which the embedded model's world cannot ask
    result = run("find", tmp_path / "study", "--behavior", tmp_path / "nowhere.toml")
    assert result.exit_code == 2
    assert "nowhere.toml" in message_of(result)


@pytest.mark.usefixtures("computes_nothing")
def test_other_settings_need_remake(made: Path, tmp_path: Path) -> None:
    place = shutil.copytree(made, tmp_path / "study")
    result = run("verify", place, "--set", "verify.controls=2", "--quiet")
    assert result.exit_code == 2
    assert "StudyError" in message_of(result)
    assert "--remake" in message_of(result)
    # A refused change is not kept.
    assert small_study.contents(place) == small_study.contents(made)


@pytest.mark.usefixtures("computes_nothing")
def test_a_dry_run_computes_and_writes_nothing(begun: Path, tmp_path: Path) -> None:
    before = (begun / "study.toml").read_bytes()
    result = run("study", begun, "--dry-run", "--set", "find.n=9")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split() for line in result.output.splitlines() if line.strip()}
    assert rows["find"][1:5] == ["to", "do", "18", "prompts,"]
    assert "432 patched rows" in " ".join(result.output.split())
    assert "1,042,560 parameters" in " ".join(result.output.split())
    assert [path.name for path in begun.iterdir()] == ["study.toml"]
    assert (begun / "study.toml").read_bytes() == before
    assert run("find", tmp_path / "new", "--dry-run").exit_code == 0
    assert not (tmp_path / "new").exists()


# --- exit codes ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("computes_nothing")
@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        (["--questions", "mmlu", "--pairs", "x.jsonl"], "StudyError", "pairs"),
        (["--model", "nowhere", "--questions", "organism"], "ModelError", "nowhere"),
        (["--questions", "nowhere.csv"], "QuestionError", "nowhere.csv"),
        (["--dtype", "int8"], "StudyError", "int8"),
        (["--set", "find.metric=share"], "StudyError", "find.metric"),
        (["--set", "fnd.n=3"], "StudyError", "fnd"),
        (["--set", "find.top=49"], "HeadError", "49"),
        (["--set", "find.n"], "StudyError", "find.n"),
        (["--set", "model=3"], "StudyError", "model"),
        (["-n", 1], "-n", "Invalid"),
        (["--seed", -1], "--seed", "Invalid"),
        (["--no-such-option"], "--no-such-option", "No such option"),
    ],
)
@pytest.mark.parametrize("command", ["find", "study"])
def test_bad_input_is_one_message_and_exit_code_2(
    command: str, options: list[object], error: str, word: str, tmp_path: Path
) -> None:
    result = run(command, tmp_path / "deep" / "run", *options)
    assert result.exit_code == 2
    assert error in message_of(result)
    assert word in message_of(result)
    assert "Traceback" not in result.output
    assert {path.name for path in tmp_path.rglob("*")} <= {"deep", "run", ".lock"}


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (KeyboardInterrupt(), 130, "study"),
        (OSError("disk full"), 1, "disk full"),
        (MemoryError(), 1, "batch_size"),
        (ValueError("[red]odd[/x]"), 1, "[red]odd[/x]"),
    ],
)
def test_what_goes_wrong_on_the_way_is_one_message_and_leaves_nothing_half(
    error: BaseException, code: int, word: str, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(monkeypatch, error)
    result = run("study", begun, "--quiet")
    assert result.exit_code == code
    assert word in message_of(result)
    assert "Traceback" not in result.output
    assert {path.name for path in begun.iterdir()} == {"study.toml", ".lock"}


def test_a_traceback_is_shown_if_asked_for(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(monkeypatch, OSError("disk full"))
    assert "Traceback" in run("--traceback", "study", begun, "--quiet").stderr


@pytest.mark.parametrize("size", ["", "x", "0", "-1", "٣"])
@pytest.mark.parametrize("command", ["find", "status"])
def test_a_number_of_processes_that_is_none_is_a_message(
    command: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    result = run(command, tmp_path / "run")
    assert result.exit_code == 2
    assert "WORLD_SIZE" in message_of(result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["init", "status", "report"])
def test_what_shares_no_work_is_started_by_itself(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = run(command, tmp_path / "run")
    assert result.exit_code == 2
    assert command in message_of(result)
    assert not list(tmp_path.iterdir())


# --- the help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(command: str) -> None:
    text = " ".join(run(command, "--help").stdout.split())  # however wide the terminal is
    for word in (f"sycolens {command} ", "--questions mmlu", "--set", "--remake", "Exit codes", "130"):
        assert word in text


def test_no_command_shows_the_help() -> None:
    result: Result = run()
    assert all(command in result.output for command in COMMANDS)
    assert result.exit_code == 2
    answer = subprocess.run([sys.executable, "-m", "sycolens", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout == f"sycolens {__version__}\n"


def test_a_model_and_the_questions_that_come_along_need_no_hub(tmp_path: Path) -> None:
    checkpoint = make_chat_llama(tmp_path / "chat")
    few = ("--set", "tune.k=2")  # the model has twelve heads
    asked = ("--model", checkpoint, "--questions", "general", "--behavior", "auto", "--dry-run", *few)
    result = run("study", tmp_path / "study", *asked)
    assert result.exit_code == 0, result.output
    assert "measure/base" in result.output
