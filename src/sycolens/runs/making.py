"""What each stage of a study computes; the walk's own functions do the work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from sycolens.find import patch_heads
from sycolens.measure import AbilityResult, Generation, Outcome, evaluate_ability, evaluate_challenge
from sycolens.prompts.training_example import TrainingExample
from sycolens.storage import versions, write_text
from sycolens.runs.stage import Write
from sycolens.runs.context import BASE, EXAMPLES, Workshop, runs_of
from sycolens.tune import HeadAdapter, WholeModel, refuse_leaks
from sycolens.tune.trainer import words_of
from sycolens.find.finding import find_heads
from sycolens.runs.directory import MADE_FROM, whole_directory
from sycolens.tasks.sources import open_source
from sycolens.tasks.teaching import lessons_for
from sycolens.runs.train import begun, hash_of_rows
from sycolens.runs.checkpoint_directory import TrainingDirectory
from sycolens.runs.trials import WholeBase
from sycolens.verify.verification import verify_heads

WEIGHTS = "weights.safetensors"
ADAPTER = "adapter"


def find(shop: Workshop) -> Write:
    """Effects of every head on the study's pairs, and on other draws of them."""
    config, asked = shop.config, shop.config.find
    source = open_source(
        config.model.name,
        questions=asked.questions,
        subset=asked.subset,
        split=asked.split,
        template=config.model.template,
    )
    model, which = shop.loaded
    first, *others = source.draw(model.tokenizer, n=asked.n, seed=config.seed, draws=asked.seeds or source.draws)
    finding = find_heads(
        model,
        first,
        other_pairs=others,
        metric=asked.metric,
        top=asked.top,
        mlps=asked.mlps,
        batch_size=config.machine.batch_size,
        max_rows=config.machine.max_rows,
        processes=shop.processes,
        progress=shop.progress,
    )
    arguments = {**config.model.model_dump(), **asked.model_dump(), "model": config.model.name, "seed": config.seed}
    record = {"arguments": arguments, "model": which, "source": source.name}
    return lambda place, more: finding.save(place, formats=(), overwrite=True, record={**record, **more})


def verify(shop: Workshop) -> Write:
    """Knockout and attention on questions that did not find the heads."""
    config, asked, former = shop.config, shop.config.verify, shop.former
    held_out = shop.hold_out(asked, asked.n)
    model, which = shop.loaded
    verified = verify_heads(
        model,
        former.effects,
        former.pairs,
        held_out.questions,
        top=former.top,
        metric=former.metric,
        steps=asked.steps,
        controls=asked.controls,
        control=asked.control,
        method=asked.method,
        positions=asked.positions,
        max_new_tokens=asked.max_new_tokens,
        max_rows=config.machine.max_rows,
        seed=config.seed,
        processes=shop.processes,
        progress=shop.progress,
        **shop.options,
    )
    record = {"model": which, "source": held_out.source, MADE_FROM: former.sha256, "metric": former.metric}
    return lambda place, more: verified.save(place, formats=(), overwrite=True, record={**record, **more})


def examples(shop: Workshop) -> Write:
    """Dialogues to learn from, none of which holds a question that is asked later."""
    config, asked = shop.config, shop.config.examples
    evaluated = shop.eval_set.questions + tuple(question for each in shop.evaluations for question in each.asked)
    source = lessons_for(
        shop.former, config.model.name, examples=asked.source, rehearsal=asked.rehearsal, evaluated=evaluated
    )
    drawn = source.draw(shop.model.tokenizer, n=asked.n, seed=config.seed)
    refuse_leaks(drawn, evaluated)
    text = "".join(json.dumps(_row(example), ensure_ascii=False) + "\n" for example in drawn)

    def fill(draft: Path) -> None:
        write_text(draft / "examples.jsonl", text)

    return _written(EXAMPLES, fill, {"source": source.name, "examples": len(drawn)})


def tune(shop: Workshop, name: str) -> Write:
    """One training; a run that was killed goes on from its last checkpoint."""
    trial, config = shop.trials[name], shop.config
    rows = shop.rows
    run = next(each for each in runs_of(config) if each.stage == name)
    training_config = config.training_config(run.kind)
    told = {
        "model": shop.loaded[1],
        "scope": words_of(trial.scope),
        "versions": versions(),
        "device": str(next(shop.model.parameters()).device),
        "rows": hash_of_rows(rows),
        "training_config": asdict(training_config),
        "seed": trial.seed,
    }
    place = TrainingDirectory(shop.under_way(name, told))
    with begun(
        shop.model,
        trial.scope,
        rows,
        training_config=training_config,
        place=place,
        seed=trial.seed,
        resume=True,
        overwrite=False,
        progress=shop.progress,
        processes=shop.processes,
    ) as training:
        losses = training.run()
        tuned, how = training.tuned, {**training.how, "method": trial.method.name}
        if isinstance(tuned, WholeModel):
            state = {key: value.cpu().contiguous() for key, value in tuned.state().items()}
            parameters = sum(value.numel() for value in state.values())
            save: Callable[[Path], object] = lambda draft: save_file(state, draft / WEIGHTS)  # noqa: E731
        else:
            adapter = HeadAdapter.of(tuned, base=config.model.name, training=how)
            parameters = sum(value.numel() for value in adapter.parameters.values())
            save = lambda draft: adapter.save(draft / ADAPTER)  # noqa: E731

    def fill(draft: Path) -> None:
        save(draft)
        lines = [f"{step},{loss!r}\n" for step, loss in enumerate(losses, start=1)]
        write_text(draft / "loss.csv", "".join(["step,loss\n", *lines]))

    return _written(
        "tune",
        fill,
        {
            "method": trial.method.name,
            "draw": trial.draw,
            "seed": trial.seed,
            "parameters": parameters,
            "training": how,
            "loss": {"first": losses[0], "last": losses[-1]},
        },
    )


def measure(shop: Workshop, name: str) -> Write:
    """Two rounds, the eval set, drift and ability of the base or of what a training left."""
    config, asked = shop.config, shop.config.measure
    with laid_over(shop.model, None if name == BASE else shop.directory / name) as base:
        challenge = evaluate_challenge(
            shop.model,
            shop.questions,
            generation=Generation(asked.max_new_tokens),
            seed=config.seed,
            processes=shop.processes,
            progress=shop.progress,
            **shop.options,
        )
        outcome = shop.eval_set.examine(
            shop.model, base=base, max_new_tokens=asked.max_new_tokens, processes=shop.processes, **shop.options
        )
        ability = _ability(shop) if asked.tasks else None

    def fill(draft: Path) -> None:
        challenge.save(draft / "challenge")
        _write_json(draft / "outcome.json", {**outcome.record(), "replies": outcome.replies})
        if ability is not None:
            _write_json(draft / "ability.json", ability.record())

    return _written("measure", fill, {"evaluated": [each.source for each in shop.evaluations]})


def repatch(shop: Workshop, name: str) -> Write:
    """Effects of every head once the found ones are tuned, on the pairs that found them (the paper's Figure 7b)."""
    config, former = shop.config, shop.former
    with laid_over(shop.model, shop.directory / name):
        effects = patch_heads(
            shop.model,
            former.pairs,
            mlps=config.find.mlps,
            batch_size=config.machine.batch_size,
            max_rows=config.machine.max_rows,
            processes=shop.processes,
            progress=shop.progress,
        )
    return _written("repatch", lambda draft: effects.save(draft / "effects"), {"tuned": name})


@contextmanager
def laid_over(model: Any, trained: Path | None) -> Iterator[Any]:
    """The model with what a training left in its weights; gives what turns it back into its base for a while."""
    if trained is None:
        yield None
    elif (trained / ADAPTER).is_dir():
        applied = HeadAdapter.load(trained / ADAPTER).apply(model)
        try:
            applied.merge()  # runs at the base's speed
            yield applied
        finally:
            applied.detach()
    else:
        tuned = WholeModel(model)
        found, state = tuned.state(), load_file(trained / WEIGHTS)
        try:
            tuned.load_state(state)
            yield WholeBase(model, tuned, found, state)
        finally:
            tuned.load_state(found)
            tuned.detach()


def read_outcome(directory: Path) -> Outcome:
    """The eval set's outcome that a stage "measure" wrote."""
    record = json.loads((directory / "outcome.json").read_text())
    said = {group: tuple(replies) for group, replies in record.pop("replies").items()}
    return replace(Outcome.from_record(record), replies=said)


def read_ability(directory: Path) -> AbilityResult | None:
    """The ability that a stage "measure" wrote, if any was asked for."""
    path = directory / "ability.json"
    return AbilityResult.from_record(json.loads(path.read_text())) if path.exists() else None


def _ability(shop: Workshop) -> AbilityResult:
    asked = shop.config.measure
    return shop.processes.once(
        lambda: evaluate_ability(
            shop.model,
            asked.tasks,
            include_path=asked.task_folder,
            limit=asked.task_limit,
            prompt=asked.task_prompt,
            run_code=asked.run_code,
            batch_size=shop.config.machine.batch_size,
            seed=shop.config.seed,
        )
    )


def _row(example: TrainingExample) -> dict[str, Any]:
    return {"messages": example.dialogue.messages(), "taught": list(example.taught)}


def kind_of(stage: str) -> str:
    """What the run of a stage is called that only a study has.

    >>> kind_of("examples")
    'sycolens study: examples'
    """
    return f"sycolens study: {stage}"


def _written(kind: str, fill: Callable[[Path], object], record: Mapping[str, Any]) -> Write:
    def write(place: Path, more: Mapping[str, Any]) -> None:
        with whole_directory(place, kind=kind_of(kind), record={**record, **more}, overwrite=True) as draft:
            fill(draft)

    return write


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, ensure_ascii=False) + "\n")
