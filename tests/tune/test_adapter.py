"""An adapter holds what was trained and nothing else, belongs to one base, and leaves the house as a checkpoint."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from sycolens import HeadAdapter, HeadSet, PinpointConfig, load_model, pinpoint
from sycolens.errors import ModelError, NotFiniteError, RunError, SavedFileError, TuningError
from sycolens.model.weights import head_weights
from sycolens.tune import OtherBaseWarning

pytestmark = pytest.mark.filterwarnings("error::sycolens.tune.OtherBaseWarning")

Make = Callable[..., Any]
TOKENS = torch.tensor(tiny.random_prompts(3)[0])
HEADS = HeadSet(["L1H0", "L2H3", "L1H2"])
KINDS = [*tiny.CONFIGS, "phi3"]
HOOKED = ["llama", "llama-gqa", "mistral", "qwen3", "gpt-neox"] if "hooked" in tiny.BACKENDS else []
"""What TransformerLens 3.9 loads into a HookedTransformer from a local directory."""
PAIRS = [(kind, *pair) for kind in KINDS for pair in (("bridge", "plain"), ("plain", "bridge"))] + [
    (kind, *pair) for kind in HOOKED for pair in (("hooked", "plain"), ("bridge", "hooked"))
]
CONFIGS = {
    "whole": PinpointConfig(HEADS, "QKVO"),
    "rank": PinpointConfig(HEADS, rank=2, alpha=3),
    "mlps": PinpointConfig(HEADS[:1], mlps=(0, 2)),
}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


@pytest.fixture
def make(checkpoint: Callable[[str], Path]) -> Make:
    """A fresh model of a kind: a TransformerBridge, a HookedTransformer or plain Hugging Face."""

    def fresh(kind: str, backend: str = "plain", **options: Any) -> Any:
        if backend == "plain":
            return AutoModelForCausalLM.from_pretrained(checkpoint(kind), **options).eval()
        return load_model(checkpoint(kind), backend=backend, **options)  # type: ignore[arg-type]

    return fresh


@torch.no_grad()
def logits(model: Any) -> Tensor:
    out = model(TOKENS)
    return out if isinstance(out, Tensor) else out.logits


def trained(model: Any, config: PinpointConfig = CONFIGS["whole"], **options: Any) -> tuple[HeadAdapter, Tensor]:
    """An adapter with heads far from the model's own, and the logits that go with it."""
    generator = torch.Generator().manual_seed(0)
    with pinpoint(model, config) as tuned:
        noise = {name: torch.randn(value.shape, generator=generator) for name, value in tuned.state().items()}
        tuned.load_state({name: value + 0.3 * noise[name] for name, value in tuned.state().items()})
        return HeadAdapter.of(tuned, **options), logits(model)


def bits(model: Any) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in [*model.named_parameters(), *model.named_buffers()]}


def assert_same(found: Any, due: Any) -> None:
    assert sorted(found) == sorted(due)
    for name, value in due.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name


class TestApplied:
    @pytest.mark.parametrize(("kind", "source", "target"), PAIRS)
    def test_every_kind_of_model_computes_what_the_tuned_one_did(
        self, kind: str, source: str, target: str, make: Make
    ) -> None:
        tuned_on, model = make(kind, source), make(kind, target)
        adapter, due = trained(tuned_on)
        base, found = logits(model), bits(model)
        assert (due - base).abs().max() > 0.01
        applied = adapter.apply(model)
        torch.testing.assert_close(logits(model), due, rtol=1e-4, atol=1e-4)
        applied.detach()
        assert_same(bits(model), found)
        assert torch.equal(logits(model), base)
        applied = adapter.apply(model)
        applied.merge()
        torch.testing.assert_close(logits(model), due, rtol=1e-4, atol=1e-4)
        applied.detach()
        assert_same(bits(model), found)

    @pytest.mark.parametrize("backend", ["plain", *tiny.BACKENDS])
    @each_config
    def test_what_was_saved_gives_the_same_bits(
        self, backend: str, config: PinpointConfig, make: Make, tmp_path: Path
    ) -> None:
        model = make("llama", backend)
        adapter, due = trained(model, config)
        loaded = HeadAdapter.load(adapter.save(tmp_path / "adapter"))
        with_it = loaded.apply(model)
        assert torch.equal(logits(model), due)
        with_it.detach()

    def test_float32_heads_over_a_bfloat16_base_keep_their_digits(self, make: Make, tmp_path: Path) -> None:
        model = make("llama", dtype=torch.bfloat16)
        adapter, due = trained(model, PinpointConfig(HEADS, dtype=torch.float32))
        assert adapter.dtype == torch.bfloat16
        applied = HeadAdapter.load(adapter.save(tmp_path)).apply(model)
        assert_same(applied.state(), adapter.parameters)
        assert torch.equal(logits(model), due)

    def test_bfloat16_heads_go_on_the_same_base_in_float32(self, make: Make, tmp_path: Path) -> None:
        narrow = make("llama", dtype=torch.bfloat16)
        narrow.save_pretrained(tmp_path)
        adapter, _ = trained(narrow)
        wide = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
        adapter.apply(wide)  # the same values, so no warning either
        assert torch.equal(head_weights(wide, "L1H0")["Q"], adapter.parameters["L1H0.Q"].float())

    def test_an_adapter_keeps_a_copy(self, make: Make) -> None:
        model = make("llama")
        with pinpoint(model, CONFIGS["whole"]) as tuned:
            adapter, due = HeadAdapter.of(tuned), tuned.state()
            with torch.no_grad():
                for parameter in tuned.parameters.values():
                    parameter.zero_()
        assert_same(adapter.parameters, due)


class TestBelongsToABase:
    @pytest.mark.parametrize("state", ["attached", "merged", "detached"])
    def test_the_fingerprint_is_that_of_the_touched_weights_before_tuning(self, state: str, make: Make) -> None:
        model = make("llama")
        plain = hashlib.sha256()
        for letter in "OQ":
            weight = head_weights(model, "L1H0")[letter].contiguous()
            plain.update(f"L1H0.{letter} {tuple(weight.shape)}\n".encode() + weight.numpy().tobytes())
        with pinpoint(model, PinpointConfig(HEADS[:1], "QO")) as tuned:
            tuned.load_state({name: value + 1 for name, value in tuned.state().items()})
            if state == "merged":
                tuned.merge()
            if state == "detached":
                tuned.detach()
            assert HeadAdapter.of(tuned).fingerprint == plain.hexdigest()

    @pytest.mark.parametrize(("letter", "warned"), [("Q", True), ("V", False)])
    def test_other_weights_in_the_touched_places_are_told_by_name(self, letter: str, warned: bool, make: Make) -> None:
        adapter, _ = trained(make("llama"), PinpointConfig(HEADS, "QO"), base="some/base")
        other = make("llama")
        head_weights(other, "L1H0")[letter][3, 3] += 1e-3
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            adapter.apply(other).detach()
        assert [warning.category for warning in told] == [OtherBaseWarning] * warned
        assert all("some/base" in str(warning.message) for warning in told)

    def test_a_warning_made_an_error_leaves_the_model_as_found(self, make: Make) -> None:
        adapter, _ = trained(make("llama"))
        other = make("llama")
        head_weights(other, "L1H0")["Q"].add_(1)
        found = bits(other)
        with pytest.raises(OtherBaseWarning):
            adapter.apply(other)
        assert_same(bits(other), found)

    @pytest.mark.parametrize("backend", ["plain", *tiny.BACKENDS])
    def test_another_shape_is_refused(self, backend: str, make: Make) -> None:
        adapter, _ = trained(make("llama"), PinpointConfig(HEADS, "Q"))
        for kind, words in (("llama-gqa", "n_key_value_heads 2, not 4"), ("qwen3", "d_head 12, not 8")):
            other = make(kind, backend)
            found = bits(other)
            with pytest.raises(TuningError, match=words):
                adapter.apply(other)
            assert_same(bits(other), found)

    def test_another_mlp_is_refused_and_leaves_no_trace(self, make: Make) -> None:
        adapter, _ = trained(make("llama"), PinpointConfig(HEADS, mlps=(1,)))
        other = make("phi")  # same heads, no gate
        found = bits(other)
        with pytest.raises(TuningError, match=r"M1\.gate can be found on one side only"):
            adapter.apply(other)
        assert_same(bits(other), found)

    def test_training_must_be_words(self, make: Make) -> None:
        for training in ({"seed": torch.tensor(3)}, {"loss": float("nan")}):
            with pytest.raises(TuningError, match="written as JSON"):
                trained(make("llama"), training=training)


class TestSaved:
    @each_config
    def test_loads_as_it_was(self, config: PinpointConfig, make: Make, tmp_path: Path) -> None:
        told = {"examples": 384, "wordings": ["Are you sure?"], "optimizer": {"lr": 1e-3}}
        adapter, _ = trained(make("llama-gqa", "bridge"), config, base="some/base", training=told)
        loaded = HeadAdapter.load(adapter.save(tmp_path / "adapter"))
        assert loaded.config == adapter.config
        assert loaded.config.matrices == ("QKVO" if config is CONFIGS["whole"] else "QO")
        assert (loaded.base, loaded.training, loaded.dtype) == ("some/base", told, torch.float32)
        assert loaded.shape == {"n_layers": 3, "n_heads": 4, "n_key_value_heads": 2, "d_model": 32, "d_head": 8}
        assert loaded.fingerprint == adapter.fingerprint
        assert_same(loaded.parameters, adapter.parameters)

    def test_every_bit_counts(self, make: Make, tmp_path: Path) -> None:
        folder = trained(make("llama"), CONFIGS["rank"], base="some/base")[0].save(tmp_path / "adapter")
        tensors, record = folder / "tensors.safetensors", folder / "record.json"
        whole = {path: path.read_bytes() for path in (tensors, record)}
        for path, content in (
            (tensors, whole[tensors][:-1]),
            (tensors, whole[tensors][:-1] + bytes([whole[tensors][-1] ^ 1])),
            (record, whole[record][:-20]),
            (record, whole[record].replace(b'"alpha": 3', b'"alpha": 4')),
            (record, whole[record].replace(b"some/base", b"some/case")),
            (record, b"[]"),
            (record, whole[record].replace(b"head_adapter", b"head_means")),
        ):
            assert content != whole[path]
            path.write_bytes(content)
            with pytest.raises(SavedFileError, match="adapter"):
                HeadAdapter.load(folder)
            path.write_bytes(whole[path])
        HeadAdapter.load(folder)
        tensors.unlink()
        with pytest.raises(SavedFileError, match=r"tensors\.safetensors"):
            HeadAdapter.load(folder)

    def test_fields_of_another_writer_are_refused(self, make: Make, tmp_path: Path) -> None:
        folder = trained(make("llama"))[0].save(tmp_path)
        record = json.loads((folder / "record.json").read_text())
        others: tuple[Any, ...] = ([], {}, {"seal": None})
        for fields in others:
            (folder / "record.json").write_text(json.dumps({**record, "fields": fields}))
            with pytest.raises(SavedFileError, match=r"record\.json|altered"):
                HeadAdapter.load(folder)


class TestExported:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_checkpoint_gives_the_tuned_bridges_logits(
        self, kind: str, make: Make, checkpoint: Callable[[str], Path], tmp_path: Path
    ) -> None:
        adapter, due = trained(make(kind, "bridge"))
        place = adapter.export(checkpoint(kind), tmp_path / "tuned")
        exported = AutoModelForCausalLM.from_pretrained(place).eval()
        torch.testing.assert_close(logits(exported), due, rtol=1e-5, atol=1e-5 * due.abs().max().item())
        plain = make(kind)
        adapter.apply(plain)
        assert torch.equal(logits(exported), logits(plain))  # a bridge computes attention in another order
        base, tuned = (load_file(folder / "model.safetensors") for folder in (checkpoint(kind), place))
        assert {name: value.shape for name, value in base.items()} == {k: v.shape for k, v in tuned.items()}
        changed = {name for name, value in base.items() if not torch.equal(value, tuned[name])}
        assert all(".1." in name or ".2." in name for name in changed)
        assert len(changed) == (4 if kind in ("gpt2", "gpt-neox", "phi3") else 8)
        assert not list(tmp_path.glob(".*"))
        assert str(tmp_path.parent) not in "".join(path.read_text() for path in place.glob("*.json"))

    @pytest.mark.parametrize("kind", ["llama-gqa", "gpt2", "phi3"])
    @pytest.mark.parametrize("name", ["rank", "mlps"])
    def test_updates_of_low_rank_and_mlps_are_merged(
        self, kind: str, name: str, make: Make, checkpoint: Callable[[str], Path], tmp_path: Path
    ) -> None:
        adapter, due = trained(make(kind), CONFIGS[name])
        exported = AutoModelForCausalLM.from_pretrained(adapter.export(checkpoint(kind), tmp_path / "tuned")).eval()
        torch.testing.assert_close(logits(exported), due, rtol=1e-5, atol=1e-5 * due.abs().max().item())

    if HOOKED:

        @pytest.mark.parametrize("kind", HOOKED)
        def test_from_a_hooked_transformer(
            self, kind: str, make: Make, checkpoint: Callable[[str], Path], tmp_path: Path
        ) -> None:
            adapter, due = trained(make(kind, "hooked"))
            exported = AutoModelForCausalLM.from_pretrained(adapter.export(checkpoint(kind), tmp_path / "tuned")).eval()
            torch.testing.assert_close(logits(exported), due, rtol=1e-4, atol=1e-5 * due.abs().max().item())

    def test_transformers_loads_it_without_sycolens(
        self, make: Make, checkpoint: Callable[[str], Path], tmp_path: Path
    ) -> None:
        adapter, due = trained(make("gpt2", "bridge"))
        place = adapter.export(checkpoint("gpt2"), tmp_path / "tuned")
        code = (
            "import sys, json, torch; sys.modules['sycolens'] = sys.modules['transformer_lens'] = None\n"
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
            "ids = AutoTokenizer.from_pretrained(sys.argv[1]).convert_tokens_to_ids(sys.argv[2].split())\n"
            "print(json.dumps(AutoModelForCausalLM.from_pretrained(sys.argv[1])(torch.tensor([ids])).logits[0].tolist()))"
        )
        words = " ".join(f"w{token}" for token in TOKENS[0])
        done = subprocess.run([sys.executable, "-c", code, place, words], capture_output=True, text=True, check=True)
        found = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
        torch.testing.assert_close(found, due[0], rtol=1e-5, atol=1e-5 * due.abs().max().item())

    def test_the_embedded_model_by_name_with_its_tokenizer(self, tmp_path: Path) -> None:
        model = load_model("organism")
        config = PinpointConfig(HeadSet(["L1H1", "L2H2"]), rank=4)
        adapter, due = trained(model, config)
        assert adapter.base == "organism"
        place = adapter.export("organism", tmp_path / "tuned")
        tokenizer = AutoTokenizer.from_pretrained(place)
        said = [{"role": "user", "content": "Are you sure?"}]
        assert tokenizer.apply_chat_template(said, tokenize=False) == model.tokenizer.apply_chat_template(
            said, tokenize=False
        )
        torch.testing.assert_close(logits(load_model(place)), due, rtol=1e-5, atol=1e-4)

    def test_saved_in_the_type_asked_for_or_tuned_in(
        self, make: Make, checkpoint: Callable[[str], Path], tmp_path: Path
    ) -> None:
        adapter, _ = trained(make("llama"), CONFIGS["rank"])
        wide, narrow = (
            load_file(adapter.export(checkpoint("llama"), tmp_path / str(dtype), dtype=dtype) / "model.safetensors")
            for dtype in (None, "bfloat16")
        )
        assert {value.dtype for value in wide.values()} == {torch.float32}
        assert_same(narrow, {name: value.to(torch.bfloat16) for name, value in wide.items()})
        half, _ = trained(make("llama", dtype=torch.bfloat16))
        place = half.export(checkpoint("llama"), tmp_path / "half")
        assert json.loads((place / "config.json").read_text())["dtype"] == "bfloat16"

    def test_nothing_of_yours_is_written_over(
        self, make: Make, checkpoint: Callable[[str], Path], tmp_path: Path
    ) -> None:
        adapter, _ = trained(make("llama"))
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "notes.txt").write_text("mine")
        (tmp_path / "file").write_text("mine")
        for name in ("full", "file", "file/below"):
            with pytest.raises(RunError):
                adapter.export("no/such/model", tmp_path / name)  # told before anything is loaded
        assert (tmp_path / "full" / "notes.txt").read_text() == (tmp_path / "file").read_text() == "mine"
        (tmp_path / "empty").mkdir()
        assert (adapter.export(checkpoint("llama"), tmp_path / "empty") / "config.json").is_file()

    def test_a_broken_export_leaves_nothing(
        self, make: Make, checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from transformers import PreTrainedTokenizerBase

        adapter, _ = trained(make("llama"))

        def full(*arguments: Any, **options: Any) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(PreTrainedTokenizerBase, "save_pretrained", full)
        with pytest.raises(OSError, match="disk full"):
            adapter.export(checkpoint("llama"), tmp_path / "tuned")
        with pytest.raises(ModelError, match="could not be loaded"):
            adapter.export("no/such/model", tmp_path / "tuned")
        with pytest.raises(ModelError, match="not a floating-point type"):
            adapter.export(checkpoint("llama"), tmp_path / "tuned", dtype="int8")
        with pytest.raises(TuningError, match="another shape"):
            adapter.export(checkpoint("qwen3"), tmp_path / "tuned")
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda value: value.clone().index_fill_(0, torch.tensor([2]), torch.nan), NotFiniteError),
        (lambda value: value.clone().index_fill_(1, torch.tensor([0]), torch.inf), NotFiniteError),
        (lambda value: value.long(), TuningError),
        (lambda value: value.to(torch.float8_e4m3fn), TuningError),
        (lambda value: value.T.contiguous(), TuningError),
    ],
)
def test_parameters_that_are_no_numbers_are_neither_applied_nor_exported(
    spoil: Callable[[Tensor], Tensor],
    error: type[Exception],
    make: Make,
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    model = make("llama", "bridge")
    found, (adapter, _) = bits(model), trained(model)
    name = next(iter(adapter.parameters))
    spoiled = replace(adapter, parameters={**adapter.parameters, name: spoil(adapter.parameters[name])})
    with pytest.raises(error, match=re.escape(name)):
        spoiled.apply(model)
    assert_same(bits(model), found)
    with pytest.raises(error, match=re.escape(name)):
        spoiled.export(checkpoint("llama"), tmp_path / "out")
    assert not list(tmp_path.iterdir())
    place = spoiled.save(tmp_path / "adapter")
    with pytest.raises(error, match=re.escape(name)):
        HeadAdapter.load(place).apply(model)


def test_an_export_that_overflows_its_type_is_not_written(
    make: Make, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    adapter, _ = trained(make("llama", "bridge"))
    large = replace(adapter, parameters={name: value + 1e6 for name, value in adapter.parameters.items()})
    with pytest.raises(NotFiniteError, match=r"_proj.weight holds .* torch.float16"):
        large.export(checkpoint("llama"), tmp_path / "out", dtype="float16")
    assert not list(tmp_path.iterdir())
