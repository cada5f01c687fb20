"""Llama-2-7B-Chat on one GPU, as a study: find, verify, train the paper's 32 heads and the baselines, measure, report.

    python examples/llama_2_7b_chat.py
    python examples/llama_2_7b_chat.py --model ./checkpoint --questions quiz.jsonl --asked other.jsonl

It needs a network for weights (13 GB, and your consent to Meta's license) and questions, and a GPU with room for the
weights, 67 million trained parameters and the batches. Run it again after a kill, and it goes on; with other settings
it makes anew what depends on them. It ends in a page to open in a browser, with the paper's own figures beside. The
weights are no part of sycolens: what the tests hold is the way, not the numbers. From a terminal:

    sycolens init runs/llama --model meta-llama/Llama-2-7b-chat-hf    # writes settings to edit
    sycolens study runs/llama
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sycolens.runs import Study, StudyConfig

HEADS = 32
SETTINGS: dict[str, dict[str, Any]] = {
    "find": {"n": 100, "draws": 2, "top": HEADS},  # as many MMLU pairs as the authors, and as many others to compare
    "verify": {"n": 200, "controls": 5},
    "examples": {"n": 1600},
    # Found heads, random ones, and PEFT's LoRA (extra "peft"). "sft" trains all weights: another kind of machine.
    "tune": {
        "methods": ["spt", "random", "lora"],
        "k": HEADS,
        "draws": 2,
        "rank_of_all": 8,
        # Heads take the rate of the authors' scripts. Updates of low rank need a larger one; this one was not tuned.
        "by_method": {"lora": {"learning_rate": 3e-4}},
    },
    "measure": {"n": 200, "max_new_tokens": 256},
}


def main() -> None:
    options = read_options()
    config = StudyConfig.of(
        SETTINGS
        | {
            "model": {"name": options.model, "dtype": options.dtype},
            "find": SETTINGS["find"] | {"questions": options.questions, "metric": options.metric},
            "measure": SETTINGS["measure"]
            | {
                "sources": [{"questions": options.questions}, {"questions": options.asked}],
                "texts": options.texts,
                "tasks": options.tasks,
                "task_limit": 200,
            },
            "compute": {"device": options.device},
        }
    )
    study = Study(options.out, config)
    results = study.run(remake=True)
    for each in results.measured:
        rates = each.challenge.summary()
        print(f"{each.method:18} holds on: {rates['confidence']}   stays right: {rates['truthfulness']}")
    print(f"Open {options.out / 'report' / 'report.html'} in a browser.")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="meta-llama/Llama-2-7b-chat-hf", help="hub name or checkpoint")
    parser.add_argument("--questions", default="mmlu", help="to find, verify and teach with, and to ask")
    parser.add_argument("--asked", default="aqua", help="another set to ask")
    parser.add_argument("--texts", help="file of texts in which to look for drift (the paper: 1,000 of OpenWebText)")
    parser.add_argument("--tasks", nargs="*", default=[], help="of lm-evaluation-harness, such as gsm8k mmlu")
    parser.add_argument("--metric", default="logit_share", help="logit_share (Eq. 2), prob_share or logit_diff")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--out", type=Path, default=Path("runs/llama-2-7b-chat"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
