"""A study with a judge: its grades lie beside those of the rules, and a run that goes on asks nothing twice."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
import small_study
from judging import by_words, served
from rich.console import Console, RenderableType

from sycolens.endpoint import KEY_VARIABLE
from sycolens.errors import JudgeError, StudyError
from sycolens.measure import JudgeAgreement
from sycolens.report.findings import finding_of
from sycolens.report.terminal import table_of_plan, tables_of
from sycolens.runs import Study, StudyConfig
from sycolens.runs.context import VERDICTS
from sycolens.runs.estimate import Cost, Estimate
from sycolens.runs.opening import open_study
from sycolens.runs.plan import stages_of
from sycolens.runs.provenance import FileHashes
from sycolens.runs.settings import parse_settings

SECRET = "sk-this-is-secret"
STAGES = ["judge/base", "judge/spt-seed0", "judge/random-draw0", "judge/sft-seed0"]


def judged_by(url: str, **options: Any) -> StudyConfig:
    measure = {**small_study.SETTINGS["measure"], "judge": {"base_url": url, "model": "a-judge", **options}}
    return small_study.config(measure=measure)


def printed(*tables: RenderableType) -> str:
    screen = Console(width=200, file=io.StringIO())
    screen.print(*tables)
    text = screen.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


@pytest.fixture
def begun(made: Path, tmp_path: Path) -> Path:
    """The small study, finished without a judge."""
    return Path(shutil.copytree(made, tmp_path / "small"))


def test_a_judge_is_asked_about_every_reply_and_told_beside_the_rules(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    with served() as seen:
        study = Study(begun, judged_by(seen.url))
        # What was measured before the judge was named stays.
        assert {name: state for name, state in study.states.items() if state != "done"} == dict.fromkeys(
            STAGES, "to do"
        )
        results = study.run("measure", progress=False)
        assert set(seen.keys) == {f"Bearer {SECRET}"}
        asked = len(seen.prompts)
        assert asked == len(set(seen.prompts)) > 0
        # Where it is served is no matter, and made anew it is asked nothing.
        moved = Study(begun, judged_by(seen.url.replace("127.0.0.1", "localhost")))
        assert set(moved.states.values()) == {"done"}
        before = (begun / "judge" / "base" / "agreement.csv").read_bytes()
        shutil.rmtree(begun / "judge")
        moved.run("measure", progress=False)
        assert len(seen.prompts) == asked
        assert (begun / "judge" / "base" / "agreement.csv").read_bytes() == before
    for each in results.measured:
        assert each.judged is not None
        assert each.judged.challenge.replies == each.challenge.replies
        assert each.judged.challenge.first_replies == each.challenge.first_replies
        assert each.judged.outcome.replies.keys() == each.outcome.replies.keys()
        assert each.judged.challenge.admits == tuple("polog" in reply for reply in each.challenge.replies)
    base = results.base
    assert base.judged is not None
    agreement = JudgeAgreement(base.judged.before(base.challenge, base.outcome), base.judged.replies)
    frame = pandas.read_csv(begun / "judge" / "base" / "agreement.csv")
    assert frame.n.tolist() == [len(agreement)] * 2
    assert frame.value.tolist() == [agreement.agreement("admits").share, agreement.agreement("right").share]
    told = finding_of(moved, "judge/base")
    assert told is not None
    assert f"{agreement.agreement('admits').share:.0%} of {len(agreement)} replies" in told
    record = json.loads((begun / "judge" / "base" / "run.json").read_text())
    assert {"agreement.csv", "outcome.json", "challenge/record.json"} <= record["files"].keys()
    # The page and the terminal tell of it.
    page = (begun / "report" / "report.html").read_text()
    assert "How often the grader and the judge say the same." in page
    rates = pandas.read_csv(begun / "report" / "judge.csv").set_index(["method", "source", "measure"]).value
    assert rates["base", "all", "apology_rate"] == sum(base.judged.challenge.admits) / len(base.challenge)
    told = printed(*tables_of("measure", results))
    assert "kappa" in told
    assert "By the judge's grades" in told
    # The key is nowhere.
    assert not [name for name, content in small_study.contents(begun).items() if SECRET.encode() in content]


def test_a_judge_that_fails_loses_nothing(begun: Path) -> None:
    with served(lambda case, number: by_words(case, number) if number < 5 else 401) as seen:
        study = Study(begun, judged_by(seen.url, at_once=1))
        with pytest.raises(JudgeError, match=KEY_VARIABLE):
            study.run("measure", progress=False)
        first = set(seen.prompts[:5])
        assert study.states["measure/base"] == "done"
    with served() as again:
        Study(begun, judged_by(again.url)).run("measure", progress=False)
        assert not first & set(again.prompts)
        assert len(again.prompts) == len(set(again.prompts))
    kept = [json.loads(line)["key"] for line in (begun / VERDICTS).read_text().splitlines()]
    assert len(kept) == len(set(kept)) == len(first) + len(again.prompts)


def test_a_run_that_is_killed_asks_only_what_it_had_not_heard(begun: Path) -> None:
    with served() as undisturbed:
        Study(begun, judged_by(undisturbed.url)).run("measure", progress=False)
    whole = {name: (begun / "judge" / name / "outcome.json").read_bytes() for name in ("base", "spt-seed0")}
    shutil.rmtree(begun / "judge")
    (begun / VERDICTS).unlink()
    running: list[subprocess.Popen[bytes]] = []

    def kill_in_time(case: dict[str, Any], number: int) -> str:
        if number == 7:
            running[0].kill()
            running[0].wait()
        return by_words(case, number)

    with served(kill_in_time) as seen:
        settings = {"base_url": seen.url, "at_once": 1}
        given = [word for name, value in settings.items() for word in ("--set", f"measure.judge.{name}={value}")]
        command = [sys.executable, "-m", "sycolens", "measure", str(begun), "--quiet", *given]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        assert running[0].wait() == -signal.SIGKILL
        heard = set(seen.prompts[:7])
    with served() as again:
        Study(begun, judged_by(again.url)).run("measure", progress=False)
        assert not heard & set(again.prompts)
        assert len(heard) + len(again.prompts) == len(undisturbed.prompts)
    assert {name: (begun / "judge" / name / "outcome.json").read_bytes() for name in whole} == whole


def test_grades_of_replies_that_are_no_longer_there_are_not_told(begun: Path) -> None:
    with served() as seen:
        Study(begun, judged_by(seen.url)).run("measure", progress=False)
        measure = {**small_study.SETTINGS["measure"], "n": 5, "judge": {"base_url": seen.url, "model": "a-judge"}}
        study = Study(begun, small_study.config(measure=measure))
    with pytest.raises(JudgeError):
        study.run("measure", remake=True, progress=False)
    assert [each.judged for each in study.results().measured] == [None] * 4
    assert "What a judge says" not in (study.report() / "report.html").read_text()


def test_only_the_judges_name_makes_its_stages_anew() -> None:
    def stages(**judge: Any) -> dict[str, Any]:
        config = judged_by("http://host/v1", **judge)
        return {stage.name: stage.settings() for stage in stages_of(config, FileHashes())}

    plain = stages()
    assert [name for name in plain if name.startswith("judge/")] == STAGES
    assert stages(at_once=9, max_tokens=50, key_variable="OTHER") == plain
    other = stages(model="another")
    assert {name for name in plain if other[name] != plain[name]} == set(STAGES)
    unjudged = {stage.name: stage.settings() for stage in stages_of(small_study.config(), FileHashes())}
    assert unjudged == {name: each for name, each in plain.items() if name not in STAGES}


@pytest.mark.parametrize(
    ("judge", "word"),
    [
        ({"base_url": "http://host/v1"}, "measure.judge.model is missing"),
        ({"base_url": "host", "model": "a"}, "base_url"),
        ({"base_url": "http://me:hunter2@host/v1", "model": "a"}, "key_variable"),
        ({"base_url": "http://host/v1", "model": ""}, "model"),
        ({"base_url": "http://host/v1", "model": "a", "at_once": 0}, "at_once"),
        ({"base_url": "http://host/v1", "model": "a", "key_variable": "sk-123"}, "key_variable"),
        ({"base_url": "http://host/v1", "model": "a", "api_key": "x"}, "api_key"),
    ],
)
def test_a_judge_that_cannot_be_is_refused(judge: dict[str, Any], word: str) -> None:
    with pytest.raises(StudyError, match=word) as caught:
        StudyConfig.of({"measure": {"judge": judge}})
    assert "hunter2" not in str(caught.value)


def test_a_plan_lists_the_judge_and_says_that_its_time_is_not_counted(begun: Path) -> None:
    study = Study(begun, judged_by("http://host/v1"))
    estimate = Estimate.of(study.config)
    assert estimate.costs.keys() == {stage.name for stage in study.stages}
    assert estimate.costs["judge/base"] == Cost()
    told = printed(table_of_plan(study, estimate, "measure"))
    assert "judge/base" in told
    assert "The time that the judge takes is not counted." in " ".join(told.split())


def test_a_judge_is_named_on_the_command_line(tmp_path: Path) -> None:
    given = ["measure.judge.base_url=http://localhost:8000/v1", "measure.judge.model=a/judge"]
    study = open_study(tmp_path / "new", parse_settings(given))
    assert study.config.measure.judge is not None
    assert study.config.measure.judge.model == "a/judge"
