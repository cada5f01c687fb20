"""``sycolens init``, ``status``, ``report`` and ``compare``: what needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sycolens.cli import completion
from sycolens.cli.runs import Directory
from sycolens.cli.terminal import errors_in_words, hush


def init(
    context: typer.Context,
    directory: Directory = Path("runs/study"),
    model: Annotated[
        str,
        typer.Option(
            help="organism, organism-gqa, a Hugging Face hub name, a local checkpoint directory, or a GGUF file.",
            autocompletion=completion.models,
        ),
    ] = "organism",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a study.toml that is there.")] = False,
) -> None:
    """Write study.toml, the commented settings of a run, to be edited."""
    with errors_in_words(context, Console(stderr=True, highlight=False, markup=False), directory):
        from sycolens.runs.opening import begin_study

        path = begin_study(directory, model=model, overwrite=overwrite)
        typer.echo(f"Written to {path}. Edit it, then: sycolens study {directory}")


def status(context: typer.Context, directory: Directory = Path("runs/study")) -> None:
    """Show which stages of a run are done, which are not, what has changed, and what was damaged."""
    with errors_in_words(context, Console(stderr=True, highlight=False, markup=False), directory):
        from sycolens.report.states import table_of_states
        from sycolens.runs.study import Study

        Console(highlight=False, markup=False).print(table_of_states(Study(directory)))


def report(context: typer.Context, directory: Directory = Path("runs/study")) -> None:
    """Write the report of what is done."""
    with errors_in_words(context, Console(stderr=True, highlight=False, markup=False), directory):
        from sycolens.runs.study import Study

        hush(quiet=True)
        place = Study(directory).report()
        typer.echo(f"Written to {place}. Open {place / 'report.html'} in a browser.")


def compare(
    context: typer.Context,
    first: Annotated[Path, typer.Argument(help="Directory of a finished run.")],
    second: Annotated[Path, typer.Argument(help="Directory of another.")],
    out: Annotated[Path | None, typer.Option(help="Also as a CSV file.", show_default=False)] = None,
) -> None:
    """Show two finished runs side by side: settings, heads, and every rate."""
    with errors_in_words(context, Console(stderr=True, highlight=False, markup=False), first):
        from sycolens.report.comparison import compare_studies
        from sycolens.report.terminal import table_of_comparison
        from sycolens.runs.study import Study
        from sycolens.storage import write_csv

        hush(quiet=True)
        compared = compare_studies(Study(first).results(), Study(second).results())
        Console(highlight=False, markup=False).print(table_of_comparison(compared))
        if out is not None:
            write_csv(out, compared.frame)
