"""Likelihoods of continuations against a Hugging Face forward and against lm-evaluation-harness."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sycolens import Compute, ablate_heads
from sycolens.errors import HookError, PromptError
from sycolens.model.continuations import continuation_log_likelihoods

Checkpoint = Callable[[str], Path]


def cases(n: int = 5) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts of several lengths; letters (one token), texts of one to four tokens, some with a common beginning."""
    rng = random.Random(0)
    prompts, _ = tiny.random_prompts(n, lengths=(12, 7, 9))
    texts = [[[rng.randrange(2, 97) for _ in range(size)] for size in (1, 1, 3, 4)] for _ in range(n)]
    return prompts, [[*some, [*some[2][:-1], some[3][0]]] for some in texts]


def by_hand(model: Any, prompt: list[int], continuation: list[int]) -> float:
    with torch.no_grad():
        log_p = model(torch.tensor([prompt + continuation])).logits[0].double().log_softmax(-1)
    return sum(log_p[len(prompt) - 1 + k, token].item() for k, token in enumerate(continuation))


@pytest.mark.parametrize("kind", tiny.CONFIGS)
def test_likelihoods_are_those_of_a_plain_forward(tiny_model: Any, checkpoint: Checkpoint, kind: str) -> None:
    plain = AutoModelForCausalLM.from_pretrained(checkpoint(kind), dtype=torch.float32).eval()
    prompts, continuations = cases()
    for model in (tiny_model(kind), plain):
        found = continuation_log_likelihoods(model, prompts, continuations, compute=Compute(batch_size=3))
        for prompt, several, scores in zip(prompts, continuations, found, strict=True):
            for each, score in zip(several, scores.tolist(), strict=True):
                assert score == pytest.approx(by_hand(plain, prompt, each), abs=2e-4)


def test_likelihoods_are_those_of_the_evaluation_harness(tiny_model: Any, checkpoint: Checkpoint) -> None:
    from lm_eval.models.huggingface import HFLM

    plain = AutoModelForCausalLM.from_pretrained(checkpoint("llama"), dtype=torch.float32).eval()
    harness: Any = HFLM(pretrained=plain, tokenizer=AutoTokenizer.from_pretrained(checkpoint("llama")), batch_size=2)
    prompts, continuations = cases()
    requests = [
        (("", str(k)), prompt, each)
        for prompt, several in zip(prompts, continuations, strict=True)
        for k, each in enumerate(several)
    ]
    theirs = [score for score, _ in harness._loglikelihood_tokens(requests, disable_tqdm=True)]
    ours = torch.cat(continuation_log_likelihoods(tiny_model("llama"), prompts, continuations))
    torch.testing.assert_close(ours, torch.tensor(theirs), atol=2e-4, rtol=0)


def test_letters_of_a_prompt_share_one_row(tiny_model: Any) -> None:
    model, rows = tiny_model("gpt2"), 0
    prompts, _ = tiny.random_prompts(4)

    def count(module: Any, args: Any) -> None:
        nonlocal rows
        rows += len(args[0]) if args[0].shape[1] > 1 else 0

    handle = model.embed.register_forward_pre_hook(count)
    continuation_log_likelihoods(model, prompts, [[[5], [6], [7], [8]]] * 4)
    handle.remove()
    assert rows == 4


def test_what_does_not_fit_is_refused(tiny_model: Any) -> None:
    model = tiny_model("llama")
    longest = model.cfg.n_ctx
    with pytest.raises(PromptError, match=str(longest)):
        continuation_log_likelihoods(model, [[5] * longest], [[[6, 7]]])
    with pytest.raises(PromptError, match="prompt 1"):
        continuation_log_likelihoods(model, [[5], [6]], [[[6]], [[]]])
    with pytest.raises(HookError), ablate_heads(model, ["L0H0"], method="zero"):
        continuation_log_likelihoods(model, [[5, 6]], [[[6]]])
