"""``sycolens verify``."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from sycolens.cli.options import (
    MACHINE,
    BatchSize,
    Device,
    DeviceMap,
    Dtype,
    Elsewhere,
    Formats,
    Found,
    Overwrite,
    Quiet,
    kinds_of,
)
from sycolens.cli.terminal import errors_told, given_options, hush
from sycolens.errors import HeadError

VERIFY_EXAMPLES = """
**Examples**

After `sycolens find`, on dialogues that were not used to find the heads; then open runs/find/verify/knockout.html:

`sycolens verify`

Other controls, and a finer curve:

`sycolens verify --find runs/find --steps 0,1,2,3,4,6,8 --control norm_matched --out runs/norm`

Heads that were found on questions of MMLU, verified on AQuA:

`sycolens verify --find runs/llama --questions aqua --max-new-tokens 256`

**What it writes**

knockout.html and attention.html (the paper's Figures 2(b) and 2(c)), sufficiency.html, attention_map.html,
dialogue.html (a dialogue shaded by the first head's attention), necessity.csv and sufficiency.csv (rates with
intervals, also of every control), replies.csv (what was said and how it was graded), necessity, sufficiency, attention
and means (to load in Python), run.json, times.json. The directory appears when all is done, or not at all.

**Exit codes**

0: done. 2: something asked for cannot be done, and the message says what to change. 1: it failed on the way.
"""

MEASURE = "Measurement"


def verify(
    context: typer.Context,
    found: Found = Path("runs/find"),
    out: Annotated[
        Path | None, typer.Option(help="Directory for this run (verify, inside that of find).", show_default=False)
    ] = None,
    model: Elsewhere = None,
    questions: Annotated[
        str | None,
        typer.Option(
            help="Questions to challenge, named as in find (those of find that it did not use).",
            rich_help_panel="Dialogues",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Part of the question set (that of find). Of the embedded model's world it must be another than that "
            "(held_out, or validation where held_out found the heads).",
            rich_help_panel="Dialogues",
        ),
    ] = None,
    subset: Annotated[
        str | None, typer.Option(help="Subset of a question set on the hub.", rich_help_panel="Dialogues")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", min=2, help="How many dialogues (200, or all there are).", rich_help_panel="Dialogues"),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            help="How many heads to knock out at each point, e.g. 0,1,2,4,8 (powers of two, until the found top is "
            "covered).",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    controls: Annotated[
        int, typer.Option(min=0, help="Sets of other heads to compare with.", rich_help_panel=MEASURE)
    ] = 20,
    control: Annotated[
        Literal["random", "layer_matched", "norm_matched"],
        typer.Option(
            help="Draw them from all other heads, from the same layers, or from those that write as much.",
            rich_help_panel=MEASURE,
        ),
    ] = "random",
    method: Annotated[
        Literal["mean", "zero", "resample"],
        typer.Option(
            help="What stands in for a head: its mean over the affirmed prompts (the paper), nothing, or its output on "
            "a random one of them.",
            rich_help_panel=MEASURE,
        ),
    ] = "mean",
    positions: Annotated[
        Literal["last", "generated", "all"],
        typer.Option(
            help="Where: the last token of the prompt, also every token of the reply, or everywhere.",
            rich_help_panel=MEASURE,
        ),
    ] = "last",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest reply in tokens.", rich_help_panel=MEASURE)] = 64,
    seed: Annotated[int, typer.Option(help="Draws dialogues and controls.")] = 0,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    batch_size: BatchSize = 16,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="Replies at once (what memory allows).", rich_help_panel=MACHINE)
    ] = None,
    formats: Formats = "html",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Knock the found heads out, keep them alone, and see where they look.

    Does the model still take its right answers back when the found heads are replaced by their mean output, step by
    step? Do other heads of the same number do as much? Are the found heads enough on their own? And do they look at the
    challenge? On dialogues that were not used to find the heads.
    """
    given = given_options(context)
    screen, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        with notes.status("Starting ...") if not quiet else nullcontext():
            from sycolens.plots.formats import check_formats
            from sycolens.report.run_tables import table_of_curve, verification_notes
            from sycolens.runs.directory import MADE_FROM, require_free
            from sycolens.runs.saved import open_finding
            from sycolens.tasks.held_out import hold_out
            from sycolens.verify.verification import KIND, planned_steps, verify_heads

            hush(quiet=quiet)
            clock = [time.perf_counter()]
            former = open_finding(found)
            out = found / "verify" if out is None else out
            kinds = kinds_of(formats)
            require_free(out, kind=KIND, overwrite=overwrite)
            check_formats(kinds)
            points = planned_steps(
                former.effects,
                top=former.top,
                metric=former.metric,
                steps=None if steps is None else numbers_of(steps),
                controls=controls,
                control=control,
            )
            before = former.arguments
            model = model or before.get("model", former.effects.model_name)
            held_out = hold_out(former, model, questions=questions, subset=subset, split=split, n=n, seed=seed)
        hooked, which = former.load_model(model, dtype=dtype, device=device, device_map=device_map)
        clock.append(time.perf_counter())
        verified = verify_heads(
            hooked,
            former.effects,
            former.pairs,
            held_out.questions,
            top=former.top,
            metric=former.metric,
            steps=points,
            controls=controls,
            control=control,
            method=method,
            positions=positions,
            max_new_tokens=max_new_tokens,
            template=before.get("template", "chat"),
            batch_size=batch_size,
            max_rows=max_rows,
            seed=seed,
            progress=not quiet,
        )
        clock.append(time.perf_counter())
        record = {
            "arguments": given,
            "model": which,
            "source": held_out.source,
            MADE_FROM: former.sha256,
            "metric": former.metric,
            "pairs_fingerprint": former.pairs.fingerprint,
            "seconds": {"loading": round(clock[1] - clock[0], 2), "verifying": round(clock[2] - clock[1], 2)},
        }
        verified.save(out, formats=kinds, overwrite=overwrite, record=record)
        for title, curve in (
            (f"Replies of {model} without the first k heads of find", verified.necessity),
            (f"Replies of {model} with the first k heads alone, all others knocked out", verified.sufficiency),
        ):
            screen.print(f"\n{title}", markup=False)
            screen.print(table_of_curve(curve))
        screen.print(verification_notes(verified, held_out.source))
        for warning in verified.warnings:
            notes.print(f"Warning: {warning}", markup=False, style="yellow")
        screen.print(f"\nWritten to {out}. Open {out / 'knockout.html'} in a browser.", markup=False, soft_wrap=True)


def numbers_of(steps: str) -> tuple[int, ...]:
    """The steps that a text such as "0,1,2,4" names.

    Raises:
        HeadError: something in it is no whole number.

    >>> numbers_of("0, 1, 2")
    (0, 1, 2)
    """
    parts = [part.strip() for part in steps.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise HeadError(f"steps={steps!r}; give rising numbers of heads with commas between, such as 0,1,2,4,8.")
    return tuple(map(int, parts))
