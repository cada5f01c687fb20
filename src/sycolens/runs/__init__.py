"""The whole walk for one model: find, verify, fix and measure, in a directory that a kill cannot spoil."""

from sycolens.runs.config import StudyConfig
from sycolens.runs.results import Measured, StudyResults
from sycolens.runs.stage import Stage, State
from sycolens.runs.study import Study

__all__ = ["Measured", "Stage", "State", "Study", "StudyConfig", "StudyResults"]
