"""``sycolens export``: a tuned model as a plain Hugging Face checkpoint or a LoRA, or its adapter on the hub."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sycolens.cli import completion
from sycolens.cli.terminal import errors_in_words, hush

if TYPE_CHECKING:
    from sycolens.tune import HeadAdapter


def export(
    context: typer.Context,
    adapter: Annotated[Path, typer.Argument(help="Directory of a saved adapter.")],
    out: Annotated[Path | None, typer.Option(help="Directory for the checkpoint; new, or empty.")] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="The base model: hub name, directory or GGUF file. Needed unless the adapter's is an embedded model."
        ),
    ] = None,
    peft: Annotated[
        bool,
        typer.Option(
            "--peft", help="A LoRA adapter of a few megabytes that PEFT loads, not a checkpoint; with --push beside it."
        ),
    ] = False,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32, bfloat16 or float16; what the heads were tuned in unless given.",
            autocompletion=completion.dtypes,
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Upload the adapter to a repository of yours on the hub, with a model card that its run fills.",
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make that repository private, if it is new.")] = False,
    license: Annotated[str | None, typer.Option(help="License for the model card, such as mit.")] = None,
) -> None:
    """Merge tuned heads into their base, as a checkpoint that transformers, vLLM and others load without sycolens.

    Or, with --push, upload the adapter itself.
    """
    notes = Console(stderr=True, highlight=False, markup=False)
    with errors_in_words(context, notes):
        from sycolens.choices import EMBEDDED
        from sycolens.errors import ModelError, TuningError
        from sycolens.tune import HeadAdapter, OtherBaseWarning

        if (out is None) == (push is None):
            raise TuningError(
                "Say where to: --out DIRECTORY writes a checkpoint, --push OWNER/NAME uploads the adapter."
            )
        if (peft or push is not None) and dtype is not None:
            raise TuningError("An adapter is written as it is, over a base of any type; leave --dtype out.")
        if push is None and (private or license is not None):
            raise TuningError("--private and --license are for a repository on the hub; name one with --push.")
        hush(quiet=True)
        loaded = HeadAdapter.load(adapter)
        if base is None and loaded.base not in EMBEDDED and (push is None or peft):
            # A file from somewhere else must not choose what is fetched and loaded here.
            raise ModelError(
                f"The adapter was trained on {loaded.base!r}, and only what you name is loaded: give that model, or "
                "its directory, with --base."
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", OtherBaseWarning)
            named = loaded.base if base is None else base
            if out is None:
                told = _push(loaded, adapter, push or "", named if peft else None, private=private, license=license)
            else:
                place = loaded.export_peft(named, out) if peft else loaded.export(named, out, dtype=dtype)
                loader = "peft.PeftModel" if peft else "AutoModelForCausalLM"
                told = f"Written to {place}. {loader}.from_pretrained loads it."
        for warning in caught:
            if issubclass(warning.category, OtherBaseWarning):
                notes.print(f"Warning: {warning.message}", markup=False, style="yellow", soft_wrap=True)
        typer.echo(told)


def _push(
    loaded: HeadAdapter, place: Path, repo_id: str, peft_base: str | None, *, private: bool, license: str | None
) -> str:
    from sycolens.report.card import card_of_run

    run = card_of_run(place)
    told = {} if run is None else {"sections": run.sections, "datasets": run.datasets}
    options: dict[str, Any] = {"license": license, "private": private or None, **told}
    address = loaded.push_to_hub(repo_id, peft_base=peft_base, **options)
    return f'Uploaded: {address}. HeadAdapter.from_hub("{repo_id}") loads it.'
