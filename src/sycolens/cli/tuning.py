"""``sycolens tune``."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from sycolens.cli.options import (
    EVALUATION,
    EXAMPLES,
    MACHINE,
    TRAINING,
    AtOnce,
    BatchSize,
    Device,
    DeviceMap,
    Dtype,
    Elsewhere,
    Formats,
    Found,
    LessonCount,
    LessonsPerStep,
    LongestReply,
    Overwrite,
    Quiet,
    Rehearsal,
    Subset,
    Texts,
    kinds_of,
)
from sycolens.cli.terminal import errors_told, given_options, hush
from sycolens.errors import TuningError

TUNE_EXAMPLES = """
**Examples**

After `sycolens find`: tune the heads that it found, and ask the model before and after:

`sycolens tune`

Fewer heads, by updates of rank 4:

`sycolens tune --k 4 --rank 4 --out runs/rank4`

Go on with a training that was cut off; it ends in the same adapter as if nothing had happened:

`sycolens tune --resume`

Heads that were found on questions of MMLU, taught with more of them, with your own plain dialogues mixed in:

`sycolens tune --find runs/llama --rehearsal chats.jsonl --max-new-tokens 256`

**What it writes**

adapter (the trained heads, for HeadAdapter.load and `sycolens export`), outcome.csv (each rate before and after, with
intervals), replies.csv (what was said before and after, and how it was graded), heads.html (effect of every head before
and after, the paper's Figure 7b), effects_before and effects_after (for HeadEffects.load), loss.csv, run.json,
times.json. The directory appears when all is done, or not at all; until then the training lies next to it, in a
directory that ends in .training.

**Exit codes**

0: done. 2: something asked for cannot be done, and the message says what to change. 1: it failed on the way.
"""

HEADS = "Heads"


def tune(
    context: typer.Context,
    found: Found = Path("runs/find"),
    out: Annotated[
        Path | None, typer.Option(help="Directory for this run (tune, inside that of find).", show_default=False)
    ] = None,
    model: Elsewhere = None,
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, help="How many heads, the most negative first (find's top).", rich_help_panel=HEADS),
    ] = None,
    matrices: Annotated[
        str,
        typer.Option(
            help="Letters among Q, K, V and O; auto: all four, or Q and O where heads share keys and values (the "
            "paper).",
            rich_help_panel=HEADS,
        ),
    ] = "auto",
    rank: Annotated[
        int | None,
        typer.Option(min=1, help="Train an update of this rank instead of the whole matrices.", rich_help_panel=HEADS),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="The update is scaled by alpha / rank (by 1).", rich_help_panel=HEADS),
    ] = None,
    mlps: Annotated[
        str | None, typer.Option(help="Layers whose MLP is trained too, e.g. 3,4.", rich_help_panel=HEADS)
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            help="What to teach: organism (the embedded model's world, the default there), questions to make examples "
            "of, named as in find (the default elsewhere: those of find), or a .jsonl file of dialogues.",
            rich_help_panel=EXAMPLES,
        ),
    ] = None,
    n_examples: LessonCount = None,
    rehearsal: Rehearsal = None,
    questions: Annotated[
        str | None,
        typer.Option(
            help="Questions to challenge before and after, named as in find (those of find that it did not use).",
            rich_help_panel=EVALUATION,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Part of the question set (that of find). Of the embedded model's world another than found and teach "
            "(held_out, or validation where held_out found the heads).",
            rich_help_panel=EVALUATION,
        ),
    ] = None,
    subset: Subset = None,
    n: Annotated[
        int | None,
        typer.Option("--n", min=2, help="How many of each kind (200, or all there are).", rich_help_panel=EVALUATION),
    ] = None,
    texts: Texts = None,
    max_new_tokens: LongestReply = 64,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Optimizer steps (120).", rich_help_panel=TRAINING),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="At the start (3e-5; 1e-3 for the embedded models).", rich_help_panel=TRAINING),
    ] = None,
    examples_per_step: LessonsPerStep = None,
    at_once: AtOnce = None,
    schedule: Annotated[
        Literal["linear", "constant"] | None,
        typer.Option(
            help="The learning rate falls (linear), or stays after a warm-up (the embedded models).",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with a training that was cut off, if there is one.", rich_help_panel=TRAINING
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Draws examples, their order and the evaluation.")] = 0,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    batch_size: BatchSize = 16,
    max_rows: Annotated[
        int | None,
        typer.Option(min=2, help="Patched rows at once (what memory allows).", rich_help_panel=MACHINE),
    ] = None,
    formats: Formats = "html",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the found heads, and nothing else, to keep right answers and concede wrong ones.

    Supervised pinpoint tuning, the paper's section 3.3. The model is asked before and after on what it was not taught:
    does it still give in when it is right? Does it still concede when it is wrong? What else has changed? The result is
    an adapter of the trained heads alone.
    """
    given = given_options(context)
    screen, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        with notes.status("Starting ...") if not quiet else nullcontext():
            from sycolens.model.loading import EMBEDDED
            from sycolens.plots.formats import check_formats
            from sycolens.report.run_tables import table_of_outcomes, tuning_notes
            from sycolens.runs.checkpoint_directory import TrainingDirectory
            from sycolens.runs.directory import MADE_FROM, require_free
            from sycolens.runs.saved import open_finding
            from sycolens.runs.train import training_config_for
            from sycolens.runs.tuning import KIND, config_for, tune_heads
            from sycolens.tasks.eval_sets import panel_for, read_texts
            from sycolens.tasks.held_out import hold_out
            from sycolens.tasks.teaching import lessons_for

            hush(quiet=quiet)
            clock = [time.perf_counter()]
            former = open_finding(found)
            out = found / "tune" if out is None else out
            kinds = kinds_of(formats)
            place = TrainingDirectory.beside(require_free(out, kind=KIND, overwrite=overwrite))
            place.require_free(resume=resume, overwrite=overwrite)
            check_formats(kinds)
            before = former.arguments
            model = model or before.get("model", former.effects.model_name)
            template = before.get("template", "chat")
            config = config_for(
                former, k=k, matrices=matrices, rank=rank, alpha=alpha, mlps=() if mlps is None else layers_of(mlps)
            )
            training_config = training_config_for(
                model,
                steps=steps,
                learning_rate=learning_rate,
                examples_per_step=examples_per_step,
                at_once=at_once,
                schedule=schedule,
            )
            held_out = hold_out(former, model, questions=questions, subset=subset, split=split, n=n, seed=seed)
            read = () if texts is None else read_texts(texts)
            source = lessons_for(former, model, examples=examples, rehearsal=rehearsal, evaluated=held_out.asked)
        hooked, which = former.load_model(model, dtype=dtype, device=device, device_map=device_map)
        clock.append(time.perf_counter())
        tuning = tune_heads(
            hooked,
            config,
            source.draw(hooked.tokenizer, n=n_examples, seed=seed),
            panel_for(held_out, hooked.tokenizer, n=n, texts=read, template=template, seed=seed),
            training_config=training_config,
            directory=place.path,
            base=model,
            pairs=former.pairs,
            effects=former.effects,
            template=template,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            max_rows=max_rows,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=not quiet,
        )
        clock.append(time.perf_counter())
        record = {
            "arguments": given,
            "model": which,
            "examples": source.name,
            "source": held_out.source,
            MADE_FROM: former.sha256,
            "metric": former.metric,
            "pairs_fingerprint": former.pairs.fingerprint,
            "seconds": {"loading": round(clock[1] - clock[0], 2), "tuning": round(clock[2] - clock[1], 2)},
        }
        tuning.save(out, formats=kinds, overwrite=overwrite, record=record)
        place.remove()
        screen.print(f"\nWhat {model} does before and after tuning", markup=False)
        screen.print(table_of_outcomes(tuning))
        screen.print(tuning_notes(tuning, examples=source.name, source=held_out.source))
        for warning in tuning.warnings:
            notes.print(f"Warning: {warning}", markup=False, style="yellow")
        screen.print(f"\nWritten to {out}. Open {out / 'heads.html'} in a browser.", markup=False, soft_wrap=True)
        base = "" if model in EMBEDDED else f"--base {model} "
        screen.print(
            f"As a plain checkpoint: sycolens export {out / 'adapter'} {base}--out DIRECTORY",
            markup=False,
            soft_wrap=True,
        )


def layers_of(mlps: str) -> tuple[int, ...]:
    """The layers that a text such as "3,4" names.

    Raises:
        TuningError: something in it is no whole number.

    >>> layers_of("3, 4")
    (3, 4)
    """
    parts = [part.strip() for part in mlps.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise TuningError(f"mlps={mlps!r}; give layers with commas between, such as 3,4.")
    return tuple(map(int, parts))
