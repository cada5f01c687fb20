"""A task of general ability that needs no hub: the questions that come with the library, for lm-evaluation-harness.

Writes ``general.yaml`` and its data into a folder; in study.toml then:

    [measure]
    tasks = ["sycolens_general"]
    task_folder = "tasks"
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sycolens import load_questions

TASK = """task: sycolens_general
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{options}}}}"
doc_to_target: "{{{{right}}}}"
metric_list:
  - metric: acc
  - metric: acc_norm
"""


def write_task(folder: Path) -> Path:
    """The task's YAML file, its data beside it: the held-out facts, each with four options in words."""
    folder.mkdir(parents=True, exist_ok=True)
    data = (folder / "general.jsonl").resolve()
    rows = [
        {"question": each.text, "options": each.options, "right": each.options.index(each.answers[1])}
        for each in load_questions("general", split="held_out")
    ]
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    path = folder / "general.yaml"
    path.write_text(TASK.format(data=data), encoding="utf-8")
    return path


if __name__ == "__main__":
    write_task(Path(sys.argv[1] if len(sys.argv) > 1 else "tasks"))
