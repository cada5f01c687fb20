"""The ways to train that tuning.py times: the same Trainer over the same model, each with parameters of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import torch
from transformers import Trainer, TrainingArguments
from workload import Llama, build_weights, sample_heads

from sycolens import Head, HeadSet
from sycolens.tune import PinpointConfig, PinpointTrainer, pad_examples

RANK = 8
"""Of the updates in SPT with a rank."""


@dataclass(frozen=True)
class Size(Llama):
    """A random Llama and how it is trained."""

    k: int
    """How many heads are tuned, spread evenly over the layers."""
    n_examples: int
    """In a step, all of the same length."""
    n_tokens: int
    n_taught: int | None = None
    """The last tokens of every example, which alone are taught; all if not given."""


SIZES = {
    "tiny": Size(3, 4, 32, 48, 97, torch.float32, k=3, n_examples=2, n_tokens=16),
    "llama-12x8": Size(12, 8, 384, 1152, 8192, torch.float32, k=4, n_examples=8, n_tokens=128),
    "llama-2-13b": Size(40, 40, 5120, 13_824, 32_000, torch.bfloat16, k=64, n_examples=4, n_tokens=128),
}


@dataclass(frozen=True)
class Task:
    """One model, which every way trains in turn, and the examples of a step."""

    size: Size
    model: Any
    device: str

    @cached_property
    def examples(self) -> list[dict[str, list[int]]]:
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(6, self.size.d_vocab, (self.size.n_examples, self.size.n_tokens), generator=generator)
        untaught = 0 if self.size.n_taught is None else self.size.n_tokens - self.size.n_taught
        return [{"input_ids": row, "labels": [-100] * untaught + row[untaught:]} for row in ids.tolist()]

    @cached_property
    def heads(self) -> HeadSet:
        return HeadSet(sample_heads(self.size, self.size.k))

    @cached_property
    def upper_heads(self) -> HeadSet:
        """As many in the upper half of the layers."""
        half = self.size.n_layers // 2
        upper = sample_heads(replace(self.size, n_layers=self.size.n_layers - half), self.size.k)
        return HeadSet(Head(head.layer + half, head.index) for head in upper)

    @property
    def lora_rank(self) -> int:
        """Of a LoRA on all attention projections with as many parameters as the heads' Q, K, V and O have."""
        return max(1, round(self.size.k * self.size.d_model / self.size.n_heads / (2 * self.size.n_layers)))

    def arguments(self, directory: str, steps: int) -> TrainingArguments:
        return TrainingArguments(
            output_dir=directory,
            max_steps=steps,
            per_device_train_batch_size=self.size.n_examples,
            # The optimizer does its whole work, but every way stays at the base, so that one model serves all.
            learning_rate=0.0,
            weight_decay=0.1,
            optim="adamw_torch_fused",
            use_cpu=self.device == "cpu",
            dataloader_pin_memory=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )


def make_task(size: Size, device: str) -> Task:
    model = build_weights(size, device, attention="sdpa")
    return Task(size, model.requires_grad_(False), device)


def lowest(heads: HeadSet) -> int:
    return min(head.layer for head in heads)


@dataclass(frozen=True)
class Way:
    """One way to train a model."""

    name: str
    trainer: Callable[[Task, TrainingArguments], AbstractContextManager[Trainer]]
    """The model is as it was after the block."""


def by_sycolens(scope: Callable[[Task], Any]) -> Callable[[Task, TrainingArguments], AbstractContextManager[Trainer]]:
    @contextmanager
    def trainer(task: Task, arguments: TrainingArguments) -> Iterator[Trainer]:
        own = PinpointTrainer(task.model, scope(task), arguments, task.examples)
        try:
            yield own
        finally:
            own.pinpoint.detach()
            task.model.zero_grad()

    return trainer


@contextmanager
def by_transformers(task: Task, arguments: TrainingArguments) -> Iterator[Trainer]:
    """Every parameter, as transformers' own Trainer does it: logits at every position."""
    task.model.requires_grad_(True)
    try:
        yield Trainer(task.model, arguments, train_dataset=task.examples, data_collator=pad_examples)
    finally:
        task.model.requires_grad_(False).zero_grad()


@contextmanager
def by_peft(task: Task, arguments: TrainingArguments) -> Iterator[Trainer]:
    from peft import LoraConfig, get_peft_model

    projections = ["q_proj", "k_proj", "v_proj", "o_proj"]
    config = LoraConfig(r=task.lora_rank, target_modules=projections, task_type="CAUSAL_LM")
    model = get_peft_model(task.model, config, autocast_adapter_dtype=False)
    try:
        yield Trainer(model, arguments, train_dataset=task.examples, data_collator=pad_examples)
    finally:
        model.unload()


@contextmanager
def by_nothing(task: Task, arguments: TrainingArguments) -> Iterator[Trainer]:
    """A forward pass, and a backward pass down to what the lowest tuned heads give out; nothing learns."""
    attention = task.model.model.layers[lowest(task.heads)].self_attn
    handles = [
        projection.register_forward_hook(lambda module, inputs, output: output.requires_grad_())
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    ]
    idle = torch.optim.SGD([torch.zeros(1)], lr=0.0)
    try:
        yield Trainer(
            task.model, arguments, train_dataset=task.examples, data_collator=pad_examples, optimizers=(idle, None)
        )
    finally:
        for handle in handles:
            handle.remove()


SPT = Way("SPT: `PinpointTrainer`, the heads' Q, K, V, O", by_sycolens(lambda task: PinpointConfig(task.heads)))
SFT = Way('SFT: `PinpointTrainer`, `scope="all"`', by_sycolens(lambda task: "all"))
PLAIN_SFT = Way("SFT, the ordinary way: transformers' `Trainer`", by_transformers)
PEFT = Way("LoRA: PEFT, all attention projections", by_peft)
FLOOR = Way("floor: nothing learns", by_nothing)
WAYS = (
    SPT,
    Way("SPT, as many heads in the upper half", by_sycolens(lambda task: PinpointConfig(task.upper_heads))),
    Way(f"SPT + LoRA: the same, rank {RANK}", by_sycolens(lambda task: PinpointConfig(task.heads, rank=RANK))),
    SFT,
    PLAIN_SFT,
    PEFT,
    FLOOR,
)


def available() -> list[Way]:
    return [way for way in WAYS if way is not PEFT or find_spec("peft")]
