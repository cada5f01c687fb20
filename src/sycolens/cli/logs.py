"""What the library logs, on stderr, for as long as a command runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

Level = Literal["debug", "info", "warning", "error"]

LOGGER: Final = "sycolens"
"""Above the loggers of all modules."""


@contextmanager
def logged(level: Level) -> Iterator[None]:
    """Show messages of the library from a level on; its logger is afterwards as it was."""
    logger, handler = logging.getLogger(LOGGER), _AboveBars()
    before = logger.level
    handler.setFormatter(logging.Formatter("{asctime} {levelname} {name}: {message}", "%H:%M:%S", style="{"))
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


class _AboveBars(logging.Handler):
    """Writes to the stderr of now, also while that is turned elsewhere, and above a progress bar that is there."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=self.stream)
        except Exception:
            self.handleError(record)
