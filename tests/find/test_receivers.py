"""Head to head: equal to the literal four passes on every block kind; groups, spans and what cannot be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from literal import literal_path_to_receivers
from tiny import BACKENDS
from torch import Tensor

from sycolens import QUIET, Compute, ContrastPairs, HeadEffects, HeadSet, patch_heads
from sycolens.errors import HeadError, HookError, ModelError, PairError
from sycolens.find import patching

LABELS = (3, 5)
RECEIVERS = ("L1H2", "L2H1")
SPANS = (4, 3, 4, 9)
"""How many tokens the challenge of each pair takes to the end."""
Load = Callable[..., Any]


def challenged_pairs() -> ContrastPairs:
    """Prompts of three lengths and challenges of three, the counterfactual longer, shorter and as long."""
    reference, counterfactual = tiny.random_prompts(3, lengths=(14, 14, 11), shared=6)
    more_reference, more_counterfactual = tiny.random_prompts(1, lengths=(24,), shared=15, seed=1)
    counterfactual[0] += [8, 4]
    counterfactual[1] = counterfactual[1][:-2]
    pairs = ContrastPairs.from_tokens(reference + more_reference, counterfactual + more_counterfactual, LABELS)
    lengths = [len(prompt) for prompt in pairs.reference]
    spans = tuple(
        {"question": (1, 3), "challenge": (length - span, length - 1)}
        for length, span in zip(lengths, SPANS, strict=True)
    )
    return replace(pairs, spans=spans)


def literally(model: Any, pairs: ContrastPairs, via: str, spans: tuple[int, ...]) -> Tensor:
    n_heads = model.cfg.n_heads
    group = 1 if via == "q" else n_heads // (getattr(model.cfg, "n_key_value_heads", None) or n_heads)
    receivers = [(1, 2 // group), (2, 1 // group)]
    return torch.stack(
        [
            literal_path_to_receivers(
                model, list(pair.reference), list(pair.counterfactual), pair.labels, receivers, via, span
            )
            for pair, span in zip(pairs, spans, strict=True)
        ]
    )


def require_literal(model: Any, pairs: ContrastPairs) -> None:
    spans = tuple(len(pair.reference) - pair.spans["challenge"][0] for pair in pairs)
    for via in ("q", "k", "v"):
        effects = patch_heads(model, pairs, receivers=RECEIVERS, via=via, compute=QUIET)
        expected = literally(model, pairs, via, spans if via != "q" else (1,) * len(pairs))
        moved = (expected - effects.reference_logits[:, None, None]).abs()
        assert moved[:, :2].amax((1, 2, 3)).min() > 1e-3, "nothing moved, so equality would mean nothing"
        assert moved[:, 2].amax() < 1e-4, "the last layer sends nothing"
        torch.testing.assert_close(effects.logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", tiny.CONFIGS)
def test_path_to_receivers_equals_four_literal_passes(tiny_model: Load, kind: str) -> None:
    require_literal(tiny_model(kind), challenged_pairs())


@pytest.mark.parametrize("kind", tiny.MORE_CONFIGS)
def test_path_to_receivers_equals_four_literal_passes_beyond_the_promise(tiny_model: Load, kind: str) -> None:
    require_literal(tiny_model(kind), challenged_pairs()[:1])


if "hooked" in BACKENDS:
    LOADED = ["llama", "llama-gqa", "mistral", "qwen2", "qwen3", "gpt-neox"]

    @pytest.mark.parametrize("kind", [*LOADED, *HAND_MADE])
    def test_path_to_receivers_equals_four_literal_passes_on_hooked_transformers(tiny_model: Load, kind: str) -> None:
        model = tiny_model(kind, "hooked") if kind in LOADED else hand_made(kind)
        require_literal(model, challenged_pairs()[:2])


def through(model: Any, pairs: ContrastPairs, **options: Any) -> HeadEffects:
    return patch_heads(model, pairs, **{"receivers": RECEIVERS, "via": "v", "compute": QUIET, **options})


@pytest.mark.parametrize("kind", ["llama-gqa", "gemma2", "bloom"])
@pytest.mark.parametrize("options", [{"batch_size": 1}, {"max_rows": 2}, {"max_rows": 7}])
def test_batching_does_not_change_the_path(tiny_model: Load, kind: str, options: dict[str, int]) -> None:
    model, pairs = tiny_model(kind), challenged_pairs()
    whole, parts = through(model, pairs), through(model, pairs, compute=Compute(progress=False, **options))
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-5, rtol=1e-5)


MIXED = [("llama-gqa", "bridge"), ("gemma2", "bridge"), ("mistral", "bridge"), ("gpt2", "bridge"), ("bloom", "bridge")]
MIXED += [("llama-gqa", "hooked"), ("gemma2", "hand made")] if "hooked" in BACKENDS else []


@pytest.mark.parametrize(("kind", "backend"), MIXED)
@pytest.mark.parametrize("via", ["k", "v"])
def test_pairs_of_unlike_length_run_at_once(
    tiny_model: Load, monkeypatch: pytest.MonkeyPatch, kind: str, backend: str, via: str
) -> None:
    """Prompts of 14, 14, 11 and 24 tokens with spans of 4, 3, 4 and 9: equal to the literal passes, pair by pair."""
    model = hand_made(kind) if backend == "hand made" else tiny_model(kind, backend)
    monkeypatch.setattr(patching, "MOST_RUN", 100.0)
    pairs, batches = challenged_pairs(), []
    real = patching.capture_suffixes

    def counted(*args: Any, **options: Any) -> Any:
        batches.append(len(args[2]))
        return real(*args, **options)

    monkeypatch.setattr(patching, "capture_suffixes", counted)
    found = through(model, pairs, via=via)
    assert batches == [len(pairs)]
    torch.testing.assert_close(found.logits, literally(model, pairs, via, SPANS), atol=1e-5, rtol=1e-5)
    alone = through(model, pairs, via=via, compute=Compute(progress=False, batch_size=1))
    assert batches == [len(pairs)] + [1] * len(pairs)
    torch.testing.assert_close(found.logits, alone.logits, atol=1e-5, rtol=1e-5)


def test_pairs_share_a_batch_where_that_runs_few_tokens_more() -> None:
    """Of a hundred lengths every pair is in one group, and no group runs more than half again as many tokens."""
    lengths = torch.randint(60, 200, (100,), generator=torch.Generator().manual_seed(0)).tolist()
    prompts = [list(range(2, 2 + length)) for length in lengths]
    pairs = ContrastPairs.from_tokens(prompts, [[*prompt[:-1], 1] for prompt in prompts], LABELS)
    spans = [12 + number % 5 for number in range(100)]
    groups = list(patching.alike(pairs, spans, reacts=True))
    assert sorted(number for group in groups for number in group) == list(range(100))
    assert len(groups) < 50
    for group in groups:
        width = max(lengths[i] for i in group) - min(lengths[i] - spans[i] for i in group)
        assert len(group) * width <= 1.5 * sum(spans[i] for i in group)


def test_a_head_above_its_receivers_gets_exactly_the_reference_logits(tiny_model: Load) -> None:
    effects = through(tiny_model("llama"), challenged_pairs(), receivers=["L1H2"])
    assert torch.equal(effects.logits[:, 1:], effects.reference_logits[:, None, None].expand(-1, 2, 4, -1))
    assert (effects.logits[:, 0] != effects.reference_logits[:, None]).any()


def test_a_head_between_two_receivers_reaches_the_later_one_alone(tiny_model: Load) -> None:
    model, pairs = tiny_model("llama"), challenged_pairs()
    both, later = through(model, pairs), through(model, pairs, receivers=["L2H1"])
    torch.testing.assert_close(both.logits[:, 1], later.logits[:, 1], atol=1e-5, rtol=1e-5)
    assert (both.logits[:, 0] - later.logits[:, 0]).abs().max() > 1e-3


def test_heads_of_a_group_receive_keys_and_values_as_one(tiny_model: Load) -> None:
    """Four heads in two groups: whichever head of a group is named, both receive, and the result says so."""
    model, pairs = tiny_model("llama-gqa"), challenged_pairs()
    for via in ("k", "v"):
        one, other = (through(model, pairs, receivers=[head], via=via) for head in ("L2H2", "L2H3"))
        assert one.receivers == other.receivers == HeadSet(["L2H2", "L2H3"])
        assert torch.equal(one.logits, other.logits)
    query, other_query = (through(model, pairs, receivers=[head], via="q") for head in ("L2H2", "L2H3"))
    assert query.receivers == HeadSet(["L2H2"])
    assert (query.logits - other_query.logits).abs().max() > 1e-3


def test_the_span_is_a_part_or_a_number_of_last_tokens(tiny_model: Load) -> None:
    model, pairs = tiny_model("llama"), challenged_pairs()[:1]
    by_default = through(model, pairs)
    assert torch.equal(through(model, pairs, span="challenge").logits, by_default.logits)
    assert torch.equal(through(model, pairs, span=4).logits, by_default.logits)
    torch.testing.assert_close(through(model, pairs, span="question").logits, through(model, pairs, span=13).logits)
    assert (through(model, pairs, span=3).logits - by_default.logits).abs().max() > 1e-3


def test_only_the_receivers_layers_and_those_between_run_the_rows(tiny_model: Load) -> None:
    """Rows join at the sender's layer and leave past the last receiver; in the second pass they join at the first."""
    model = tiny_model("llama")
    pairs = challenged_pairs()[:1]
    rows: list[list[int]] = [[], [], []]

    def count(layer: int) -> Callable[..., None]:
        return lambda value, hook: rows[layer].append(value.shape[0])

    with model.hooks(fwd_hooks=[(f"blocks.{layer}.hook_mlp_out", count(layer)) for layer in range(3)]):
        through(model, pairs, receivers=["L1H0"])
    # May the batch grow? Then what the prompts share, the rest of each, the listening rows, the telling rows.
    assert rows == [[2, 1, 1, 1, 5, 1], [2, 1, 1, 1, 5, 5], [2, 1, 1, 1, 1, 5]]


def test_receivers_leave_the_model_as_it_was(checkpoint: Load) -> None:
    from sycolens import load_model

    model = load_model(checkpoint("llama")).train()
    with torch.no_grad():
        model(torch.tensor([[3]]))  # TransformerLens adds hooks of its own at a model's first forward pass
    hooks = {name: len(m._forward_hooks) + len(m._forward_pre_hooks) for name, m in model.named_modules()}
    state = {name: value.clone() for name, value in model.state_dict().items()}
    through(model, challenged_pairs())
    patch_heads(model, challenged_pairs(), effect="total", compute=QUIET)
    assert {name: len(m._forward_hooks) + len(m._forward_pre_hooks) for name, m in model.named_modules()} == hooks
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())


def test_receivers_are_saved_and_named(tiny_model: Load, tmp_path: Path) -> None:
    effects = through(tiny_model("llama-gqa"), challenged_pairs(), receivers=["L2H2"])
    again = HeadEffects.load(effects.save(tmp_path))
    assert (again.effect, again.receivers, again.via) == ("path", HeadSet(["L2H2", "L2H3"]), "v")
    assert "through v of L2H2 and 1 more" in repr(again)
    assert "through v of L2H2 and 1 more" in str(effects.plot("prob_share").to_dict()).replace("<br>", " ")


def test_options_that_do_not_go_together_are_refused(tiny_model: Load) -> None:
    model, pairs = tiny_model("llama"), challenged_pairs()
    for error, words, options in [
        (HookError, "effect='direct' is unknown", {"effect": "direct"}),
        (HookError, "it takes no receivers", {"effect": "total", "receivers": ["L2H0"], "via": "q"}),
        (HookError, "mlps='frozen' belongs to effect='path'", {"effect": "total", "mlps": "frozen"}),
        (HookError, "mlps='frozen' belongs to effect='path'", {"receivers": ["L2H0"], "via": "q", "mlps": "frozen"}),
        (HookError, "through 'q', 'k' or 'v'", {"receivers": ["L2H0"]}),
        (HookError, "via='z': .* through 'q', 'k' or 'v'", {"receivers": ["L2H0"], "via": "z"}),
        (HookError, "name receivers", {"via": "q"}),
        (HookError, "name receivers", {"span": "challenge"}),
        (HookError, "via='q' takes no span", {"receivers": ["L2H0"], "via": "q", "span": 3}),
        (HeadError, "L3H0 does not exist", {"receivers": ["L3H0"], "via": "q"}),
        (HeadError, "No heads were given", {"receivers": [], "via": "q"}),
        (HeadError, "No head that was named lies below a receiver", {"receivers": ["L0H0"], "via": "q"}),
        (HeadError, r"the last is L1H0", {"receivers": ["L1H0"], "via": "q", "heads": ["L1H1", "L2H0"]}),
        (PairError, "Pair 0 has no part 'answer' .it has question, challenge", {"span": "answer"}),
        (PairError, "last 15 tokens of pair 0 .* have 14 and 16", {"span": 15}),
        (PairError, "last 13 tokens of pair 1 .* have 14 and 12", {"span": 13}),
        (PairError, "last 0 tokens", {"span": 0}),
    ]:
        asked: dict[str, Any] = {"receivers": ["L2H0"], "via": "v"} if error is PairError else {}
        with pytest.raises(error, match=words):
            patch_heads(model, pairs, compute=QUIET, **asked, **options)  # type: ignore[arg-type]


def test_an_input_without_a_hook_is_refused_before_anything_runs(
    tiny_model: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    known = {name: point for name, point in model.hook_dict.items() if name != "blocks.2.attn.hook_k"}
    monkeypatch.setattr(type(model), "hook_dict", known)
    with pytest.raises(ModelError, match="no hook_k in layers 2"):
        through(model, challenged_pairs(), via="k")


@pytest.mark.parametrize("name", ["blocks.2.attn.hook_v", "blocks.0.attn.hook_z", "blocks.1.hook_resid_pre"])
def test_a_silent_hook_is_an_error(tiny_model: Load, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    model = tiny_model("llama")
    real = type(model).hooks

    def deaf(self: Any, fwd_hooks: list[tuple[str, Any]], **options: Any) -> Any:
        return real(self, fwd_hooks=[hook for hook in fwd_hooks if hook[0] != name], **options)

    monkeypatch.setattr(type(model), "hooks", deaf)
    with pytest.raises(HookError, match=name.replace(".", r"\.") + " did not fire"):
        through(model, challenged_pairs())
