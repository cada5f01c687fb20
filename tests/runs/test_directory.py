"""Directories of results: whole or not at all, and nobody's files lost."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sycolens.errors import RunError, SavedFileError
from sycolens.runs.directory import (
    read_record,
    recover,
    require_free,
    require_unaltered,
    seconds_taken,
    whole_directory,
)

KIND = "a kind"


def write(place: Path, text: str, *, kind: str = KIND, error: type[BaseException] | None = None) -> Path:
    with whole_directory(place, kind=kind, record={"text": text}, seconds=1.5) as draft:
        (draft / "deep").mkdir()
        (draft / "deep" / "file.txt").write_text(text)
        if error:
            raise error
    return place


def text_in(place: Path) -> str:
    """The text of a directory that is whole."""
    require_unaltered(place, read_record(place))
    return (place / "deep" / "file.txt").read_text()


def test_the_record_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    place = write(tmp_path / "new" / "run", "hello")
    record = read_record(place)
    assert record["files"] == {"deep/file.txt": hashlib.sha256(b"hello").hexdigest()}
    assert (record["kind"], record["text"]) == (KIND, "hello")
    assert record["provenance"]["torch"]
    assert os.listdir(place.parent) == ["run"]


def test_the_same_result_is_the_same_bytes_but_for_its_times(tmp_path: Path) -> None:
    for name, took in (("one", 1.5), ("two", None)):
        with whole_directory(tmp_path / name, kind=KIND, record={"text": "hello"}, seconds=took) as draft:
            (draft / "file.txt").write_text("hello")
    one, two = tmp_path / "one", tmp_path / "two"
    assert (one / "run.json").read_bytes() == (two / "run.json").read_bytes()
    assert [seconds_taken(place) for place in (one, two, tmp_path)] == [1.5, None, None]
    assert json.loads((one / "times.json").read_text())["written"].endswith("+00:00")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failing_body_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write(tmp_path / "run", "first", error=error)
    assert os.listdir(tmp_path) == []
    place = write(tmp_path / "run", "first")
    with pytest.raises(error):
        write(place, "second", error=error)
    assert text_in(place) == "first"
    assert os.listdir(tmp_path) == ["run"]


def test_a_new_result_replaces_all_of_the_former(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    with whole_directory(place, kind=KIND, record={}) as draft:
        (draft / "other").write_text("second")
    assert sorted(os.listdir(place)) == ["other", "run.json", "times.json"]
    assert os.listdir(tmp_path) == ["run"]


def test_a_swap_that_fails_puts_the_former_result_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, real = write(tmp_path / "run", "first"), os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(target) == place and not str(source).endswith(".former"):
            raise OSError("no room")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(RunError, match="no room"):
        write(place, "second")
    assert text_in(place) == "first"
    assert os.listdir(tmp_path) == ["run"]


def killed_at_rename(number: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that is killed just before one of its renames; whether it came so far."""
    child = os.fork()
    if child == 0:
        real = os.replace
        calls: list[Path] = []

        def replace(source: Path, target: Path) -> None:
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            calls.append(target)
            real(source, target)

        os.replace = replace  # type: ignore[assignment]
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("former", [None, "first"])
def test_after_a_kill_at_any_rename_one_of_both_results_is_whole(tmp_path: Path, former: str | None) -> None:
    found, kills = set(), 0
    while True:
        place = tmp_path / str(kills) / "run"
        if former:
            write(place, former)
        if not killed_at_rename(kills, lambda place=place: write(place, "second")):  # type: ignore[misc]
            break
        recover(place)
        found.add(text_in(place) if place.exists() else None)
        assert set(os.listdir(place.parent)) <= {"run"}
        assert text_in(write(place, "third")) == "third"
        kills += 1
    # Record, times, and the result itself; before that the former result makes way.
    assert (kills, found) == (4 if former else 3, {former})
    assert text_in(place) == "second"


def test_recovering_takes_away_what_is_half_and_nothing_else(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    (tmp_path / ".run.former").mkdir()
    (tmp_path / ".run.0123456789ab").mkdir()
    own = (".run.txt.swp", ".run.backup", ".runs.0123456789ab", "run.0123456789ab")
    for name in own:
        (tmp_path / name).write_text("mine")
    recover(place)
    assert set(os.listdir(tmp_path)) == {"run", *own}
    assert text_in(place) == "first"


def test_what_no_run_wrote_is_never_replaced(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    require_free(place, kind=KIND)
    with pytest.raises(RunError, match="another kind"):
        require_free(place, kind="another kind")
    (place / "deep" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"deep/notes\.txt"):
        write(place, "second")
    assert (place / "deep" / "notes.txt").read_text() == "mine"
    (place / "deep" / "notes.txt").unlink()
    (place / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(RunError, match="link"):
        write(place, "second")


@pytest.mark.parametrize("record", ["[]", '{"kind": "a k', '{"kind": 3}'])
def test_a_directory_with_another_record_is_left_alone(tmp_path: Path, record: str) -> None:
    (tmp_path / "run.json").write_text(record)
    with pytest.raises(RunError, match=str(tmp_path)):
        require_free(tmp_path, kind=KIND)


def test_a_place_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "file/below", "link"):
        with pytest.raises(RunError, match=name.split("/")[0]):
            write(tmp_path / name, "first")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert text_in(write(tmp_path / "empty", "first")) == "first"


@pytest.fixture
def careful() -> Iterator[None]:
    former = os.umask(0o027)
    yield
    os.umask(former)


@pytest.mark.usefixtures("careful")
def test_permissions_are_what_the_umask_leaves(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (place, *place.rglob("*"))}
    files = dict.fromkeys(("file.txt", "run.json", "times.json"), 0o640)
    assert modes == {"run": 0o750, "deep": 0o750, **files}


def test_a_number_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="JSON"),
        whole_directory(tmp_path / "run", kind=KIND, record={"x": float("nan")}),
    ):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("old", ["first", KIND, "sha256", "torch", '"deep/file.txt": "', "{"])
def test_a_record_that_was_altered_is_refused(tmp_path: Path, old: str) -> None:
    path = write(tmp_path / "run", "first") / "run.json"
    path.write_text(path.read_text().replace(old, old + "x", 1))
    with pytest.raises(SavedFileError, match=r"run\.json"):
        read_record(path.parent)


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"files": {}}', b"\xff", b"[" * 100_000])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = write(tmp_path / "run", "first") / "run.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(SavedFileError, match=r"run\.json"):
        read_record(path.parent)


def test_a_file_that_is_lost_or_altered_is_named(tmp_path: Path) -> None:
    place = write(tmp_path / "run", "first")
    (place / "deep" / "file.txt").write_text("Firts")
    with pytest.raises(SavedFileError, match=r"deep/file\.txt"):
        text_in(place)
    (place / "deep" / "file.txt").unlink()
    with pytest.raises(SavedFileError, match=r"deep/file\.txt"):
        text_in(place)
