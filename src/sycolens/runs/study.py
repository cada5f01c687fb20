"""The whole walk in one directory: stages that are done or not, never half, and made anew only where inputs changed."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tomlkit

from sycolens.errors import StudyError
from sycolens.distributed import ALONE, Processes
from sycolens.storage import write_text
from sycolens.runs.check import check_study
from sycolens.runs.config import CONFIG, StudyConfig
from sycolens.runs.making import kind_of
from sycolens.runs.results import StudyResults
from sycolens.runs.stage import INPUTS, Stage, State, states_of
from sycolens.runs.stages import stages_of
from sycolens.runs.context import REPORT, UNDER_WAY, Workshop
from sycolens.runs.directory import require_free, whole_directory

FROM_PYTHON = "# Written from Python: a study that is given other settings there replaces this file.\n"


class Study:
    """Find, verify, fix and measure, for one model.

    ``config`` is a :class:`StudyConfig`; without one the ``study.toml`` in ``directory`` is read, which
    ``sycolens init`` writes.

    Raises:
        StudyError: there are no settings, they cannot be met, or ``study.toml`` is somebody's own and says otherwise.

    >>> import tempfile
    >>> from sycolens.runs import StudyConfig
    >>> study = Study(tempfile.mkdtemp(), StudyConfig.of({"tune": {"methods": ["spt", "random"], "draws": 1}}))
    >>> [name for name in study.states if name.startswith("tune")]
    ['tune/spt-seed0', 'tune/random-draw0']
    """

    def __init__(self, directory: str | Path, config: StudyConfig | None = None) -> None:
        self.directory = Path(directory)
        place = self.directory / CONFIG
        if config is None:
            if not place.is_file():
                raise StudyError(f"{place} is not there; write one with 'sycolens init {self.directory}'.")
            config = StudyConfig.read(place)
        else:
            _require_own(config, place)
        self.config = config
        self.stages: tuple[Stage, ...] = stages_of(config)
        """In the order in which they are made."""

    @property
    def states(self) -> dict[str, State]:
        """What is done, and what has to be made, by stage."""
        return states_of(self.stages, self.directory)

    def run(
        self,
        *,
        resume: bool = False,
        processes: Processes = ALONE,
        progress: bool = True,
        tell: Callable[[str, float | None], object] = lambda stage, seconds: None,
    ) -> StudyResults:
        """Make every stage that is not done, and read them all.

        With ``resume`` it goes on with what is there. ``tell`` hears of every stage as it begins (None), and how many
        seconds it took. Several ``processes`` share the work.

        Raises:
            StudyError: a study is there and ``resume`` is False, or another process is at work on it.
            SycolensError: as the functions of the stages; what is done stays done.
        """
        with processes_locked(self.directory, processes):
            if not resume and any(state != "to do" for state in self.states.values()):
                raise StudyError(
                    f"{self.directory} holds a study on its way; go on with it (resume, --resume), or choose another "
                    "directory."
                )
            processes.once(lambda: _keep(self.config, self.directory / CONFIG))
            processes.once(lambda: self._prepare(processes))
            shop = Workshop(self.directory, self.config, processes, progress)
            for stage in self.stages:
                # One process looks, so that all agree.
                if processes.once(lambda: states_of(self.stages, self.directory))[stage.name] == "done":
                    continue
                tell(stage.name, None)
                tell(stage.name, self._make(stage, shop))
            processes.once(lambda: shutil.rmtree(self.directory / UNDER_WAY, ignore_errors=True))
            processes.once(self.report)
        return self.results()

    def report(self) -> Path:
        """Write the report of the finished stages, and give its directory.

        Raises:
            StudyError: a stage is not done.
            FigureError: a figure cannot be drawn in a format that was asked for.
        """
        # It brings plotly, which only the report needs.
        from sycolens.report.page import write_report

        results, place = self.results(), self.directory / REPORT
        with whole_directory(place, kind=kind_of(REPORT), record={}, overwrite=True) as draft:
            write_report(results, draft)
        return place

    def _make(self, stage: Stage, shop: Workshop) -> float:
        """Compute a stage, write it, and give the seconds that it took."""
        started = time.perf_counter()
        inputs = stage.inputs_in(self.directory)
        write = stage.make(shop)
        took = round(time.perf_counter() - started, 2)

        def keep() -> None:
            write(self.directory / stage.name, {INPUTS: inputs, "seconds": took})
            shutil.rmtree(self.directory / UNDER_WAY / stage.name, ignore_errors=True)

        shop.processes.once(keep)
        return took

    def results(self) -> StudyResults:
        """What the stages came to, whether or not settings or files have changed since (:attr:`states` tells).

        Raises:
            StudyError: a stage is not done.
        """
        if missing := [name for name, state in self.states.items() if state == "to do"]:
            raise StudyError(
                f"{self.directory} has no finished {missing[0]}; run 'sycolens study {self.directory} --resume' first."
            )
        return StudyResults.read(self.directory, self.config)

    def _prepare(self, processes: Processes) -> None:
        """Take away the drafts that a killed run left, and see that what is to be made can be."""
        for name in (*(stage.name for stage in self.stages), REPORT):
            place = self.directory / name
            for draft in place.parent.glob(f".{place.name}.*"):
                shutil.rmtree(draft, ignore_errors=True)
        states = self.states
        due = [stage for stage in self.stages if states[stage.name] != "done"]
        if due:
            check_study(self.config, processes)
        for stage in due:
            require_free(self.directory / stage.name, kind=stage.kind, overwrite=True)
        require_free(self.directory / REPORT, kind=kind_of(REPORT), overwrite=True)


@contextmanager
def processes_locked(directory: Path, processes: Processes) -> Iterator[None]:
    """Keep other runs of the same study out; the lock goes with the process, however it ends.

    Raises:
        StudyError: another run is at it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as file:

        def lock() -> None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StudyError(f"Another process is at work on {directory}; wait for it, or end it.") from error

        processes.once(lock)
        yield


def _require_own(config: StudyConfig, place: Path) -> None:
    """Refuse settings that are not those which somebody wrote into the study's directory."""
    if not place.is_file() or place.read_text(encoding="utf-8").startswith(FROM_PYTHON):
        return
    if StudyConfig.read(place) != config:
        raise StudyError(
            f"{place} says otherwise than the settings given; edit it and give none, or choose another directory."
        )


def _keep(config: StudyConfig, place: Path) -> None:
    """Write settings that came from Python down."""
    former = place.read_text(encoding="utf-8") if place.is_file() else FROM_PYTHON
    text = FROM_PYTHON + tomlkit.dumps(config.model_dump(exclude_defaults=True, exclude_none=True))
    if former.startswith(FROM_PYTHON) and (former != text or not place.is_file()):
        write_text(place, text)
