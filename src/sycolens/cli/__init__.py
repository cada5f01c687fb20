"""The walk from a terminal: ``sycolens find`` and friends; every command is a few calls that Python users have too."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from sycolens import __version__
from sycolens.cli.directory import compare, init, report, status
from sycolens.cli.exporting import export
from sycolens.cli.logs import Level, logged
from sycolens.cli.organism import organism_app
from sycolens.cli.runs import add_commands
from sycolens.cli.terminal import BAD_INPUT, errors_in_words
from sycolens.distributed import count_of_processes

app = typer.Typer(
    name="sycolens",
    rich_markup_mode="markdown",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find the attention heads behind a behavior of a language model, prove that they matter, and repair it by "
    "training them alone.\n\nStart with `sycolens study`: everything on the embedded model, without a download, in "
    "minutes. Or step by step in one directory: `sycolens find`, `sycolens verify`, `sycolens tune`, "
    "`sycolens measure`.",
)
add_commands(app)
app.command()(init)
app.command()(status)
app.command()(report)
app.command()(compare)
app.command()(export)
app.add_typer(organism_app, name="organism")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error arose, for a bug report.")
    ] = False,
    log_level: Annotated[Level, typer.Option(help="From which level on log messages are shown.")] = "warning",
) -> None:
    """Options of all commands."""
    context.obj = {"traceback": traceback}
    context.with_resource(logged(log_level))
    alone = {"init", "status", "report", "compare", "export", "organism"}
    with errors_in_words(context, Console(stderr=True, highlight=False, markup=False)):
        several = count_of_processes() > 1
    if several and context.invoked_subcommand in alone:
        typer.echo(f"'sycolens {context.invoked_subcommand}' does not share its work; start it by itself.", err=True)
        raise typer.Exit(BAD_INPUT)
    if version:
        typer.echo(f"sycolens {__version__}")
        raise typer.Exit


def main() -> None:
    """The ``sycolens`` program."""
    # Threads of a small model that wait by spinning stand still when another program has the cores; torch, which reads
    # this, is imported only by the commands.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Read when datasets is imported, which only some stages do.
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    app()
