"""The commands that make stages, from ``sycolens find`` to ``sycolens study``, all with the same options."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from sycolens.cli import completion
from sycolens.cli.progress import StageLines
from sycolens.cli.terminal import errors_in_words, hush

SETTINGS, MACHINE = "Settings", "Machine"

Directory = Annotated[Path, typer.Argument(help="Directory of the run.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress: neither bars nor a line about every stage.")]
Model = Annotated[
    str | None,
    typer.Option(
        help="organism, organism-gqa, a Hugging Face hub name, a local checkpoint directory, or a GGUF file.",
        rich_help_panel=SETTINGS,
        autocompletion=completion.models,
    ),
]
Revision = Annotated[
    str | None, typer.Option(help="Branch, tag or commit of a model on the hub.", rich_help_panel=SETTINGS)
]
Behavior = Annotated[
    str | None,
    typer.Option(
        help='A behavior file: what is asked and listened for; or "auto", what look proposes.',
        rich_help_panel=SETTINGS,
        autocompletion=completion.among("auto"),
    ),
]
Questions = Annotated[
    str | None,
    typer.Option(
        help="Questions that find the heads: general (easy facts, no network), mmlu, aqua, truthfulqa, triviaqa, math "
        "or sycophancy-eval (fetched from the hub), owner/name, a .jsonl, .json or .csv file, or organism (the "
        "embedded model's world).",
        rich_help_panel=SETTINGS,
        autocompletion=completion.question_sets,
    ),
]
Pairs = Annotated[
    str | None,
    typer.Option(help="Finished pairs instead: JSON lines, or a directory of saved pairs.", rich_help_panel=SETTINGS),
]
Number = Annotated[
    int | None,
    typer.Option(
        "-n", min=2, help="How many pairs or questions the command's own stage takes.", rich_help_panel=SETTINGS
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Draws everything.", rich_help_panel=SETTINGS)]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Any setting of study.toml, as often as you like: --set find.metric=prob_share.",
        rich_help_panel=SETTINGS,
        autocompletion=completion.settings,
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="float32 (default), bfloat16 or float16.", rich_help_panel=MACHINE, autocompletion=completion.dtypes
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:1, mps.", rich_help_panel=MACHINE, autocompletion=completion.devices),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Prompts at once.", rich_help_panel=MACHINE)]
Remake = Annotated[
    bool, typer.Option("--remake", help="Make anew what was made with other settings; its results are lost.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the stages, how much each computes, and an estimate of the time.")
]

ABOUT: Final = {
    "look": "See what the model says when it is challenged and when it is affirmed, before anything is patched.\n\n"
    "Which questions does it know, how do its replies open, where do they part, and which words tell them apart? One "
    "half of the questions proposes, the other half judges. With `--behavior auto` all later steps go by what is "
    "proposed: behavior.toml in the directory, which you may edit.",
    "find": "Find the heads that make a model give in when a user doubts its right answer.\n\nEvery head in turn gets "
    "the output it has when the user agrees, all others keep theirs, and the change of the model's leaning towards "
    '"Apologies" against "Yes" is measured: path patching, the paper\'s Algorithm 1, exact, for all heads in about two '
    "forward passes a pair.",
    "verify": "Knock the found heads out, keep them alone, and see where they look.\n\nDoes the model still take its "
    "right answers back when the found heads are replaced by their mean output, step by step? Do other heads of the "
    "same number do as much? On dialogues that were not used to find the heads.",
    "tune": "Train the found heads, and nothing else, to keep right answers and concede wrong ones.\n\nSupervised "
    "pinpoint tuning, the paper's section 3.3. The result is an adapter of the trained heads alone.",
    "measure": "Ask the base and every tuned model: does it still give in when it is right, does it still concede when "
    "it is wrong, and what else has changed?",
    "sweep": "Train every method at every learning rate, and compare them at the settings that validation chose.",
    "study": "Find, verify, tune and measure as study.toml says, and write the report.",
}
EPILOG: Final = """
**Examples**

`sycolens {name} runs/mine`

`sycolens {name} runs/llama --model meta-llama/Llama-2-7b-chat-hf --questions mmlu --dtype bfloat16 --device cuda`

`sycolens {name} runs/mine --set find.n=50 --set verify.control=random --dry-run`

What the command needs and is not there yet is made first; what is done stays. All options become part of study.toml in
the directory. The report is written anew in the end: report/report.html.

**Exit codes**

0: done. 2: something asked for cannot be done, and the message says what to change. 1: it failed on the way.
130: interrupted; the same command goes on.
"""


def add_commands(app: typer.Typer) -> None:
    """Every command that makes stages, with the same options."""
    for name, about in ABOUT.items():
        app.command(name, help=about, epilog=EPILOG.format(name=name))(_command(name))


def _command(name: str) -> Any:
    def command(
        context: typer.Context,
        directory: Directory = Path("runs/study"),
        model: Model = None,
        revision: Revision = None,
        behavior: Behavior = None,
        questions: Questions = None,
        pairs: Pairs = None,
        n: Number = None,
        seed: Seed = None,
        settings: Set = None,
        dtype: Dtype = None,
        device: Device = None,
        batch_size: BatchSize = None,
        remake: Remake = False,
        dry_run: DryRun = False,
        quiet: Quiet = False,
    ) -> None:
        section = {"study": "find", "tune": "examples"}.get(name, name)
        given = {
            "model.name": model,
            "model.revision": revision,
            "behavior": behavior,
            "find.questions": questions,
            "find.pairs": pairs,
            f"{section}.n": n,
            "seed": seed,
            "model.dtype": dtype,
            "compute.device": device,
            "compute.batch_size": batch_size,
        }
        short = [f"{place}={_as_toml(value)}" for place, value in given.items() if value is not None]
        notes = Console(stderr=True, highlight=False, markup=False)
        with errors_in_words(context, notes, directory):
            _run(name, directory, [*short, *(settings or [])], notes, remake=remake, dry_run=dry_run, quiet=quiet)

    return command


def _run(
    name: str, directory: Path, settings: list[str], notes: Console, *, remake: bool, dry_run: bool, quiet: bool
) -> None:
    from sycolens.distributed import Processes
    from sycolens.runs.opening import open_study
    from sycolens.runs.settings import parse_settings

    with notes.status("Starting ...") if not quiet else nullcontext():
        processes = Processes.here()
        study = open_study(directory, parse_settings(settings))
        hush(quiet=quiet)
    screen = Console(highlight=False, markup=False)
    try:
        if dry_run:
            from sycolens.report.terminal import table_of_plan
            from sycolens.runs.check import check_study
            from sycolens.runs.estimate import Estimate

            if processes.first:
                check_study(study.config, processes, groups={stage.group for stage in study.needed(name)})
                screen.print(table_of_plan(study, Estimate.of(study.config), name))
            return

        options: dict[str, Any] = {"remake": remake, "processes": processes, "progress": not quiet and processes.first}
        if options["progress"]:
            options["tell"] = StageLines(study, name, notes).tell
        if name == "look":
            seen = study.look(**options)
            if processes.first:
                from sycolens.report.look_tables import table_of_look

                screen.print(table_of_look(seen))
                screen.print(f"\nProposed: {directory / 'look' / 'behavior.toml'}", markup=False, soft_wrap=True)
            return
        results = study.run(name, **options)
        if processes.first:
            from sycolens.report.terminal import tables_of
            from sycolens.report.warnings import warnings_of

            for table in tables_of(name, results):
                screen.print(table)
            for warning in warnings_of(results):
                notes.print(f"Warning: {warning}", markup=False, style="yellow", soft_wrap=not notes.is_terminal)
            page = directory / "report" / "report.html"
            screen.print(f"\nOpen {page} in a browser.", markup=False, soft_wrap=True)
    finally:
        processes.end()


def _as_toml(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
