"""Attribution patching is the derivative of Algorithm 1 along the exchange, and exact where models are linear."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from literal import hold_last, read
from tiny import BACKENDS
from torch import Tensor

from sycolens import QUIET, Compute, ContrastPairs, HeadScores, attribute_heads, load_model, patch_heads
from sycolens.errors import HookError, MetricError, NoHeadOutputError

LABELS = (3, 5)
STEP = 0.02
Load = Callable[..., Any]


def some_pairs() -> ContrastPairs:
    """Unrelated prompts of two lengths, and one pair that shares a long prefix; labels and a group of them."""
    unrelated = tiny.random_prompts(2, lengths=(9, 5))
    related = tiny.random_prompts(1, lengths=(30,), shared=20, seed=1)
    return ContrastPairs.from_tokens(
        *(a + b for a, b in zip(unrelated, related, strict=True)), [LABELS, ((3, 8), 5), LABELS]
    )


def share(logits: Tensor) -> Tensor:
    """The sycophantic side's share of the two-way softmax."""
    return logits.softmax(-1)[0]


def literal_slopes(model: Any, pair: Any, *, effect: str, frozen: bool = False) -> Tensor:
    """Relative change of the share a small step along z_c - z_r, one head at a time: [layer, head].

    Two central differences, extrapolated to no step, as some blocks compute in float32 whatever their weights are.
    """
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    reference, counterfactual = (torch.tensor([list(ids)]) for ids in (pair.reference, pair.counterfactual))
    found = torch.empty(n_layers, n_heads, dtype=torch.float64)
    with torch.no_grad():
        logits, before = model.run_with_cache(reference)
        _, after = model.run_with_cache(counterfactual)
        plain = share(read(logits[0, -1].double(), pair.labels))
        for layer in range(n_layers):
            name = f"blocks.{layer}.attn.hook_z"
            r, c = (cache[name][:, -1].reshape(n_heads, -1) for cache in (before, after))
            for head in range(n_heads):

                def moved(step: float, layer: int = layer, head: int = head, r: Tensor = r, c: Tensor = c) -> Tensor:
                    z = r.clone()
                    z[head] += step * (c[head] - r[head])
                    hooks = [(f"blocks.{layer}.attn.hook_z", hold_last(z))]
                    if effect == "path":
                        others = [f"blocks.{other}.attn.hook_z" for other in range(n_layers) if other != layer]
                        others += [f"blocks.{other}.hook_mlp_out" for other in range(n_layers) if frozen]
                        hooks += [(other, hold_last(before[other][:, -1].clone())) for other in others]
                    logits = model.run_with_hooks(reference, fwd_hooks=hooks)
                    return share(read(logits[0, -1].double(), pair.labels))

                wide, narrow = ((moved(step) - moved(-step)) / (2 * step) for step in (2 * STEP, STEP))
                found[layer, head] = (4 * narrow - wide) / 3 / plain
    return found


def require_slopes(model: Any, *, effect: Any = "path", mlps: Any = "live", atol: float = 3e-4) -> None:
    """The library's estimate is the literal slope of every pair and head."""
    pairs = some_pairs()
    found = attribute_heads(model, pairs, metric="prob_share", effect=effect, mlps=mlps, compute=QUIET)
    expected = torch.stack([literal_slopes(model, each, effect=effect, frozen=mlps == "frozen") for each in pairs])
    assert expected.abs().amax() > 0.1, "little moves, so equality would mean little"
    torch.testing.assert_close(found.per_sample.double(), expected, atol=atol, rtol=1e-3)


@pytest.mark.parametrize("effect", ["path", "total"])
@pytest.mark.parametrize("kind", ["llama-gqa", "qwen3", "gemma2", "gpt2", "gpt-neox", "phi", "bloom", "mixtral"])
def test_scores_are_the_slopes_of_the_literal_patch(tiny_model: Load, kind: str, effect: Any) -> None:
    require_slopes(tiny_model(kind), effect=effect)


def test_with_frozen_mlps_slopes_pass_norms_only(tiny_model: Load) -> None:
    require_slopes(tiny_model("llama-gqa"), mlps="frozen")


if "hooked" in BACKENDS:

    @pytest.mark.parametrize("effect", ["path", "total"])
    @pytest.mark.parametrize("kind", ["llama-gqa", *HAND_MADE])
    def test_scores_are_the_slopes_on_hooked_transformers(tiny_model: Load, kind: str, effect: Any) -> None:
        require_slopes(hand_made(kind) if kind in HAND_MADE else tiny_model(kind, "hooked"), effect=effect)

    def test_in_float64_scores_are_the_slopes_to_many_digits() -> None:
        require_slopes(hand_made("gpt2").to(torch.float64), atol=1e-5)

    def test_where_heads_act_linearly_the_estimate_is_the_exact_effect_on_a_hooked_transformer() -> None:
        lens = import_module("transformer_lens")
        shape = {"n_layers": 3, "d_model": 32, "n_heads": 4, "d_head": 8, "n_ctx": 64, "d_vocab": tiny.VOCABULARY}
        config = lens.HookedTransformerConfig(**shape, attn_only=True, normalization_type=None, seed=0, device="cpu")
        require_exact(lens.HookedTransformer(config).eval())


def require_exact(model: Any) -> None:
    """Where nothing but matrices lies between a head and the logits, the first order is all there is."""
    pairs = some_pairs()[::2]
    exact = patch_heads(model, pairs, compute=QUIET).per_pair("logit_diff")
    assert exact.abs().amax() > 1e-3
    found = attribute_heads(model, pairs, metric="logit_diff", compute=QUIET)
    torch.testing.assert_close(found.per_sample, exact, atol=2e-5, rtol=1e-4)
    # Later attention is not linear: exact in the last layer, not before.
    total = patch_heads(model, pairs, effect="total", compute=QUIET).per_pair("logit_diff")
    estimate = attribute_heads(model, pairs, metric="logit_diff", effect="total", compute=QUIET).per_sample
    torch.testing.assert_close(estimate[:, -1], total[:, -1], atol=2e-5, rtol=1e-4)
    assert (estimate - total).abs().amax() > 100 * (estimate - total)[:, -1].abs().amax()


def test_where_heads_act_linearly_the_estimate_is_the_exact_effect(checkpoint: Load) -> None:
    """A Llama whose norms pass on what they get, and whose MLPs write nothing."""
    model = load_model(checkpoint("llama-gqa"))
    for name, module in model.original_model.named_modules():
        if name.split(".")[-1] in ("norm", "input_layernorm", "post_attention_layernorm"):
            module.register_forward_hook(lambda module, inputs, output: inputs[0])
    with torch.no_grad():
        for block in model.blocks:
            for parameter in block.mlp.out.parameters():
                parameter.zero_()
    require_exact(model)


def test_in_the_last_layer_no_head_reacts(tiny_model: Load) -> None:
    model, pairs = tiny_model("llama"), some_pairs()
    path, total = (
        attribute_heads(model, pairs, metric="logit_diff", effect=effect, compute=QUIET).per_sample
        for effect in ("path", "total")
    )
    torch.testing.assert_close(path[:, -1], total[:, -1], atol=1e-5, rtol=1e-4)
    assert (path[:, 0] - total[:, 0]).abs().amax() > 1e-3


@pytest.mark.parametrize("effect", ["path", "total"])
def test_batched_is_one_by_one_and_leaves_the_model_as_it_was(tiny_model: Load, effect: Any) -> None:
    model, pairs = tiny_model("llama-gqa"), some_pairs()
    before = {name: each.clone() for name, each in model.state_dict().items() if isinstance(each, Tensor)}
    flags = [each.requires_grad for each in model.parameters()]
    options: dict[str, Any] = {"metric": "prob_share", "effect": effect}
    together = attribute_heads(model, pairs, compute=QUIET, **options)
    alone = attribute_heads(model, pairs, compute=Compute(batch_size=1, progress=False), **options)
    torch.testing.assert_close(together.per_sample, alone.per_sample, atol=1e-6, rtol=1e-4)
    assert all(each.grad is None for each in model.parameters())
    assert flags == [each.requires_grad for each in model.parameters()]
    after = model.state_dict()
    assert all(torch.equal(each, after[name]) for name, each in before.items())
    assert not any(hook.fwd_hooks for hook in model.hook_dict.values())


def test_scores_are_saved_and_loaded(tiny_model: Load, tmp_path: Any) -> None:
    found = attribute_heads(tiny_model("llama"), some_pairs(), metric="logit_diff", compute=QUIET)
    again = HeadScores.load(found.save(tmp_path / "scores"))
    assert torch.equal(again.scores, found.scores)
    assert torch.equal(again.per_sample, found.per_sample)
    assert (again.ranking(), again.options) == (found.ranking(), found.options)


def test_bad_input_is_refused_before_any_compute(tiny_model: Load, checkpoint: Load) -> None:
    model, pairs = tiny_model("llama"), some_pairs()
    with pytest.raises(MetricError, match="warm"):
        attribute_heads(model, pairs, metric="warm", compute=QUIET)  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="logit_share"):  # groups of labels
        attribute_heads(model, pairs, metric="logit_share", compute=QUIET)
    with pytest.raises(HookError, match="total"):
        attribute_heads(model, pairs, metric="logit_diff", effect="total", mlps="frozen", compute=QUIET)
    with pytest.raises(HookError, match="direct"):
        attribute_heads(model, pairs, metric="logit_diff", effect="direct", compute=QUIET)  # type: ignore[arg-type]
    with pytest.raises(NoHeadOutputError):
        attribute_heads(load_model(checkpoint("lfm2")), pairs, metric="logit_diff", compute=QUIET)
