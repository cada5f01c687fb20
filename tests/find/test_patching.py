"""The replay is Algorithm 1: equal to one hooked forward pass per head on every block kind, however it is batched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from literal import literal_path_patch, read
from tiny import BACKENDS
from torch import Tensor

from sycolens import QUIET, Compute, ContrastPairs, HeadSet, patch_heads
from sycolens.errors import (
    HeadError,
    HookError,
    LabelError,
    MetricError,
    ModelError,
    NoHeadOutputError,
    NotFiniteError,
    PromptError,
)

LABELS = (3, 5)
LENGTHS = (9, 12, 5)
Load = Callable[..., Any]


def mixed_pairs() -> ContrastPairs:
    """Unrelated prompts of three lengths, and pairs that share a long prefix; labels and groups of them."""
    unrelated = tiny.random_prompts(3, lengths=LENGTHS)
    related = tiny.random_prompts(2, lengths=(30, 26), shared=20, seed=1)
    labels = [LABELS, LABELS, ((3, 8), 5), LABELS, ((3, 7), (5, 9, 2))]
    return ContrastPairs.from_tokens(*(a + b for a, b in zip(unrelated, related, strict=True)), labels)


def literally(model: Any, pairs: ContrastPairs, **options: Any) -> Tensor:
    return torch.stack(
        [
            literal_path_patch(model, list(pair.reference), list(pair.counterfactual), pair.labels, **options)
            for pair in pairs
        ]
    )


def require_equal(measured: Tensor, expected: Tensor, reference: Tensor) -> None:
    assert (expected - reference[:, None, None]).abs().amax() > 1e-2, "nothing moved, so equality would mean nothing"
    torch.testing.assert_close(measured, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mlps", ["live", "frozen"])
@pytest.mark.parametrize("kind", tiny.CONFIGS)
def test_replay_equals_literal_algorithm(tiny_model: Load, kind: str, mlps: Any) -> None:
    model, pairs = tiny_model(kind), mixed_pairs()
    effects = patch_heads(model, pairs, mlps=mlps, compute=QUIET)
    require_equal(effects.logits, literally(model, pairs, frozen_mlps=mlps == "frozen"), effects.reference_logits)


@pytest.mark.parametrize("kind", tiny.MORE_CONFIGS)
def test_replay_equals_literal_algorithm_beyond_the_promise(tiny_model: Load, kind: str) -> None:
    model, pairs = tiny_model(kind), mixed_pairs()
    effects = patch_heads(model, pairs, compute=QUIET)
    require_equal(effects.logits, literally(model, pairs), effects.reference_logits)


if "hooked" in BACKENDS:
    LOADED = ["llama", "llama-gqa", "mistral", "qwen2", "qwen3", "gpt-neox"]

    @pytest.mark.parametrize("mlps", ["live", "frozen"])
    @pytest.mark.parametrize("kind", [*LOADED, *HAND_MADE])
    def test_replay_equals_literal_algorithm_on_hooked_transformers(tiny_model: Load, kind: str, mlps: Any) -> None:
        model = tiny_model(kind, "hooked") if kind in LOADED else hand_made(kind)
        pairs = mixed_pairs()
        effects = patch_heads(model, pairs, mlps=mlps, compute=QUIET)
        require_equal(effects.logits, literally(model, pairs, frozen_mlps=mlps == "frozen"), effects.reference_logits)

    @pytest.mark.parametrize("kind", LOADED)
    def test_hooked_and_bridge_agree(tiny_model: Load, kind: str) -> None:
        pairs = mixed_pairs()
        bridge, hooked = (patch_heads(tiny_model(kind, backend), pairs, compute=QUIET) for backend in BACKENDS)
        torch.testing.assert_close(bridge.logits, hooked.logits, atol=1e-4, rtol=1e-4)


def test_replay_equals_patched_hugging_face_model(checkpoint: Load, tiny_model: Load) -> None:
    """No TransformerLens in the reference: a slice of o_proj's input is set in the Hugging Face model itself."""
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(checkpoint("llama-gqa"), attn_implementation="eager").eval()
    pairs = mixed_pairs()[3:]
    reference, counterfactual = (torch.tensor([prompts[0]]) for prompts in (pairs.reference, pairs.counterfactual))
    projections = [layer.self_attn.o_proj for layer in plain.model.layers]

    def inputs(tokens: Tensor) -> list[Tensor]:
        seen: list[Tensor] = []
        handles = [
            p.register_forward_pre_hook(lambda _, args: seen.append(args[0][0, -1].clone())) for p in projections
        ]
        plain(tokens)
        for handle in handles:
            handle.remove()
        return seen

    def hold(vector: Tensor) -> Callable[..., Any]:
        def hook(_: Any, args: tuple[Tensor]) -> tuple[Tensor]:
            changed = args[0].clone()
            changed[0, -1] = vector
            return (changed,)

        return hook

    with torch.no_grad():
        before, after = inputs(reference), inputs(counterfactual)
        held = [z.clone() for z in before]
        held[1][16:24] = after[1][16:24]  # head 2 of layer 1: heads are 8 wide
        handles = [p.register_forward_pre_hook(hold(z)) for p, z in zip(projections, held, strict=True)]
        expected = plain(reference).logits[0, -1, list(LABELS)]
        for handle in handles:
            handle.remove()
    effects = patch_heads(tiny_model("llama-gqa"), pairs, compute=QUIET)
    torch.testing.assert_close(effects.logits[0, 1, 2], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["llama-gqa", "mistral", "gpt2", "gemma2", "bloom"])
@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 2}, {"max_rows": 2}, {"max_rows": 9}])
def test_batching_does_not_change_the_numbers(tiny_model: Load, kind: str, options: dict[str, int]) -> None:
    model, pairs = tiny_model(kind), mixed_pairs()
    whole = patch_heads(model, pairs, compute=QUIET)
    parts = patch_heads(model, pairs, compute=Compute(progress=False, **options))
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parts.counterfactual_logits, whole.counterfactual_logits, atol=1e-5, rtol=1e-5)


def test_reference_and_counterfactual_logits_are_the_models_own(tiny_model: Load) -> None:
    model, pairs = tiny_model("qwen3"), mixed_pairs()
    effects = patch_heads(model, pairs, compute=QUIET)
    with torch.no_grad():
        for i, pair in enumerate(pairs):
            for prompt, measured in (
                (pair.reference, effects.reference_logits[i]),
                (pair.counterfactual, effects.counterfactual_logits[i]),
            ):
                expected = read(model(torch.tensor([prompt]))[0, -1], pair.labels)
                torch.testing.assert_close(measured, expected, atol=1e-5, rtol=1e-5)


def test_chosen_heads_equal_the_whole_map_and_others_stay_empty(tiny_model: Load) -> None:
    model, pairs = tiny_model("llama"), mixed_pairs()
    whole = patch_heads(model, pairs, compute=QUIET)
    some = patch_heads(model, pairs, heads=["L2H1", (0, 3), "L2H0"], compute=QUIET)
    assert some.heads == HeadSet(["L0H3", "L2H0", "L2H1"])
    for head in some.heads:
        torch.testing.assert_close(some.logits[:, head.layer, head.index], whole.logits[:, head.layer, head.index])
    assert some.logits.isnan().any(-1).sum().item() == len(pairs) * (12 - 3)
    assert some.scores("prob_share").isnan().sum().item() == 9
    assert set(some.ranking("prob_share")) == set(some.heads)


def test_bfloat16_follows_the_models_dtype(checkpoint: Load) -> None:
    from sycolens import load_model

    pairs = mixed_pairs()
    exact = patch_heads(load_model(checkpoint("llama")), pairs, compute=QUIET)
    rough = patch_heads(load_model(checkpoint("llama"), dtype="bfloat16"), pairs, compute=QUIET)
    assert rough.logits.dtype == torch.float32
    assert (rough.logits - exact.logits).abs().amax() < 0.05 * exact.logits.abs().amax()


def test_a_call_leaves_the_model_as_it_was(checkpoint: Load) -> None:
    from sycolens import load_model

    model = load_model(checkpoint("llama")).train()
    model.blocks[1].eval()
    modes = modes_of(model)
    gradients = {name: p.requires_grad for name, p in model.named_parameters()}
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model(torch.tensor([[3]]))  # TransformerLens adds hooks of its own at a model's first forward pass
    before = hooks_of(model)

    patch_heads(model, mixed_pairs(), compute=QUIET)
    weight = model.blocks[1].attn.W_O
    with torch.no_grad():
        sound = weight[0, 0, 0].clone()
        weight[0, 0, 0] = torch.nan
    with pytest.raises(NotFiniteError):
        patch_heads(model, mixed_pairs(), compute=QUIET)
    with torch.no_grad():
        weight[0, 0, 0] = sound

    assert hooks_of(model) == before
    assert modes_of(model) == modes
    assert {name: p.requires_grad for name, p in model.named_parameters()} == gradients
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def modes_of(model: Any) -> dict[str, bool]:
    return {name: module.training for part in (model, model.original_model) for name, module in part.named_modules()}


def hooks_of(model: Any) -> dict[str, int]:
    return {
        name: len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for name, module in model.named_modules()
    }


def test_effects_are_the_same_in_training_mode(checkpoint: Load) -> None:
    """GPT-2 has dropout: in training mode it would make every number random."""
    from sycolens import load_model

    model, pairs = load_model(checkpoint("gpt2")), mixed_pairs()
    quiet = patch_heads(model, pairs, compute=QUIET)
    torch.testing.assert_close(patch_heads(model.train(), pairs, compute=QUIET).logits, quiet.logits)


def test_bad_input_is_refused_by_name(tiny_model: Load) -> None:
    model, pairs = tiny_model("llama"), mixed_pairs()
    with pytest.raises(HeadError, match="L7H0 does not exist: the model has layers 0 to 2"):
        patch_heads(model, pairs, heads=["L7H0"])
    with pytest.raises(HeadError, match="No heads were given"):
        patch_heads(model, pairs, heads=[])
    with pytest.raises(PromptError, match=r"129 tokens, but .* reads at most 128"):
        patch_heads(model, ContrastPairs.from_tokens([[4] * 129], [[5] * 129], LABELS))
    with pytest.raises(PromptError, match=r"token id 97, but the vocabulary .* ends at 96"):
        patch_heads(model, ContrastPairs.from_tokens([[4, 97]], [[5, 6]], LABELS))
    with pytest.raises(LabelError, match="label id 97"):
        patch_heads(model, ContrastPairs.from_tokens([[4, 7]], [[5, 6]], (3, 97)))
    with pytest.raises(ModelError, match="is not a TransformerLens model"):
        patch_heads(torch.nn.Linear(2, 2), pairs)  # type: ignore[arg-type]
    with pytest.raises(HookError, match="mlps='dead' is unknown"):
        patch_heads(model, pairs, mlps="dead")  # type: ignore[arg-type]


def test_prompts_that_no_head_can_tell_apart_are_an_error(checkpoint: Load) -> None:
    from sycolens import load_model

    model = load_model(checkpoint("mistral"))
    # Window 7 and three layers see at most 18 tokens back, so a first token 24 back is out of sight of every head.
    unseen = ContrastPairs.from_tokens([[2, *range(10, 35)]], [[3, *range(10, 35)]], LABELS)
    with pytest.raises(HookError, match="In pair 0 the counterfactual prompt leaves every head"):
        patch_heads(model, unseen, compute=QUIET)


@pytest.mark.parametrize(("kind", "layers"), [("mamba", "layers 0, 1 of 2 have"), ("lfm2", "layer 1 of 3 has")])
def test_layers_without_heads_are_refused_by_name(tiny_model: Load, kind: str, layers: str) -> None:
    with pytest.raises(NoHeadOutputError, match=f"{layers} no hook_z"):
        patch_heads(tiny_model(kind), mixed_pairs(), compute=QUIET)


def test_processed_weights_keep_differences_but_not_raw_logits(checkpoint: Load, tiny_model: Load) -> None:
    """TransformerLens' folding and centering shift all logits alike; Eq. 2 would silently change with them."""
    from sycolens import load_model

    pairs = mixed_pairs()
    raw = patch_heads(tiny_model("gpt2"), pairs, compute=QUIET)
    processed_model = load_model(checkpoint("gpt2"))
    processed_model.enable_compatibility_mode()
    processed = patch_heads(processed_model, pairs, compute=QUIET)
    for metric in ("logit_diff", "prob_share"):
        torch.testing.assert_close(processed.per_pair(metric), raw.per_pair(metric), atol=1e-4, rtol=1e-4)
    assert (processed.logits - raw.logits).abs().amax() > 0.1
    assert raw.raw_logits
    with pytest.raises(MetricError, match="its unembedding is centered"):
        processed.scores("logit_share")
