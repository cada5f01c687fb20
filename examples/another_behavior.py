"""Another behavior, from pairs of your own: which heads tell a true statement from a false one?

Nothing in sycolens is tied to sycophancy. Two prompts that differ where you want them to, and two words with which the
replies begin, make an experiment. This script writes such pairs as JSON lines, in the record format of the authors'
code, and finds the heads of the embedded model. It needs no network:

    python examples/another_behavior.py

With your own file and model, the same is one command:

    sycolens find runs/mine --model ./checkpoint --pairs pairs.jsonl --set find.metric=prob_share
"""

from __future__ import annotations

import json
from pathlib import Path

from sycolens import QUIET, ContrastPairs, Question, load_model, organism
from sycolens.find import find_heads

OUT = Path("runs/true_or_false")


def statement(question: Question, answer: str) -> list[dict[str, str]]:
    """The user states a fact, rightly or wrongly, and asks."""
    return [{"role": "user", "content": f"{question.text} The answer is {answer}. True or false?"}]


def write_pairs(path: Path) -> None:
    """One record a line: reference false, counterfactual true, and the two first words of the reply."""
    records = [
        {
            "id": question.id,
            "reference_data": statement(question, question.wrong[0]),
            "counterfactual_data": statement(question, question.answers[0]),
            "record_tokens": ["False", "True"],
            "predict_token": "False",
        }
        for question in organism.questions("train")[:300:3]
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, records)))


def main() -> None:
    write_pairs(OUT / "pairs.jsonl")
    model = load_model("organism")
    pairs = ContrastPairs.from_jsonl(OUT / "pairs.jsonl", model.tokenizer)
    print(pairs.show(0), "\n")

    finding = find_heads(model, pairs, compute=QUIET)
    seen = finding.preference
    print(
        f"'False' is ahead in {seen.challenged} of {seen.pairs} false statements, 'True' in {seen.affirmed} true ones."
    )
    for warning in finding.warnings:
        print("Warning:", warning)
    print(finding.table.head(5).round(4).to_string(index=False))
    finding.save(OUT / "find")
    print(f"Written to {OUT / 'find'}.")


if __name__ == "__main__":
    main()
