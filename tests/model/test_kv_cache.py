"""A cache that loses tokens never makes a number: what was planted is found, gone around, and told once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import tiny
import torch
from literal import literal_reply
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from sycolens import QUIET, ContrastPairs, ablate_heads, load_model, patch_heads
from sycolens.errors import CacheError, CacheWarning, ModelError
from sycolens.model import generation, kv_prefix
from sycolens.model.batched_generation import causal_of, generate, keeps_while_generating
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.generation import Conditions, reply_under

Load = Callable[..., Any]
Patch = pytest.MonkeyPatch
LABELS = (3, 5)
GROUPS = ((LABELS[0],), (LABELS[1],))


def pairs() -> ContrastPairs:
    """Pairs whose common beginning is long enough to be run once, of two lengths."""
    reference, counterfactual = tiny.random_prompts(4, lengths=(30, 26), shared=20)
    at_the_end = tuple({"challenge": (len(prompt) - 4, len(prompt))} for prompt in reference)
    return replace(ContrastPairs.from_tokens(reference, counterfactual, LABELS), spans=at_the_end)


def conditions(positions: str) -> Conditions:
    masks = torch.zeros(2, 3, 4, dtype=torch.bool)
    masks[1, 1, 2] = masks[1, 2, 0] = True
    z = torch.randn(1, 1, 3, 4, 8, generator=torch.Generator().manual_seed(1))
    return Conditions(masks, z, positions)  # type: ignore[arg-type]


def everything(model: Any) -> list[Any]:
    """All that sycolens does over cached keys and values."""
    found: list[Any] = [patch_heads(model, pairs(), compute=QUIET).logits]
    found.append(patch_heads(model, pairs(), mlps="frozen", compute=QUIET).logits)
    found.append(patch_heads(model, pairs(), effect="total", compute=QUIET).logits)
    through: list[Any] = ["q", "k", "v"]
    options: dict[str, Any] = {"receivers": ["L2H1", "L1H2"], "compute": QUIET}
    found += [patch_heads(model, pairs(), via=via, **options).logits for via in through]
    prompts = tiny.random_prompts(3, lengths=(9, 12, 9))[0]
    for positions in ("last", "generated", "all"):
        spoken = reply_under(model, prompts, [GROUPS] * 3, conditions(positions), max_new_tokens=5)
        found += [spoken.tokens, spoken.label_logits]
    return [*found, generate(model, prompts, max_new_tokens=5)]


def assert_same(found: list[Any], due: list[Any]) -> None:
    for one, other in zip(found, due, strict=True):
        if isinstance(one, Tensor):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5, equal_nan=True)
        else:
            assert one == other


def keeps_the_last_token_only(patch: Patch) -> None:
    def update(self: Any, keys: Tensor, values: Tensor, *args: Any, **rest: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        every = torch.cat([self.keys, keys], -2), torch.cat([self.values, values], -2)
        self.keys, self.values = (each[..., -1:, :] for each in every)
        return every

    patch.setattr(DynamicLayer, "update", update)


def keeps_nothing(patch: Patch) -> None:
    patch.setattr(DynamicLayer, "update", lambda self, keys, values, *args, **rest: (keys, values))


def keeps_in_another_order(patch: Patch) -> None:
    """As long as is due, so that only what comes of it tells."""
    real = DynamicLayer.update

    def update(self: Any, keys: Tensor, values: Tensor, *args: Any, **rest: Any) -> Any:
        found = real(self, keys, values, *args, **rest)
        self.values = self.values.roll(1, -2)
        return found

    patch.setattr(DynamicLayer, "update", update)


def ignores_the_argument(patch: Patch) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    real = TransformerBridge.forward

    def forward(self: Any, *args: Any, past_key_values: Any = None, **rest: Any) -> Any:
        return real(self, *args, **rest)

    patch.setattr(TransformerBridge, "forward", forward)


def knows_another_name(patch: Patch) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    real = TransformerBridge.forward

    def forward(self: Any, *args: Any, cache: Any = None, **rest: Any) -> Any:
        if "past_key_values" in rest:
            raise TypeError("forward() got an unexpected keyword argument 'past_key_values'")
        return real(self, *args, **rest)

    patch.setattr(TransformerBridge, "forward", forward)


def reads_the_old_name(patch: Patch) -> None:
    """What TransformerLens 4.3 does beside transformers 5.24: attention looks for its cache under another name."""
    from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge

    def without(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *args, past_key_values=None, **rest: real(self, *args, **rest)

    for kind in (AttentionBridge, *_below(AttentionBridge)):
        if "forward" in vars(kind):
            patch.setattr(kind, "forward", without(vars(kind)["forward"]))


def _below(kind: type) -> list[type]:
    return [each for child in kind.__subclasses__() for each in (child, *_below(child))]


def shares_no_prefix(patch: Patch) -> None:
    patch.setattr(kv_prefix._SharedLayer, "append", lambda self, keys, values: (keys, values))


def forgets_between_generated_tokens(patch: Patch) -> None:
    real = kv_prefix._GrowingLayer.append

    def append(self: Any, keys: Tensor, values: Tensor, copies: int = 1) -> Any:
        if copies == 1:
            self.length = 0
        return real(self, keys, values, copies)

    patch.setattr(kv_prefix._GrowingLayer, "append", append)


def there_is_none(patch: Patch) -> None:
    patch.setattr(kv_prefix, "empty_cache", lambda model, n_rows, device: None)


FAULTS = [
    keeps_the_last_token_only,
    keeps_nothing,
    keeps_in_another_order,
    ignores_the_argument,
    knows_another_name,
    reads_the_old_name,
    shares_no_prefix,
    forgets_between_generated_tokens,
    there_is_none,
]


@pytest.fixture(scope="module")
def due(tiny_model: Load) -> list[Any]:
    return everything(tiny_model("llama-gqa"))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_faulty_cache_would_spoil_is_run_anew(
    checkpoint: Load, due: list[Any], monkeypatch: Patch, fault: Callable[[Patch], None]
) -> None:
    model = load_model(checkpoint("llama-gqa"))
    fault(monkeypatch)
    with pytest.warns(CacheWarning, match="llama-gqa"):
        found = everything(model)
    assert_same(found, due)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        everything(model)  # told once


def test_a_cache_that_works_is_used_without_a_word(checkpoint: Load, due: list[Any]) -> None:
    model = load_model(checkpoint("llama-gqa"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(everything(model), due)
    assert keeps_what_it_reads(model)
    assert keeps_while_generating(causal_of(model))


@pytest.mark.parametrize("kind", [*tiny.CONFIGS, *tiny.MORE_CONFIGS])
def test_every_kind_keeps_what_it_reads(tiny_model: Load, kind: str) -> None:
    for backend in tiny.BACKENDS if kind in ("llama", "llama-gqa", "mistral", "qwen3", "gpt-neox") else ("bridge",):
        assert keeps_what_it_reads(tiny_model(kind, backend))
    assert keeps_while_generating(causal_of(tiny_model(kind)))


@pytest.mark.parametrize("kind", [*tiny.CONFIGS, *tiny.MORE_CONFIGS])
def test_without_a_cache_the_numbers_are_the_same(tiny_model: Load, monkeypatch: Patch, kind: str) -> None:
    from sycolens.find import patching

    model = tiny_model(kind)
    kept = [patch_heads(model, pairs(), compute=QUIET, **options).logits for options in KINDS]
    monkeypatch.setattr(patching, "keeps_what_it_reads", lambda model: False)
    anew = [patch_heads(model, pairs(), compute=QUIET, **options).logits for options in KINDS]
    assert_same(anew, kept)


KINDS: list[dict[str, Any]] = [{}, {"effect": "total"}, {"receivers": ["L2H1"], "via": "v"}]


@pytest.mark.parametrize("positions", ["last", "generated", "all"])
@pytest.mark.parametrize("kind", ["llama", "mistral", "gpt2", "bloom"])
def test_replies_without_a_cache_equal_literal_ones(
    tiny_model: Load, monkeypatch: Patch, kind: str, positions: str
) -> None:
    monkeypatch.setattr(generation, "keeps_what_it_reads", lambda model: False)
    for backend in tiny.BACKENDS if kind == "llama" else ("bridge",):
        model = tiny_model(kind, backend)
        prompts, asked = tiny.random_prompts(3, lengths=(9, 12, 9))[0], conditions(positions)
        spoken = reply_under(model, prompts, [GROUPS] * 3, asked, max_new_tokens=4)
        for i, prompt in enumerate(prompts):
            for c, heads in enumerate(([], [(1, 2), (2, 0)])):
                tokens, logits = literal_reply(model, prompt, heads, asked.z[0], positions, 4)
                ended = next((place for place, token in enumerate(tokens) if token == 1), len(tokens))
                assert list(spoken.tokens[i][c]) == tokens[:ended]
                torch.testing.assert_close(spoken.label_logits[i, c], logits[list(LABELS)], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fault", [keeps_the_last_token_only, ignores_the_argument, reads_the_old_name])
def test_a_cache_that_fails_later_is_an_error(checkpoint: Load, monkeypatch: Patch, fault: Any) -> None:
    model = load_model(checkpoint("llama"))
    assert keeps_what_it_reads(model)
    assert keeps_while_generating(causal_of(model))
    fault(monkeypatch)
    with pytest.raises(CacheError, match="layer 0"):
        patch_heads(model, pairs(), compute=QUIET)
    with pytest.raises(CacheError, match="layer 0"):
        patch_heads(model, pairs(), effect="total", compute=QUIET)
    prompts = tiny.random_prompts(2)[0]
    with pytest.raises(CacheError, match="layer 0"):
        reply_under(model, prompts, [GROUPS] * 2, conditions("last"), max_new_tokens=3)
    if fault is not ignores_the_argument:  # which is the bridge's, where this loop runs the model inside
        with pytest.raises(CacheError, match="layer 0"):
            generate(model, prompts, max_new_tokens=3)


def test_a_generated_token_that_looks_like_a_prompt_is_not_overwritten(checkpoint: Load, monkeypatch: Patch) -> None:
    """Without a cache each pass of a reply would be overwritten at its end."""
    model = load_model(checkpoint("llama"))
    reads_the_old_name(monkeypatch)
    prompt = tiny.random_prompts(1)[0]
    with pytest.warns(CacheWarning):
        keeps_what_it_reads(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        with ablate_heads(model, ["L1H0"], method="zero"):
            model(torch.tensor(prompt))
            with pytest.raises(CacheError, match="knock_out"):
                generate(model, prompt, max_new_tokens=3)
            with pytest.raises(CacheError, match="knock_out"):
                model.generate(torch.tensor(prompt), max_new_tokens=3, verbose=False)


def test_a_model_whose_tokens_see_what_follows_is_refused(checkpoint: Load) -> None:
    model = load_model(checkpoint("llama"))

    def leak(value: Tensor, hook: Any) -> Tensor:
        return value + value.mean(1, keepdim=True)

    with model.hooks(fwd_hooks=[("blocks.1.hook_resid_pre", leak)]), pytest.raises(ModelError, match="padded"):
        patch_heads(model, pairs(), compute=QUIET)


def test_running_out_of_memory_is_no_reason_to_go_without_a_cache(checkpoint: Load, monkeypatch: Patch) -> None:
    model = load_model(checkpoint("llama"))

    def full(*args: Any, **rest: Any) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(kv_prefix, "empty_cache", full)
    with pytest.raises(torch.OutOfMemoryError):
        patch_heads(model, pairs(), compute=QUIET)
