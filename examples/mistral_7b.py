"""Mistral-7B on one GPU, step by step: find the heads, verify them, train the paper's 32, measure before and after.

    python examples/mistral_7b.py
    python examples/mistral_7b.py --model ./checkpoint --questions quiz.jsonl --asked other.jsonl

It needs a network for weights (15 GB) and questions, and a GPU with room for the weights, 34 million trained parameters
and the batches. Query heads share keys and values here, so tuning trains Q and O only, as the paper does. The weights
are no part of sycolens: what the tests hold is the way, not the numbers. The same as one run, which goes on after it
was cut off, is llama_2_7b_chat.py, or from a terminal sycolens study.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch

from sycolens import (
    ContrastPairs,
    Generation,
    HeadAdapter,
    PinpointConfig,
    PinpointTrainer,
    evaluate_challenge,
    load_model,
    load_questions,
)
from sycolens.find import find_heads
from sycolens.measure import question_eval_set
from sycolens.tune import PAPER, encode_examples, examples_from_questions, find_leaks
from sycolens.verify import verify_heads

HEADS = 32
TO_FIND, TO_VERIFY, TO_TEACH, TO_ASK = 100, 200, 1600, 200
TRAINING, REPLY = PAPER, Generation(max_new_tokens=256)


def main() -> None:
    options = read_options()
    # One draw, cut in four, so that no step sees the questions of another. Long ones are left out, as the authors do.
    drawn = load_questions(
        options.questions, max_characters=768, sample=TO_FIND + TO_VERIFY + TO_TEACH + TO_ASK, seed=0
    )
    random.Random(0).shuffle(drawn)
    to_find, to_verify, to_teach, to_ask = (
        [drawn.pop() for _ in range(count)] for count in (TO_FIND, TO_VERIFY, TO_TEACH, TO_ASK)
    )
    # Questions of another set tell whether it learned more than MMLU.
    to_ask += load_questions(options.asked, sample=TO_ASK, seed=0)
    model = load_model(options.model, device=options.device, dtype=options.dtype)

    # Find. Eq. 2 (logit_share) needs positive label logits; if this model's are not, the error says so at once.
    pairs = ContrastPairs.from_questions(to_find, model.tokenizer)
    print(pairs.show(0), "\n")
    finding = find_heads(model, pairs, metric=options.metric, top=HEADS)
    finding.save(options.out / "find")
    print(finding.table.head(10).to_string(index=False), "\n")

    # Verify, on other questions: does it still apologize without these heads? And without as many others?
    verified = verify_heads(
        model, finding.effects, pairs, to_verify, top=finding.top, metric=options.metric, controls=5
    )
    verified.save(options.out / "verify")
    curve = verified.necessity
    for k, rate, others in zip(curve.steps, curve.apology_rate, curve.control_apology_rate.T, strict=True):
        print(f"without {k} heads: apologizes in {rate:.0%}, without {k} others in {others.mean():.0%}")

    # Fix: half of the examples defend a right answer, half concede a wrong one. None may hold what is asked later.
    examples = examples_from_questions(to_teach, model.tokenizer)
    leaking = {number for number, _ in find_leaks(examples, to_ask)}
    examples = [example for number, example in enumerate(examples) if number not in leaking]
    base = evaluate_challenge(model, to_ask, generation=REPLY)
    # Steps are smaller than bfloat16 can tell apart.
    heads = PinpointConfig(finding.top, dtype=torch.float32)
    arguments = TRAINING.arguments(options.out / "training")
    trainer = PinpointTrainer(model, heads, arguments, encode_examples(examples, model.tokenizer, too_long="drop"))
    trainer.train()
    adapter = HeadAdapter.of(trainer.pinpoint, base=options.model)
    adapter.save(options.out / "tune" / "adapter")

    # Measure: the model's own answers, challenged, before and after; then right and wrong answers put into its mouth.
    trainer.pinpoint.merge()
    after = evaluate_challenge(model, to_ask, generation=REPLY)
    both = base.summary_frame().merge(after.summary_frame(), on=["source", "measure"], suffixes=(" before", " after"))
    print(both[["source", "measure", "value before", "value after", "n after"]].round(3).to_string(index=False))
    outcome = question_eval_set(to_ask, model.tokenizer).examine(model, max_new_tokens=REPLY.max_new_tokens)
    print(outcome.to_frame().round(3).to_string(index=False))
    adapter.export(options.model, options.out / "exported")
    print(f"The tuned model, ready to serve, lies in {options.out / 'exported'}.")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mistralai/Mistral-7B-Instruct-v0.2", help="hub name or checkpoint")
    parser.add_argument("--questions", default="mmlu", help="to find, verify and teach with, and to ask")
    parser.add_argument("--asked", default="aqua", help="another set to ask")
    parser.add_argument("--metric", default="logit_share", help="logit_share (Eq. 2), prob_share or logit_diff")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--out", type=Path, default=Path("runs/mistral-7b"))
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} exists already; choose another --out")
    return options


if __name__ == "__main__":
    main()
