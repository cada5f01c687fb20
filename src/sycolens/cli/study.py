"""``sycolens init``, ``study``, ``status``, ``report`` and ``compare``: the whole walk in one directory."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sycolens.cli.options import OUTPUT, Quiet
from sycolens.cli.terminal import errors_told, hush

STUDY_EXAMPLES = """
**Examples**

The embedded model, from nothing to a report, in a few minutes on two cores:

`sycolens init runs/study`

`sycolens study runs/study`

Another model: edit study.toml, see what it will cost, then run it, on two GPUs:

`sycolens init runs/llama --model meta-llama/Llama-2-7b-chat-hf`

`sycolens study runs/llama --dry-run`

`accelerate launch --num_processes 2 -m sycolens study runs/llama`

Go on after it was cut off, or after a setting was changed; what is done and does not depend on it stays:

`sycolens study runs/llama --resume`

**What it writes**

find, verify, examples, tune/\\*, measure/\\*, repatch (every stage is whole, or not there), and report: report.html,
table1.tex, table1.csv. All files but times.json are the same bytes, however often it was cut off.

**Exit codes**

0: done. 2: something asked for cannot be done, and the message says what to change. 1: it failed on the way.
"""

Directory = Annotated[Path, typer.Argument(help="Directory of the study.")]


def init(
    context: typer.Context,
    directory: Directory = Path("runs/study"),
    model: Annotated[
        str, typer.Option(help="organism, organism-gqa, a Hugging Face hub name, or a local checkpoint directory.")
    ] = "organism",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a study.toml that is there.")] = False,
) -> None:
    """Write study.toml, the commented settings of a study, to be edited."""
    notes = Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        from sycolens.runs.template import begin_study

        path = begin_study(directory, model=model, overwrite=overwrite)
        typer.echo(f"Written to {path}. Edit it, then: sycolens study {directory}")


def study(
    context: typer.Context,
    directory: Directory = Path("runs/study"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is there; make anew only what has changed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell the stages, how much each computes, and an estimate of the time.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Find, verify, tune and measure as study.toml says, and write the report."""
    screen, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        with notes.status("Starting ...") if not quiet else nullcontext():
            from sycolens.distributed import Processes
            from sycolens.runs import Study

            processes = Processes.here()
            hush(quiet=quiet)
            whole = Study(directory)
        try:
            if dry_run:
                from sycolens.report.terminal import table_of_plan
                from sycolens.runs.check import check_study
                from sycolens.runs.estimate import Estimate

                if processes.first:
                    check_study(whole.config)
                    screen.print(table_of_plan(whole, Estimate.of(whole.config)))
                return

            def tell(stage: str, seconds: float | None) -> None:
                if processes.first and not quiet:
                    said = f"{stage} ..." if seconds is None else f"{stage}: done in {seconds:.1f} s"
                    notes.print(said, markup=False)

            results = whole.run(resume=resume, processes=processes, progress=not quiet and processes.first, tell=tell)
            if processes.first:
                from sycolens.report.terminal import table_of_results
                from sycolens.report.warnings import warnings_of

                screen.print(table_of_results(results))
                for warning in warnings_of(results):
                    notes.print(f"Warning: {warning}", markup=False, style="yellow")
                place = directory / "report" / "report.html"
                screen.print(f"\nOpen {place} in a browser.", markup=False, soft_wrap=True)
        finally:
            processes.end()


def status(context: typer.Context, directory: Directory = Path("runs/study")) -> None:
    """Tell which stages of a study are done, which are not, and what has changed."""
    screen, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        from sycolens.report.terminal import table_of_states
        from sycolens.runs import Study

        screen.print(table_of_states(Study(directory)))


def report(context: typer.Context, directory: Directory = Path("runs/study")) -> None:
    """Write the report of a finished study again."""
    notes = Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        from sycolens.runs import Study

        hush(quiet=True)
        place = Study(directory).report()
        typer.echo(f"Written to {place}. Open {place / 'report.html'} in a browser.")


def compare(
    context: typer.Context,
    first: Annotated[Path, typer.Argument(help="Directory of a finished study.")],
    second: Annotated[Path, typer.Argument(help="Directory of another.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Also as a CSV file.", rich_help_panel=OUTPUT, show_default=False),
    ] = None,
) -> None:
    """Tell two finished studies apart: settings, heads, and every rate side by side."""
    screen, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        from sycolens.report.comparison import compare_studies
        from sycolens.report.terminal import table_of_comparison
        from sycolens.runs import Study

        hush(quiet=True)
        compared = compare_studies(Study(first).results(), Study(second).results())
        screen.print(table_of_comparison(compared))
        if out is not None:
            from sycolens.storage import write_text

            write_text(out, compared.frame.to_csv(index=False))


COMMANDS = (init, study, status, report, compare)
