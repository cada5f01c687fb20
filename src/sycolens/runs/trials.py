"""One training of many that are compared: tuned, examined on its way, written down, and undone."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PrinterCallback, TrainerCallback

from sycolens.errors import RunError, SavedFileError
from sycolens.measure.outcome import Outcome
from sycolens.measure.eval_set import EvalSet
from sycolens.distributed import ALONE, Processes
from sycolens.storage import write_text
from sycolens.tune import TrainingConfig, HeadAdapter, Pinpoint, PinpointTrainer, WholeModel, attach
from sycolens.tune.trainer import words_of
from sycolens.runs.methods import Trial

RECORD = "trial.json"


@dataclass(frozen=True, eq=False)
class Tried:
    """What a trial left: how the model did after some numbers of steps, and what was trained then."""

    trial: Trial
    directory: Path
    outcomes: Mapping[int, Outcome]
    """By step."""

    def state(self, step: int) -> dict[str, Tensor]:
        """The trained parameters after so many steps."""
        return load_file(self.directory / _file(step))


def try_out(
    model: Any,
    trial: Trial,
    examples: Dataset,
    eval_set: EvalSet,
    directory: Path,
    *,
    training_config: TrainingConfig,
    steps: Sequence[int],
    processes: Processes = ALONE,
    **examination: Any,
) -> Tried:
    """Train, examine after each of ``steps``, and leave the model as it was; read instead if it was done before.

    ``training_config`` says all but the learning rate and the number of steps. A directory of the trial's name appears in
    ``directory`` when all is done. Several ``processes`` train and examine together; one of them writes.

    Raises:
        SavedFileError: what was done before cannot be read.
    """
    home = directory / trial.name
    if processes.once(home.exists):
        return _read(trial, home, steps)
    kept: dict[int, dict[str, Tensor]] = {}
    draft = processes.once(lambda: Path(tempfile.mkdtemp(dir=directory, prefix=f".{trial.name}.")))
    try:
        own = replace(training_config, steps=max(steps), learning_rate=trial.learning_rate)
        arguments = own.arguments(
            draft / "trainer", seed=trial.seed, save_strategy="no", logging_strategy="no", disable_tqdm=True
        )
        trainer = PinpointTrainer(model, trial.scope, arguments, examples, seed=trial.seed)
        tuned, found = trainer.pinpoint, trainer.pinpoint.state()
        try:
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(_Keep(tuned, steps, kept))
            trainer.train()
            asked: dict[str, Any] = {**examination, "processes": processes}
            outcomes = {step: _examine(model, tuned, found, kept[step], eval_set, **asked) for step in steps}
        finally:
            tuned.load_state(found)
            tuned.detach()
        record = {"scope": words_of(trial.scope), "outcomes": {step: each.record() for step, each in outcomes.items()}}

        def write() -> None:
            for step, state in kept.items():
                save_file({name: value.cpu().contiguous() for name, value in state.items()}, draft / _file(step))
            shutil.rmtree(draft / "trainer", ignore_errors=True)
            write_text(draft / RECORD, json.dumps(record) + "\n")
            draft.chmod(0o755)
            os.replace(draft, home)

        processes.once(write)
    finally:
        if processes.first:
            shutil.rmtree(draft, ignore_errors=True)
    return Tried(trial, home, outcomes)


def examine_again(
    model: Any, tried: Tried, step: int, eval_set: EvalSet, *, processes: Processes = ALONE, **examination: Any
) -> Outcome:
    """Examine what a trial had come to after some steps, on an eval set for which that was not chosen, and note it down.

    The model is left as it was; what was noted before is read.
    """
    note = tried.directory / f"held-out-{step}.json"
    if processes.once(note.exists):
        return Outcome.from_record(json.loads(note.read_text()))
    with _laid_over(model, tried.trial) as (tuned, found):
        outcome = _examine(model, tuned, found, tried.state(step), eval_set, processes=processes, **examination)
    processes.once(lambda: write_text(note, json.dumps(outcome.record()) + "\n"))
    return outcome


def adapter_of(model: Any, tried: Tried, step: int, *, base: str | None = None) -> HeadAdapter | None:
    """What a trial had come to after some steps, as an adapter; None where all weights were trained."""
    with _laid_over(model, tried.trial) as (tuned, _):
        if isinstance(tuned, WholeModel):
            return None
        tuned.load_state(tried.state(step))
        trial = tried.trial
        how = {"steps": step, "learning_rate": trial.learning_rate, "seed": trial.seed, "method": trial.method.name}
        return HeadAdapter.of(tuned, base=base, training=how)


@contextmanager
def _laid_over(model: Any, trial: Trial) -> Iterator[tuple[Pinpoint | WholeModel, dict[str, Tensor]]]:
    """What a trial trains, with its values in the model as found, which are put back in the end."""
    tuned = WholeModel(model) if trial.scope == "all" else attach(model, trial.scope, seed=trial.seed)
    found = tuned.state()
    try:
        yield tuned, found
    finally:
        tuned.load_state(found)
        tuned.detach()


def _examine(
    model: Any,
    tuned: Pinpoint | WholeModel,
    found: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    eval_set: EvalSet,
    **examination: Any,
) -> Outcome:
    tuned.load_state(state)
    if isinstance(tuned, WholeModel):
        return eval_set.examine(model, base=WholeBase(model, tuned, found, state), **examination)
    tuned.merge()  # so that it runs at the base's speed
    try:
        return eval_set.examine(model, base=tuned, **examination)
    finally:
        tuned.unmerge()


@dataclass(frozen=True, eq=False)
class WholeBase:
    """A wholly tuned model as it was found, for as long as ``off()`` lasts."""

    model: Any
    tuned: WholeModel
    found: Mapping[str, Tensor]
    state: Mapping[str, Tensor]

    @contextmanager
    def off(self) -> Iterator[None]:
        self.tuned.load_state(self.found)
        try:
            yield
        finally:
            self.tuned.load_state(self.state)


class _Keep(TrainerCallback):  # type: ignore[misc]
    """Copies what is trained after some steps."""

    def __init__(self, tuned: Pinpoint | WholeModel, steps: Sequence[int], kept: dict[int, dict[str, Tensor]]) -> None:
        self.tuned, self.steps, self.kept = tuned, steps, kept

    def on_step_end(self, args: Any, state: Any, control: Any, **context: Any) -> None:
        if state.global_step in self.steps:
            self.kept[state.global_step] = self.tuned.state()


def _file(step: int) -> str:
    return f"step-{step}.safetensors"


def _read(trial: Trial, directory: Path, steps: Sequence[int]) -> Tried:
    try:
        record = json.loads((directory / RECORD).read_text())
        scope = record["scope"]
        outcomes = {step: Outcome.from_record(record["outcomes"][str(step)]) for step in steps}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SavedFileError(
            f"{directory} holds no whole training ({error!r}); delete it, and it is made anew."
        ) from error
    if scope != words_of(trial.scope):
        raise RunError(
            f"{directory} holds a training of {scope}, not of {words_of(trial.scope)}; start anew (overwrite, "
            "--overwrite)."
        )
    return Tried(trial, directory, outcomes)
