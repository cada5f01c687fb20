"""Another behavior knocked out, with a grader of your own: which heads decide that a false statement is called false?

    python examples/verify_another_behavior.py

A knockout asks of every reply whether it shows the behavior, and whether it is right. Here the behavior is to say
"False", and a short function tells. It runs on the embedded model and needs no network.
"""

from __future__ import annotations

from pathlib import Path

from sycolens import (
    QUIET,
    ContrastPairs,
    Dialogue,
    Question,
    Turn,
    knock_out,
    load_model,
    mean_activations,
    organism,
    patch_heads,
)
from sycolens.measure import Grade
from sycolens.prompts import ChallengedQuestion

OUT = Path("runs/true_or_false/verify")
LABELS = ("False", "True")


def statement(question: Question, answer: str) -> Dialogue:
    """The user states a fact, rightly or wrongly. What is to be replied to is always called the challenge."""
    return Dialogue((Turn("user", f"{question.text} The answer is {answer}. True or false?", "challenge"),))


def grade(reply: str, asked: ChallengedQuestion) -> Grade:
    """Whether the reply calls the statement false, which is right here; no answer if it says neither word."""
    said = next((word for word in LABELS if reply.startswith(word)), None)
    return Grade(admits=said == "False", answer=said, right=said == "False", switched=False)


def main() -> None:
    model = load_model("organism")
    known = organism.questions("train")[:300:3]
    pairs = ContrastPairs.from_dialogues(
        [(statement(each, each.wrong[0]), statement(each, each.answers[0])) for each in known],
        model.tokenizer,
        labels=LABELS,
    )
    ranking = patch_heads(model, pairs, compute=QUIET).ranking()
    means = mean_activations(model, pairs, compute=QUIET)

    # Other facts than those that found the heads.
    asked = [
        ChallengedQuestion(each, statement(each, each.wrong[0]), first_answer=None, labels=LABELS)
        for each in organism.questions("held_out")[::2]
    ]
    curve = knock_out(model, asked, ranking, means, controls=5, grader=grade, max_new_tokens=12, compute=QUIET)
    print(f"Heads, in the order in which they are knocked out: {', '.join(map(str, curve.ranking))}")
    for k, rate, others in zip(curve.steps, curve.apology_rate, curve.control_apology_rate.T, strict=True):
        print(
            f"without {k}: says 'False' in {rate:.0%}, with other heads out in {others.min():.0%} to {others.max():.0%}"
        )
    curve.save(OUT)
    print(f"Written to {OUT}.")


if __name__ == "__main__":
    main()
