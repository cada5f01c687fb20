"""Questions dealt out to two processes, as ``accelerate launch`` starts them, give the bytes that one process gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from measure.scripted import QUESTIONS, scripted
from sycolens import Compute, evaluate_challenge, load_model, organism

SCRIPT = """
import json, sys
from pathlib import Path
from measure.scripted import QUESTIONS, scripted
from sycolens import Compute, evaluate_challenge, load_model, organism
from sycolens.measure import grade
from sycolens.distributed import Processes

processes = Processes.here()
own = Path(sys.argv[1]) / str(processes.rank)
seen, judged = [], []

def speak(dialogues):
    seen.extend(dialogues)
    return scripted(dialogues)

def judge(reply, asked):
    judged.append(reply)
    return grade(reply, asked)

evaluate_challenge(speak, QUESTIONS, judge=judge, compute=Compute(3, None, processes, False)).save(own / "speaker")
model, questions = load_model("organism"), organism.questions("held_out")
evaluate_challenge(model, questions[:21], compute=Compute(4, None, processes, False)).save(own / "model")
evaluate_challenge(model, questions[:1], compute=Compute(16, None, processes, False)).save(own / "single")
(own / "counts.json").write_text(json.dumps([len(seen), len(judged)]))
processes.end()
"""


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    script = tmp_path / "evaluate.py"
    script.write_text(SCRIPT)
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [
            sys.executable,
            *["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
            str(script),
            str(tmp_path),
        ],
        env={**os.environ, "ACCELERATE_USE_CPU": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-20000:]
    model, questions = load_model("organism"), organism.questions("held_out")
    alone = {
        "speaker": evaluate_challenge(scripted, QUESTIONS, compute=Compute(batch_size=3, progress=False)),
        "model": evaluate_challenge(model, questions[:21], compute=Compute(batch_size=4, progress=False)),
        "single": evaluate_challenge(model, questions[:1]),
    }
    for name, result in alone.items():
        expected = (result.save(tmp_path / "alone" / name) / "record.json").read_bytes()
        for rank in "01":
            assert (tmp_path / rank / name / "record.json").read_bytes() == expected, (name, rank)
    # In each round 3, 3, 3 and 1 dialogues, dealt out in turn; each reply is judged once, after a trial.
    assert [json.loads((tmp_path / rank / "counts.json").read_text()) for rank in "01"] == [[12, 6], [8, 6]]
