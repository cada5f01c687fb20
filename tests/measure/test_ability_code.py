"""Nothing of a user's task folder is imported unless that was allowed, neither to measure nor to check a study."""

from __future__ import annotations

from pathlib import Path

import pytest
from terminal import message_of, run

from sycolens.errors import AbilityError
from sycolens.measure import evaluate_ability, require_tasks
from sycolens.runs.opening import begin_study

TASKS = Path(__file__).parent / "tasks"
BODY = f"include: {TASKS / 'sums.yaml'}\ntask: sums_of_mine\n"
METRICS = "metric_list:\n  - metric: {}\n    aggregation: mean\n    higher_is_better: true\n"
FOLDERS: dict[str, dict[str, str]] = {
    "in the task": {"mine": f"{BODY}process_docs: !function code.same\n"},
    "under its full tag": {"mine": f"{BODY}process_docs: !<!function> code.same\n"},
    "under another name of the tag": {"mine": f"%TAG !f! !func\n---\n{BODY}process_docs: !f!tion code.same\n"},
    "deep inside": {"mine": f"{BODY}metadata: {{version: 1, other: [{{a: !function code.same}}]}}\n"},
    "as a class": {"mine": "task: mine\nclass: !function code.Task\n"},
    "in a file that is included": {
        "mine": f"include: [inner]\n{BODY.split(chr(10), 1)[1]}",
        "inner": f"include: {TASKS / 'sums.yaml'}\nprocess_docs: !function code.same\n",
    },
    "in a member of a group": {
        "mine": "group: mine\ntask: [part]\n",
        "part": f"{BODY.replace('sums_of_mine', 'part')}process_docs: !function code.same\n",
    },
    "in a group inside a group": {
        "mine": "group: mine\ntask:\n  - group: inner\n    task: [part]\n",
        "part": f"{BODY.replace('sums_of_mine', 'part')}process_docs: !function code.same\n",
    },
    "in a task that a group writes out": {
        "mine": "group: mine\ntask:\n  - task: part\n    process_docs: !function code.same\n"
    },
    "under a tag": {"mine": f"{BODY}tag: mine\nprocess_docs: !function code.same\n"},
    "as a metric": {"mine": f"{BODY}{METRICS.format('./code.py')}"},
    "as a metric by the name of the harness's own": {
        "mine": f"{BODY}{METRICS.format('exact_match')}    hf_evaluate: true\n"
    },
}


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task folder whose code leaves a file when it is imported; metrics are looked for from where one stands."""
    place = tmp_path / "tasks"
    for name, text in FOLDERS[request.param].items():
        (place / f"{name}.yaml").parent.mkdir(exist_ok=True)
        (place / (f"{name}.yaml" if name != "inner" else "inner")).write_text(text)
    code = f"from pathlib import Path\nPath({str(tmp_path / 'marker')!r}).write_text('it ran')\n"
    for path in (place / "code.py", place / "exact_match" / "exact_match.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{code}def same(docs): return docs\nclass Task: pass\n")
    monkeypatch.chdir(place)
    return place


def name_of(folder: Path) -> str:
    text = (folder / "mine.yaml").read_text()
    return "mine" if "group: mine" in text or "tag: mine" in text or "task: mine" in text else "sums_of_mine"


def test_a_task_folder_is_not_imported_unasked(folder: Path, tmp_path: Path) -> None:
    name = name_of(folder)
    with pytest.raises(AbilityError, match=rf"'{name}' runs code.*run_code=True"):
        require_tasks([name], folder)
    with pytest.raises(AbilityError, match=rf"'{name}' runs code.*run_code=True"):
        evaluate_ability("organism", name, include_path=folder)
    begin_study(tmp_path / "study")
    asked = f'[measure]\ntasks = ["{name}"]\ntask_folder = "{folder}"\n'
    (tmp_path / "study" / "study.toml").write_text(asked)
    done = run("study", tmp_path / "study", "--dry-run")
    assert done.exit_code == 2
    assert f"AbilityError: The task {name!r} runs code" in message_of(done)
    assert not (tmp_path / "marker").exists()


def test_it_is_imported_where_that_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(FOLDERS["in the task"]["mine"])
    (tmp_path / "code.py").write_text("def same(docs): return docs.select([0])\n")
    monkeypatch.chdir(TASKS)  # the data lie there
    found = evaluate_ability("organism", "sums_of_mine", include_path=tmp_path, prompt="chat", run_code=True)
    assert {row.n for row in found.rows} == {1}


def test_tasks_beside_one_that_imports_may_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(FOLDERS["in the task"]["mine"])
    (tmp_path / "other.yaml").write_text(f"include: {TASKS / 'sums.yaml'}\ntask: other\n")
    (tmp_path / "code.py").write_text("raise AssertionError\n")
    monkeypatch.chdir(TASKS)
    require_tasks(["other"], tmp_path)
