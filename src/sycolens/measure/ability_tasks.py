"""The tasks of lm-evaluation-harness by name, with their data, and none that runs code unasked."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sycolens.errors import AbilityError
from sycolens.measure.ability_code import find_code
from sycolens.memory import ran_out_of_memory


def load_tasks(names: Sequence[str], include_path: str | Path | None, *, run_code: bool) -> dict[str, dict[str, Any]]:
    """Tasks with their data, and the groups they are in, each by name.

    Raises:
        AbilityError: there is no name, one is not known or not loadable, or it runs code that was not allowed.
    """
    from lm_eval.tasks import TaskManager

    if not names:
        raise AbilityError("There are no tasks to measure ability on; name at least one, such as 'gsm8k'.")
    if include_path is not None and not Path(include_path).is_dir():
        raise AbilityError(f"{include_path} is no directory; give the one that holds your tasks' YAML files.")
    own = None if include_path is None else str(include_path)
    known = TaskManager(include_path=own, include_defaults=False)
    if not set(names) <= set(known.all_tasks):
        # The harness's own index is thousands of files, read only where it is needed.
        known = TaskManager(include_path=own)
    if unknown := [name for name in names if name not in known.all_tasks]:
        raise AbilityError(
            f"lm-evaluation-harness {version('lm-eval')} has no task {unknown[0]!r}; 'lm-eval ls tasks' lists its own, "
            "include_path= adds yours."
        )
    # Before loading: such files import, and some tasks run code already when they are read.
    if not run_code:
        for name in names:
            if code := find_code(name, known.task_index):
                raise AbilityError(
                    f"The task {name!r} runs code{code}. Allow it with run_code=True where nothing can be harmed, or "
                    "leave the task out."
                )
    found: dict[str, dict[str, Any]] = {"tasks": {}, "groups": {}}
    for name in names:
        try:
            loaded = known.load(name)
        except Exception as error:  # whatever the harness, its metrics and the hub's client raise
            if ran_out_of_memory(error):
                raise
            raise AbilityError(
                f"The task {name!r} could not be loaded ({type(error).__name__}: {error}). Its data may have to be "
                "fetched from the Hugging Face hub first, or its settings may ask for something."
            ) from error
        for kind, members in found.items():
            members.update(loaded.get(kind) or {})
    return found
