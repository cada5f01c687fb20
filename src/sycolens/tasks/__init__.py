"""Where dialogues come from: the embedded world, a set of questions, or the user's own files."""

from sycolens.tasks.files import UserFiles, read_examples, read_texts
from sycolens.tasks.opening import open_task, usual_training
from sycolens.tasks.question_set import QuestionSet
from sycolens.tasks.task import HeldOut, Task
from sycolens.tasks.world import World

__all__ = [
    "HeldOut",
    "QuestionSet",
    "Task",
    "UserFiles",
    "World",
    "open_task",
    "read_examples",
    "read_texts",
    "usual_training",
]
