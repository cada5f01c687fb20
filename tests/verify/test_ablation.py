"""What is done to a model inside ``ablate_heads``, seen from outside: forward passes, caches, generation, weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from literal import literal_reply
from transformers import DynamicCache

from sycolens import QUIET, Compute, ContrastPairs, HeadSet, attend_to, knock_out, load_model, organism, patch_heads
from sycolens.errors import HeadError, HookError, ModelError
from sycolens.measure import replies
from sycolens.model.batched_generation import generate
from sycolens.verify import HeadMeans, ablate_heads, mean_activations

Load = Callable[..., Any]
HEADS = [(0, 1), (1, 3), (2, 0)]
KINDS_AND_BACKENDS = [(kind, "bridge") for kind in tiny.CONFIGS] + [
    (kind, "hooked") for kind in ("llama-gqa", "mistral", "gpt-neox") if "hooked" in tiny.BACKENDS
]


def pairs_of(n: int = 4) -> ContrastPairs:
    return ContrastPairs.from_tokens(*tiny.random_prompts(n, lengths=(9, 12, 9)), (3, 5))


def means_of(model: Any, **options: Any) -> HeadMeans:
    return mean_activations(model, pairs_of(), compute=QUIET, **options)


def replied(model: Any, prompt: list[int], n_tokens: int) -> list[int]:
    tokens = model.generate(
        torch.tensor([prompt]), max_new_tokens=n_tokens, do_sample=False, stop_at_eos=False, verbose=False
    )
    return tokens[0, len(prompt) :].tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("positions", ["last", "generated", "all"])
@pytest.mark.parametrize(("kind", "backend"), KINDS_AND_BACKENDS)
def test_generation_equals_an_uncached_forward(tiny_model: Load, kind: str, backend: str, positions: str) -> None:
    """With its key-value cache, TransformerLens' own generation sees the heads knocked out at the same places."""
    model, means = tiny_model(kind, backend), means_of(tiny_model(kind, backend))
    prompt = tiny.random_prompts(1, lengths=(10,), seed=3)[0][0]
    with ablate_heads(model, HEADS, means=means, positions=positions):  # type: ignore[arg-type]
        tokens = replied(model, prompt, 5)
    assert tokens == literal_reply(model, prompt, HEADS, means.mean, positions, 5)[0]


@pytest.mark.parametrize("positions", ["last", "generated", "all"])
@pytest.mark.parametrize("backend", tiny.BACKENDS)
def test_sycolens_own_generation_sees_the_same(tiny_model: Load, backend: str, positions: str) -> None:
    model = tiny_model("llama", backend)
    prompts = tiny.random_prompts(2, lengths=(10,), seed=3)[0]
    with ablate_heads(model, HEADS, method="zero", positions=positions):  # type: ignore[arg-type]
        theirs = [replied(model, prompt, 5) for prompt in prompts]
        ours = generate(model, prompts, max_new_tokens=5)
    assert [list(reply) for reply in ours] == [tokens[: len(ours[i])] for i, tokens in enumerate(theirs)]
    assert all(ours)
    assert ours != generate(model, prompts, max_new_tokens=5)


@pytest.mark.parametrize(("kind", "backend"), KINDS_AND_BACKENDS)
def test_a_heads_own_activation_changes_nothing(tiny_model: Load, kind: str, backend: str) -> None:
    """Bit for bit: a mean over one prompt is that prompt's own activation."""
    model = tiny_model(kind, backend)
    pair = pairs_of()[:1]
    own = mean_activations(model, pair, compute=QUIET)
    prompt = torch.tensor([pair.counterfactual[0]])
    everything = [(layer, head) for layer in range(3) for head in range(4)]
    with torch.no_grad():
        before = model(prompt)
        with ablate_heads(model, everything, means=own):
            after = model(prompt)
    assert torch.equal(before, after)


@pytest.mark.parametrize(("kind", "backend"), KINDS_AND_BACKENDS)
def test_zero_ablation_is_zeroing_rows_of_w_o(checkpoint: Load, tiny_model: Load, kind: str, backend: str) -> None:
    prompt = torch.tensor(tiny.random_prompts(2, lengths=(10,))[0])
    with torch.no_grad(), ablate_heads(tiny_model(kind, backend), HEADS, method="zero", positions="all"):
        ablated = tiny_model(kind, backend)(prompt)
    model = load_model(checkpoint(kind), backend=backend)  # type: ignore[arg-type]
    with torch.no_grad():
        for layer, head in HEADS:
            model.blocks[layer].attn.W_O[head] = 0
        torch.testing.assert_close(model(prompt), ablated, atol=1e-5, rtol=1e-5)
    assert (ablated - tiny_model(kind, backend)(prompt)).abs().max() > 0.01


@pytest.mark.parametrize("backend", tiny.BACKENDS)
def test_run_with_cache_and_hooks_see_it(tiny_model: Load, backend: str) -> None:
    model = tiny_model("llama", backend)
    means, prompt = means_of(model), torch.tensor(tiny.random_prompts(1)[0])
    with torch.no_grad():
        _, before = model.run_with_cache(prompt)
        with ablate_heads(model, ["L1H2"], means=means):
            model.run_with_hooks(prompt, fwd_hooks=[("blocks.1.attn.hook_z", lambda value, hook: None)])
            model.reset_hooks()
            _, cache = model.run_with_cache(prompt)
    z = cache["blocks.1.attn.hook_z"][0]
    torch.testing.assert_close(z[-1, 2], means.mean[0, 1, 2])
    assert torch.equal(z[:-1], before["blocks.1.attn.hook_z"][0, :-1])
    assert torch.equal(z[-1, [0, 1, 3]], before["blocks.1.attn.hook_z"][0, -1, [0, 1, 3]])


@pytest.mark.parametrize("backend", tiny.BACKENDS)
def test_blocks_nest_and_leave_nothing_behind(tiny_model: Load, backend: str) -> None:
    model = tiny_model("llama", backend)
    means, prompt = means_of(model), torch.tensor(tiny.random_prompts(1)[0])

    def z() -> torch.Tensor:
        with torch.no_grad():
            return model.run_with_cache(prompt)[1]["blocks.1.attn.hook_z"][0, -1]  # type: ignore[no-any-return]

    untouched, hooks = z(), hooks_of(model)
    with ablate_heads(model, ["L1H2", "L1H3"], means=means):
        outer = z()
        with ablate_heads(model, ["L1H0", "L1H2"], method="zero"):
            inner = z()
        assert torch.equal(z(), outer)
    assert torch.equal(inner[3], outer[3])
    assert inner[2].abs().max() == inner[0].abs().max() == 0
    assert torch.equal(inner[1], untouched[1])
    with pytest.raises(KeyError), ablate_heads(model, ["L1H2"], means=means):
        raise KeyError("of the user's own")
    assert torch.equal(z(), untouched)
    assert hooks_of(model) == hooks


def hooks_of(model: Any) -> dict[str, int]:
    return {name: len(module._forward_hooks) + len(module._forward_pre_hooks) for name, module in model.named_modules()}


def test_prompts_padded_on_the_right_are_ablated_at_their_own_last_token(tiny_model: Load) -> None:
    model = tiny_model("llama")
    means = means_of(model, width=2)
    long, short = tiny.random_prompts(2, lengths=(11, 8))[0]
    batch = torch.tensor([long, [*short, 1, 1, 1]])
    with torch.no_grad():
        with ablate_heads(model, HEADS, means=means, lengths=[11, 8]):
            together = model(batch)
        for row, prompt in enumerate((long, short)):
            with ablate_heads(model, HEADS, means=means):
                alone = model(torch.tensor([prompt]))
            torch.testing.assert_close(together[row, : len(prompt)], alone[0], atol=1e-5, rtol=1e-5)
        for lengths in ([11, 8, 4], [11, 1], [11, 12]):
            with (
                pytest.raises(HookError, match="2 rows of 11 tokens"),
                ablate_heads(model, HEADS, means=means, lengths=lengths),
            ):
                model(batch)


def test_resampling_takes_one_prompts_activations_for_each_row(tiny_model: Load) -> None:
    model = tiny_model("llama")
    means = means_of(model)
    batch = torch.tensor(tiny.random_prompts(12, lengths=(9,))[0])

    def z(seed: int) -> torch.Tensor:
        with torch.no_grad(), ablate_heads(model, ["L1H2", "L1H3"], method="resample", means=means, seed=seed):
            return model.run_with_cache(batch)[1]["blocks.1.attn.hook_z"][:, -1, 2:]  # type: ignore[no-any-return]

    drawn = (z(0)[:, None] - means.samples[None, :, 1, 2:]).abs().flatten(2).amax(-1).argmin(1)
    torch.testing.assert_close(z(0), means.samples[drawn, 1, 2:])
    assert len(set(drawn.tolist())) > 1
    assert torch.equal(z(0), z(0))
    assert not torch.equal(z(0), z(1))


@pytest.mark.parametrize(("kind", "backend"), KINDS_AND_BACKENDS)
def test_a_prompt_has_its_own_draw_alone_and_in_any_batch(tiny_model: Load, kind: str, backend: str) -> None:
    model = tiny_model(kind, backend)
    means = means_of(model)
    prompts = torch.tensor(tiny.random_prompts(12, lengths=(9,))[0])

    def z(*batches: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), ablate_heads(model, ["L1H2"], method="resample", means=means):
            found = [model.run_with_cache(batch)[1]["blocks.1.attn.hook_z"] for batch in batches]
        return torch.cat([each.view(len(each), 9, 4, -1)[:, -1, 2] for each in found])

    alone = z(*prompts.split(1))
    assert len(alone.unique(dim=0)) > 1
    assert torch.equal(alone, z(prompts))
    assert torch.equal(alone, z(*prompts.split(5)))
    assert torch.equal(alone, z(prompts.flip(0)).flip(0))


@pytest.mark.parametrize("positions", ["last", "generated", "all"])
def test_resampled_replies_are_those_of_a_knockout_in_any_batch(positions: Any) -> None:
    """Prompts of unequal length, sorted and padded by ``replies``."""
    model, pairs = load_model("organism"), organism.pairs("train", 8)
    means, asked = mean_activations(model, pairs, compute=QUIET), organism.challenges("train", 6)
    assert len({len(each.dialogue.render(model.tokenizer).token_ids) for each in asked}) > 1
    options: dict[str, Any] = {"method": "resample", "positions": positions, "seed": 3}
    heads = HeadSet(["L1H1", "L0H6", "L3H2"])
    said = []
    for batch_size in (1, 4, 6):
        with ablate_heads(model, heads, means=means, **options):
            said.append(
                tuple(replies(model, asked, compute=Compute(batch_size=batch_size, progress=False), max_new_tokens=12))
            )
    curve = knock_out(model, asked, heads, means, steps=(3,), controls=0, max_new_tokens=12, compute=QUIET, **options)
    assert said == [curve.replies[0][0].replies] * 3


def test_rows_lost_between_tokens_of_resampled_replies_are_refused(tiny_model: Load) -> None:
    model = tiny_model("llama")
    means, prompts, cache = means_of(model), torch.tensor(tiny.random_prompts(2)[0]), DynamicCache()
    with torch.no_grad(), ablate_heads(model, HEADS, method="resample", means=means, positions="generated"):
        model(prompts, past_key_values=cache, use_cache=True)
        cache.batch_select_indices(torch.tensor([1]))
        with pytest.raises(HookError, match="2 prompts and computes 1 rows"):
            model(prompts[:1, :1], past_key_values=cache, use_cache=True)


def test_a_pass_over_generated_tokens_alone_is_an_error(tiny_model: Load) -> None:
    model, means = tiny_model("llama"), means_of(tiny_model("llama"))
    with pytest.raises(HookError, match="Nothing was knocked out"), ablate_heads(model, HEADS, means=means):
        pass


def test_heads_are_not_measured_while_some_are_knocked_out() -> None:
    """Measuring divides prompts, so a knockout around it would hit other tokens than meant."""
    model, pairs = load_model("organism"), organism.pairs("train", 2)
    means, asked = mean_activations(model, pairs, compute=QUIET), organism.challenges("train", 1)
    measure: list[Callable[[], object]] = [
        lambda: patch_heads(model, pairs, compute=QUIET),
        lambda: mean_activations(model, pairs, compute=QUIET),
        lambda: attend_to(model, pairs, compute=QUIET),
        lambda: knock_out(model, asked, HeadSet(["L1H1"]), means, steps=(0,), controls=0, compute=QUIET),
    ]
    with ablate_heads(model, ["L1H1"], means=means):
        model(torch.tensor([pairs.reference[0]]))
        for call in measure:
            with pytest.raises(HookError, match="Call it outside of ablate_heads"):
                call()
    for call in measure:
        call()


def test_bad_input_is_refused_by_name(tiny_model: Load) -> None:
    model, means = tiny_model("llama"), means_of(tiny_model("llama"))

    def enter(heads: Any = HEADS, **options: Any) -> None:
        with ablate_heads(model, heads, **options):
            pytest.fail("the block was entered")

    with pytest.raises(HeadError, match="L7H0 does not exist"):
        enter(["L7H0"], means=means)
    with pytest.raises(HookError, match="method='mean' needs means=mean_activations"):
        enter()
    with pytest.raises(HookError, match="method='median' is unknown"):
        enter(method="median", means=means)
    with pytest.raises(HookError, match="positions='first' is unknown"):
        enter(means=means, positions="first")
    model = tiny_model("qwen3")
    with pytest.raises(ModelError, match=r"3 layers, 4 heads of 8.* 4 heads of 12"):
        enter(means=means)
