"""Interventions against a literal loop: one dialogue, one whole uncached forward pass for every token, plain hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sycolens import Compute, ContrastPairs, HeadSet, load_model, organism, patch_heads
from sycolens.errors import HeadError, HookError, ModelError, SavedFileError
from sycolens.measure import kl_drift
from sycolens.model.batched_generation import generate
from sycolens.model.continuations import continuation_log_likelihoods
from sycolens.model.hooked import Geometry
from sycolens.model.kv_prefix import run_and_keep
from sycolens.prompts.tokens import encode, start_tokens
from sycolens.steer import Intervention, mean_ablation
from sycolens.verify import ablate_heads, mean_activations

Load = Callable[..., Any]
HEADS = HeadSet([(0, 1), (1, 3), (1, 0), (2, 2)])
KINDS_AND_BACKENDS = [(kind, "bridge") for kind in tiny.CONFIGS] + [
    (kind, "hooked") for kind in ("llama-gqa", "mistral", "gpt-neox") if "hooked" in tiny.BACKENDS
]
STEERINGS = ["iti", "projection", "ablation"]
LENGTHS = (10, 13, 9, 13)


def intervention(model: Any, kind: str = "caa", strength: float = 3.0) -> Intervention:
    vectors = torch.randn(len(HEADS), model.cfg.d_head, generator=torch.Generator().manual_seed(1))
    return Intervention(kind, HEADS, vectors, strength if kind in ("iti", "caa") else None)  # type: ignore[arg-type]


def by_hand(kind: str, z: Tensor, vector: Tensor, strength: float) -> Tensor:
    if kind == "ablation":
        return vector.expand(z.shape)
    if kind == "projection":
        unit = vector / vector.norm()
        return z - torch.outer(z @ unit, unit)
    return z + strength * vector


def literal_logits(model: Any, tokens: list[int], first: int, kind: str, strength: float = 3.0) -> Tensor:
    """Logits at every token of one plain forward pass, steered from the token ``first`` on."""
    vectors = intervention(model, kind).vectors

    def hook_for(index: int, vector: Tensor) -> Any:
        def hook(value: Tensor, hook: Any) -> Tensor:
            value = value.clone()
            per_head = value.view(*value.shape[:2], -1, len(vector))
            per_head[0, first:, index] = by_hand(kind, per_head[0, first:, index].clone(), vector, strength)
            return value

        return hook

    hooks = [
        (f"blocks.{head.layer}.attn.hook_z", hook_for(head.index, v)) for head, v in zip(HEADS, vectors, strict=True)
    ]
    with torch.no_grad():
        return model.run_with_hooks(torch.tensor([tokens]), fwd_hooks=hooks)[0]  # type: ignore[no-any-return]


def literal_reply(model: Any, prompt: list[int], kind: str, n_tokens: int, strength: float = 3.0) -> tuple[int, ...]:
    tokens = list(prompt)
    while len(tokens) < len(prompt) + n_tokens:
        tokens.append(int(literal_logits(model, tokens, len(prompt) - 1, kind, strength)[-1].argmax()))
    return tuple(tokens[len(prompt) :])


def prompts_of(lengths: tuple[int, ...] = LENGTHS) -> list[list[int]]:
    return tiny.random_prompts(len(lengths), lengths=lengths, seed=3)[0]


def without_ends(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("batched_generation", "generation"):
        monkeypatch.setattr(f"sycolens.model.{module}.end_tokens", lambda *args: frozenset())


@pytest.mark.parametrize("steering", STEERINGS)
@pytest.mark.parametrize(("kind", "backend"), KINDS_AND_BACKENDS)
def test_replies_in_batches_are_those_of_the_literal_loop(
    tiny_model: Load, kind: str, backend: str, steering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prompts = tiny_model(kind, backend), prompts_of()
    without_ends(model, monkeypatch)
    with intervention(model, steering).attach(model):
        found = generate(model, prompts, max_new_tokens=5, compute=Compute(batch_size=4, progress=False))
    assert found == [literal_reply(model, prompt, steering, 5) for prompt in prompts]


@pytest.mark.parametrize("kind", list(HAND_MADE) if "hooked" in tiny.BACKENDS else [])
def test_replies_of_hand_made_models_too(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = hand_made(kind), prompts_of()
    without_ends(model, monkeypatch)
    with intervention(model, "iti").attach(model):
        found = generate(model, prompts, max_new_tokens=4, compute=Compute(batch_size=4, progress=False))
    assert found == [literal_reply(model, prompt, "iti", 4) for prompt in prompts]


def test_steering_changes_the_replies_that_are_compared(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison with the literal loop would say nothing."""
    model, prompts = tiny_model("llama"), prompts_of()
    without_ends(model, monkeypatch)
    replies = [generate(model, prompts, max_new_tokens=5)]
    for kind in STEERINGS:
        with intervention(model, kind).attach(model):
            replies.append(generate(model, prompts, max_new_tokens=5))
    assert len({str(each) for each in replies}) == 4


@pytest.mark.parametrize("backend", tiny.BACKENDS)
def test_a_model_that_keeps_nothing_is_steered_at_the_same_places(
    checkpoint: Callable[[str], Path], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(checkpoint("llama"), backend=backend)  # type: ignore[arg-type]
    without_ends(model, monkeypatch)
    for module in ("batched_generation", "steering"):
        monkeypatch.setattr(f"sycolens.model.{module}.keeps_while_generating", lambda causal: False)
    for module in ("generation", "steering"):
        monkeypatch.setattr(f"sycolens.model.{module}.keeps_what_it_reads", lambda model: False)
    prompts = prompts_of()
    with intervention(model, "iti").attach(model):
        found = generate(model, prompts, max_new_tokens=4)
    assert found == [literal_reply(model, prompt, "iti", 4) for prompt in prompts]


@pytest.mark.parametrize("steering", STEERINGS)
@pytest.mark.parametrize(("kind", "backend"), KINDS_AND_BACKENDS)
def test_likelihoods_are_those_of_the_literal_pass(tiny_model: Load, kind: str, backend: str, steering: str) -> None:
    model, prompts = tiny_model(kind, backend), prompts_of()
    continuations = [[[5, 7, 11], [5, 7, 12], [9]], [[3]], [[4, 4], [8]], [[6, 1, 2]]]
    with intervention(model, steering).attach(model):
        found = continuation_log_likelihoods(model, prompts, continuations)
    for prompt, several, scores in zip(prompts, continuations, found, strict=True):
        for each, score in zip(several, scores, strict=True):
            logits = literal_logits(model, [*prompt, *each[:-1]], len(prompt) - 1, steering)
            rows = logits.log_softmax(-1)[len(prompt) - 1 :]
            due = sum(row[token] for row, token in zip(rows, each, strict=True))
            assert score.item() == pytest.approx(float(due), abs=2e-4)


def test_drift_is_that_of_a_model_steered_at_every_token() -> None:
    model = load_model("organism")
    heads, texts = HeadSet([(1, 1), (2, 2)]), organism.texts(5)
    vectors = torch.randn(2, model.cfg.d_head, generator=torch.Generator().manual_seed(0))
    with Intervention("caa", heads, vectors, 1.0).attach(model) as steered:
        found = kl_drift(model, steered, texts, compute=Compute(batch_size=3, progress=False))
    for number, text in enumerate(texts):
        tokens = torch.tensor([[*start_tokens(model.tokenizer, text), *encode(model.tokenizer, text)][:128]])
        assert found.tokens[number] == tokens.shape[1]

        def hook_for(index: int, vector: Tensor) -> Any:
            def hook(value: Tensor, hook: Any) -> Tensor:
                value = value.clone()
                value.view(*value.shape[:2], -1, len(vector))[:, :, index] += vector
                return value

            return hook

        hooks = [
            (f"blocks.{head.layer}.attn.hook_z", hook_for(head.index, v))
            for head, v in zip(heads, vectors, strict=True)
        ]
        with torch.no_grad():
            base = model(tokens).log_softmax(-1)
            changed = model.run_with_hooks(tokens, fwd_hooks=hooks).log_softmax(-1)
        due = (changed.exp() * (changed - base)).sum()
        assert found.per_text[number].item() == pytest.approx(due.item(), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("kind", "backend"), KINDS_AND_BACKENDS)
def test_multiplier_0_is_the_base_to_the_bit(tiny_model: Load, kind: str, backend: str) -> None:
    model, prompt = tiny_model(kind, backend), torch.tensor(prompts_of()[:1])
    with torch.no_grad():
        before = model(prompt)
        for each in ("iti", "caa"):
            with intervention(model, each, 0.0).attach(model) as steered:
                steered.first = 0
                assert torch.equal(model(prompt), before)


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6),
    st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3).filter(lambda v: max(map(abs, v)) > 1e-3),
)
def test_projection_leaves_nothing_along_the_vector_and_all_else(z: list[float], vector: list[float]) -> None:
    (heads, change), found = (
        Intervention("projection", HeadSet(["L0H0"]), torch.tensor([vector]))._in(0),
        torch.tensor(z),
    )
    assert heads == [0]
    unit = torch.tensor(vector) / torch.tensor(vector).norm()
    after = change(found.view(1, 2, 1, 3)).view(2, 3)
    assert (after @ unit).abs().max() < 1e-4
    across = torch.linalg.qr(torch.cat([unit[:, None], torch.eye(3)], 1)).Q[:, 1:]
    torch.testing.assert_close(after @ across, found.view(2, 3) @ across, atol=1e-3, rtol=1e-4)


def test_nothing_is_left_behind_also_after_an_error(tiny_model: Load) -> None:
    model, prompt = tiny_model("llama"), torch.tensor(prompts_of()[:1])
    hooks = lambda: [len(point._forward_hooks) for point in model.hook_dict.values()]  # noqa: E731
    found, before, weights = hooks(), model(prompt), [p.clone() for p in model.parameters()]

    def break_off() -> None:
        with intervention(model).attach(model):
            assert not torch.equal(model(prompt), before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert hooks() == found
    assert torch.equal(model(prompt), before)
    assert all(map(torch.equal, model.parameters(), weights))


def test_off_is_the_base_for_a_while(tiny_model: Load) -> None:
    model, prompt = tiny_model("llama"), torch.tensor(prompts_of()[:1])
    before = model(prompt)
    with intervention(model).attach(model) as steered:
        with steered.off():
            assert torch.equal(model(prompt), before)
        assert not torch.equal(model(prompt), before)


def test_mean_ablation_is_the_knockout_kept_on(tiny_model: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama-gqa")
    without_ends(model, monkeypatch)
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(4, lengths=(9, 12, 9)), (3, 5))
    means, prompts = mean_activations(model, pairs), prompts_of()
    with ablate_heads(model, HEADS, means=means, positions="generated"):
        due = generate(model, prompts, max_new_tokens=5)
    with mean_ablation(means, HEADS).attach(model):
        assert generate(model, prompts, max_new_tokens=5) == due


def test_a_saved_intervention_is_the_same_to_the_bit(tmp_path: Path, tiny_model: Load) -> None:
    model = tiny_model("llama")
    for kind in ("iti", "projection", "ablation"):
        made = replace(intervention(model, kind), model_name="m", fit={"examples": 3, "losses": {"0": 1.5}})
        made.save(tmp_path / kind)
        read = Intervention.load(tmp_path / kind)
        assert torch.equal(read.vectors, made.vectors)
        assert (read.kind, read.heads, read.strength, read.fit) == (made.kind, made.heads, made.strength, made.fit)
    (tmp_path / "iti" / "tensors.safetensors").write_bytes(b"x")
    with pytest.raises(SavedFileError):
        Intervention.load(tmp_path / "iti")


def test_what_cannot_be_steered_is_refused(tiny_model: Load) -> None:
    model = tiny_model("llama")
    vectors = torch.ones(1, model.cfg.d_head)
    with pytest.raises(HookError):
        Intervention("projection", HeadSet(["L0H0"]), torch.zeros(1, 8))
    with pytest.raises(HookError):
        Intervention("iti", HeadSet(["L0H0"]), vectors)
    with pytest.raises(HookError):
        Intervention("ablation", HeadSet(["L0H0"]), vectors, 1.0)
    with pytest.raises(HookError):
        Intervention("caa", HeadSet(["L0H0", "L0H1"]), vectors, 1.0)
    for strength in (float("nan"), float("inf")):
        with pytest.raises(HookError):
            Intervention("caa", HeadSet(["L0H0"]), vectors, strength)
    with pytest.raises(HeadError), Intervention("caa", HeadSet(["L9H0"]), vectors, 1.0).attach(model):
        pass
    with pytest.raises(ModelError), Intervention("caa", HeadSet(["L0H0"]), torch.ones(1, 3), 1.0).attach(model):
        pass
    with pytest.raises(HookError, match="Nothing"), intervention(model).attach(model):
        pass


def test_what_runs_prompts_in_pieces_is_refused_while_steered(tiny_model: Load) -> None:
    model = tiny_model("llama")
    pairs = ContrastPairs.from_tokens(*tiny.random_prompts(2, lengths=(9, 12)), (3, 5))
    with intervention(model).attach(model):
        model(torch.tensor(prompts_of()[:1]))
        for refused in (
            lambda: patch_heads(model, pairs),
            lambda: mean_activations(model, pairs),
            lambda: intervention(model).attach(model).__enter__(),
        ):
            with pytest.raises(HookError, match="steered"):
                refused()


def test_a_prompt_in_pieces_is_refused_while_steered(tiny_model: Load) -> None:
    model, tokens = tiny_model("llama"), torch.tensor(prompts_of()[:1])
    with intervention(model).attach(model), torch.no_grad():
        cache = run_and_keep(model, Geometry.of(model), tokens[:, :5].tolist())
        with pytest.raises(HookError, match="pieces"):
            model(tokens[:, 5:8], past_key_values=cache)
