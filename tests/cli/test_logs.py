"""The library logs under one name, shows nothing by itself, and a command shows as much as it is asked to."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import run

import sycolens


@pytest.fixture
def unverified(made: Path, tmp_path: Path) -> Path:
    """A finished study that lacks one stage."""
    place = shutil.copytree(made, tmp_path / "study")
    shutil.rmtree(place / "verify")
    return place


@pytest.mark.parametrize(("level", "shown"), [("warning", set()), ("info", {"INFO"}), ("debug", {"INFO", "DEBUG"})])
def test_a_command_shows_messages_from_a_level_on(level: str, shown: set[str], unverified: Path) -> None:
    result = run("--log-level", level, "verify", unverified, "--quiet")
    assert result.exit_code == 0, result.stderr
    lines = [line.split(maxsplit=3) for line in result.stderr.splitlines() if not line.startswith("Warning: ")]
    assert {words[1] for words in lines} == shown
    assert all(words[2].startswith("sycolens.") for words in lines)


def test_what_is_moved_aside_is_a_warning(unverified: Path) -> None:
    (unverified / "verify").mkdir()
    (unverified / "verify" / "mine.txt").write_text("mine")
    for options, count in ((["--log-level", "error"], 0), ([], 1)):
        place = shutil.copytree(unverified, unverified.parent / f"copy{count}")
        result = run(*options, "verify", place, "--quiet")
        assert result.exit_code == 0, result.stderr
        assert result.stderr.count("verify.damaged1") == count
        assert (place / "verify.damaged1" / "mine.txt").read_text() == "mine"


def test_an_unknown_level_is_refused(tmp_path: Path) -> None:
    result = run("--log-level", "loud", "status", tmp_path)
    assert result.exit_code == 2
    assert "loud" in result.stderr


def test_a_command_leaves_the_logger_as_it_was(made: Path) -> None:
    logger = logging.getLogger("sycolens")
    before = (logger.level, list(logger.handlers))
    assert run("--log-level", "debug", "status", made).exit_code == 0
    assert (logger.level, logger.handlers) == before


def test_the_library_prints_no_message_of_its_own() -> None:
    code = "import logging, sycolens; logging.getLogger('sycolens.runs').warning('mine')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_every_module_logs_under_the_library() -> None:
    names = {each.name for each in pkgutil.walk_packages(sycolens.__path__, "sycolens.")} - {"sycolens.__main__"}
    found = {name: getattr(importlib.import_module(name), "logger", None) for name in names}
    loggers = {name: each.name for name, each in found.items() if each is not None}
    assert len(loggers) > 5
    assert all(name == own for name, own in loggers.items())
