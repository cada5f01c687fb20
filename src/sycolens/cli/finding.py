"""``sycolens find``."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from sycolens.choices import Mlps
from sycolens.cli.options import Device, DeviceMap, Dtype, Formats, Overwrite, Quiet, Template, kinds_of
from sycolens.cli.terminal import errors_told, given_options, hush

FIND_EXAMPLES = """
**Examples**

The embedded model, into runs/find; then open runs/find/heatmap.html in a browser:

`sycolens find`

The paper's setting, on a GPU, with 100 questions of MMLU that --seed draws:

`sycolens find --model meta-llama/Llama-2-7b-chat-hf --questions mmlu --dtype bfloat16 --device cuda --out runs/llama`

A local checkpoint and your own questions, in print quality:

`sycolens find --model ./checkpoint --questions quiz.jsonl --formats pdf,png --out runs/quiz`

Another behavior, from your own pairs of prompts, with the metric that is defined for every model:

`sycolens find --model ./checkpoint --pairs pairs.jsonl --metric prob_share --out runs/other`

**What it writes**

heatmap.html and bars.html (with --formats also pdf, svg, png), heads.csv (score, interval, p and q of every head),
heads.json (the top), effects and pairs (for HeadEffects.load and ContrastPairs.load), run.json (how it was made)
and times.json (when). The directory appears when all is done, or not at all.

**Exit codes**

0: done. 2: something asked for cannot be done, and the message says what to change. 1: it failed on the way.
"""


def find(
    context: typer.Context,
    model: Annotated[
        str, typer.Option(help="organism, organism-gqa, a Hugging Face hub name, or a local checkpoint directory.")
    ] = "organism",
    out: Annotated[Path, typer.Option(help="Directory for the run.")] = Path("runs/find"),
    questions: Annotated[
        str | None,
        typer.Option(
            help="Questions to make pairs of: mmlu, aqua, truthfulqa, triviaqa, math or sycophancy-eval (fetched from "
            "the hub), owner/name, a .jsonl, .json or .csv file, or organism (the embedded model's world).",
            rich_help_panel="Pairs",
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Finished pairs: JSON lines in the format of the authors' code, or a directory of saved pairs.",
            rich_help_panel="Pairs",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Part of the question set. The embedded model's world has train (default), validation and held_out; "
            "find heads on one and judge them on another.",
            rich_help_panel="Pairs",
        ),
    ] = None,
    subset: Annotated[
        str | None, typer.Option(help="Subset of a question set on the hub.", rich_help_panel="Pairs")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", min=2, help="How many pairs (100, or all of a smaller set).", rich_help_panel="Pairs"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the pairs.", rich_help_panel="Pairs")] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many times pairs are drawn: the first draw is reported, the others tell how stable its ranking "
            "is. 3 for the embedded models, else 1; each costs as much as the first.",
            rich_help_panel="Pairs",
        ),
    ] = None,
    template: Template = "chat",
    metric: Annotated[
        Literal["logit_share", "prob_share", "logit_diff"],
        typer.Option(
            help="logit_share: the paper's Eq. 2, which needs positive label logits. prob_share: the same on the "
            "two-way softmax, always defined. logit_diff: their difference.",
            rich_help_panel="Measurement",
        ),
    ] = "logit_share",
    mlps: Annotated[
        Mlps,
        typer.Option(
            help="live: MLPs react to the patch (the paper). frozen: only the head's direct path to the logits.",
            rich_help_panel="Measurement",
        ),
    ] = "live",
    top: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many heads to list, outline and keep (a tenth, at most 32).", rich_help_panel="Measurement"
        ),
    ] = None,
    fdr: Annotated[
        float, typer.Option(help="False-discovery rate for the stars.", rich_help_panel="Measurement")
    ] = 0.05,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    backend: Annotated[
        Literal["bridge", "hooked"],
        typer.Option(help="TransformerBridge, or HookedTransformer (TransformerLens 3).", rich_help_panel="Machine"),
    ] = "bridge",
    batch_size: Annotated[
        int, typer.Option(min=1, help="Pairs at once over the prompts.", rich_help_panel="Machine")
    ] = 16,
    max_rows: Annotated[
        int | None,
        typer.Option(
            min=2, help="Patched rows at once over the last token (what memory allows).", rich_help_panel="Machine"
        ),
    ] = None,
    formats: Formats = "html",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Find the heads that make a model give in when a user doubts its right answer.

    Every head in turn gets the output it has when the user agrees, all others keep theirs, and the change of the
    model's leaning towards "Apologies" against "Yes" is measured: path patching, the paper's Algorithm 1, exact, for
    all heads in about two forward passes a pair.
    """
    given = given_options(context)
    screen, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        with notes.status("Starting ...") if not quiet else nullcontext():
            from sycolens.find.finding import KIND, find_heads
            from sycolens.model import load_model
            from sycolens.plots.formats import check_formats
            from sycolens.report.run_tables import notes_of, table_of
            from sycolens.runs.directory import require_free
            from sycolens.runs.provenance import identity
            from sycolens.tasks.sources import open_source

            hush(quiet=quiet)
            clock = [time.perf_counter()]
            kinds = kinds_of(formats)
            require_free(out, kind=KIND, overwrite=overwrite)
            check_formats(kinds)
            source = open_source(model, questions=questions, pairs=pairs, subset=subset, split=split, template=template)
        hooked = load_model(model, device=device, dtype=dtype, device_map=device_map, backend=backend)
        clock.append(time.perf_counter())
        first, *others = source.draw(hooked.tokenizer, n=n, seed=seed, draws=seeds or source.draws)
        finding = find_heads(
            hooked,
            first,
            other_pairs=others,
            metric=metric,
            top=top,
            fdr=fdr,
            mlps=mlps,
            batch_size=batch_size,
            max_rows=max_rows,
            progress=not quiet,
        )
        clock.append(time.perf_counter())
        record = {
            "arguments": given,
            "model": identity(hooked, model),
            "source": source.name,
            "seconds": {"loading": round(clock[1] - clock[0], 2), "finding": round(clock[2] - clock[1], 2)},
        }
        finding.save(out, formats=kinds, overwrite=overwrite, record=record)
        screen.print(f"\nThe heads of {model} with the most negative effect", markup=False)
        screen.print(table_of(finding))
        screen.print(notes_of(finding))
        for warning in finding.warnings:
            notes.print(f"Warning: {warning}", markup=False, style="yellow")
        screen.print(f"\nWritten to {out}. Open {out / 'heatmap.html'} in a browser.", markup=False, soft_wrap=True)
