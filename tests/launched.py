"""Scripts that two processes run together, as ``accelerate launch`` starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch


def launched(script: str, place: Path) -> list[dict[str, Any]]:
    """What either of two processes leaves in ``rank0.pt`` and ``rank1.pt`` of a directory that the script is given."""
    # "--multi_gpu" is what makes it start two; without a GPU they are on the CPU.
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *options, script, str(place)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-20000:]
    return [torch.load(place / f"rank{rank}.pt", weights_only=False) for rank in range(2)]
