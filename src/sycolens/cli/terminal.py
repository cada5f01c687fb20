"""Manners of the command line: errors as one message with an exit code, and no chatter of other libraries."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from sycolens.errors import SycolensError
from sycolens.memory import ran_out_of_memory

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130
"""Exit codes: it went wrong on the way; what was asked for cannot be done as it stands; the user stopped it."""


@contextmanager
def errors_in_words(context: typer.Context, notes: Console, directory: Path | None = None) -> Iterator[None]:
    """Show any error as one message and leave with its exit code; ``sycolens --traceback`` shows where it arose."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt as error:
        kept = (
            "" if directory is None else f" What is done is kept in {directory}; the same command goes on from there."
        )
        notes.print(f"Interrupted.{kept}", markup=False, style="yellow", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from error
    except Exception as error:
        if (context.find_root().obj or {}).get("traceback"):
            traceback.print_exc(file=sys.stderr)
        if isinstance(error, SycolensError):
            text, code = f"{type(error).__name__}: {error}", BAD_INPUT
        else:
            remedy = "Lower compute.batch_size or compute.max_rows. " if ran_out_of_memory(error) else ""
            text, code = (
                f"It failed on the way: {type(error).__name__}: {error}\n{remedy}"
                f"'sycolens --traceback {context.info_name} ...' shows where.",
                FAILED,
            )
        notes.print(text, markup=False, style="red", soft_wrap=True)
        raise typer.Exit(code) from error


def hush(*, quiet: bool) -> None:
    """Keep other libraries' notes and progress bars off the terminal; if quiet, those of downloads too."""
    import transformers
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars

    transformers.logging.set_verbosity_error()
    downloads = not (quiet or are_progress_bars_disabled())
    transformers.logging.disable_progress_bar()
    if downloads:  # which that turns off as well
        enable_progress_bars()
    for kind in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=kind)
