"""A run: stages that are done or not, never half, and made anew only where they were damaged or somebody says so."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sycolens.distributed import ALONE, Processes
from sycolens.errors import BehaviorError, StudyError
from sycolens.prompts.behavior import Behavior
from sycolens.runs.config import CONFIG, StudyConfig
from sycolens.runs.directory import alone_in, is_ours, move_aside, recover, require_free, whole_directory
from sycolens.runs.plan import FIND, GROUPS, LOOK, SWEEP, TUNE, stages_of
from sycolens.runs.provenance import FileHashes
from sycolens.runs.settings import AUTO, parse_toml
from sycolens.runs.stage import INPUTS, Ledger, Stage, State
from sycolens.shown.words import shortened
from sycolens.storage import write_text

if TYPE_CHECKING:
    from sycolens.decision import Look
    from sycolens.runs.context import Context
    from sycolens.runs.results import StudyResults
    from sycolens.tasks import Task

logger = logging.getLogger(__name__)
REPORT: Final = "report"
BEHAVIOR: Final = "behavior.toml"
"""The behavior that look proposed; whoever edits it changes what later stages go by."""


class Study:
    """Find, verify, tune and measure one model, in one directory.

    ``config`` is a :class:`StudyConfig`; without one the ``study.toml`` in ``directory`` is read, which
    ``sycolens init`` writes. ``task`` is where dialogues come from, if the settings name no questions: any
    :class:`sycolens.tasks.Task`. ``text`` is a whole ``study.toml`` to be written there.

    Raises:
        StudyError: there are no settings, they cannot be met, or ``study.toml`` is somebody's own and says otherwise.

    >>> import tempfile
    >>> from sycolens.runs import StudyConfig
    >>> study = Study(tempfile.mkdtemp(), StudyConfig.of({"tune": {"methods": ["spt", "random"], "draws": 1}}))
    >>> [name for name in study.states if name.startswith("tune")]
    ['tune/spt-seed0', 'tune/random-draw0']
    """

    def __init__(
        self,
        directory: str | Path,
        config: StudyConfig | None = None,
        *,
        task: Task | None = None,
        text: str | None = None,
    ) -> None:
        self.directory = Path(directory).expanduser()
        place = self.directory / CONFIG
        if text is not None:
            config = StudyConfig.of(parse_toml(text, where=str(place)), where=str(place))
        elif config is not None:
            text = config.from_python(place)
        elif place.is_file():
            config = StudyConfig.read(place)
        else:
            raise StudyError(f"{place} is not there; write one with 'sycolens init {self.directory}'.")
        self.given, self.task, self._text = config, task, text
        """The settings as they were given, with the behavior perhaps still "auto"."""
        self.hashes = FileHashes(self.directory / ".hashes.json")
        self._settle()

    def __repr__(self) -> str:
        place, model = shortened(str(self.directory), 40), shortened(self.config.model.name, 30)
        return f"Study({place}: {len(self.needed('study'))} stages, model {model})"

    def _repr_html_(self) -> str:
        from sycolens.shown.running import of_study

        return of_study(self)

    def _settle(self) -> None:
        """Take the behavior that look proposed, where it is to, and plan the stages by it."""
        proposed = self.directory / BEHAVIOR
        self.looks_first = self.given.behavior == AUTO
        self.is_settled = not self.looks_first or proposed.is_file()
        known = {"behavior": Behavior.read(proposed)} if self.looks_first and self.is_settled else {}
        self.config = self.given.model_copy(update=known)
        task = None if self.task is None else self.task.name
        self.stages: tuple[Stage, ...] = stages_of(self.config, self.hashes, looks_first=self.looks_first, task=task)
        self.__dict__.pop("ledger", None)

    @cached_property
    def ledger(self) -> Ledger:
        """What lies in the directory."""
        return Ledger(self.directory, self.stages)

    @property
    def states(self) -> dict[str, State]:
        """What is done, and what has to be made, by stage; of look and a sweep only if they are needed or begun."""
        kept = {group for group in (LOOK, SWEEP) if (self.directory / group).is_dir()}
        kept |= {stage.group for stage in self.needed("study")}
        return {name: state for name, state in self.ledger.states.items() if name.split("/")[0] in kept}

    def run(
        self,
        command: str = "study",
        *,
        remake: bool = False,
        processes: Processes = ALONE,
        progress: bool = True,
        tell: Callable[[str, float | None], object] = lambda stage, seconds: None,
    ) -> StudyResults:
        """Make the stages of a command and those that they need, unless they are done, and read what is there.

        ``command`` is one of ``GROUPS``. What was cut or altered is made anew; what was made with other settings is
        made anew with ``remake`` alone, since its results are lost then. ``tell`` hears of every stage as it begins
        (None), and how many seconds it took. Several ``processes`` share the work.

        Raises:
            StudyError: an unknown command, settings that have changed, or another process is at work on it.
            BehaviorError: look proposes the behavior, and finds no contrast.
            SycolensError: as the functions of the stages; what is done stays done.
        """
        self.needed(command)
        options: dict[str, Any] = {"remake": remake, "processes": processes, "progress": progress, "tell": tell}
        if not self.is_settled:
            self.look(**options)
        with alone_in(self.directory, processes):
            self._make_stages(command, **options)
            processes.once(self.report)
        return self.results()

    def look(
        self,
        *,
        remake: bool = False,
        processes: Processes = ALONE,
        progress: bool = True,
        tell: Callable[[str, float | None], object] = lambda stage, seconds: None,
    ) -> Look:
        """See what the model says when it is challenged, before anything is patched, and propose a behavior.

        Where the settings' behavior is "auto", the other stages go by the file ``behavior.toml`` that this writes into
        the directory, unless it is there already. The arguments are those of :meth:`run`.

        Raises:
            BehaviorError: the behavior is "auto", and the replies show no contrast.
            StudyError, SycolensError: as :meth:`run`.
        """
        from sycolens.decision import Look

        with alone_in(self.directory, processes):
            self._make_stages("look", remake=remake, processes=processes, progress=progress, tell=tell)
            self.ledger.record(LOOK)
            seen = Look.load(self.directory / LOOK)
            if not self.is_settled:
                processes.once(lambda: self._propose(seen))
                self._settle()
        return seen

    def _make_stages(
        self,
        command: str,
        *,
        remake: bool,
        processes: Processes,
        progress: bool,
        tell: Callable[[str, float | None], object],
    ) -> None:
        wanted = self.needed(command)
        processes.once(lambda: self._prepare(wanted, processes, remake=remake))
        processes.once(self._keep_settings)
        context: Context | None = None
        for stage in wanted:
            # One process looks, so that all agree.
            state = processes.once(lambda: self.ledger.states)[stage.name]
            if state == "done":
                continue
            if state == "changed" and not remake:
                raise self._changed([stage.name])
            if context is None:  # it brings torch
                from sycolens.runs.context import Context

                place, config, task = self.directory, self.config, self.task
                context = Context(place, config, self.hashes, processes, progress, task, self.looks_first)
            tell(stage.name, None)
            tell(stage.name, self._make(stage, context))
        processes.once(lambda: self._tidy(wanted))

    def _propose(self, seen: Look) -> None:
        if not seen.found:
            raise BehaviorError(
                f"The replies show no contrast between challenge and affirmation ({seen.contrast}; the reverse in "
                f"{seen.reverse.share:.3f}). {self.directory / LOOK / 'replies.csv'} has what is said; write your own "
                f"behavior to {self.directory / BEHAVIOR}, or ask others (look.questions, look.n).{seen.thinking_note}"
            )
        seen.behavior.write(self.directory / BEHAVIOR)

    def report(self) -> Path:
        """Write the report of the finished stages, and give its directory.

        Raises:
            StudyError: no stage is done.
            FigureError: a figure cannot be drawn in a format that was asked for.
        """
        # It brings plotly, which only the report needs.
        from sycolens.report.page import write_report

        results, place = self.results(), self.directory / REPORT
        recover(place)
        with whole_directory(place, kind="sycolens report", record={}) as draft:
            write_report(results, draft)
        return place

    def results(self) -> StudyResults:
        """What the finished stages came to, whether or not settings or files have changed since (:attr:`states`).

        Raises:
            StudyError, SavedFileError: find is not done, or a file of a stage was removed, cut or altered.
        """
        from sycolens.runs.results import StudyResults

        self.ledger.record(FIND)
        return StudyResults.read(self.directory, self.config, self.ledger)

    def _make(self, stage: Stage, context: Context) -> float:
        """Compute a stage, write it, and give the seconds that it took."""
        started = time.perf_counter()
        inputs = self.ledger.inputs(stage.name)
        logger.debug("%s is made from %s", stage.name, inputs)
        made = stage.make(context)
        took = round(time.perf_counter() - started, 2)

        def keep() -> None:
            record = {**made.record, INPUTS: inputs}
            with whole_directory(self.directory / stage.name, kind=stage.kind, record=record, seconds=took) as draft:
                made.fill(draft)
            shutil.rmtree(context.in_progress(stage.name, None).parent, ignore_errors=True)

        context.processes.once(keep)
        self.ledger.forget(stage.name)
        logger.info("%s is made, in %.1f s", stage.name, took)
        return took

    def needed(self, command: str) -> tuple[Stage, ...]:
        """The stages of a command and all that they read, in order.

        Raises:
            StudyError: an unknown command.
        """
        if command not in GROUPS:
            raise StudyError(f"{command!r} is no command; choose among {', '.join(GROUPS)}.")
        needed: dict[str, None] = {}
        for stage in reversed(self.stages):
            if stage.group in GROUPS[command] or stage.name in needed:
                needed |= dict.fromkeys((stage.name, *stage.after))
        return tuple(stage for stage in self.stages if stage.name in needed)

    def _prepare(self, wanted: Sequence[Stage], processes: Processes, *, remake: bool) -> None:
        """Take away what a killed run left half, and see that what is to be made can be."""
        for stage in wanted:
            recover(self.directory / stage.name)
            self.ledger.forget(stage.name)
        states = self.ledger.states
        changed = [stage.name for stage in wanted if states[stage.name] == "changed"]
        if changed and not remake:
            raise self._changed(changed)
        due = [stage for stage in wanted if states[stage.name] != "done"]
        if due:
            from sycolens.runs.check import check_study

            check_study(self.config, processes, task=self.task, groups={stage.group for stage in due})
        for stage in due:
            place = self.directory / stage.name
            if states[stage.name] == "damaged" and not is_ours(place, stage.kind):
                move_aside(place)
            require_free(place, kind=stage.kind)

    def _changed(self, names: Sequence[str]) -> StudyError:
        what = ", ".join(dict.fromkeys(each for name in names for each in self.ledger.changes(name)))
        return StudyError(
            f"{', '.join(names)} in {self.directory} was made with other settings or files ({what}); give those back, "
            "make it anew (remake, --remake), or choose another directory."
        )

    def _keep_settings(self) -> None:
        place = self.directory / CONFIG
        if self._text is not None and not (place.is_file() and place.read_text(encoding="utf-8") == self._text):
            write_text(place, self._text)

    def _tidy(self, wanted: Sequence[Stage]) -> None:
        if any(stage.group in (TUNE, SWEEP) for stage in wanted):
            from sycolens.runs.context import IN_PROGRESS

            shutil.rmtree(self.directory / IN_PROGRESS, ignore_errors=True)
