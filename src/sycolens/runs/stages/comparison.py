"""Comparison: the trainings of a sweep at the settings that validation chose, on held-out dialogues."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sycolens.measure.outcome import outcomes_record
from sycolens.runs.context import Context
from sycolens.runs.methods import in_path
from sycolens.runs.plan import COMPARISON
from sycolens.runs.stage import Made
from sycolens.runs.stages.sweep import eval_sets, examine
from sycolens.runs.sweep import HELD_OUT, choices, key_of, read_tried
from sycolens.runs.train import ADAPTER, LORA
from sycolens.storage import write_text


def make(context: Context) -> Made:
    """Choose, and examine what was chosen."""
    _, held_out = eval_sets(context)
    chosen = choices(read_tried(context.directory, context.config))
    compute = context.compute(COMPARISON)
    outcomes = {"base": examine(context, held_out, None, compute.part("base"))}
    for choice in (choice for both in chosen.values() for choice in both):
        for tried, step in choice.reached:
            if (key := key_of(tried, step)) not in outcomes:
                outcomes[key] = examine(context, held_out, tried.place / "steps" / str(step), compute.part(key))

    def fill(draft: Path) -> None:
        write_text(draft / HELD_OUT, json.dumps(outcomes_record(outcomes)) + "\n")
        for method, (best, _) in chosen.items():
            tried, step = best.reached[0]
            for name in (ADAPTER, LORA):
                if (adapter := tried.place / "steps" / str(step) / name).is_dir():
                    shutil.copytree(adapter, draft / "adapters" / in_path(method))

    return Made(fill)
