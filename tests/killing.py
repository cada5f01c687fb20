"""A study that is killed again and again; a process of its own, which forks before anything has run in threads."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import small_study

from sycolens.runs import Study


def main(directory: str, kills: int) -> None:
    """Kill it so many times, say after each which stage comes next, and let it end."""
    # What takes long to import is imported here, so that the time falls into the study.
    import sycolens.report.page
    import sycolens.runs.context  # noqa: F401

    chance, place = random.Random(0), Path(directory)
    started = time.monotonic()
    if _run(place.with_name("undisturbed"), None) != 0:
        raise RuntimeError("Undisturbed it does not end well.")
    long = time.monotonic() - started
    killed = 0
    while killed < kills:
        # On a slow machine as on a fast one it is met on its way.
        status = _run(place, chance.uniform(0.05, 0.4) * long)
        if status == signal.SIGKILL:
            killed += 1
            states = Study(place, small_study.config()).states
            if "damaged" in states.values():
                raise RuntimeError(f"A stage was left half: {states}")
            print(next((name for name, state in states.items() if state != "done"), "report"), flush=True)  # noqa: T201
        elif status == 0:
            shutil.rmtree(place)  # it was done before its time came; the other kills meet another one
        else:
            raise RuntimeError(f"It ended with status {status} after {killed} kills.")
    if _run(place, None) != 0:
        raise RuntimeError("Resumed for the last time it does not end well.")


def _run(place: Path, moment: float | None) -> int:
    """Run it in a child that is killed after some seconds, if so long it takes; the child's status."""
    child = os.fork()
    if child == 0:
        if moment is not None:
            threading.Thread(target=_die, args=(moment,), daemon=True).start()
        try:
            Study(place, small_study.config()).run(progress=False)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _die(moment: float) -> None:
    time.sleep(moment)
    os.kill(os.getpid(), signal.SIGKILL)
