"""What can go wrong with tuning: examples, heads to tune, trainings, adapters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import tiny
import torch
from transformers import AutoConfig, AutoModelForCausalLM, TrainingArguments

from errors.room import QUESTION, Deed, Room
from sycolens import (
    Dialogue,
    HeadAdapter,
    HeadSet,
    PinpointConfig,
    PinpointTrainer,
    Turn,
    load_model,
    organism,
    pinpoint,
)
from sycolens.errors import (
    ExampleError,
    HeadError,
    HubError,
    ModelError,
    NotFiniteError,
    OrganismError,
    RunError,
    SavedFileError,
    TuningError,
)
from sycolens.model.hooked import Geometry
from sycolens.model.weights import head_weights
from sycolens.organism.build.tokenizer import build_tokenizer
from sycolens.prompts import TrainingExample
from sycolens.tune import (
    Lora,
    LoraScope,
    Openings,
    Pinpoint,
    TrainingConfig,
    WholeModel,
    attach,
    encode_examples,
    examples_from_questions,
    refuse_leaks,
)

TUNED = HeadSet(["L1H0", "L2H3"])


# --- examples --------------------------------------------------------------------------------------------------------


def greeting(*taught: int, reply: str = "Good morning!") -> TrainingExample:
    return TrainingExample(Dialogue((Turn("user", "Hello!"), Turn("assistant", reply))), taught)


def encode(*examples: TrainingExample, **options: Any) -> None:
    encode_examples(examples, build_tokenizer(), **options)


def make_examples(count: int, **options: Any) -> None:
    examples_from_questions([QUESTION] * count, build_tokenizer(), **options)


def silent_example(room: Room) -> None:
    TrainingExample.from_messages(Dialogue((Turn("user", "Hello!"),)))


def teach_what_is_evaluated(room: Room) -> None:
    refuse_leaks(organism.examples("train", 9), organism.questions("train"))


# --- heads -----------------------------------------------------------------------------------------------------------


def tune(room: Room, kind: str = "llama", *, then: Callable[[Pinpoint], object] = id, **options: Any) -> None:
    with pinpoint(room.model(kind), PinpointConfig(**{"heads": TUNED, **options})) as tuned:
        then(tuned)


def merge_twice(tuned: Pinpoint) -> None:
    tuned.merge()
    tuned.merge()


def merge_detached(tuned: Pinpoint) -> None:
    tuned.detach()
    tuned.merge()


def merge_while_off(tuned: Pinpoint) -> None:
    with tuned.off():
        tuned.merge()


def other_shapes(tuned: Pinpoint) -> None:
    tuned.load_state({name: value[1:] for name, value in tuned.state().items()})


def count_mlps(room: Room) -> None:
    PinpointConfig(TUNED, mlps=(1,)).count_parameters(Geometry.of(room.model("llama")))


def folded(room: Room) -> None:
    model = load_model(room.checkpoint("gpt2"))
    model.enable_compatibility_mode()
    attach(model, PinpointConfig(TUNED))


def lora_twice(room: Room) -> None:
    model = plain(room)
    Lora(model, LoraScope())
    Lora(model, LoraScope())


def without_data(family: str) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **tiny.CONFIGS["llama"][1]))


def unknown_layout(room: Room) -> None:
    head_weights(without_data("falcon"), "L1H0")  # one key and value for all heads, in an order of its own


def plain(room: Room) -> Any:
    return AutoModelForCausalLM.from_pretrained(room.checkpoint("llama"))


def quantized(room: Room) -> None:
    model = plain(room)
    whole = model.lm_head.weight.detach().to(torch.int8)
    model.lm_head.weight = torch.nn.Parameter(whole, requires_grad=False)
    attach(model, PinpointConfig(TUNED))


def wrapped(room: Room) -> None:
    model = plain(room)
    torch.nn.utils.parametrizations.weight_norm(model.model.layers[1].self_attn.q_proj)
    attach(model, PinpointConfig(TUNED))


# --- adapters and trainings ------------------------------------------------------------------------------------------


def adapter(room: Room, by: float = 0.0, **training: Any) -> HeadAdapter:
    """One that moves weights by so much."""
    with pinpoint(room.model("llama"), PinpointConfig(HeadSet(["L1H0"]))) as tuned:
        found = HeadAdapter.of(tuned, base="some/base", training=training)
    return replace(found, parameters={name: value + by for name, value in found.parameters.items()})


def altered_adapter(room: Room) -> None:
    record = adapter(room).save(room.folder) / "record.json"
    record.write_text(record.read_text().replace("some/base", "my/base"))
    HeadAdapter.load(room.folder)


def export(room: Room, *, base: Any = None, to: Any = None, by: float = 0.0, **options: Any) -> None:
    adapter(room, by).export(base or room.checkpoint("llama"), to or room.folder / "out", **options)


def trainer(room: Room, scope: Any = "L1H0", data: Any = None, **changes: Any) -> PinpointTrainer:
    scope = PinpointConfig(HeadSet([scope])) if scope.startswith("L") else scope
    usual = {"max_steps": 2, "save_steps": 1, "use_cpu": True, "report_to": "none", "disable_tqdm": True}
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}] * 8
    settings = TrainingArguments(str(room.folder), **{**usual, **changes})
    return PinpointTrainer(plain(room), scope, settings, rows if data is None else data)


def trained_detached(room: Room) -> None:
    found = trainer(room)
    found.pinpoint.detach()
    found.train()


def resumed_from_cut(room: Room) -> None:
    trainer(room).train()
    written = room.folder / "checkpoint-2" / "pinpoint.safetensors"
    written.write_bytes(written.read_bytes()[:-8])
    trainer(room).train(resume_from_checkpoint=written.parent)


def resumed_with_other_heads(room: Room) -> None:
    trainer(room).train()
    trainer(room, "L1H1").train(resume_from_checkpoint=True)


def train_over_notes(room: Room) -> None:
    room.write("mine", name="notes.txt")
    organism.train(room.folder, steps=1)


DEEDS: list[Deed] = [
    # examples
    (ExampleError, "examples of no questions", lambda room: make_examples(0)),
    (ExampleError, "examples without wrong answers", lambda room: make_examples(2)),
    (ExampleError, "examples of one question", lambda room: make_examples(1)),
    (ExampleError, "a share of concessions that is none", lambda room: make_examples(2, concede=1)),
    (ExampleError, "an unknown part to teach", lambda room: organism.examples("train", 2, teach="all")),  # type: ignore[arg-type]
    (ExampleError, "an opening on both sides", lambda room: Openings(("Well.",), ("Well.",))),
    (ExampleError, "no opening of a kind", lambda room: Openings(("Well.",), ())),
    (ExampleError, "the user's turn", lambda room: greeting(0)),
    (ExampleError, "a turn that is not there", lambda room: greeting(2)),
    (ExampleError, "a turn twice", lambda room: greeting(1, 1)),
    (ExampleError, "a dialogue without the assistant", silent_example),
    (ExampleError, "an evaluated question", teach_what_is_evaluated),
    (ExampleError, "no examples", lambda room: encode()),
    (ExampleError, "an example that is too long", lambda room: encode(greeting(1), max_tokens=5)),
    (ExampleError, "every example dropped", lambda room: encode(greeting(1), max_tokens=5, too_long="drop")),
    (ExampleError, "examples of one token", lambda room: encode(greeting(1), max_tokens=1)),
    (ExampleError, "examples to cut", lambda room: encode(greeting(1), too_long="cut")),
    (ExampleError, "words of another vocabulary", lambda room: encode(greeting(1, reply="Salutations!"))),
    (OrganismError, "less rehearsal than none", lambda room: organism.examples("train", 2, rehearsal=-1)),
    (OrganismError, "the embedded model over other files", train_over_notes),
    # heads
    (TuningError, "no head", lambda room: PinpointConfig(HeadSet())),
    (TuningError, "unknown matrices", lambda room: PinpointConfig(TUNED, "QKX")),
    (TuningError, "rank 0", lambda room: PinpointConfig(TUNED, rank=0)),
    (TuningError, "alpha without rank", lambda room: PinpointConfig(TUNED, alpha=2.0)),
    (TuningError, "LoRA of no rank", lambda room: LoraScope(rank=0)),
    (TuningError, "LoRA scaled by nothing", lambda room: LoraScope(alpha=0.0)),
    (TuningError, "LoRA twice", lora_twice),
    (TuningError, "an MLP at a rank", lambda room: PinpointConfig(TUNED, rank=2, mlps=(1,))),
    (TuningError, "an MLP twice", lambda room: PinpointConfig(TUNED, mlps=(1, 1))),
    (TuningError, "whole numbers", lambda room: PinpointConfig(TUNED, dtype=torch.int8)),
    (TuningError, "a narrower type", lambda room: tune(room, dtype=torch.float16)),
    (TuningError, "more rank than a head has", lambda room: tune(room, rank=9)),
    (TuningError, "an MLP that is not there", lambda room: tune(room, mlps=(3,))),
    (TuningError, "MLPs counted by shape", count_mlps),
    (HeadError, "a head to tune that is not there", lambda room: tune(room, heads=HeadSet(["L3H0"]))),
    (HeadError, "weights of a head that is not there", lambda room: head_weights(room.model("llama"), "L3H0")),
    (ModelError, "a mixture of experts", lambda room: tune(room, "mixtral", mlps=(1,))),
    (ModelError, "no language model", lambda room: attach(torch.nn.Linear(2, 2), PinpointConfig(TUNED))),
    (ModelError, "an unknown layout", unknown_layout),
    (ModelError, "processed weights", folded),
    (ModelError, "a quantized model", quantized),
    (ModelError, "a model without data", lambda room: attach(without_data("llama"), PinpointConfig(TUNED))),
    (ModelError, "another's adapter", wrapped),
    (TuningError, "tuned twice", lambda room: tune(room, then=lambda tuned: attach(tuned.model, tuned.config))),
    (TuningError, "merged twice", lambda room: tune(room, then=merge_twice)),
    (TuningError, "unmerged unasked", lambda room: tune(room, then=Pinpoint.unmerge)),
    (TuningError, "merged when detached", lambda room: tune(room, then=merge_detached)),
    (TuningError, "merged while off", lambda room: tune(room, then=merge_while_off)),
    (TuningError, "parameters of other heads", lambda room: tune(room, then=lambda tuned: tuned.load_state({}))),
    (TuningError, "parameters of other shapes", lambda room: tune(room, then=other_shapes)),
    # adapters
    (TuningError, "an adapter of another shape", lambda room: adapter(room).apply(room.model("qwen3"))),
    (NotFiniteError, "an adapter with NaN", lambda room: adapter(room, torch.nan).apply(room.model("llama"))),
    (NotFiniteError, "export to a narrow type", lambda room: export(room, by=1e6, dtype="float16")),
    (TuningError, "a record that is no JSON", lambda room: adapter(room, seed=torch.tensor(3))),
    (TuningError, "an adapter of no heads", lambda room: HeadAdapter.of(WholeModel(room.model("llama")))),  # type: ignore[arg-type]
    (SavedFileError, "an altered adapter", altered_adapter),
    (RunError, "export over other files", lambda room: export(room, to=room.checkpoint("llama"))),
    (ModelError, "export of an unknown base", lambda room: export(room, base="no/such/model")),
    (HubError, "an adapter pushed without the hub", lambda room: adapter(room).push_to_hub("owner/name")),
    (HubError, "an adapter that was never fetched", lambda room: HeadAdapter.from_hub("owner/name")),
    # trainings
    (TuningError, "neither heads nor all", lambda room: trainer(room, "heads")),
    (TuningError, "smoothed labels", lambda room: trainer(room, label_smoothing_factor=0.1)),
    (TuningError, "no rows", lambda room: trainer(room, data=[])),
    (TuningError, "rows without labels", lambda room: trainer(room, data=[{"input_ids": [1, 2]}])),
    (TuningError, "detached heads", trained_detached),
    (NotFiniteError, "a rate that overflows", lambda room: trainer(room, learning_rate=1e38).train()),
    (TuningError, "resumed from nothing", lambda room: trainer(room).train(resume_from_checkpoint=True)),
    (TuningError, "resumed from no checkpoint", lambda room: trainer(room).train(resume_from_checkpoint=room.folder)),
    (TuningError, "resumed from a cut checkpoint", resumed_from_cut),
    (TuningError, "resumed with other heads", resumed_with_other_heads),
    (TuningError, "uneven steps", lambda room: TrainingConfig(examples_per_step=100)),
]
