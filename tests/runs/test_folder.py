"""Run directories: whole or not at all, and nobody's files lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sycolens.errors import RunError, SavedFileError
from sycolens.runs.directory import MADE_FROM, hash_of, read_record, require_free, require_unaltered, whole_directory

KIND = "a kind"


def write(place: Path, text: str, *, overwrite: bool = False, error: type[BaseException] | None = None) -> Path:
    with whole_directory(place, kind=KIND, record={"said": text}, overwrite=overwrite) as draft:
        (draft / "deep").mkdir()
        (draft / "deep" / "file.txt").write_text(text)
        assert not place.exists() or overwrite
        if error:
            raise error
    return place


def test_the_record_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    place = write(tmp_path / "new" / "run", "hello")
    record = json.loads((place / "run.json").read_text())
    assert record["files"] == {"deep/file.txt": hashlib.sha256(b"hello").hexdigest()}
    assert (record["kind"], record["said"]) == (KIND, "hello")
    assert record["provenance"]["torch"]
    assert read_record(place) == record
    assert sorted(os.listdir(place.parent)) == ["run"]


def test_the_same_run_is_the_same_bytes_but_for_its_times(tmp_path: Path) -> None:
    for name, took in (("one", 1.5), ("two", 2.5)):
        with whole_directory(tmp_path / name, kind=KIND, record={"said": "hello", "seconds": took}) as draft:
            (draft / "file.txt").write_text("hello")
    one, two = tmp_path / "one", tmp_path / "two"
    assert (one / "run.json").read_bytes() == (two / "run.json").read_bytes()
    times = [json.loads((place / "times.json").read_text()) for place in (one, two)]
    assert [each["seconds"] for each in times] == [1.5, 2.5]
    assert all(each["written"].endswith("+00:00") for each in times)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failing_body_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write(tmp_path / "run", "first", error=error)
    assert os.listdir(tmp_path) == []


def test_a_failing_body_leaves_the_former_run(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    with pytest.raises(RuntimeError):
        write(place, "second", overwrite=True, error=RuntimeError)
    assert (place / "deep" / "file.txt").read_text() == "first"
    assert os.listdir(tmp_path) == ["run"]


def test_a_swap_that_fails_puts_the_former_run_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write(tmp_path / "run", "first")
    real, calls = os.replace, []

    def replace(source: Path, target: Path) -> None:
        calls.append((source, target))
        # The record itself is written with a replace of its own; the draft comes third.
        if Path(target) == place and len([1 for _, there in calls if Path(there) == place]) == 1:
            raise OSError("no room")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(RunError, match="no room"):
        write(place, "second", overwrite=True)
    assert (place / "deep" / "file.txt").read_text() == "first"


def test_overwrite_replaces_a_former_run_and_all_of_it(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    with pytest.raises(RunError, match="holds a former run; replace it with overwrite"):
        write(place, "second")
    with whole_directory(place, kind=KIND, record={}, overwrite=True) as draft:
        (draft / "other").write_text("second")
    assert sorted(os.listdir(place)) == ["other", "run.json", "times.json"]
    assert os.listdir(tmp_path) == ["run"]


def test_what_no_run_wrote_is_never_replaced(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    (place / "deep" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"deep/notes\.txt, which the former run did not write"):
        require_free(place, kind=KIND, overwrite=True)
    with pytest.raises(RunError, match="no finished run of 'another kind'"):
        require_free(place, kind="another kind", overwrite=True)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "run.json").write_text("[]")
    with pytest.raises(RunError, match="no finished run"):
        require_free(foreign, kind=KIND, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        require_free(tmp_path / "file", kind=KIND)
    with pytest.raises(RunError, match="cannot be made"):
        require_free(tmp_path / "file" / "below", kind=KIND)


def test_an_empty_directory_is_free(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    require_free(tmp_path / "run", kind=KIND)
    with whole_directory(tmp_path / "run", kind=KIND, record={}) as draft:
        (draft / "file").write_text("")
    assert sorted(os.listdir(tmp_path / "run")) == ["file", "run.json", "times.json"]


def test_a_number_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="JSON"),
        whole_directory(tmp_path / "run", kind=KIND, record={"x": float("nan")}),
    ):
        pass
    assert os.listdir(tmp_path) == []


def inside(place: Path, *, made_from: Path | None, kind: str = "sycolens verify") -> Path:
    """A finished run in a folder of another."""
    source = {MADE_FROM: hash_of(made_from / "run.json")} if made_from else {}
    with whole_directory(place, kind=kind, record=source) as draft:
        (draft / "curve.csv").write_text("")
    return place


def test_what_was_made_from_a_run_goes_with_it(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    inside(place / "verify", made_from=place)
    write(place, "second", overwrite=True)
    assert sorted(os.listdir(place)) == ["deep", "run.json", "times.json"]
    assert os.listdir(tmp_path) == ["run"]


def test_a_run_that_only_lies_inside_does_not(tmp_path: Path) -> None:
    place, other = write(tmp_path / "runs", "first"), write(tmp_path / "other", "elsewhere")
    for number, source in enumerate([None, other]):
        sub = inside(place / f"run{number}", made_from=source, kind="sycolens find")
        with pytest.raises(RunError, match=rf"run{number}/curve\.csv, which the former run did not write"):
            require_free(place, kind=KIND, overwrite=True)
        shutil.rmtree(sub)
    require_free(place, kind=KIND, overwrite=True)


@pytest.mark.parametrize("foreign", ["verify/notes.txt", "verify/deep/notes.txt", "link", "broken/run.json"])
def test_foreign_files_beside_what_goes_are_kept(tmp_path: Path, foreign: str) -> None:
    place = write(tmp_path / "run", "first")
    inside(place / "verify", made_from=place)
    (place / foreign).parent.mkdir(exist_ok=True)
    if foreign == "link":
        (place / foreign).symlink_to(tmp_path, target_is_directory=True)
    else:
        (place / foreign).write_text("mine")
    with pytest.raises(RunError, match=f"{foreign}, which the former run did not write"):
        require_free(place, kind=KIND, overwrite=True)


def test_a_killed_run_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from sycolens.runs.directory import whole_directory\n"
        f"with whole_directory({str(tmp_path / 'run')!r}, kind='a kind', record={{}}) as draft:\n"
        "    (draft / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    write(tmp_path / "run", "again")


def test_lost_and_altered_files_are_told(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    record = read_record(place)
    require_unaltered(place, record, "deep")
    (place / "deep" / "file.txt").write_text("Firts")
    require_unaltered(place, record, "shallow")
    with pytest.raises(SavedFileError, match=r"deep/file\.txt was removed, cut or altered"):
        require_unaltered(place, record, "deep")
