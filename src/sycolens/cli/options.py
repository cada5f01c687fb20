"""Options that several commands share, each told in the same words."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

OUTPUT, MACHINE = "Output", "Machine"

Template = Annotated[
    Literal["chat", "plain"],
    typer.Option(help="Write dialogues with the chat template, or plainly (base models).", rich_help_panel="Pairs"),
]
Dtype = Annotated[str | None, typer.Option(help="float32 (default), bfloat16 or float16.", rich_help_panel=MACHINE)]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.", rich_help_panel=MACHINE)]
DeviceMap = Annotated[
    str | None, typer.Option(help="Spread the model over devices, e.g. auto.", rich_help_panel=MACHINE)
]
Formats = Annotated[
    str, typer.Option(help="Figures: html, pdf, svg, png, separated by commas.", rich_help_panel=OUTPUT)
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace a former run, and what was made from it inside.", rich_help_panel=OUTPUT),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.", rich_help_panel=OUTPUT)]


def kinds_of(formats: str) -> list[str]:
    """The figure formats that were asked for, and html."""
    return list(dict.fromkeys(["html", *(kind.strip() for kind in formats.split(","))]))
