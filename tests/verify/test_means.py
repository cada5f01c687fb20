"""Means of head outputs against a plain loop over prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from sycolens import QUIET, Compute, ContrastPairs, organism
from sycolens.errors import PairError, SavedFileError
from sycolens.verify import HeadMeans, mean_activations

Load = Callable[..., Any]


def pairs_of() -> ContrastPairs:
    return ContrastPairs.from_tokens(*tiny.random_prompts(5, lengths=(9, 12, 10)), (3, 5))


def z_of(model: Any, prompt: tuple[int, ...]) -> torch.Tensor:
    """[token, layer, head, d_head]"""
    with torch.no_grad():
        _, cache = model.run_with_cache(torch.tensor([prompt]))
    z = [cache[f"blocks.{layer}.attn.hook_z"][0].view(len(prompt), 4, -1) for layer in range(3)]
    return torch.stack(z, 1)


@pytest.mark.parametrize("backend", tiny.BACKENDS)
@pytest.mark.parametrize("kind", ["llama-gqa", "qwen3", "gpt-neox"])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_means_are_those_of_one_prompt_after_another(
    tiny_model: Load, kind: str, backend: str, batch_size: int
) -> None:
    model, pairs = tiny_model(kind, backend), pairs_of()
    means = mean_activations(model, pairs, width=4, compute=Compute(batch_size=batch_size, progress=False))
    each = torch.stack([z_of(model, prompt)[-4:] for prompt in pairs.counterfactual])
    torch.testing.assert_close(means.mean, each.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(means.samples, each[:, -1], atol=1e-5, rtol=1e-5)


def test_reference_prompts_have_means_of_their_own(tiny_model: Load) -> None:
    model, pairs = tiny_model("llama"), pairs_of()
    means = mean_activations(model, pairs, prompts="reference", compute=QUIET)
    each = torch.stack([z_of(model, prompt)[-1:] for prompt in pairs.reference])
    torch.testing.assert_close(means.mean, each.mean(0), atol=1e-5, rtol=1e-5)


def test_write_norm_is_the_length_of_what_a_head_adds_to_the_residual_stream(tiny_model: Load) -> None:
    model, pairs = tiny_model("gpt2"), pairs_of()
    means = mean_activations(model, pairs, compute=QUIET)
    lengths = []
    for prompt in pairs.counterfactual:
        z = z_of(model, prompt)[-1]
        written = [z[1, 2] @ model.blocks[1].attn.W_O[2]]
        lengths.append(written[0].norm().item())
    assert means.write_norm[1, 2].item() == pytest.approx(sum(lengths) / len(lengths), rel=1e-5)


def test_the_challenge_reaches_back_as_far_as_the_shortest(tiny_model: Load) -> None:
    from sycolens import load_model

    pairs = organism.pairs("train", 8)
    shortest = min(len(ids) - spans["challenge"][0] for ids, spans in zip(pairs.reference, pairs.spans, strict=True))
    means = mean_activations(load_model("organism"), pairs, width="challenge", compute=QUIET)
    assert means.mean.shape == (shortest, 6, 8, 16)
    with pytest.raises(PairError, match="does not say where its challenge is"):
        mean_activations(tiny_model("llama"), pairs_of(), width="challenge", compute=QUIET)


def test_bad_widths_are_refused(tiny_model: Load) -> None:
    for width in (0, 10):
        with pytest.raises(PairError, match=f"width={width}, but the shortest prompt has 9 tokens"):
            mean_activations(tiny_model("llama"), pairs_of(), width=width, compute=QUIET)
    with pytest.raises(PairError, match="prompts='both' is unknown"):
        mean_activations(tiny_model("llama"), pairs_of(), prompts="both", compute=QUIET)  # type: ignore[arg-type]


def test_means_survive_saving(tiny_model: Load, tmp_path: Path) -> None:
    means = mean_activations(tiny_model("llama"), pairs_of(), compute=QUIET)
    again = HeadMeans.load(means.save(tmp_path / "means"))
    for name in ("mean", "samples", "write_norm"):
        assert torch.equal(getattr(again, name), getattr(means, name))
    assert repr(again) == repr(means)
    assert repr(means).startswith("HeadMeans(3 x 4 heads at the last token of 5 counterfactual prompts, llama")
    (tmp_path / "means" / "tensors.safetensors").write_bytes(b"cut")
    with pytest.raises(SavedFileError):
        HeadMeans.load(tmp_path / "means")
