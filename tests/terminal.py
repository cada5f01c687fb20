"""The command line as a user types it."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from sycolens.cli import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def message_of(result: Result) -> str:
    """What a command says on stderr, in one line."""
    return " ".join(result.stderr.split())
