"""Trainings of models that FSDP has sharded, in test_sharding.py; run by the launcher, rank by rank."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tiny
import torch
from accelerate.state import DistributedType, PartialState
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForCausalLM, TrainerCallback, TrainingArguments

from sycolens import HeadAdapter, HeadSet, PinpointConfig, PinpointTrainer, load_model
from sycolens.distributed import ALONE, Processes
from sycolens.errors import TuningError
from sycolens.tune.sharding import whole

HEADS = HeadSet(["L1H0", "L2H3"])
STEPS = 4
CASES: dict[str, tuple[str, PinpointConfig, dict[str, Any], dict[str, Any]]] = {
    "grouped, accumulated": ("llama-gqa", PinpointConfig(HEADS), {"gradient_accumulation_steps": 2}, {}),
    "fused, tied, loaded once": ("gpt2", PinpointConfig(HEADS), {}, {"cpu_ram_efficient_loading": True}),
    "MLP, checkpointing": ("llama-gqa", PinpointConfig(HEADS, mlps=(1,)), {"gradient_checkpointing": True}, {}),
    "low rank, checkpointing": ("llama-gqa", PinpointConfig(HEADS, rank=3), {}, {"activation_checkpointing": True}),
    "float32 over bfloat16": ("llama-gqa", PinpointConfig(HEADS, dtype=torch.float32), {}, {}),
}
"""Model, what is trained, changed arguments of the training, and of FSDP."""

USUAL = PinpointConfig(HEADS)
RESUMED = "low rank, checkpointing"
LOADED_ONCE = ("ACCELERATE_USE_FSDP", "FSDP_CPU_RAM_EFFICIENT_LOADING")


def rows(n: int = 32) -> Dataset:
    """Random tokens of several lengths, the latter half of each taught."""
    ids = tiny.random_prompts(n, lengths=(9, 6, 12, 7), seed=3)[0]
    return Dataset.from_dict(
        {"input_ids": ids, "labels": [[-100] * (len(row) // 2) + row[len(row) // 2 :] for row in ids]}
    )


def arguments(place: Path, processes: Processes, fsdp: dict[str, Any] | None = None, **changes: Any) -> Any:
    """As many examples a step however many processes there are."""
    usual: dict[str, Any] = {
        "max_steps": STEPS,
        "learning_rate": 1e-2,
        "weight_decay": 0.1,
        "per_device_train_batch_size": 4 // processes.count,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_steps": 1,
    }
    for name in LOADED_ONCE:  # where accelerate remembers an earlier training's
        os.environ.pop(name, None)
    if fsdp is not None:
        usual |= {"fsdp": True, "fsdp_config": {"version": 2, **fsdp}}
    made = TrainingArguments(output_dir=str(place), **{**usual, **changes})
    if fsdp is not None:
        # accelerate shards on GPUs alone; FSDP itself does on a CPU too.
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return made


def model_of(case: str, place: Path, processes: Processes = ALONE) -> Any:
    kind, _, _, fsdp = CASES[case]
    dtype = torch.bfloat16 if "bfloat16" in case else torch.float32
    # Every process would drop out others.
    none = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0) if kind == "gpt2" else {}
    model = AutoModelForCausalLM.from_pretrained(place / kind, dtype=dtype, **none).eval()
    if processes.count > 1 and fsdp.get("cpu_ram_efficient_loading"):
        os.environ |= dict.fromkeys(LOADED_ONCE, "true")  # as the launcher does
        if not processes.first:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.fill_(7.0)  # stands for no data: all of it comes from the first
    return model


class KilledError(Exception):
    """Stands for what ends a run halfway."""


class _Kill(TrainerCallback):  # type: ignore[misc]
    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.global_step == STEPS - 1:
            raise KilledError


def held(tensors: Iterable[Tensor]) -> int:
    """Bytes of this process's parts."""
    return sum(tensor.to_local().nbytes if hasattr(tensor, "to_local") else tensor.nbytes for tensor in tensors)


def stored(tensor: Tensor) -> int:
    """Bytes that a whole tensor has in memory; FSDP empties some and keeps the husks."""
    return int(tensor.untyped_storage().nbytes())


def trained(case: str, place: Path, processes: Processes, **changes: Any) -> dict[str, Any]:
    """Losses, trained heads and all weights of the base after a training, whole in every process."""
    _, config, usual, fsdp = CASES[case]
    resume = changes.pop("resume", None)
    directory = place / f"{case}-{changes.pop('directory', 'plain')}-{processes.count}"
    callbacks = [_Kill()] if changes.pop("killed", False) else []
    settings = arguments(directory, processes, fsdp if processes.count > 1 else None, **{**usual, **changes})
    model = model_of(case, place, processes)
    as_loaded = [weakref.ref(parameter) for parameter in model.parameters()]
    data: Any = {"eval_dataset": rows(8)} if "eval_strategy" in changes else {}
    trainer = PinpointTrainer(model, config, settings, rows(), callbacks=callbacks, **data)
    trainer.train(resume_from_checkpoint=resume)
    parameters = dict(model.named_parameters())
    gc.collect()  # before anything else asks for whole tensors
    kept = [parameter for reference in as_loaded if (parameter := reference()) is not None]
    adapter = HeadAdapter.of(trainer.pinpoint)
    with torch.no_grad():
        logits = trainer.model(input_ids=torch.arange(6, 12)[None]).logits
    done = {
        "sharded": trainer.is_fsdp_enabled,
        "steps": trainer.state.global_step,
        "losses": [row["loss"] for row in trainer.state.log_history if "loss" in row],
        "norms": [row["grad_norm"] for row in trainer.state.log_history if "grad_norm" in row],
        "best": (trainer.state.best_global_step, trainer.state.best_metric),
        "held": held(parameters.values()),
        "kept": sum(map(stored, kept)),
        "of": sum(parameter.numel() * parameter.element_size() for parameter in parameters.values()),
        "optimizer": held(value for own in trainer.optimizer.state.values() for value in own.values()),
        "before": trainer.pinpoint.base(),
        "after": trainer.pinpoint.state(),
        "adapter": dict(adapter.parameters),
        "adapter of": adapter,
        "tuned": trainer.pinpoint.tuned(),
        "base": {
            name.replace("parametrizations.weight.original", "weight").replace(
                "_checkpoint_wrapped_module.", ""
            ): whole(value.detach())
            for name, value in parameters.items()
            if ".sources." not in name
        },
        "logits": logits,
        "evaluated": trainer.evaluate()["eval_loss"] if data else None,
    }
    if processes.count > 1:
        done["refused"] = {act: _refused(getattr(trainer.pinpoint, act)) for act in ("merge", "detach")}
        done["refused"]["off"] = _refused(lambda: trainer.pinpoint.off().__enter__())
    return done


def _refused(act: Any) -> str:
    try:
        act()
    except TuningError as error:
        return str(error)
    return "nothing was raised"


def refusals(place: Path, processes: Processes) -> dict[str, str]:
    """What is not trained under FSDP."""

    def plain() -> Any:
        return model_of("grouped, accumulated", place)

    def trainer(scope: Any = USUAL, model: Any = None, **fsdp: Any) -> None:
        settings = arguments(place / "refused", processes, fsdp)
        PinpointTrainer(model or plain(), scope, settings, rows())

    def not_sharded() -> None:
        settings = arguments(place / "refused", processes, {})
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_CPU
        PinpointTrainer(plain(), PinpointConfig(HEADS), settings, rows())

    return {
        "all": _refused(lambda: trainer("all")),
        "bridge": _refused(lambda: trainer(model=load_model(place / "llama-gqa"))),
        "offload": _refused(lambda: trainer(cpu_offload=True)),
        "CPU": _refused(not_sharded),
    }


def main(place: Path) -> None:
    processes = Processes.here()
    try:
        done: dict[str, Any] = {case: trained(case, place, processes) for case in CASES}
        saving = {"save_strategy": "steps", "save_steps": 3}
        try:
            trained(RESUMED, place, processes, killed=True, directory="killed", **saving)
        except KilledError:
            done["resumed"] = trained(RESUMED, place, processes, resume=True, directory="killed", **saving)
        done["best"] = trained(
            "grouped, accumulated",
            place,
            processes,
            directory="best",
            greater_is_better=True,
            load_best_model_at_end=True,
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="steps",
            save_steps=1,
        )
        done["refused"] = refusals(place, processes)
        torch.save(done, place / f"rank{processes.rank}.pt")
    finally:
        processes.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
