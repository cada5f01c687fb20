"""A model's name tells which model it is, in figures and records, and not where it lies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import tiny
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer

from sycolens import QUIET, ContrastPairs, HeadAdapter, HeadSet, PinpointConfig, load_model, patch_heads, pinpoint
from sycolens.model.hooked import Geometry
from sycolens.model.names import plain_name
from sycolens.model.weights import shape_of

Load = Callable[..., Any]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("owner/name",), "owner/name"),
        (("gpt2",), "gpt2"),
        (("/nowhere/models/chat-7b",), "chat-7b"),
        (("./chat-7b",), "chat-7b"),
        (("runs/sft/final",), "final"),
        (("/cache/hub/models--owner--name/snapshots/0123456789abcdef",), "owner/name"),
        (("/tmp/tmp3k_x81ab", "", "llama"), "llama"),
        (("custom", "/somewhere/tmp3k_x81ab", "llama"), "llama"),
        (("", "owner/name", "llama"), "owner/name"),
        ((None, None), ""),
    ],
)
def test_a_place_is_named_by_its_last_part_and_no_name_by_the_next(given: tuple[Any, ...], name: str) -> None:
    assert plain_name(*given) == name


def bridged(checkpoint: Path, name: str) -> Any:
    return TransformerBridge.boot_transformers(
        name,
        hf_model=AutoModelForCausalLM.from_pretrained(checkpoint),
        tokenizer=AutoTokenizer.from_pretrained(checkpoint),
        device="cpu",
    )


def test_a_bridge_over_a_model_of_ones_own_is_called_by_what_it_was_given(checkpoint: Load) -> None:
    place = checkpoint("llama-gqa")
    for given, name in (("my-llama", "my-llama"), ("owner/name", "owner/name"), (str(place), place.name)):
        model = bridged(place, given)
        assert Geometry.of(model).name == shape_of(model).name == name
        effects = patch_heads(model, ContrastPairs.from_tokens(*tiny.random_prompts(1), (3, 5)), compute=QUIET)
        assert effects.model_name == name
        with pinpoint(model, PinpointConfig(HeadSet(["L1H0"]))) as tuned:
            assert HeadAdapter.of(tuned).base == name


def test_a_temporary_folder_names_no_model(checkpoint: Load) -> None:
    with TemporaryDirectory() as folder:
        place = Path(shutil.copytree(checkpoint("llama-gqa"), folder, dirs_exist_ok=True))
        model = bridged(place, folder)
        plain = AutoModelForCausalLM.from_pretrained(place)
        loaded = load_model(place)
    for each in (model, plain, loaded):
        assert shape_of(each).name == "llama"
