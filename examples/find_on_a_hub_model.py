"""The paper's setting on a model from the Hugging Face hub: 100 MMLU questions, Llama-2-7B-Chat, one GPU.

    python examples/find_on_a_hub_model.py                                    # meta-llama/Llama-2-7b-chat-hf
    python examples/find_on_a_hub_model.py mistralai/Mistral-7B-Instruct-v0.2

This one needs what the other example does not: a network, about 15 GB for the weights (and your consent to Meta's
license, for Llama), and a GPU with some 20 GB of memory. The weights are not part of sycolens, so what you see here is
the way, not a result that the tests hold. From a terminal:

    sycolens find runs/NAME --model NAME --questions mmlu --set find.draws=2 --dtype bfloat16 --device cuda
"""

from __future__ import annotations

import sys
from pathlib import Path

from sycolens import ContrastPairs, load_model, load_questions
from sycolens.find import find_heads


def main(name: str) -> None:
    # As in the authors' code: at most 768 characters, 100 questions drawn from MMLU; and 100 others to compare with.
    questions = load_questions("mmlu", max_characters=768, sample=200, seed=0)
    model = load_model(name, device="cuda", dtype="bfloat16")
    first, others = (ContrastPairs.from_questions(half, model.tokenizer) for half in (questions[::2], questions[1::2]))
    print(first.show(0), "\n")

    # Eq. 2 needs positive label logits. If this model's are not, the error comes at once and names prob_share.
    finding = find_heads(model, first, other_pairs=[others], metric="logit_share")
    seen = finding.preference
    print(f"The model shows the contrast in {seen.both} of {seen.pairs} pairs.")
    for warning in finding.warnings:
        print("Warning:", warning)
    print(finding.table.head(20).to_string(index=False))
    print(f"{finding.redraws[0].overlap} of the top {len(finding.top)} are in the top of 100 other questions too.")
    finding.save(Path("runs") / Path(name).name)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "meta-llama/Llama-2-7b-chat-hf")
