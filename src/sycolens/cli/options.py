"""Options that several commands share, each told in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

OUTPUT, MACHINE = "Output", "Machine"
EXAMPLES, EVALUATION, TRAINING = "Examples", "Evaluation", "Training"

Found = Annotated[Path, typer.Option("--find", help="Run directory of sycolens find.")]
Elsewhere = Annotated[
    str | None, typer.Option(help="The model, if it is no longer where find took it from.", show_default=False)
]
LessonCount = Annotated[
    int | None, typer.Option(min=1, help="How many (1,600, or all there are).", rich_help_panel=EXAMPLES)
]
Rehearsal = Annotated[
    str | None,
    typer.Option(
        help="Plain dialogues to mix in: a .jsonl file, or, of the embedded model's world, how many (300).",
        rich_help_panel=EXAMPLES,
    ),
]
Subset = Annotated[str | None, typer.Option(help="Subset of a question set on the hub.", rich_help_panel=EVALUATION)]
Texts = Annotated[
    Path | None,
    typer.Option(
        help="Texts, one a line, on which to measure the drift from the base (the embedded model has its own).",
        rich_help_panel=EVALUATION,
    ),
]
LongestReply = Annotated[int, typer.Option(min=1, help="Longest reply in tokens.", rich_help_panel=EVALUATION)]
LessonsPerStep = Annotated[
    int | None,
    typer.Option(min=1, help="Examples a step (128; 16 for the embedded models).", rich_help_panel=TRAINING),
]
AtOnce = Annotated[
    int | None,
    typer.Option(min=1, help="Examples at once, what memory allows (8; 16).", rich_help_panel=TRAINING),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Prompts at once.", rich_help_panel=MACHINE)]

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
