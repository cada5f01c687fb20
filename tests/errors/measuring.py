"""What can go wrong with models and measurements: loading, patching, drift, ability, knockouts, attention."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.cache_utils import DynamicLayer

from errors.room import LABELS, Deed, Room, embedded, random_pairs
from sycolens import QUIET, ContrastPairs, HeadSet, PinpointConfig, kl_drift, load_model, organism, pinpoint
from sycolens.errors import (
    AbilityError,
    CacheError,
    DialogueError,
    FigureError,
    HeadError,
    HookError,
    InspectError,
    MetricError,
    ModelError,
    NoHeadOutputError,
    NoMLPOutputError,
    NotFiniteError,
    PairError,
    PromptError,
    QuestionError,
    ReplayError,
    SampleError,
    WeightsError,
)
from sycolens.find import HeadEffects, find_heads, patch_heads
from sycolens.find.effects import all_heads
from sycolens.measure import evaluate_ability
from sycolens.model import batched_generation, capture, kv_prefix
from sycolens.model.batched_generation import generate
from sycolens.model.cache_trial import keeps_what_it_reads
from sycolens.model.hooked import Geometry, require_mlp_outputs
from sycolens.verify import (
    HeadAttention,
    KnockoutCurve,
    ablate_heads,
    ablation,
    attend_to,
    knock_out,
    mean_activations,
    verify_heads,
)

TASKS = Path(__file__).parents[1] / "measure" / "tasks"


# --- models ----------------------------------------------------------------------------------------------------------


def copy_of_checkpoint(room: Room) -> Path:
    return Path(shutil.copytree(room.checkpoint("llama"), room.folder / "checkpoint"))


def without_a_tensor(room: Room) -> None:
    place = copy_of_checkpoint(room)
    state = load_file(place / "model.safetensors")
    del state["model.norm.weight"]
    save_file(state, place / "model.safetensors", {"format": "pt"})
    load_model(place)


def with_code(room: Room) -> None:
    place = copy_of_checkpoint(room)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "architectures": ["InternLM2ForCausalLM"]}))
    load_model(place)


def load_as(room: Room, backend: Any) -> None:
    if backend in tiny.BACKENDS:
        pytest.skip("this TransformerLens has HookedTransformer")
    load_model(room.checkpoint("llama"), backend=backend)


def frozen_without_hook(room: Room) -> None:
    without: Any = SimpleNamespace(hook_dict={})
    require_mlp_outputs(without, Geometry.of(room.model("llama")))


# --- measuring -------------------------------------------------------------------------------------------------------


def without_inspect(room: Room) -> None:
    room.monkeypatch.setitem(sys.modules, "inspect_ai", None)
    room.monkeypatch.delitem(sys.modules, "sycolens.inspect", raising=False)
    import_module("sycolens.inspect")


# --- patching --------------------------------------------------------------------------------------------------------


def spoiled(model: Any) -> Any:
    with torch.no_grad():
        model.blocks[1].attn.W_V[0, 0, 0] = torch.nan
    return model


def patch_tokens(room: Room, *prompts: list[int], kind: str = "llama") -> None:
    first, second = prompts
    room.patch(room.model(kind), ContrastPairs.from_tokens([first], [second], LABELS))


def out_of_sight(room: Room) -> None:
    # A window of 7 tokens in three layers reaches 18 tokens back; these differ 25 back.
    patch_tokens(room, [2, *range(10, 35)], [3, *range(10, 35)], kind="mistral")


def silent(room: Room) -> None:
    model = room.model("llama")
    real = type(model).hooks

    def deaf(self: Any, fwd_hooks: list[tuple[str, Any]], **options: Any) -> Any:
        return real(self, fwd_hooks=[hook for hook in fwd_hooks if hook[0] != "blocks.1.attn.hook_z"], **options)

    room.monkeypatch.setattr(type(model), "hooks", deaf)
    room.patch(model)


def without_keys(room: Room) -> None:
    model = room.model("llama")
    known = {name: point for name, point in model.hook_dict.items() if name != "blocks.1.attn.hook_k"}
    room.monkeypatch.setattr(type(model), "hook_dict", known)
    room.patch(model, receivers=["L1H0"], via="k")


def leaking(room: Room) -> None:
    real = capture.capture_last_token

    def off(*args: Any, **options: Any) -> capture.LastToken:
        seen = real(*args, **options)
        return capture.LastToken(seen.resid_pre * 1.05, seen.z, seen.mlp_out, seen.logits)

    room.monkeypatch.setattr(kv_prefix, "capture_last_token", off)
    room.patch()


def processed(room: Room) -> None:
    model = load_model(room.checkpoint("gpt2"))
    model.enable_compatibility_mode()
    room.patch(model).scores("logit_share")


def forgetful(room: Room) -> None:
    model = room.model("llama")
    keeps_what_it_reads(model)
    room.monkeypatch.setattr(DynamicLayer, "update", lambda self, keys, values, *args, **rest: (keys, values))
    room.patch(model, effect="total")


def generating_without_a_cache(room: Room) -> None:
    model = room.model("llama")
    room.monkeypatch.setattr(ablation, "keeps_what_it_reads", lambda model: False)
    room.monkeypatch.setattr(batched_generation, "keeps_while_generating", lambda causal: False)
    with ablate_heads(model, ["L1H0"], method="zero"):
        model(torch.tensor([[4, 5, 6]]))
        generate(model, [[4, 5, 6]], max_new_tokens=2)


def on_another_model() -> HeadEffects:
    return patch_heads(embedded(), organism.pairs("train", 2), compute=QUIET)


def compare(room: Room, *, other: Any = None, k: int = 1) -> None:
    room.patch().compare(other or room.patch(), k=k, metric="prob_share")


# --- drift and ability -----------------------------------------------------------------------------------------------


def drift(texts: Any = ("<bos>I am here",), *, model: Any = None, base: Any = None) -> None:
    kl_drift(model or embedded(), base or embedded(), texts)


def drift_from_heads_of_another(room: Room) -> None:
    with pinpoint(room.model("llama"), PinpointConfig(HeadSet(["L1H0"]))) as tuned:
        drift(base=tuned)


def drift_without_tokenizer(room: Room) -> None:
    drift(["w3 w4"], model=AutoModelForCausalLM.from_pretrained(room.checkpoint("llama")), base=room.model("llama"))


def ability(room: Room, tasks: Any, model: Any = "organism") -> None:
    room.monkeypatch.chdir(TASKS)  # where the tasks' data are
    evaluate_ability(model, tasks, include_path=TASKS, limit=1)


def unknown_task(room: Room) -> None:
    # The harness's own index takes long to read.
    room.monkeypatch.setattr("lm_eval.tasks.manager.TaskIndex.build", lambda self, paths: {})
    ability(room, "capital_cities")


def without_original(room: Room) -> None:
    bridge = embedded()
    ability(room, "sums", model=SimpleNamespace(cfg=bridge.cfg, hooks=bridge.hooks, hook_dict=bridge.hook_dict))


# --- verifying -------------------------------------------------------------------------------------------------------


def take_means(room: Room, **options: Any) -> None:
    mean_activations(room.model("llama"), random_pairs(), compute=QUIET, **options)


def ablate(room: Room, heads: Any = ("L1H0",), *, runs: bool = True, **options: Any) -> None:
    model = room.model("llama")
    if "means" not in options:
        options["means"] = mean_activations(model, random_pairs(), compute=QUIET)
    with ablate_heads(model, heads, **options):
        if runs:
            model(torch.tensor([[4, 5, 6]]))


def ablate_with_others_means(room: Room) -> None:
    ablate(room, means=mean_activations(embedded(), organism.pairs("train", 2), compute=QUIET))


def patch_while_ablated(room: Room) -> None:
    with ablate_heads(room.model("llama"), ["L1H0"], method="zero"):
        room.patch()


def knock(questions: Any = None, *, ranking: Any = ("L1H1", "L2H2"), **options: Any) -> KnockoutCurve:
    model, asked = embedded(), organism.challenges("train", 2) if questions is None else questions
    means = mean_activations(model, organism.pairs("train", 2), compute=QUIET)
    settings = {"means": means, "steps": (0, 1), "controls": 0, "max_new_tokens": 2, **options}
    return knock_out(model, asked, HeadSet(ranking), compute=QUIET, **settings)


def verify(room: Room, *, questions: int = 2, top: int = 1, **changed: Any) -> None:
    pairs = organism.pairs("train", 2)
    effects = patch_heads(embedded(), pairs, compute=QUIET)
    for name, value in changed.items():
        room.monkeypatch.setattr(embedded(), name, value)
    verify_heads(embedded(), effects, pairs, organism.challenges("held_out", questions), top=effects.top(top))


def look(source: Any = None, span: Any = "challenge") -> HeadAttention:
    asked = [each.dialogue for each in organism.challenges("train", 2)] if source is None else source
    return attend_to(embedded(), asked, span, compute=QUIET)


def scaled_attention(room: Room) -> None:
    model = room.model("llama")
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_pattern", lambda value, hook: value * 2)]):
        attend_to(model, random_pairs(1), [(0, 1)], compute=QUIET)


DEEDS: list[Deed] = [
    # models
    (ModelError, "a model that is not there", lambda room: load_model("no-such-author/no-such-model")),
    (ModelError, "a directory without a checkpoint", lambda room: load_model(room.folder)),
    (ModelError, "a file that is no GGUF file", lambda room: load_model(room.write("version 1", name="a.gguf"))),
    (WeightsError, "a checkpoint that lacks a tensor", without_a_tensor),
    (ModelError, "a checkpoint with code of its own", with_code),
    (ModelError, "an unknown backend", lambda room: load_as(room, "nnsight")),
    (ModelError, "HookedTransformer on TransformerLens 4", lambda room: load_as(room, "hooked")),
    (ModelError, "no TransformerLens model", lambda room: room.patch(torch.nn.Linear(2, 2))),
    (NoHeadOutputError, "state-space layers", lambda room: room.patch(room.model("mamba"))),
    (NoMLPOutputError, "frozen MLPs without a hook", frozen_without_hook),
    # patching
    (PromptError, "a prompt that is too long", lambda room: patch_tokens(room, [4] * 129, [5] * 129)),
    (PromptError, "a token of another vocabulary", lambda room: patch_tokens(room, [4, 97], [5, 6])),
    (NotFiniteError, "weights with NaN", lambda room: room.patch(spoiled(load_model(room.checkpoint("llama"))))),
    (HookError, "prompts that differ out of sight", out_of_sight),
    (HookError, "a hook that never fires", silent),
    (ReplayError, "more than the residual stream", leaking),
    (MetricError, "Eq. 2 of mixed signs", lambda room: room.patch(pairs=random_pairs(8)).scores()),
    (MetricError, "Eq. 2 of processed weights", processed),
    (MetricError, "an unknown metric", lambda room: find_heads(embedded(), random_pairs(), metric="share")),  # type: ignore[arg-type]
    (HeadError, "a head that is not there", lambda room: room.patch(heads=["L7H0"])),
    (HeadError, "a misspelled head", lambda room: room.patch(heads=["16.39"])),
    (HeadError, "a head twice", lambda room: HeadSet(["L1H0", (1, 0)])),
    (HeadError, "more top heads than heads", lambda room: room.patch().top(13, metric="prob_share")),
    (HookError, "an unknown effect", lambda room: room.patch(effect="direct")),
    (HookError, "total effect with receivers", lambda room: room.patch(effect="total", receivers=["L1H0"], via="q")),
    (HookError, "total effect with frozen MLPs", lambda room: room.patch(effect="total", mlps="frozen")),
    (HookError, "receivers without via", lambda room: room.patch(receivers=["L1H0"])),
    (HookError, "a span without receivers", lambda room: room.patch(span="challenge")),
    (HookError, "a span for queries", lambda room: room.patch(receivers=["L1H0"], via="q", span=3)),
    (HeadError, "receivers below all heads", lambda room: room.patch(receivers=["L0H0"], via="q")),
    (ModelError, "receivers without a hook for keys", without_keys),
    (PairError, "values of unknown challenges", lambda room: room.patch(receivers=["L1H0"], via="v")),
    (PairError, "values of a long span", lambda room: room.patch(receivers=["L1H0"], via="v", span=10)),
    (CacheError, "a cache that loses what is read", forgetful),
    (CacheError, "generating where no cache works", generating_without_a_cache),
    (SampleError, "an interval of one pair", lambda room: room.patch(pairs=random_pairs(1)).p_values("prob_share")),
    (SampleError, "one pair to find heads on", lambda room: find_heads(embedded(), organism.pairs("train", 1))),
    (
        HeadError,
        "effects of another shape",
        lambda room: compare(room, other=find_heads(embedded(), organism.pairs("train", 2), compute=QUIET).effects),
    ),
    (HeadError, "more top heads than were patched", lambda room: compare(room, k=13)),
    (SampleError, "one head in common", lambda room: compare(room, other=room.patch(heads=["L1H0"]))),
    # drift and ability
    (PromptError, "drift in no texts", lambda room: drift(())),
    (PromptError, "drift in one token", lambda room: drift(["<bos>"])),
    (ModelError, "drift from another vocabulary", lambda room: drift(base=room.model("llama"))),
    (ModelError, "drift from heads of another model", drift_from_heads_of_another),
    (ModelError, "drift without a tokenizer", drift_without_tokenizer),
    (NotFiniteError, "drift of NaN", lambda room: drift(model=spoiled(load_model("organism")))),
    (AbilityError, "ability on no task", lambda room: ability(room, ())),
    (AbilityError, "ability on an unknown task", unknown_task),
    (ModelError, "ability without a Hugging Face model", without_original),
    (InspectError, "the challenge for Inspect without Inspect", without_inspect),
    # verifying
    (PairError, "means over a long span", lambda room: take_means(room, width=10)),
    (PairError, "means over unknown challenges", lambda room: take_means(room, width="challenge")),
    (PairError, "means over unknown prompts", lambda room: take_means(room, prompts="affirmed")),
    (HookError, "no means", lambda room: ablate(room, means=None)),
    (HookError, "an unknown way to knock out", lambda room: ablate(room, method="median")),
    (HookError, "an unknown place to knock out", lambda room: ablate(room, positions="first")),
    (ModelError, "means of another model", ablate_with_others_means),
    (HeadError, "a head to knock out that is not there", lambda room: ablate(room, ["L3H0"])),
    (HookError, "nothing run while heads are knocked out", lambda room: ablate(room, runs=False)),
    (HookError, "other lengths than given", lambda room: ablate(room, lengths=[3, 4])),
    (HookError, "patching while heads are knocked out", patch_while_ablated),
    (HeadError, "steps that fall", lambda room: knock(steps=(4, 2))),
    (HeadError, "more steps than heads", lambda room: knock(steps=(0, 4))),
    (HeadError, "too few heads for controls", lambda room: knock(steps=(0, 25), ranking=all_heads(6, 8), controls=1)),
    (HeadError, "unknown controls", lambda room: knock(control="twins")),
    (
        HeadError,
        "controls of like norm without means",
        lambda room: knock(control="norm_matched", controls=1, method="zero", means=None),
    ),
    (HeadError, "fewer controls than none", lambda room: knock(controls=-1)),
    (HookError, "an unknown mode", lambda room: knock(mode="add")),
    (QuestionError, "no questions to knock out on", lambda room: knock([])),
    (QuestionError, "texts to knock out on", lambda room: knock(["Why?"])),
    (PromptError, "a reply of no tokens", lambda room: knock(max_new_tokens=0)),
    (PromptError, "no room for a reply", lambda room: generate(room.model("llama"), [[4] * 128])),
    (SampleError, "a curve of no dialogues", lambda room: knock().select([])),
    (SampleError, "one question to verify on", lambda room: verify(room, questions=1)),
    (HeadError, "all heads to verify", lambda room: verify(room, top=48)),
    (ModelError, "verifying without a tokenizer", lambda room: verify(room, tokenizer=None)),
    # attention
    (DialogueError, "attention in prompts without parts", lambda room: look(random_pairs())),
    (DialogueError, "attention to a part that is not there", lambda room: look(span="second_answer")),
    (DialogueError, "attention behind the prompt", lambda room: look(span=[(0, 5), (0, 500)])),
    (DialogueError, "fewer spans than prompts", lambda room: look(span=[(0, 5)])),
    (DialogueError, "attention in no dialogue", lambda room: look([])),
    (DialogueError, "attention in texts", lambda room: look(["Are you sure?"])),
    (HookError, "attention that is no probability", scaled_attention),
    (HeadError, "attention of all heads against none", lambda room: look().compare(all_heads(6, 8))),
    (DialogueError, "a dialogue that is not there", lambda room: look().show(2, "L0H0")),
    (FigureError, "shaded text as a picture", lambda room: look().show(0, "L0H0").save(room.folder / "head.png")),
]
