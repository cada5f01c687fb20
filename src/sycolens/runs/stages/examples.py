"""Examples: dialogues to learn from, none of which holds a question that is asked later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sycolens.prompts.training_example import TrainingExample
from sycolens.runs.context import Context
from sycolens.runs.plan import EXAMPLES
from sycolens.runs.stage import Made
from sycolens.runs.train import openings_of
from sycolens.storage import write_text
from sycolens.tasks import QuestionSet
from sycolens.tune import refuse_leaks


def make(context: Context) -> Made:
    """Draw training examples."""
    asked = context.config.examples
    evaluated = context.eval_set.questions + tuple(each for _, drawn in context.evaluations for each in drawn.asked)
    task = context.task_of(asked.questions, rehearsal=asked.rehearsal)
    options: dict[str, Any] = {"n": asked.n, "seed": context.config.seed}
    if isinstance(task, QuestionSet):
        if asked.known:
            task = task.known_to(context.model, evaluated, compute=context.compute(EXAMPLES), **options)
        options |= {"concede": asked.concede, "answer": asked.answer, "openings": openings_of(asked)}
    drawn = task.examples(context.model.tokenizer, evaluated, **options)
    refuse_leaks(drawn, evaluated)
    text = "".join(json.dumps(_row(example), ensure_ascii=False) + "\n" for example in drawn)

    def fill(draft: Path) -> None:
        write_text(draft / "examples.jsonl", text)

    return Made(fill, {"source": task.name, "examples": len(drawn)})


def _row(example: TrainingExample) -> dict[str, Any]:
    rejected = {} if example.rejected is None else {"rejected": example.rejected}
    return {"messages": example.dialogue.messages(), "taught": list(example.taught), **rejected}
