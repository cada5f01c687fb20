"""KL from a base is that of the whole logits, whatever the model, the batch and the room."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hooked_models import HAND_MADE, hand_made
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from sycolens import Compute, HeadSet, ablate_heads, kl_drift, load_model, organism
from sycolens.errors import HookError, ModelError, NotFiniteError, PromptError, SampleError
from sycolens.measure import Drift, drift
from sycolens.model import replay
from sycolens.model.weights import head_weights
from sycolens.tune import PinpointConfig, attach, pinpoint

Checkpoint = Callable[[str], Path]
KINDS = ["llama-gqa", "qwen3", "gemma2", "gpt2", "gpt-neox", "granite", "cohere", "gptj", "opt", "bloom", "phi"]
LENGTHS = (5, 12, 2, 30, 9, 7)
# TransformerLens makes w0 and w1 special, which are then found in w12 as well.
IDS = [[20 + token % 77 for token in ids] for ids in tiny.random_prompts(6, lengths=LENGTHS)[0]]
TEXTS = [" ".join(f"w{token}" for token in ids) for ids in IDS]
WORDS = Tokenizer(models.WordLevel({f"w{i}": i for i in range(tiny.VOCABULARY)}, unk_token="w0"))
WORDS.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
TOKENIZER = PreTrainedTokenizerFast(tokenizer_object=WORDS, unk_token="w0")
HEADS = HeadSet(["L1H0", "L2H3", "L0H2"])


@pytest.fixture
def make(checkpoint: Checkpoint) -> Callable[..., Any]:
    """A fresh model of a kind, with a tokenizer."""

    def fresh(kind: str, backend: str = "plain") -> Any:
        if backend == "hooked" and kind in HAND_MADE:
            model = hand_made(kind)
        elif backend == "plain":
            model = AutoModelForCausalLM.from_pretrained(checkpoint(kind), attn_implementation="eager").eval()
        else:
            model = load_model(checkpoint(kind), backend=backend)  # type: ignore[arg-type]
        if backend == "plain" or (kind in HAND_MADE and backend == "hooked"):
            model.tokenizer = TOKENIZER
        else:  # TransformerLens makes a tokenizer of its own, which shall read words likewise
            model.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        return model

    return fresh


def change(model: Any, by: float = 0.3) -> Any:
    """The same model with other maps in some heads."""
    generator = torch.Generator().manual_seed(1)
    for head in HEADS:
        for letter, matrix in head_weights(model, head).items():
            if letter in "QKVO":
                matrix.add_(by * torch.randn(matrix.shape, generator=generator))
    return model


def literal(model: Any, base: Any, ids: list[list[int]] = IDS) -> list[float]:
    """Summed KL of each text, from whole logits, text by text, with logarithms as in the textbook."""
    found = []
    for text in ids:
        total = 0.0
        p, q = (distributions(each, text) for each in (model, base))
        for position in range(len(text)):
            total += float((p[position] * (p[position] / q[position]).log()).sum())
        found.append(total)
    return found


def distributions(model: Any, ids: list[int]) -> Tensor:
    with torch.no_grad():
        out = model(torch.tensor([ids]))
    logits: Tensor = (out if isinstance(out, Tensor) else out.logits)[0].double()
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


def assert_sums(found: Drift, due: list[float]) -> None:
    assert found.tokens.tolist() == list(LENGTHS)
    assert min(due) > 1e-3
    torch.testing.assert_close(found.per_text, torch.tensor(due), rtol=1e-4, atol=1e-6)


BACKENDS = [
    (kind, backend)
    for kind in KINDS
    for backend in ("plain", *tiny.BACKENDS)
    if backend != "hooked" or kind in (*HAND_MADE, "llama-gqa", "qwen3", "gpt-neox")
]


class TestEqualsTheLiteralComputation:
    @pytest.mark.parametrize(("kind", "backend"), BACKENDS)
    def test_on_whole_logits(self, kind: str, backend: str, make: Callable[..., Any]) -> None:
        base, model = make(kind, backend), change(make(kind, backend))
        found = kl_drift(model, base, TEXTS)
        due = literal(model, base)
        assert_sums(found, due)
        assert found.mean == pytest.approx(sum(due) / sum(LENGTHS), rel=1e-4)
        assert len(found) == 6

    @pytest.mark.parametrize("kind", ["gemma2", "granite", "cohere"])
    def test_what_a_model_does_to_its_logits_matters(self, kind: str, make: Callable[..., Any]) -> None:
        # So that the test above would see it left out.
        base, model = make(kind), change(make(kind))
        due = literal(model, base)
        for each in (base, model):
            each.config.final_logit_softcapping = None
            for name, plain in (("logits_scaling", 1), ("logit_scale", 1)):
                if hasattr(each, name):
                    setattr(each, name, plain)
                setattr(each.config, name, plain)
        if kind == "gemma2":  # logits of tiny models are small beside a cap of 30
            assert literal(model, base) == pytest.approx(due, rel=0.2)
        assert literal(model, base) != pytest.approx(due, rel=1e-3)

    @pytest.mark.parametrize("kind", ["llama-gqa", "gpt2", "gpt-neox"])
    def test_every_kind_of_model_drifts_alike(self, kind: str, make: Callable[..., Any]) -> None:
        backends = ["plain", *(each for each in tiny.BACKENDS if each == "bridge" or kind not in HAND_MADE)]
        due = kl_drift(change(make(kind)), make(kind), TEXTS).per_text
        for one in backends:
            for other in backends:
                found = kl_drift(change(make(kind, one)), make(kind, other), TEXTS).per_text
                torch.testing.assert_close(found, due, rtol=1e-3, atol=1e-5)

    def test_in_the_direction_from_the_base(self, make: Callable[..., Any]) -> None:
        base, model = make("llama"), change(make("llama"))
        forth, back = kl_drift(model, base, TEXTS), kl_drift(base, model, TEXTS)
        assert abs(forth.mean - back.mean) > 1e-2 * forth.mean

    def test_a_tiny_change_is_measured_and_no_change_is_zero(self, make: Callable[..., Any]) -> None:
        base, model = make("llama").double(), change(make("llama").double(), by=1e-5)
        found = kl_drift(model, base, TEXTS).per_text
        p, q = distributions(model, IDS[3]), distributions(base, IDS[3])
        # To second order, KL is half the chi-squared distance.
        assert found[3].item() == pytest.approx(float(((p - q) ** 2 / q).sum() / 2), rel=1e-2)
        assert 0 < found[3] < 1e-5
        assert not kl_drift(base, copy.deepcopy(base), TEXTS).per_text.any()


class TestNothingElseMatters:
    def test_batches_padding_and_room(self, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        base, model = make("gemma2"), change(make("gemma2"))
        due = kl_drift(model, base, TEXTS, compute=Compute(batch_size=1, progress=False)).per_text
        for rows in (1, 3, 17, 1000):
            monkeypatch.setattr(drift, "LOGIT_BYTES", rows * 8 * tiny.VOCABULARY)
            for batch_size in (1, 2, 4, 6, 64):
                found = kl_drift(model, base, TEXTS, compute=Compute(batch_size=batch_size, progress=batch_size == 2))
                torch.testing.assert_close(found.per_text, due, rtol=1e-4, atol=1e-6)
                assert found.tokens.tolist() == list(LENGTHS)

    def test_the_room_for_a_pass(self, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        base, model = make("llama-gqa"), change(make("llama-gqa"))
        rows: list[int] = []
        model.get_input_embeddings().register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
        due = kl_drift(model, base, TEXTS).per_text
        assert max(rows) == len(TEXTS)
        rows.clear()
        monkeypatch.setattr(replay, "CPU_BUDGET", 0)
        torch.testing.assert_close(kl_drift(model, base, TEXTS).per_text, due, rtol=1e-4, atol=1e-6)
        assert set(rows) == {1}

    def test_what_lies_behind_max_tokens(self, make: Callable[..., Any]) -> None:
        base, model = make("llama"), change(make("llama"))
        found = kl_drift(model, base, TEXTS, max_tokens=6)
        assert found.tokens.tolist() == [min(length, 6) for length in LENGTHS]
        torch.testing.assert_close(
            found.per_text, torch.tensor(literal(model, base, [ids[:6] for ids in IDS])), rtol=1e-4, atol=1e-6
        )

    def test_a_beginning_token_stands_there_once(self) -> None:
        model = load_model("organism")
        with_start = organism.texts(3)
        without = [text.removeprefix("<bos>") for text in with_start]
        lengths = [len(model.tokenizer(text, add_special_tokens=False).input_ids) for text in with_start]
        assert kl_drift(model, model, with_start, max_tokens=128).tokens.tolist() == lengths
        starts = bool(model.tokenizer("a", add_special_tokens=True).input_ids[:1] == [model.tokenizer.bos_token_id])
        assert kl_drift(model, model, without).tokens.tolist() == [length - (not starts) for length in lengths]

    def test_impossible_tokens(self, make: Callable[..., Any]) -> None:
        base, model = make("gpt-neox"), change(make("gpt-neox"))
        due = kl_drift(model, base, TEXTS).per_text
        for each in (model, base):
            each.get_output_embeddings().register_forward_hook(
                lambda module, args, out: nn.functional.pad(out, (0, 3), value=-math.inf)
            )
        torch.testing.assert_close(kl_drift(model, base, TEXTS).per_text, due)


class TestOneModelInMemory:
    @pytest.mark.parametrize("backend", ["plain", *tiny.BACKENDS])
    @pytest.mark.parametrize("merge", [False, True], ids=["attached", "merged"])
    def test_on_and_off_equals_two_models(self, backend: str, merge: bool, make: Callable[..., Any]) -> None:
        model, base = make("llama", backend), make("llama", backend)
        with pinpoint(model, PinpointConfig(HEADS)) as tuned:
            assert not kl_drift(model, tuned, TEXTS).per_text.any()
            with torch.no_grad():
                for parameter in tuned.parameters.values():
                    parameter.mul_(1.5)
            if merge:
                tuned.merge()
            found = kl_drift(model, tuned, TEXTS)
            assert torch.equal(found.per_text, kl_drift(model, base, TEXTS).per_text)
            assert_sums(found, literal(model, base))

    @pytest.mark.parametrize("rank", [None, 2])
    @pytest.mark.parametrize("kind", ["gemma2", "gpt2", "gpt-neox", "phi3"])
    def test_untouched_heads_drift_by_exactly_nothing(self, kind: str, rank: int | None, make: Any) -> None:
        model = make(kind)
        with pinpoint(model, PinpointConfig(HEADS, rank=rank)) as tuned:
            assert not kl_drift(model, tuned, TEXTS).per_text.any()


class Largest(TorchDispatchMode):
    """The most numbers that a tensor with the vocabulary's axis has held."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary, self.rows = vocabulary, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for each in out if isinstance(out, tuple | list) else (out,):
            if isinstance(each, Tensor) and each.dim() and each.shape[-1] == self.vocabulary:
                self.rows = max(self.rows, each.numel() // self.vocabulary)
        return out


class TestRoom:
    @pytest.mark.parametrize(("kind", "backend"), [each for each in BACKENDS if each[0] in ("gemma2", "llama-gqa")])
    def test_logits_stay_within_it(
        self, kind: str, backend: str, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base, model = make(kind, backend), change(make(kind, backend))
        for rows in (40, 50):  # weights of the embedding have 32 rows
            monkeypatch.setattr(drift, "LOGIT_BYTES", rows * 8 * tiny.VOCABULARY)
            with Largest(tiny.VOCABULARY) as largest:
                kl_drift(model, base, TEXTS, compute=Compute(batch_size=6, progress=False))
            assert largest.rows == rows < sum(LENGTHS)

    def test_a_text_runs_once_through_each_model(self, make: Callable[..., Any]) -> None:
        base, model = make("llama"), change(make("llama"))
        seen: list[int] = []
        handles = [
            each.model.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[:2].numel()))
            for each in (base, model)
        ]
        kl_drift(model, base, TEXTS, compute=Compute(batch_size=6, progress=False))
        assert sum(seen) == 2 * (6 * max(LENGTHS) + 1)  # and one token for each model's logits
        for handle in handles:
            handle.remove()


def state(model: Any) -> list[Any]:
    hooks = [
        (name, module.training, *(len(those) for kind, those in sorted(vars(module).items()) if kind.endswith("hooks")))
        for part in (model, getattr(model, "original_model", nn.Module()))
        for name, module in part.named_modules()
    ]
    values = [(name, each.requires_grad, each.grad, each.detach().clone()) for name, each in model.named_parameters()]
    return [hooks, [(*about, value.nan_to_num().sum().item()) for *about, value in values]]


@contextmanager
def leaving_as_found(*models: Any) -> Iterator[None]:
    before = [state(model) for model in models]
    yield
    assert [state(model) for model in models] == before
    assert torch.is_grad_enabled()


class TestLeftAsFound:
    @pytest.mark.parametrize("backend", ["plain", *tiny.BACKENDS])
    def test_also_after_an_error(self, backend: str, make: Callable[..., Any]) -> None:
        base, model = make("llama-gqa", backend), make("llama-gqa", backend).train()
        kl_drift(model, base, TEXTS)  # TransformerLens keeps notes of its own from the first pass on
        with leaving_as_found(base, model):
            kl_drift(model, base, TEXTS)
            with pytest.raises(ModelError, match="vocabulary"):
                kl_drift(model, other_vocabulary(), TEXTS)
        with torch.no_grad():
            head_weights(model, "L1H0")["O"].fill_(math.nan)
        with (
            leaving_as_found(base, model),
            pytest.raises(NotFiniteError, match="NaN or infinite at 65 of 65 tokens"),
        ):
            kl_drift(model, base, TEXTS)
        assert model.training

    def test_dropout_is_off(self, make: Callable[..., Any]) -> None:
        base, model = make("gpt2"), change(make("gpt2"))
        due = kl_drift(model, base, TEXTS).per_text
        assert torch.equal(kl_drift(model.train(), base.train(), TEXTS).per_text, due)


def other_vocabulary() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    )


class TestDrift:
    def test_interval_is_that_of_a_ratio(self) -> None:
        # Longer texts count for more, in the mean and in every resample.
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(2, 128, (400,), generator=generator)
        per_text = tokens * (0.5 + 0.1 * torch.randn(400, generator=generator)) * (tokens > 60)
        found = Drift(per_text, tokens)
        ratio = per_text.sum() / tokens.sum()
        assert found.mean == pytest.approx(ratio.item())
        # The delta method's standard error of a ratio.
        error = ((per_text - ratio * tokens).std() / tokens.float().mean() / 20).item()
        low, high = found.interval
        assert low == pytest.approx(found.mean - 1.96 * error, abs=0.25 * error)
        assert high == pytest.approx(found.mean + 1.96 * error, abs=0.25 * error)

    def test_one_text_has_a_mean_and_no_interval(self) -> None:
        one = Drift(torch.tensor([3.0]), torch.tensor([6]))
        assert one.mean == 0.5
        with pytest.raises(SampleError, match="at least 2 samples"):
            _ = one.interval


class TestRefusals:
    @pytest.mark.parametrize(
        ("texts", "options", "words"),
        [
            ([], {}, "give a sequence of at least one text"),
            ("w3 w4", {}, "give a sequence of at least one text"),
            (["w3 w4", "w5"], {}, "Text 1, 'w5', has 1 token, but needs at least two"),
            ([""], {}, "has 0 tokens"),
            (TEXTS, {"max_tokens": 1}, "max_tokens=1; give a whole number from 2"),
            ([" ".join(["w3"] * 200)], {"max_tokens": 200}, "at most 128 tokens, but a text has 200; set max_tokens"),
        ],
    )
    def test_of_texts(self, texts: Any, options: Any, words: str, make: Callable[..., Any]) -> None:
        model = make("llama")
        model.forward = None  # nothing runs
        with pytest.raises(PromptError, match=words):
            kl_drift(model, model, texts, **options)

    def test_of_models(self, make: Callable[..., Any]) -> None:
        model, other = make("llama"), make("llama")
        tuned = attach(other, PinpointConfig(HEADS))
        silent = make("llama")
        del silent.tokenizer
        foreign = make("llama")
        foreign.tokenizer = load_model("organism").tokenizer
        for measured, base, words in (
            (model, other_vocabulary(), "has a vocabulary of 97 tokens, but its base, .* one of 40"),
            (model, tuned, "a Pinpoint, lies over another model"),
            (model, "organism", "base is a str; give a model"),
            (silent, model, "has no tokenizer .* give one with tokenizer="),
            (model, foreign, "read these texts as other tokens"),
        ):
            measured.forward = None
            with pytest.raises(ModelError, match=words):
                kl_drift(measured, base, TEXTS)
            del measured.forward
        assert not kl_drift(silent, model, TEXTS, tokenizer=model.tokenizer).per_text.any()

    def test_of_another_models_token_ids(self) -> None:
        small = other_vocabulary()
        with pytest.raises(PromptError, match="ends at 39"):
            kl_drift(small, small, ["w50 w60"], tokenizer=TOKENIZER)

    def test_inside_a_knockout(self, make: Callable[..., Any]) -> None:
        model = make("llama", "bridge")
        with (
            pytest.raises(HookError, match="outside of ablate_heads"),
            ablate_heads(model, HeadSet(["L0H0"]), method="zero"),
        ):
            kl_drift(model, model, TEXTS)
