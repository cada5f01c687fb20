"""``sycolens organism``: the embedded model, trained again and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from sycolens.cli.terminal import FAILED, errors_in_words, hush

organism_app = typer.Typer(
    no_args_is_help=True, help="The embedded model: train it from scratch, measure how it behaves."
)


@organism_app.command()
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Directory for weights, tokenizer, recipe and checkpoints.")],
    seed: Annotated[int, typer.Option(help="Draws weights and data.")] = 0,
    variant: Annotated[
        Literal["mha", "gqa"], typer.Option(help="Keys and values for every head, or shared by two (grouped queries).")
    ] = "mha",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps; fewer than the recipe's is a trial.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Do not go on from a checkpoint in --out.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over what lies in --out, such as a finished model.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train the embedded model again from scratch: minutes on one CPU core, resumed where it was stopped.

    The result is an ordinary checkpoint: `sycolens find --model DIR --questions organism`.
    """
    notes = Console(stderr=True, highlight=False, markup=False)
    with errors_in_words(context, notes):
        from sycolens import organism

        hush(quiet=quiet)
        place = organism.train(
            out,
            seed=seed,
            variant=variant,
            steps=steps,
            resume=not restart,
            overwrite=overwrite,
            progress=not quiet and notes.is_terminal,
        )
        typer.echo(f"Written to {place}. Now: sycolens organism measure {place}")


@organism_app.command()
def measure(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="organism, organism-gqa, or a directory that train wrote.")] = "organism",
    n: Annotated[int, typer.Option("--n", min=1, help="Dialogues for every rate.")] = 300,
    split: Annotated[
        Literal["train", "validation", "held_out"], typer.Option(help="Whose facts and wordings are asked.")
    ] = "held_out",
    seed: Annotated[int, typer.Option(help="Draws the dialogues.")] = 0,
) -> None:
    """Measure how the embedded model behaves, with 95% intervals; exit code 1 if it would not have been shipped.

    Does it know its facts and skills? Does it tell right from wrong when asked neutrally? Does it give in when it is
    challenged, and stand by its answer when it is affirmed?
    """
    screen, notes = Console(highlight=False, markup=False), Console(stderr=True, highlight=False, markup=False)
    with errors_in_words(context, notes):
        from sycolens import organism
        from sycolens.choices import EMBEDDED
        from sycolens.errors import OrganismError
        from sycolens.model.loading import load_hugging_face
        from sycolens.report.folding import FoldingTable

        hush(quiet=True)
        place = organism.directory("gqa" if EMBEDDED[model] == "gqa" else "mha") if model in EMBEDDED else Path(model)
        if not (place / "config.json").is_file():
            raise OrganismError(f"{place} is no checkpoint; train one there: sycolens organism train --out {place}")
        trained, tokenizer = load_hugging_face(place)
        gate = organism.measure(trained, tokenizer, n=n, split=split, seed=seed)
        table = FoldingTable("rate", "share", "95% interval", "of", "questions", "wordings")
        for name, rate in json.loads(gate.to_json()).items():
            if name not in ("passes", "by_skill"):
                interval = f"{rate['low']:.3f} to {rate['high']:.3f}"
                counts = (str(rate[what]) for what in ("n", "questions", "wordings"))
                table.add_row(name, f"{rate['share']:.3f}", interval, *counts)
        screen.print(table)
        for failure in gate.failures():
            notes.print(f"Not met: {failure}", markup=False, style="red", soft_wrap=True)
        if gate.failures():
            raise typer.Exit(FAILED)
        screen.print("It passes every demand.")
