"""What a run is asked to do: the only place where an option is written down.

study.toml, the command line (``--set section.key=value``) and Python all give these settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tomlkit
from pydantic import ValidationError, model_validator

from sycolens.errors import StudyError
from sycolens.prompts.behavior import PAPER, PARAPHRASES, Behavior
from sycolens.runs.section import Section, Seed
from sycolens.runs.sections import (
    ComputeSection,
    ExamplesSection,
    FindSection,
    LookSection,
    MeasureSection,
    ModelSection,
    ReportSection,
    SweepSection,
    TuneSection,
    VerifySection,
)
from sycolens.runs.settings import AUTO, BehaviorSection, in_words, read_toml

CONFIG = "study.toml"
FROM_PYTHON: Final = "# Written from Python: a run that is given other settings there replaces this file.\n"
"""How a file of settings begins that nobody wrote by hand."""


class StudyConfig(Section):
    """All that a run depends on.

    >>> StudyConfig().tune.methods
    ['spt']
    """

    seed: Seed = 0
    behavior: BehaviorSection = PAPER
    """A table with the fields of :class:`sycolens.Behavior`, the name of a file of them, or "auto"."""
    model: ModelSection = ModelSection()
    look: LookSection = LookSection()
    find: FindSection = FindSection()
    verify: VerifySection = VerifySection()
    examples: ExamplesSection = ExamplesSection()
    tune: TuneSection = TuneSection()
    measure: MeasureSection = MeasureSection()
    sweep: SweepSection = SweepSection()
    report: ReportSection = ReportSection()
    compute: ComputeSection = ComputeSection()

    @model_validator(mode="after")
    def _judged_in_other_words(self) -> StudyConfig:
        tried, others = self.look.wordings - 1, self.measure.paraphrases
        if self.behavior == AUTO and tried + others > len(PARAPHRASES):
            raise ValueError(
                f"look.wordings = {tried + 1} and measure.paraphrases = {others} need {tried + others} paraphrases, "
                f"but there are {len(PARAPHRASES)}; ask for fewer of one"
            )
        return self

    @property
    def words(self) -> Behavior:
        """The behavior; the paper's while it is "auto"."""
        return self.behavior if isinstance(self.behavior, Behavior) else PAPER

    @classmethod
    def read(cls, path: str | Path) -> StudyConfig:
        """The settings in a TOML file; file names in it are as seen from the current folder.

        Raises:
            StudyError: the file cannot be read, or something in it is unknown, missing or out of range; all such
                places are named.
        """
        return cls.of(read_toml(path), where=str(path))

    @classmethod
    def of(cls, content: Mapping[str, Any], *, where: str = "the study") -> StudyConfig:
        """The settings in nested dictionaries.

        Raises:
            StudyError: as :meth:`read`.

        >>> StudyConfig.of({"find": {"n": 32}}).find.n
        32
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            wrong = "; ".join(in_words(each, cls.model_fields) for each in error.errors())
            raise StudyError(f"{where}: {wrong}.") from error
        except RecursionError as error:
            raise StudyError(f"{where} is nested too deeply to be settings.") from error

    def from_python(self, place: Path) -> str:
        """These settings as they are written to a file, unless somebody else's are there.

        Raises:
            StudyError: the file is somebody's own, and says otherwise.
        """
        is_own = place.is_file() and not place.read_text(encoding="utf-8").startswith(FROM_PYTHON)
        if is_own and StudyConfig.read(place) != self:
            raise StudyError(
                f"{place} says otherwise than the settings given; edit it and give none, or choose another directory."
            )
        return FROM_PYTHON + tomlkit.dumps(self.model_dump(exclude_defaults=True, exclude_none=True))
