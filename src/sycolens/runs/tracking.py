"""Trackers that follow a run's trainings while they go on: TensorBoard, Weights & Biases, trackio and others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sycolens.errors import StudyError

LOGS: Final = "logs"
"""Where TensorBoard's files of a run lie, below its directory; deleting them changes no stage."""


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that transformers' Trainer does not know, or that are not installed.

    Raises:
        StudyError: there are such; they are named.
    """
    if not names:
        return
    from transformers.integrations import get_available_reporting_integrations, get_reporting_integration_callbacks

    here = get_available_reporting_integrations()
    for name in names:
        if name in here:
            continue
        try:
            get_reporting_integration_callbacks([name])
        except ValueError as error:
            raise StudyError(
                f"compute.report_to names {name!r}, which transformers' Trainer does not know: {error}"
            ) from (error)
        raise StudyError(
            f"compute.report_to names {name!r}, which is not installed: install it, or leave it out. There are: "
            f"{', '.join(here) or 'none'}."
        )


@contextmanager
def tracked(trainer: Any, folder: Path | None, name: str) -> Iterator[None]:
    """Let a training be a run of its own to every tracker, also where several trainings follow each other.

    TensorBoard's files go below ``folder``, or below TENSORBOARD_LOGGING_DIR where that is set.
    """
    from transformers.integrations import TensorBoardCallback

    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):
            home = callback.logging_dir or folder or trainer.args.output_dir
            callback.logging_dir = str(Path(home) / name)
    before = _wandb_run()
    try:
        yield
    finally:
        if _wandb_run() is not before:  # it would take the next training for more of the same
            sys.modules["wandb"].finish()


def _wandb_run() -> Any:
    return getattr(sys.modules.get("wandb"), "run", None)
