"""``sycolens sweep``."""

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
from sycolens.cli.verifying import numbers_of
from sycolens.errors import TuningError

SWEEP_EXAMPLES = """
**Examples**

After `sycolens find`: pinpoint tuning of 1, 2, 4 and 8 heads beside random heads of their layers, LoRA and full
fine-tuning, three seeds each (about an hour for the embedded model on two cores):

`sycolens sweep`

How many heads are needed, without other methods:

`sycolens sweep --methods spt --k 1,2,3,4,6,8 --out runs/k`

Go on with a sweep that was cut off:

`sycolens sweep --resume`

**What it writes**

comparison.csv (every method on held-out dialogues: at its best, and where it first repairs the behavior; means over
runs with intervals), trainings.csv (every training and step on the validation dialogues), tradeoff.html (behavior
against drift), adapters (of the best runs), run.json, times.json. The directory appears when all is
done, or not at all; until then finished trainings lie next to it, in a directory that ends in .training.

**Exit codes**

0: done. 2: something asked for cannot be done, and the message says what to change. 1: it failed on the way.
"""

METHODS = "Methods"


def sweep(
    context: typer.Context,
    found: Found = Path("runs/find"),
    out: Annotated[
        Path | None, typer.Option(help="Directory for this run (sweep, inside that of find).", show_default=False)
    ] = None,
    model: Elsewhere = None,
    methods: Annotated[
        str,
        typer.Option(
            help="Of spt (found heads), spt_lora (updates of low rank to them), random (other heads, see --control), "
            "lora (updates to all heads), sft (all weights).",
            rich_help_panel=METHODS,
        ),
    ] = "spt,spt_lora,random,lora,sft",
    ks: Annotated[
        str, typer.Option("--k", help="How many heads spt trains, the most negative first.", rich_help_panel=METHODS)
    ] = "1,2,4,8",
    k: Annotated[
        int,
        typer.Option("--k-others", min=1, help="How many spt_lora and random train.", rich_help_panel=METHODS),
    ] = 8,
    draws: Annotated[int, typer.Option(min=1, help="Sets of random heads.", rich_help_panel=METHODS)] = 10,
    control: Annotated[
        Literal["layer_matched", "random"],
        typer.Option(
            help="Where random heads are drawn: one for one from the layers of the found heads, or from all layers.",
            rich_help_panel=METHODS,
        ),
    ] = "layer_matched",
    rank: Annotated[int, typer.Option(min=1, help="Of the updates of spt_lora.", rich_help_panel=METHODS)] = 4,
    rank_of_all: Annotated[
        int, typer.Option(min=1, help="Of the updates of lora to each head.", rich_help_panel=METHODS)
    ] = 1,
    examples: Annotated[
        str | None, typer.Option(help="What to teach, named as in tune.", rich_help_panel=EXAMPLES)
    ] = None,
    n_examples: LessonCount = None,
    rehearsal: Rehearsal = None,
    questions: Annotated[
        str | None,
        typer.Option(help="Questions to choose and report on, named as in find.", rich_help_panel=EVALUATION),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Part of the question set to report on.", rich_help_panel=EVALUATION)
    ] = None,
    subset: Subset = None,
    n: Annotated[
        int, typer.Option("--n", min=2, help="How many of each kind to report on.", rich_help_panel=EVALUATION)
    ] = 200,
    n_validation: Annotated[
        int, typer.Option(min=2, help="How many of each kind to choose settings on.", rich_help_panel=EVALUATION)
    ] = 60,
    texts: Texts = None,
    max_new_tokens: LongestReply = 64,
    steps: Annotated[
        str,
        typer.Option(help="After how many steps each training is examined.", rich_help_panel=TRAINING),
    ] = "20,40,60,80,120",
    learning_rates: Annotated[
        str, typer.Option(help="The same for every method.", rich_help_panel=TRAINING)
    ] = "1e-4,3e-4,1e-3,3e-3,1e-2",
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings of each method and learning rate.", rich_help_panel=TRAINING)
    ] = 3,
    examples_per_step: LessonsPerStep = None,
    at_once: AtOnce = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a sweep that was cut off.", rich_help_panel=TRAINING)
    ] = False,
    seed: Annotated[int, typer.Option(help="Draws examples, random heads and the evaluation.")] = 0,
    dtype: Dtype = None,
    device: Device = None,
    device_map: DeviceMap = None,
    batch_size: BatchSize = 16,
    formats: Formats = "html",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Compare ways to repair a model at equal budgets: found heads, other heads, all heads, all weights.

    Every method gets the same learning rates and numbers of steps, chosen on validation dialogues; what is reported was
    measured on others, and again where each method first repairs the behavior, so that drift is compared at equal
    effect.
    """
    given = given_options(context)
    screen, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    with errors_told(context, notes):
        with notes.status("Starting ...") if not quiet else nullcontext():
            from sycolens.model.hooked import Geometry
            from sycolens.plots.formats import check_formats
            from sycolens.report.sweep_tables import sweep_notes, table_of_sweep
            from sycolens.runs.checkpoint_directory import TrainingDirectory
            from sycolens.runs.directory import MADE_FROM, require_free
            from sycolens.runs.methods import kinds_named, methods_for
            from sycolens.runs.saved import open_finding
            from sycolens.runs.sweep import KIND, sweep_methods
            from sycolens.runs.train import training_config_for
            from sycolens.tasks.eval_sets import panels_of, read_texts
            from sycolens.tasks.held_out import hold_out
            from sycolens.tasks.teaching import lessons_for

            hush(quiet=quiet)
            clock = [time.perf_counter()]
            former = open_finding(found)
            out = found / "sweep" if out is None else out
            kinds = kinds_of(formats)
            place = TrainingDirectory.beside(require_free(out, kind=KIND, overwrite=overwrite))
            place.require_free(resume=resume, overwrite=overwrite)
            check_formats(kinds)
            before = former.arguments
            model = model or before.get("model", former.effects.model_name)
            template = before.get("template", "chat")
            rates, points = rates_of(learning_rates), numbers_of(steps)
            training_config = training_config_for(
                model,
                schedule="constant",
                steps=max(points),
                examples_per_step=examples_per_step,
                at_once=at_once,
            )
            count = None if former.arguments.get("questions") is None and questions is None else n + n_validation
            held_out = hold_out(former, model, questions=questions, subset=subset, split=split, n=count, seed=seed)
            read = () if texts is None else read_texts(texts)
            source = lessons_for(former, model, examples=examples, rehearsal=rehearsal, evaluated=held_out.asked)
        hooked, which = former.load_model(model, dtype=dtype, device=device, device_map=device_map)
        chosen = methods_for(
            former.effects.ranking(former.metric),
            Geometry.of(hooked),
            kinds=kinds_named(methods),
            ks=numbers_of(ks),
            k=k,
            draws=draws,
            control=control,
            rank=rank,
            rank_of_all=rank_of_all,
            seed=seed,
        )
        validation, report = panels_of(
            held_out, hooked.tokenizer, n_validation=n_validation, n=n, texts=read, template=template, seed=seed
        )
        clock.append(time.perf_counter())
        swept = sweep_methods(
            hooked,
            chosen,
            source.draw(hooked.tokenizer, n=n_examples, seed=seed),
            validation=validation,
            held_out=report,
            directory=place.path,
            learning_rates=rates,
            steps=points,
            training_config=training_config,
            seeds=seeds,
            base=model,
            max_new_tokens=max_new_tokens,
            template=template,
            batch_size=batch_size,
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
            "seconds": {"loading": round(clock[1] - clock[0], 2), "sweeping": round(clock[2] - clock[1], 2)},
        }
        swept.save(out, formats=kinds, overwrite=overwrite, record=record)
        place.remove()
        for title, group in (
            ("Each method at the setting that did best on validation dialogues", swept.best),
            ("Each method where it first repairs the behavior, with the least drift", swept.matched),
        ):
            screen.print(f"\n{title}", markup=False)
            screen.print(table_of_sweep(swept.base, group))
        screen.print(sweep_notes(swept, examples=source.name, source=held_out.source))
        screen.print(f"\nWritten to {out}. Open {out / 'tradeoff.html'} in a browser.", markup=False, soft_wrap=True)


def rates_of(learning_rates: str) -> tuple[float, ...]:
    """The learning rates that a text such as "1e-4,3e-4" names.

    Raises:
        TuningError: something in it is no number.

    >>> rates_of("1e-4, 3e-4")
    (0.0001, 0.0003)
    """
    try:
        return tuple(float(part) for part in learning_rates.split(","))
    except ValueError as error:
        raise TuningError(
            f"learning_rates={learning_rates!r}; give numbers with commas between, such as 1e-4,1e-3."
        ) from error
