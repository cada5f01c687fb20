"""``sycolens export``: a tuned model as a plain Hugging Face checkpoint."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sycolens.cli import completion
from sycolens.cli.terminal import errors_in_words, hush


def export(
    context: typer.Context,
    adapter: Annotated[Path, typer.Argument(help="Directory of a saved adapter.")],
    out: Annotated[Path, typer.Option(help="Directory for the checkpoint; new, or empty.")],
    base: Annotated[
        str | None,
        typer.Option(
            help="The base model: hub name, directory or GGUF file. Needed unless the adapter's is an embedded model."
        ),
    ] = None,
    peft: Annotated[
        bool, typer.Option("--peft", help="A LoRA adapter of a few megabytes that PEFT loads, not a checkpoint.")
    ] = False,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32, bfloat16 or float16; what the heads were tuned in unless given.",
            autocompletion=completion.dtypes,
        ),
    ] = None,
) -> None:
    """Merge tuned heads into their base, as a checkpoint that transformers, vLLM and others load without sycolens."""
    notes = Console(stderr=True, highlight=False, markup=False)
    with errors_in_words(context, notes):
        from sycolens.choices import EMBEDDED
        from sycolens.errors import ModelError, TuningError
        from sycolens.tune import HeadAdapter, OtherBaseWarning

        if peft and dtype is not None:
            raise TuningError("A LoRA adapter is written in float32, over a base of any type; leave --dtype out.")
        hush(quiet=True)
        loaded = HeadAdapter.load(adapter)
        if base is None and loaded.base not in EMBEDDED:
            # A file from somewhere else must not choose what is fetched and loaded here.
            raise ModelError(
                f"The adapter was trained on {loaded.base!r}, and only what you name is loaded: give that model, or "
                "its directory, with --base."
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", OtherBaseWarning)
            named = loaded.base if base is None else base
            place = loaded.export_peft(named, out) if peft else loaded.export(named, out, dtype=dtype)
        for warning in caught:
            if issubclass(warning.category, OtherBaseWarning):
                notes.print(f"Warning: {warning.message}", markup=False, style="yellow", soft_wrap=True)
        loader = "peft.PeftModel" if peft else "AutoModelForCausalLM"
        typer.echo(f"Written to {place}. {loader}.from_pretrained loads it.")
