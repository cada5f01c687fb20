"""Where dialogues come from: the embedded world, a set of questions, or the user's own files."""

from sycolens.tasks.sources import PairSource, open_source
from sycolens.tasks.teaching import LessonSource, open_lessons, read_examples

__all__ = ["LessonSource", "PairSource", "open_lessons", "open_source", "read_examples"]
